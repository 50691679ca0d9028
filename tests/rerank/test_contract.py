"""What every entry of RERANKERS keeps to."""

import inspect
import tracemalloc

import numpy as np
import pytest

from reid.rerank import RERANKERS
from tests.rerank.data import clusters

ALL = pytest.mark.parametrize("rerank", RERANKERS.values(), ids=RERANKERS.keys())


def mean_ap(distances, query_owner, gallery_owner):
    found = gallery_owner[np.argsort(distances, axis=1, kind="stable")] == query_owner[:, None]
    precision = found.cumsum(1) / np.arange(1, found.shape[1] + 1)
    return ((precision * found).sum(1) / found.sum(1)).mean()


@ALL
def test_blocks_of_consecutive_queries(rerank):
    query, gallery, *_ = clusters(300, 90, 9)
    blocks = list(rerank(query, gallery))
    assert len(blocks) > 1
    assert all(block.dtype == np.float32 and block.shape[1] == 90 for block in blocks)
    assert np.isfinite(np.concatenate(blocks)).all()
    assert len(np.concatenate(blocks)) == 300


@ALL
def test_more_of_the_right_people_come_first(rerank):
    query, gallery, owner, gallery_owner = clusters(40, 800, 40, dim=12, noise=0.7, seed=3)
    before = mean_ap(1 - query @ gallery.T, owner, gallery_owner)
    after = mean_ap(np.concatenate(list(rerank(query, gallery))), owner, gallery_owner)
    assert 0.4 < before < 0.9
    assert after > before + 0.03


@ALL
def test_the_order_of_the_gallery_does_not_matter(rerank):
    query, gallery, *_ = clusters(5, 80, 8)
    order = np.random.default_rng(0).permutation(80)
    straight, mixed = (np.concatenate(list(rerank(query, rows))) for rows in (gallery, gallery[order]))
    np.testing.assert_allclose(mixed, straight[:, order], atol=1e-5)


@ALL
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (4, 2)])
def test_fewer_points_than_neighbours(rerank, shape):
    query, gallery, *_ = clusters(*shape, people=2)
    assert np.concatenate(list(rerank(query, gallery))).shape == shape


@ALL
def test_options_are_numbers(rerank):
    options = list(inspect.signature(rerank).parameters.values())[2:]
    assert options[-1].name == "memory_bytes"
    assert {type(option.default) for option in options} <= {int, float}


@ALL
def test_shapes_that_do_not_fit_are_refused_at_once(rerank):
    with pytest.raises(ValueError, match="expected query"):
        rerank(np.ones((2, 3)), np.ones((4, 5)))


@ALL
def test_memory_stays_within_what_is_allowed(rerank):
    query, gallery, *_ = clusters(100, 3000, 120, dim=64)
    list(rerank(query[:5], gallery[:20]))  # what is imported on first use
    tracemalloc.start()
    for block in rerank(query, gallery, memory_bytes=44 * 2**20):
        assert len(block) <= 100
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 44 * 2**20
