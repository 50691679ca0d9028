import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.errors import BadInputError
from reid.rerank.k_reciprocal import averaged, encode, jaccard_gain, k_reciprocal, k_reciprocal_blocks
from reid.rerank.neighbours import nearest, pair_squares
from tests.losses.worked import WORKED
from tests.rerank.data import clusters, sets, unit_rows
from tests.rerank.dense import k_reciprocal_dense

LINE = WORKED["rerank_line6_k1_2_k2_2"]
MIB = 2**20


def line():
    points = np.array(LINE["points"], np.float32)[:, None]
    return points[:1], points[1:]


def test_worked_line():
    np.testing.assert_allclose(k_reciprocal(*line(), k1=2, k2=2), LINE["final"], atol=2e-7)


def test_worked_line_without_expansion():
    expected = WORKED["rerank_line6_k1_3_k2_1"]["final"]
    np.testing.assert_allclose(k_reciprocal(*line(), k1=3, k2=1), expected, atol=2e-7)


def test_worked_encodings_of_the_line():
    points = np.concatenate(line())
    lists, farthest = nearest(points, 3)
    encoded = encode(lists, lambda r, c: pair_squares(points, points, r, c) / farthest[r], 2)
    np.testing.assert_allclose(encoded.toarray(), LINE["V"], atol=2e-7)
    assert [sorted(members) for members in np.split(encoded.indices, encoded.indptr[1:-1])] == LINE["Rstar"]
    mean = averaged(encoded, lists, slice(0, 6), 2)
    np.testing.assert_allclose(mean.toarray(), LINE["Vqe"], atol=2e-7)
    gain = jaccard_gain(mean[[0]], mean.T.tocsr())
    np.testing.assert_allclose(1 - gain.toarray()[0], LINE["J_query"], atol=2e-7)


def test_worked_random_set():
    expected = WORKED["rerank_rand_5x40_k20_k6"]
    rng = np.random.RandomState(1)
    query, gallery = unit_rows(rng.randn(5, 8)), unit_rows(rng.randn(40, 8))
    distances = k_reciprocal(query, gallery)
    np.testing.assert_allclose(distances[0], expected["row0"], atol=5e-7)
    assert distances.sum(dtype=np.float64) == pytest.approx(expected["checksum"], abs=1e-5)
    assert np.argsort(distances[0]).tolist() == expected["argsort_row0"]


@settings(max_examples=150)
@given(sets(), st.integers(1, 24), st.integers(1, 8), st.floats(0, 1))
def test_agrees_with_the_dense_algorithm(both, k1, k2, lam):
    expected = k_reciprocal_dense(*both, k1, k2, lam)
    np.testing.assert_allclose(k_reciprocal(*both, k1, k2, lam), expected, atol=1e-6)


@pytest.mark.parametrize("doubles", [0, 40])
def test_agrees_with_the_dense_algorithm_on_a_thousand(doubles):
    query, gallery, *_ = clusters(100, 900, 60, dim=128, noise=1.2)
    gallery[:doubles] = query[3]
    np.testing.assert_allclose(k_reciprocal(query, gallery), k_reciprocal_dense(query, gallery), atol=1e-6)


@pytest.mark.parametrize(("offset", "spread"), [(1000.0, 1.0), (0.3, 1e-3)])
def test_agrees_with_the_dense_algorithm_where_all_points_are_far_from_0(offset, spread):
    query, gallery, *_ = clusters(30, 270, 20, dim=64)
    query, gallery = (offset + spread * rows for rows in (query, gallery))
    np.testing.assert_allclose(k_reciprocal(query, gallery), k_reciprocal_dense(query, gallery), atol=1e-6)


def test_one_point_over_and_over():
    query, gallery = np.ones((3, 4)), np.ones((50, 4))
    np.testing.assert_allclose(k_reciprocal(query, gallery), k_reciprocal_dense(query, gallery), atol=1e-6)


def test_two_thirds_shared_are_not_enough():
    """Of 1's half set {0, 1, 2}, 0 has {0, 1}: it joins with the paper's >= and not with the code's >."""
    lists = np.array([[0, 1, 4, 5], [1, 0, 2, 3], [2, 1, 3, 4], [3, 2, 4, 5], [4, 3, 5, 2], [5, 4, 3, 2]])
    encoded = encode(lists, lambda rows, columns: np.zeros(len(rows)), k1=3)
    assert encoded[[0]].toarray().tolist() == [[0.5, 0.5, 0, 0, 0, 0]]


def test_neither_memory_nor_blocks_change_the_distances():
    query, gallery, *_ = clusters(300, 1500, 60)
    whole = k_reciprocal(query, gallery)
    blocks = list(k_reciprocal_blocks(query, gallery, memory_bytes=38 * MIB))
    assert len(blocks) > 2
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_queries_come_in_blocks_of_float32():
    query, gallery, *_ = clusters(600, 200, 30)
    blocks = list(k_reciprocal_blocks(query.astype(np.float64), gallery.astype(np.float64)))
    assert [block.shape for block in blocks] == [(256, 200), (256, 200), (88, 200)]
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.concatenate(blocks), k_reciprocal(query, gallery))


def test_memory_stays_far_below_one_matrix_of_all_pairs():
    query, gallery, *_ = clusters(1000, 5000, 250, dim=32)
    list(map(np.sum, k_reciprocal_blocks(query[:10], gallery[:10])))  # what is imported on first use
    tracemalloc.start()
    largest = 0
    for block in k_reciprocal_blocks(query, gallery, memory_bytes=48 * MIB):
        largest = max(largest, len(block))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert largest
    assert peak < 48 * MIB
    assert peak < 6000 * 6000 * 4 / 4


def test_too_little_memory_says_how_much_is_needed():
    query, gallery, *_ = clusters(50, 2000, 60)
    memory, stated = 1, []
    while True:
        try:
            blocks = list(k_reciprocal_blocks(query, gallery, memory_bytes=memory))
            break
        except BadInputError as error:
            stated.append(int(str(error).partition(" MiB")[0].rpartition(" ")[2]))
            memory = stated[-1] * MIB
    assert 1 <= len(stated) <= 3
    assert stated == sorted(set(stated))
    np.testing.assert_allclose(np.concatenate(blocks), k_reciprocal(query, gallery), atol=1e-6)


@pytest.mark.parametrize("options", [{"k1": 0}, {"k2": 0}, {"lam": 1.5}, {"lam": -0.1}])
def test_options_out_of_range(options):
    with pytest.raises(BadInputError, match="have to be"):
        k_reciprocal_blocks(np.ones((2, 3)), np.ones((4, 3)), **options)
