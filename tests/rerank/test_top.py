import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.errors import BadInputError
from reid.rerank.k_reciprocal import k_reciprocal
from reid.rerank.top import k_reciprocal_top, put_ahead, rescore_top
from tests.rerank.data import clusters, sets


def ranking(distances):
    return np.argsort(distances, axis=1, kind="stable")


def squares(query, gallery):
    return ((query[:, None].astype(np.float64) - gallery[None]) ** 2).sum(2)


@settings(max_examples=100)
@given(sets(), st.integers(1, 24), st.integers(1, 8), st.integers(0, 3))
def test_of_the_whole_gallery_is_exact_for_each_query_alone(both, k1, k2, more):
    query, gallery = both
    expected = np.concatenate([k_reciprocal(query[[i]], gallery, k1, k2) for i in range(len(query))])
    blocks = list(k_reciprocal_top(query, gallery, len(gallery) + more, k1, k2))
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=1e-6)


def test_of_points_far_from_0():
    query, gallery, *_ = clusters(5, 100, 10, dim=64)
    query, gallery = 0.3 + 1e-3 * query, 0.3 + 1e-3 * gallery
    expected = np.concatenate([k_reciprocal(query[[i]], gallery) for i in range(5)])
    np.testing.assert_allclose(np.concatenate(list(k_reciprocal_top(query, gallery, 100))), expected, atol=2e-6)


@settings(max_examples=60)
@given(sets(doubles=False), st.integers(1, 39))
def test_the_first_m_are_reranked_among_themselves_and_the_rest_follows_in_its_order(both, m):
    query, gallery = both
    m = min(m, len(gallery))
    before = ranking(squares(query, gallery))
    after = ranking(np.concatenate(list(k_reciprocal_top(query, gallery, m, k1=5, k2=3))))
    np.testing.assert_array_equal(after[:, m:], before[:, m:])
    for i, first in enumerate(np.sort(before[:, :m], axis=1)):
        alone = k_reciprocal(query[[i]], gallery[first], k1=5, k2=3)
        found = np.searchsorted(first, after[i, :m])
        assert (np.diff(alone[0, found]) > -1e-6).all()


def test_blocks_are_of_float32_and_memory_does_not_change_them():
    query, gallery, *_ = clusters(300, 400, 30)
    blocks = list(k_reciprocal_top(query, gallery, 50))
    assert [block.shape for block in blocks] == [(256, 400), (44, 400)]
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    small = list(k_reciprocal_top(query, gallery, 50, memory_bytes=36 * 2**20))
    assert len(small) > 5
    np.testing.assert_allclose(np.concatenate(small), np.concatenate(blocks), atol=1e-6)
    with pytest.raises(BadInputError, match="memory_bytes"):
        list(k_reciprocal_top(query, gallery, 50, memory_bytes=2**25))


@pytest.mark.parametrize("options", [{"m": 0}, {"k1": 0}, {"lam": 2}])
def test_options_out_of_range(options):
    with pytest.raises(BadInputError):
        k_reciprocal_top(np.ones((2, 3)), np.ones((4, 3)), **options)


@settings(max_examples=100)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6), st.sampled_from([np.float32, np.float64]))
def test_put_ahead_leaves_the_rest_alone_and_keeps_the_order_of_both(g, m, seed, dtype):
    m, rng = min(m, g), np.random.default_rng(seed)
    before = rng.normal(size=(4, g)).round(1).astype(dtype)
    top = ranking(before)[:, :m]
    values = rng.normal(size=(4, m)).round(1)
    block = before.copy()
    put_ahead(block, top, values)
    for old, new, first, value in zip(before, block, top, values, strict=True):
        rest = np.delete(np.arange(g), first)
        np.testing.assert_array_equal(new[rest], old[rest])
        assert new[first].max() < new[rest].min(initial=np.inf)
        np.testing.assert_allclose(np.diff(new[first]), np.diff(value), atol=1e-6)


def test_values_that_are_ahead_already_stay_as_they_are():
    block = np.array([[0.5, 0.1, 0.9]])
    put_ahead(block, np.array([[1, 0]]), np.array([[0.3, 0.2]]))
    assert block.tolist() == [[0.2, 0.3, 0.9]]


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(1, 35), st.floats(0, 3), st.integers(0, 10**6))
def test_rescoring_agrees_with_a_loop(g, m, weight, seed):
    rng = np.random.default_rng(seed)
    distances, others = rng.random((7, g)), rng.random((7, g))
    blocks = rescore_top([distances[:3], distances[3:]], lambda i, j: others[i, j], m, weight)
    found = ranking(np.concatenate(list(blocks)))
    for i, before in enumerate(ranking(distances)):
        first = before[:m]
        expected = first[np.argsort((distances + weight * others)[i, first], kind="stable")]
        assert found[i].tolist() == [*expected, *before[m:]]


def test_rescoring_leaves_the_given_distances_alone():
    distances = np.array([[0.2, 0.1]])
    list(rescore_top([distances], lambda i, j: np.ones(len(j))))
    assert distances.tolist() == [[0.2, 0.1]]


@pytest.mark.parametrize("others", [np.ones(3), np.array([np.nan, 0]), np.ones((2, 1))])
def test_rescoring_refuses_other_shapes_and_nan(others):
    with pytest.raises(ValueError, match="expected"):
        list(rescore_top([np.ones((1, 5))], lambda i, j: others, m=2))


def test_rescoring_nothing():
    with pytest.raises(BadInputError, match="1 result at least"):
        rescore_top([np.ones((1, 5))], lambda i, j: np.ones(0), m=0)


def test_rescoring_by_aligned_stripes():
    """The image that is nearest as a whole gives way to one whose stripes match."""
    torch = pytest.importorskip("torch")
    local_distance_pairs = pytest.importorskip("reid.align").local_distance_pairs
    query = torch.eye(4)[None]
    gallery = torch.stack([torch.eye(4).flip(0), torch.eye(4), torch.zeros(4, 4)])

    def pairs(i, j):
        return local_distance_pairs(query[i].expand(len(j), 4, 4), gallery[j]).numpy()

    [block] = rescore_top([np.array([[0.1, 0.2, 0.3]])], pairs, m=2)
    assert ranking(block).tolist() == [[1, 0, 2]]
