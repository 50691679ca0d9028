import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from reid.errors import BadInputError
from reid.rerank.diffusion import UNLABELLED, affinity, diffuse, label_matrix, smoothed_manifold, supervised_manifold
from tests.losses.worked import WORKED
from tests.rerank.data import clusters

WORKED_LINE = WORKED["ssm_line4"]


def iterate(weights, labels, alpha, steps):
    walk = weights / weights.sum(1, keepdims=True)
    similar = labels
    for _ in range(steps):
        similar = alpha * walk @ similar @ walk.T + (1 - alpha) * labels
    return similar


def test_worked_line():
    weights = sparse.csr_array(np.array(WORKED_LINE["W"]))
    found = diffuse(weights, sparse.eye_array(4, format="csr"), np.arange(4), 0.5, 200)
    np.testing.assert_allclose(found, WORKED_LINE["Q"], rtol=1e-12)


@settings(max_examples=60)
@given(st.integers(1, 12), st.floats(0, 1), st.integers(1, 8), st.integers(0, 10**6))
def test_rows_agree_with_the_iteration_on_whole_matrices(n, alpha, steps, seed):
    rng = np.random.default_rng(seed)
    weights, labels = rng.random((n, n)), rng.random((n, n))
    rows = rng.integers(0, n, 3)
    found = diffuse(sparse.csr_array(weights), sparse.csr_array(labels), rows, alpha, steps)
    np.testing.assert_allclose(found, iterate(weights, labels, alpha, steps)[rows], rtol=1e-9)


@given(st.lists(st.integers(UNLABELLED, 3), min_size=1, max_size=9))
def test_label_matrix_agrees_with_loops(labels):
    expected = [[float(i == j or (a == b != UNLABELLED)) for j, b in enumerate(labels)] for i, a in enumerate(labels)]
    assert label_matrix(np.array(labels)).toarray().tolist() == expected


def test_affinity_joins_neighbours_alone():
    points = np.array([[0.0], [1], [3], [100], [101]], np.float32)
    weights = affinity(points, 2).toarray()
    expected = np.eye(5)
    # distances to the nearest other: 1, 1, 2, 1, 1
    expected[0, 1] = expected[1, 0] = expected[3, 4] = expected[4, 3] = np.exp(-1)
    expected[1, 2] = expected[2, 1] = np.exp(-4 / 2)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_affinity_of_doubles():
    weights = affinity(np.zeros((6, 2), np.float32), 3)
    assert set(weights.data) == {1.0}


def test_what_the_walk_does_not_reach_follows_by_distance():
    gallery = np.array([[1.0], [2], [102], [101], [100]])
    [distances] = smoothed_manifold(np.zeros((1, 1)), gallery, k=2)
    assert (distances[0, :2] <= 1).all()
    assert (distances[0, 2:] > 1).all()
    assert np.argsort(distances[0])[2:].tolist() == [4, 3, 2]


def test_agrees_with_whole_matrices():
    query, gallery, *_ = clusters(10, 60, 6, noise=1.2)
    [found] = smoothed_manifold(query, gallery, k=5, alpha=0.7, steps=6)
    weights = affinity(np.concatenate([query, gallery]), 5).toarray().astype(np.float64)
    similar = iterate(weights, np.eye(70), 0.7, 6)[:10, 10:]
    expected = 1 - similar / similar.max(1, keepdims=True)
    reached = similar > 0
    assert reached.sum() > 200
    np.testing.assert_allclose(found[reached], expected[reached], atol=1e-5)


def test_a_label_brings_together_what_is_far():
    query, gallery, *_ = clusters(10, 60, 6, noise=0.2)
    labels = np.full(70, UNLABELLED)
    labels[[0, 11]] = 7  # query 0 and gallery 1, different people
    before, after = (
        np.concatenate(list(supervised_manifold(query, gallery, given, k=5)))
        for given in (np.full(70, UNLABELLED), labels)
    )
    people = np.arange(60) % 6
    assert after[0, 1] < before[0, 1]
    assert after[0, people == 1].mean() < before[0, people == 1].mean()


def test_neither_memory_nor_blocks_change_the_distances():
    query, gallery, *_ = clusters(300, 1000, 60)
    whole = list(smoothed_manifold(query, gallery))
    small = list(smoothed_manifold(query, gallery, memory_bytes=36 * 2**20))
    assert len(whole) < len(small)
    np.testing.assert_allclose(np.concatenate(small), np.concatenate(whole), atol=1e-5)
    with pytest.raises(BadInputError, match="memory_bytes"):
        list(smoothed_manifold(query, gallery, memory_bytes=2**25))


@pytest.mark.parametrize("options", [{"k": 1}, {"alpha": 1.0}, {"alpha": -0.1}, {"steps": 0}])
def test_options_out_of_range(options):
    with pytest.raises(BadInputError, match="at least"):
        smoothed_manifold(np.ones((2, 3)), np.ones((4, 3)), **options)


def test_labels_for_another_number_of_points():
    with pytest.raises(ValueError, match="expected labels"):
        supervised_manifold(np.ones((2, 3)), np.ones((4, 3)), np.zeros(5, int))
