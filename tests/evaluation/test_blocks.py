import numpy as np
import pytest

from reid.errors import BadInputError
from reid.evaluation import cosine_blocks
from reid.evaluation.blocks import _COLUMNS
from tests.evaluation.loops import unit_rows


def features(n, d=16, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("g", [1, 1000, _COLUMNS, _COLUMNS + 1])
def test_distances_are_one_minus_cosine(g, kind):
    query, gallery = (features(70, seed=1) * 3).astype(kind), (features(g) * 0.2).astype(kind)
    found = np.concatenate(list(cosine_blocks(query, gallery)))
    assert found.dtype == (np.float64 if kind == "f8" else np.float32)
    expected = 1 - unit_rows(query.astype(np.float64)) @ unit_rows(gallery.astype(np.float64)).T
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "expected"), [(0.1, 1), (1, 1), (63, 63), (64, 64), (65, 64), (130, 128), (9999, 200)]
)
def test_a_block_has_as_many_rows_as_fit(rows, expected):
    query, gallery = features(200), features(300, seed=1)
    sizes = [len(block) for block in cosine_blocks(query, gallery, int(rows * 4 * 300))]
    assert sum(sizes) == 200
    assert max(sizes) == sizes[0] == expected


@pytest.mark.parametrize("rows", [64, 128, 192])
def test_the_size_of_blocks_changes_no_bit(rows):
    query, gallery = features(200, 130), features(_COLUMNS + 5, 130, seed=1)
    whole = next(cosine_blocks(query, gallery))
    parts = np.concatenate(list(cosine_blocks(query, gallery, rows * 4 * len(gallery))))
    assert (parts == whole).all()


def test_a_gallery_row_has_one_distance_wherever_it_stands():
    query, gallery = features(5, 130), features(_COLUMNS, 130, seed=1)
    repeated = np.concatenate([gallery, gallery, gallery[:7]])  # a product of another shape would give other last bits
    found = next(cosine_blocks(query, repeated))
    assert (found[:, :_COLUMNS] == found[:, _COLUMNS : 2 * _COLUMNS]).all()
    assert (found[:, :7] == found[:, 2 * _COLUMNS :]).all()


def test_blocks_are_the_callers_to_keep():
    query, gallery = features(130), features(50, seed=1)
    first, second, _ = cosine_blocks(query, gallery, 64 * 4 * 50)
    np.testing.assert_allclose(first, 1 - unit_rows(query[:64]) @ unit_rows(gallery).T, atol=1e-6)
    assert not np.shares_memory(first, second)


def test_refuses_what_has_no_cosine():
    one = features(1, 3)
    for broken in (0 * one, one * np.nan, one * np.inf):
        for pair in ((one, broken), (broken, one)):
            with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="finite vectors other than zero"):
                next(cosine_blocks(*pair))
    with pytest.raises(ValueError, match=r"expected query \(q, d\) and gallery \(g, d\), got \(1, 3\) and \(1, 4\)"):
        next(cosine_blocks(one, features(1, 4)))
    with pytest.raises(BadInputError, match="memory of 0 bytes"):
        next(cosine_blocks(one, one, 0))
