"""What neighbours add to a tracklet's looks: by naive loops, and what always holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from tracker.linking import expansion as module
from tracker.linking.expansion import CANDIDATES, FLATTENED, NEAREST, PART, expanded, flattened
from tracker.linking.gates import kept_apart

seeds = st.integers(0, 10**6)


def unit(count, seed, dim=5):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def naive(vectors, forbidden):
    """The definition."""
    count = len(vectors)
    alike = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    nearest = []
    for row in range(count):
        others = sorted((other for other in range(count) if other != row), key=lambda other: -alike[row, other])
        free = [other for other in others[:CANDIDATES] if frozenset([row, other]) not in forbidden]
        nearest.append(free[:NEAREST])
    found, added = [], 0.0
    for row in range(count):
        whole = vectors[row].astype(np.float64)
        for other in nearest[row]:
            if row in nearest[other]:
                weight = PART * max(alike[row, other], 0)
                whole = whole + weight * vectors[other]
                added += weight / count
        found.append(whole / np.linalg.norm(whole))
    return np.array(found).reshape(vectors.shape), added


@given(st.integers(0, 40), seeds, st.integers(0, 40), st.sampled_from([1, 2, 3, 64]))
def test_by_naive_loops(count, seed, apart, segment):
    vectors, rng = unit(count, seed), np.random.default_rng(seed)
    pairs = [tuple(rng.choice(count, 2, replace=False).tolist()) for _ in range(apart)] if count > 1 else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", 7)
        patch.setattr(module, "_SEGMENT", segment)
        found, added = expanded(vectors, [kept_apart(pairs)])
    expected, weight = naive(vectors, {frozenset(pair) for pair in pairs})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert added == pytest.approx(weight, abs=1e-5)
    assert found.dtype == np.float32


@given(st.integers(2, 20), seeds)
def test_the_order_does_not_matter(count, seed):
    vectors, order = unit(count, seed), np.random.default_rng(seed).permutation(count)
    np.testing.assert_allclose(expanded(vectors[order])[0], expanded(vectors)[0][order], atol=1e-5)


def test_two_pictures_of_one_person_draw_a_third_nearer():
    """The third resembles the second alone: another side, another light."""
    vectors = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.3, 0.95, 0], [0, 0, 1]], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found, _ = expanded(vectors)
    assert found[0] @ found[2] > vectors[0] @ vectors[2] + 0.1
    np.testing.assert_allclose(found[3], vectors[3], atol=1e-6)  # nobody is on their side


def test_whoever_is_known_to_be_somebody_else_adds_nothing():
    vectors = unit(2, 3)
    found, added = expanded(vectors, [kept_apart([(0, 1)])])
    np.testing.assert_allclose(found, vectors, atol=1e-6)
    assert not added


def test_the_more_was_added_the_flatter_the_curve_and_its_constant_stays():
    curve = Curve(20.0, -8.0)
    assert flattened(curve, 0.0) == curve
    half, whole = flattened(curve, 0.5), flattened(curve, 1.0)
    assert (half.slope, whole.slope) == pytest.approx((20 * (1 - FLATTENED / 2), 20 * (1 - FLATTENED)))
    assert half.intercept == whole.intercept == -8.0
