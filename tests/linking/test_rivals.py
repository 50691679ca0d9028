"""Rivals by naive loops, and what they are told for."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from tracker.linking import agglomeration
from tracker.linking import evidence as module
from tracker.linking.agglomeration import Group, people, probability_of
from tracker.linking.evidence import Appearance
from tracker.linking.rivals import LEAST_PROBABILITY, rivals_of
from tracker.types import TrackletKey

CURVE = Curve(10.0, -5.0)
seeds = st.integers(0, 10**6)


def appearance_of(count, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Appearance.of(vectors.astype(np.float32), rng.uniform(0.2, 1, count).astype(np.float32), CURVE)


def grouped(count, seed):
    labels = np.random.default_rng(seed + 1).integers(0, max(count // 2, 1), count)
    return [Group(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)]


def names(count):
    return [TrackletKey("r", row) for row in range(count)]


def mean_evidence(appearance, left, right):
    """The weighted mean over all pairs, by the definition."""
    total = weights = 0.0
    for i, j in itertools.product(left, right):
        weight = float(appearance.weight[i]) * float(appearance.weight[j])
        alike = float(appearance.mean[i] @ appearance.mean[j])
        total += weight * (10 * alike - 5 * float(appearance.share[i]) * float(appearance.share[j]))
        weights += weight
    return total / weights


@given(st.integers(1, 12), seeds, st.sampled_from([1000, 3]))
def test_they_are_the_groups_with_most_evidence(count, seed, most):
    appearance, groups = appearance_of(count, seed), grouped(count, seed)
    numbers = [10 + place for place in range(len(groups))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", 2)
        patch.setattr(agglomeration, "CROWD", most)
        found = rivals_of(appearance, groups, numbers, names(count), {})
    among = min(people([len(group.members) for group in groups]), most)
    for place, told in enumerate(found):
        others = [
            (probability_of(mean_evidence(appearance, groups[place].members, group.members), among), 10 + other)
            for other, group in enumerate(groups)
            if other != place
        ]
        expected = [pair for pair in sorted(others, reverse=True)[:3] if pair[0] >= LEAST_PROBABILITY]
        assert [rival.identity for rival in told] == [number for _, number in expected]
        assert [rival.probability for rival in told] == pytest.approx([share for share, _ in expected], abs=1e-4)
        for rival in told:
            own, theirs = groups[place].members, groups[rival.identity - 10].members
            alike = appearance.mean @ appearance.mean.T
            nearest = max(itertools.product(own, theirs), key=lambda pair: alike[pair])
            assert (rival.left.track_id, rival.right.track_id) == nearest


def test_what_speaks_against_most_is_told_in_words():
    vectors = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    appearance = Appearance.of(vectors, np.ones(3, np.float32), CURVE)
    groups = [Group([row]) for row in range(3)]
    gates = {
        "hardly": lambda left, right: -0.1,
        "never met": lambda left, right: -np.inf if set(left) | set(right) == {0, 1} else 0.0,
        "far": lambda left, right: -2.0 if 0 in set(left) | set(right) else 0.0,
    }
    first, second, third = rivals_of(appearance, groups, [1, 2, 3], names(3), gates)
    assert {rival.identity: rival.against for rival in first} == {2: "never met", 3: "far"}
    assert {rival.identity: rival.against for rival in second} == {1: "never met", 3: ""}
    assert {rival.identity: rival.against for rival in third} == {1: "far", 2: ""}


def test_nobody_has_no_rival():
    assert rivals_of(appearance_of(0, 0), [], [], [], {}) == []
    assert rivals_of(appearance_of(1, 0), [Group([0])], [1], names(1), {}) == [()]
