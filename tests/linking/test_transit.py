"""Transit times: what is learned from sure links, and what speaks against people who would be too quick."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from tests.helpers import tracklet
from tracker.linking import link
from tracker.linking.agglomeration import Group, Merge
from tracker.linking.transit import LEAST_TRANSITS, SURE, WAYS, against, learn, too_soon, usual

seeds = st.integers(0, 10**6)


def ways(times, source="a", target="b", first=0):
    """Tracklets and groups of as many people, who each leave one camera and take so long to reach the other."""
    people = []
    for number, took in enumerate(times, first):
        at = 1000.0 * number
        people += [
            tracklet((source, 2 * number + 1), at, at + 5),
            tracklet((target, 2 * number + 2), at + 5 + took, at + 99),
        ]
    return people, [couple(2 * number, 2 * number + 1) for number in range(len(times))]


def couple(a, b):
    return Group([a, b], [merge([a], [b], 0.9999)])


def merge(left, right, probability):
    """One that is as probable, among two people."""
    return Merge(left, right, math.log(probability / (1 - probability)), 2)


# ---- learning


def test_transits_are_the_seconds_between_consecutive_sightings():
    times = [30.0, 20.0, 40.0, *[25.0] * LEAST_TRANSITS]
    people, groups = ways(times)
    (found,) = learn(people, groups).items()
    assert found[0] == ("a", "b")
    assert found[1] == pytest.approx(sorted(times))


def test_where_views_overlap_people_arrive_before_they_leave():
    people, groups = ways([-3.0] * LEAST_TRANSITS)
    assert learn(people, groups)["a", "b"] == pytest.approx([-3.0] * LEAST_TRANSITS)


def test_few_transits_tell_nothing():
    people, groups = ways([30.0] * (LEAST_TRANSITS - 1))
    assert learn(people, groups) == {}


def test_links_that_are_not_sure_tell_nothing():
    people, groups = ways([30.0] * LEAST_TRANSITS)
    for group in groups[1:]:
        group.merges[0].evidence = merge([], [], SURE + 1e-6).evidence
    assert len(learn(people, groups)["a", "b"]) == LEAST_TRANSITS
    groups[0].merges[0].evidence = merge([], [], SURE - 1e-6).evidence
    assert learn(people, groups) == {}


def test_ways_within_one_camera_are_none():
    people, groups = ways([30.0] * LEAST_TRANSITS, "a", "a")
    assert learn(people, groups) == {}


@given(st.integers(1, 12), seeds)
def test_learning_by_naive_loops(count, seed):
    """The join that brought two consecutive sightings together is the one whether they count hangs on."""
    rng = np.random.default_rng(seed)
    people = [
        tracklet((str(rng.choice(["a", "b"])), row + 1), at, at + 2) for row, at in enumerate(rng.uniform(0, 50, count))
    ]
    parts, merges = [[row] for row in range(count)], []
    while len(parts) > 1:
        left, right = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
        merges.append(merge(sorted(left), sorted(right), float(rng.uniform(0.7, 1))))
        parts.append(sorted(left + right))
    expected = []
    for a, b in itertools.pairwise(sorted(range(count), key=lambda row: people[row].start_s)):
        join = next(m for m in merges if {a, b} <= {*m.left, *m.right})
        if join.probability >= SURE and people[a].camera != people[b].camera:
            expected.append((people[a].camera, people[b].camera, people[b].start_s - people[a].end_s))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracker.linking.transit.LEAST_TRANSITS", 1)
        found = learn(people, [Group(list(range(count)), merges)])
    made = sorted((*pair, took) for pair, all_took in found.items() for took in all_took.tolist())
    assert made == sorted(expected)


def test_what_is_usual_between_two_cameras():
    transits = {("a", "b"): np.arange(101.0)}
    assert usual(transits, "a", "b") == (5, 50, 95)
    assert usual(transits, "b", "a") is None


# ---- what speaks against


def test_quicker_than_all_of_many_is_more_suspicious_than_quicker_than_all_of_few():
    found = [against(0, known) for known in (10, 20, 100, 1000, 100_000)]
    assert found[0] == pytest.approx(0, abs=0.01)
    assert (np.diff(found) < 0).all()
    assert np.isfinite(found).all()


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_least_bayes_factor_of_the_quickest_of_several_ways(quicker, more):
    p = 1 - (1 - (quicker + 1) / (quicker + more + 2)) ** WAYS
    expected = 1.0 if p > 1 / math.e else -math.e * p * math.log(p)
    assert math.exp(against(quicker, quicker + more)) == pytest.approx(expected)


def world(count, seed):
    """Tracklets in three cameras, and transits between some of them."""
    rng = np.random.default_rng(seed)
    people = [
        tracklet((str(rng.choice(["a", "b", "c"])), row + 1), at, at + float(rng.integers(1, 9)), seed=row)
        for row, at in enumerate(rng.integers(0, 40, count).astype(float))
    ]
    pairs = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "b")]
    return people, {pair: np.sort(rng.uniform(-5, 60, int(rng.integers(10, 80)))) for pair in pairs}


@given(st.integers(2, 12), seeds)
def test_the_gate_by_naive_loops(count, seed):
    people, transits = world(count, seed)
    half = count // 2
    left, right = list(range(half)), list(range(half, count))
    least = 0.0
    for i, j in itertools.product(left, right):
        first, then = sorted([i, j], key=lambda row: (people[row].start_s, row))
        took = transits.get((people[first].camera, people[then].camera), np.zeros(0))
        if len(took):
            quicker = int((took <= people[then].start_s - people[first].end_s).sum())
            least = min(least, against(quicker, len(took)))
    gate = too_soon(people, transits)
    assert gate(left, right) == gate(right, left) == pytest.approx(least, abs=1e-12)


@given(st.integers(3, 12), seeds)
def test_a_unions_gate_is_never_above_its_parts(count, seed):
    people, transits = world(count, seed)
    gate = too_soon(people, transits)
    third = max(count // 3, 1)
    a, b, c = list(range(third)), list(range(third, count - 1)), [count - 1]
    assert gate(a + b, c) <= min(gate(a, c), gate(b, c)) if b else True


@given(st.integers(2, 12), seeds)
def test_a_shared_moment_speaks_against_by_its_cameras_and_never_twice(count, seed):
    people, transits = world(count, seed)
    names = sorted({one.camera for one in people})
    says = -np.abs(np.random.default_rng(seed).normal(size=(len(names), len(names))))
    says = np.triu(says, 1) + np.triu(says, 1).T
    left, right = list(range(count // 2)), list(range(count // 2, count))
    least = too_soon(people, transits)(left, right)
    for i, j in itertools.product(left, right):
        a, b = people[i], people[j]
        if a.start_s <= b.end_s and b.start_s <= a.end_s:
            least = min(least, says[names.index(a.camera), names.index(b.camera)])
    assert too_soon(people, transits, says)(left, right) == pytest.approx(least, abs=1e-12)


def test_cameras_between_which_nothing_is_known_say_nothing():
    people = [tracklet(("a", 1), 0, 5), tracklet(("b", 1), 5, 9)]
    assert too_soon(people, {})([0], [1]) == 0
    assert too_soon(people, {("b", "a"): np.full(500, 60.0)})([0], [1]) == 0
    assert too_soon(people, {("a", "b"): np.full(500, 60.0)})([0], [1]) < -1


# ---- linking with it


def test_a_stranger_who_would_have_been_too_quick_stays_a_stranger():
    """Everybody takes a minute; somebody in the other camera looks like one of them and appears at once."""
    count = 200
    people, _ = ways([60.0] * count)
    people.append(tracklet(("b", 2 * count + 1), 1.0, 3.0))
    vectors = np.zeros((len(people), count + 1), np.float32)
    for row in range(2 * count):
        vectors[row, row // 2] = 1
    vectors[0] = 0
    vectors[0, 0], vectors[0, count] = 0.7, math.sqrt(0.51)
    vectors[-1, count] = 1  # resembles the first a little more than the one a minute later does
    curve = Curve(40.0, -20.0)
    found = link(people, vectors, curve)
    together = {frozenset(identity.members) for identity in found}
    assert frozenset([("a", 1), ("b", 2)]) in together
    assert frozenset([("b", 2 * count + 1)]) in together
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracker.linking.learn", lambda tracklets, groups: {})
        blind = link(people, vectors, curve)
    assert frozenset([("a", 1), ("b", 2 * count + 1)]) in {frozenset(identity.members) for identity in blind}


def test_photos_have_no_clock_and_hide_nobodys_way():
    times = [30.0] * LEAST_TRANSITS
    people, groups = ways(times)
    count = len(people)
    for number, group in enumerate(groups):  # a photo of everybody, numbered as if between the two sightings
        people.append(
            replace(tracklet(("album", number + 1), 1000.0 * number + 20, 1000.0 * number + 20), photo="x.jpg")
        )
        group.members.append(count + number)
    transits = learn(people, groups)
    assert transits["a", "b"] == pytest.approx(times)
    assert set(transits) == {("a", "b")}
    too_quick = [tracklet(("a", 99), 0, 5), tracklet(("b", 99), 5.1, 9)]
    assert too_soon(too_quick, transits)([0], [1]) < 0
    assert too_soon([too_quick[0], replace(too_quick[1], photo="y.jpg")], transits)([0], [1]) == 0
