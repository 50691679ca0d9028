"""Which cameras see no place in common: learned from sure links, and what a shared moment then says."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from tests.helpers import tracklet
from tracker.linking import Known, link
from tracker.linking.agglomeration import Group, Merge
from tracker.linking.overlap import LEAST_PAIRS, SURE, against, at_once

seeds = st.integers(0, 10_000)


def share_a_moment(one, other):
    return one.start_s <= other.end_s and other.start_s <= one.end_s


def sure(*rows, evidence=50.0):
    """A group whose joins are sure, one row after the other."""
    merges = [Merge(list(rows[:place]), [rows[place]], evidence, 2) for place in range(1, len(rows))]
    return Group(sorted(rows), merges)


def naive(people, groups):
    """The definition, pair by pair."""
    names = sorted({one.camera for one in people})
    says = np.zeros((len(names), len(names)))
    one_person = {
        frozenset([a, b])
        for group in groups
        for merge in group.merges
        if merge.probability >= SURE
        for a, b in itertools.product(merge.left, merge.right)
    }
    for i, j in itertools.permutations(range(len(names)), 2):
        pairs = [
            (a, b)
            for a, b in itertools.product(range(len(people)), repeat=2)
            if (people[a].camera, people[b].camera) == (names[i], names[j]) and not (people[a].photo or people[b].photo)
        ]
        known = [share_a_moment(people[a], people[b]) for a, b in pairs if {a, b} in one_person]
        others = [share_a_moment(people[a], people[b]) for a, b in pairs if {a, b} not in one_person]
        if len(known) >= LEAST_PAIRS:
            says[i, j] = against(sum(known), len(known), (sum(others) + 1) / (len(others) + 2))
    return says


@given(st.integers(1, 5), st.integers(2, 10), seeds)
def test_at_once_by_naive_loops(people, sightings, seed):
    rng = np.random.default_rng(seed)
    found, groups = [], []
    for _ in range(people):
        rows = list(range(len(found), len(found) + sightings))
        for row in rows:
            at = float(rng.uniform(0, 60))
            one = tracklet((str(rng.choice(["a", "b", "c"])), row + 1), at, at + float(rng.uniform(1, 9)))
            found.append(replace(one, photo="x.jpg" if rng.random() < 0.1 else ""))
        groups.append(sure(*rows, evidence=float(rng.choice([50.0, 0.0]))))
    np.testing.assert_allclose(at_once(found, groups), naive(found, groups))


# ---- what a shared moment says


@given(st.integers(0, 200), st.floats(0.01, 0.9))
def test_bayes_rule_of_two_kinds_of_cameras(known, chance):
    """By numerical integration over the rate of shared moments of cameras that see one place."""
    wrong = (1 - SURE) * chance
    rates = (np.arange(100_000) + 0.5) / 100_000
    common = np.mean((1 - rates) ** known)  # none of the known pairs shared a moment
    apart = (1 - wrong) ** known
    expected = (apart * wrong + np.mean((1 - rates) ** known * rates)) / (apart + common)
    assert against(0, known, chance) == pytest.approx(min(0.0, math.log(max(expected, wrong) / chance)), abs=1e-4)


@given(st.integers(0, 500), st.integers(0, 500), st.floats(1e-4, 1))
def test_it_never_says_more_than_links_are_sure_of_and_never_speaks_for(shared, more, chance):
    assert math.log(1 - SURE) - 1e-9 <= against(shared, shared + more, chance) <= 0


def test_the_more_pairs_never_shared_a_moment_the_more_one_that_does_says():
    found = [against(0, known, 0.1) for known in (5, 10, 50, 500)]
    assert (np.diff(found) < 0).all()


def test_cameras_that_shared_people_at_once_say_nothing():
    assert against(5, 20, 0.1) == 0


# ---- linking with it


def two_rooms(stranger_at):
    """Ten people who go from room to room, and one sighting more that looks a little like the first of them."""
    people, vectors = [], []
    for number in range(10):
        for visit, camera in enumerate("abab"):
            at = 100.0 * number + 20 * visit
            people.append(tracklet((camera, len(people) + 1), at, at + 15))
            vectors.append(np.eye(12)[number])
    people.append(tracklet(("b", 99), stranger_at, stranger_at + 15))
    vectors.append(0.65 * np.eye(12)[0] + math.sqrt(1 - 0.65**2) * np.eye(12)[11])
    return people, np.array(vectors, np.float32)


def identity_of(people, vectors, number, known=None):
    found = link(people, vectors, Curve(20.0, -8.0), 0.5, known or Known())
    return next(identity for identity in found if ("b", number) in identity.members)


def test_whoever_is_elsewhere_at_that_moment_is_somebody_else():
    """Between two people's times, the likeness is enough; while the first is in the other room, it is not."""
    free = identity_of(*two_rooms(stranger_at=80.0), 99)
    assert len(free.members) == 5
    meanwhile = identity_of(*two_rooms(stranger_at=42.0), 99)
    assert len(meanwhile.members) == 1


def test_in_rooms_that_see_each_other_it_says_nothing():
    people, vectors = two_rooms(stranger_at=42.0)
    together = []
    for number in range(10):
        at = 100.0 * number
        for camera in "ab":  # seen by both at once
            together.append(tracklet((camera, 200 + len(together)), at + 1, at + 14))
            vectors = np.vstack([vectors, np.eye(12, dtype=np.float32)[number]])
    people = [one for one in people if one.key.track_id == 99 or one.start_s % 100 >= 20]
    rows = [row for row in range(41) if row == 40 or row % 4]
    vectors = np.vstack([vectors[rows], vectors[41:]])
    assert len(identity_of([*people, *together], vectors, 99).members) > 1
