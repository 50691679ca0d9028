import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.errors import BadInputError
from reid.rerank.expansion import query_expansion
from tests.rerank.data import clusters, sets, unit_rows


def by_loops(query, gallery, times, k, alpha):
    points = np.concatenate([query, gallery]).astype(np.float64)
    for _ in range(times):
        similarity = unit_rows(points) @ unit_rows(points).T
        expanded = []
        for row in similarity:
            near = np.argsort(-row, kind="stable")[:k]
            expanded.append(np.mean([points[j] * max(row[j], 0) ** alpha for j in near], axis=0))
        points = np.array(expanded)
    points = unit_rows(points)
    return 1 - points[: len(query)] @ points[len(query) :].T


@settings(max_examples=60)
@given(sets(doubles=False), st.integers(1, 2), st.integers(1, 8), st.sampled_from([0.5, 1.0, 3.0]))
def test_agrees_with_loops(both, times, k, alpha):
    query, gallery = both
    found = np.concatenate(list(query_expansion(query, gallery, times, k, alpha)))
    np.testing.assert_allclose(found, by_loops(query, gallery, times, k, alpha), atol=2e-5)


def test_by_hand():
    """Unit vectors at 0, 60 and 180 degrees, cosines 0.5 and -0.5: 0 + 60 / 8 against 60 + 0 / 8 and 180."""
    angle = np.radians([0, 60, 180])
    points = np.stack([np.cos(angle), np.sin(angle)], 1)
    [distances] = query_expansion(points[:1], points[1:], k=2)
    one, other = points[0] + points[1] / 8, points[1] + points[0] / 8
    cosines = [one @ other / (one @ one), one @ points[2] / np.sqrt(one @ one)]
    np.testing.assert_allclose(distances[0], 1 - np.array(cosines), atol=1e-6)


def test_one_neighbour_is_the_plain_cosine_distance_whatever_the_norms():
    query, gallery, *_ = clusters(20, 100, 10)
    [distances] = query_expansion(query * 3, gallery * np.linspace(1, 9, 100)[:, None], k=1)
    np.testing.assert_allclose(distances, 1 - query @ gallery.T, atol=1e-6)


def test_neither_memory_nor_blocks_change_the_distances():
    query, gallery, *_ = clusters(300, 1500, 60)
    whole = list(query_expansion(query, gallery))
    small = list(query_expansion(query, gallery, memory_bytes=2**25 + 500_000))
    assert len(whole) < len(small)
    np.testing.assert_allclose(np.concatenate(small), np.concatenate(whole), atol=1e-6)


@pytest.mark.parametrize("options", [{"times": 0}, {"k": 0}, {"alpha": -1.0}])
def test_options_out_of_range(options):
    with pytest.raises(BadInputError, match="at least"):
        query_expansion(np.ones((2, 3)), np.ones((4, 3)), **options)


def test_a_zero_vector_has_no_direction():
    with pytest.raises(ValueError, match="other than zero"):
        query_expansion(np.ones((2, 3)), np.zeros((4, 3)))
