import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from reid.errors import BadInputError
from reid.rerank.neighbours import joined, nearest, pair_squares, product_slack, row_blocks, smallest, squared_norms
from reid.rerank.neighbours import squared_distances as product
from tests.rerank.data import clusters, sets


def sorted_lists(points, k):
    wide = points.astype(np.float64)
    return np.argsort(cdist(wide, wide, "sqeuclidean"), axis=1, kind="stable")[:, :k]


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(1, 12), st.integers(1, 50), st.integers(0, 10**6))
def test_smallest_is_the_head_of_a_stable_sort(n, k, values, seed):
    k = min(k, n)
    block = np.random.default_rng(seed).integers(0, values, (3, n)).astype(np.float32)
    np.testing.assert_array_equal(smallest(block, k), np.argsort(block, axis=1, kind="stable")[:, :k])


@settings(max_examples=60)
@given(sets(), st.integers(1, 25))
def test_nearest_are_those_of_a_stable_sort_of_exact_distances(both, k):
    points = joined(*both)
    found, farthest = nearest(points, k)
    np.testing.assert_array_equal(found, sorted_lists(points, k))
    np.testing.assert_allclose(farthest, cdist(points, points, "sqeuclidean").max(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("d", "spread"), [(512, 1e-3), (37, 1e-5), (3, 1e-6)])
def test_neighbours_nearer_to_each_other_than_float32_can_tell(d, spread):
    rng = np.random.default_rng(0)
    points = (rng.normal(size=d) / d**0.5 + spread / d**0.5 * rng.normal(size=(700, d))).astype(np.float32)
    points[100:150] = points[7]
    by_product = np.argsort(product(points, points, squared_norms(points)), axis=1, kind="stable")[:, :20]
    expected = sorted_lists(points, 20)
    assert (by_product != expected).any()
    np.testing.assert_array_equal(nearest(points, 20)[0], expected)


@settings(max_examples=40)
@given(st.integers(1, 600), st.floats(0.01, 100), st.floats(0, 5), st.integers(0, 10**6))
def test_product_errs_by_less_than_half_the_slack(d, scale, offset, seed):
    points = (scale * (offset + np.random.default_rng(seed).normal(size=(12, d)))).astype(np.float32)
    norms = squared_norms(points)
    error = np.abs(product(points, points, norms) - cdist(points.astype(float), points.astype(float), "sqeuclidean"))
    assert (error <= product_slack(d, norms + norms.max())[:, None] / 2).all()


def test_a_pair_of_doubles_is_at_distance_0_and_doubles_are_equally_far():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 301)).astype(np.float32)
    points[[3, 4, 8]] = points[1]
    squares = pair_squares(points, points, np.zeros(4, int), np.array([1, 3, 4, 8]))
    assert len(set(squares)) == 1
    assert not pair_squares(points, points, np.array([1, 4]), np.array([3, 8])).any()


def test_lists_do_not_depend_on_the_memory_allowed():
    query, gallery, *_ = clusters(50, 1500, 60)
    points = joined(query, gallery)
    found, farthest = nearest(points, 21)
    small, small_farthest = nearest(points, 21, memory_bytes=2**25 + 10**6)
    np.testing.assert_array_equal(small, found)
    np.testing.assert_allclose(small_farthest, farthest, rtol=1e-6)


def test_blocks_hold_all_rows_in_order_and_keep_within_memory():
    costs = np.random.default_rng(0).integers(1, 1000, 700)
    room, fixed = 4000, 2**25
    blocks = list(row_blocks(costs, 50, fixed + 50 + room))
    assert [i for rows in blocks for i in range(rows.start, rows.stop)] == list(range(700))
    assert max(costs[rows].sum() for rows in blocks) <= room
    assert all(costs[rows.start : rows.stop + 1].sum() > room for rows in blocks[:-1])
    with pytest.raises(BadInputError, match=r"takes at least 33 MiB, but memory_bytes allows 32"):
        list(row_blocks(costs, 50, fixed + 50 + 900))


@pytest.mark.parametrize(
    ("query", "gallery", "message"),
    [
        (np.zeros((2, 3)), np.zeros((4, 2)), "expected query"),
        (np.zeros(3), np.zeros((4, 3)), "expected query"),
        (np.zeros((0, 3)), np.zeros((4, 3)), "both sides"),
        (np.zeros((2, 3)), np.zeros((0, 3)), "both sides"),
        (np.zeros((2, 0)), np.zeros((3, 0)), "both sides"),
        (np.full((2, 3), np.nan), np.zeros((4, 3)), "finite"),
        (np.zeros((2, 3)), np.full((4, 3), np.inf), "finite"),
    ],
)
def test_what_is_no_pair_of_sets_is_refused(query, gallery, message):
    with pytest.raises(ValueError, match=message):
        joined(query, gallery)
