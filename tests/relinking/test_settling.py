"""Corrections over random small worlds: what they say holds, nobody else moves, and undoing puts things back."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reid.calibration import Curve
from reid.errors import BadInputError
from tests.helpers import tracklet
from tracker.linking import Known, link
from tracker.relinking.corrections import Correction, Mark, Named, check, in_force, told
from tracker.relinking.settling import NO_TRACKLET, held, known_of
from tracker.types import TrackletKey

CURVE = Curve(10.0, -5.0)


class World:
    """Tracklets of four recordings in three cameras, their vectors, and the identities that they were linked to."""

    def __init__(self, count, seed, disjoint=(), min_probability=0.5):
        rng = np.random.default_rng(seed)
        people = []
        for number in range(count):
            start, name = float(rng.integers(0, 9)), f"r{rng.integers(4)}"
            camera = "gate" if name in ("r0", "r1") else name
            people.append(tracklet((name, number + 1), start, start + float(rng.integers(1, 4)), camera, seed=number))
        vectors = rng.normal(size=(count, 3))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        self.people, self.disjoint, self.min_probability = people, disjoint, min_probability
        self.keys = [one.key for one in people]
        self.present = {Mark(f"{key.recording}.parquet", key.track_id, 1): key for key in self.keys}
        self.named = {key: Named(key, mark) for mark, key in self.present.items()}
        self.log, self.highest = [], 0
        self.before = self.link(Known(disjoint=disjoint))

    def link(self, known, nobody=frozenset()):
        rows = [row for row, one in enumerate(self.people) if one.key not in nobody]
        found = link([self.people[row] for row in rows], self.vectors[rows], CURVE, self.min_probability, known)
        return {key: identity.id for identity in found for key in identity.members}

    def correct(self, kind, *keys, undoes=0):
        """Apply a correction as the job does; what contradicts is refused."""
        was = held(self.before, keys)
        tracklets = tuple(self.named[key] for key in keys)
        correction = Correction(len(self.log) + 1, "now", kind, tracklets, undoes, was)
        check([*self.log, correction], correction.number)
        self.log.append(correction)
        undone = self.log[undoes - 1] if undoes else None
        facts = told(self.log, self.present)
        tracklets = {one.key: one for one in self.people if one.key not in facts.nobody}
        self.highest = max(self.highest, *self.before.values(), 0)
        before = {**self.before, NO_TRACKLET: self.highest}
        known = known_of(facts, before, tracklets, Known(disjoint=self.disjoint), undone)
        self.before = self.link(known, facts.nobody)
        return known

    def at_once(self, a, b):
        a, b = (next(one for one in self.people if one.key == key) for key in (a, b))
        together = a.start_s <= b.end_s and b.start_s <= a.end_s
        return together and (a.camera == b.camera or any({a.camera, b.camera} <= set(group) for group in self.disjoint))

    def said_one(self, a, b):
        """Whether the corrections make two tracklets one person, by walking from one to the other."""
        reached, facts = {a}, told(self.log, self.present)
        for _ in facts.same:
            reached |= {key for pair in facts.same if reached & set(pair) for key in pair}
        return b in reached


def members(numbers, number):
    return {key for key in numbers if numbers[key] == number}


worlds = st.builds(
    World,
    st.integers(2, 12),
    st.integers(0, 10**6),
    st.sampled_from([(), (("gate", "r2"),), (("gate", "r2", "r3"),)]),
    st.sampled_from([0.0, 0.3, 0.5, 0.9]),
)
STEPS = ("same", "same", "different", "different", "nobody", "undo")


def step(world, random):
    """A random correction; (kind, tracklets), or None where it was refused."""
    kind = random.choice(STEPS)
    open_ = in_force(world.log)
    if kind == "undo":
        if not open_:
            return None
        target = random.choice(open_)
        world.correct("undo", undoes=target.number)
        return kind, [one.key for one in target.tracklets]
    count = 1 if kind == "nobody" else 2
    here = sorted(world.before)
    if len(here) < max(count, 2):
        return None
    keys = random.sample(here, count)
    try:
        world.correct(kind, *keys)
    except BadInputError:
        return None
    return kind, keys


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.integers(1, 7), st.randoms(use_true_random=False))
def test_what_is_said_holds_and_nobody_is_in_two_places_unless_it_is_said(world, count, random):
    for _ in range(count):
        step(world, random)
        facts = told(world.log, world.present)
        assert set(world.before) == set(world.keys) - facts.nobody
        assert all(world.before[a] == world.before[b] for a, b in facts.same)
        assert all(world.before[a] != world.before[b] for a, b in facts.different)
        for a, b in itertools.combinations(world.before, 2):
            if world.before[a] == world.before[b] and world.at_once(a, b):
                assert world.said_one(a, b)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.integers(1, 6), st.randoms(use_true_random=False))
def test_identities_that_hold_nobody_concerned_keep_number_and_members(world, count, random):
    for _ in range(count):
        before, log = dict(world.before), list(world.log)
        made = step(world, random)
        if made is None:
            assert (world.before, world.log) == (before, log)
            continue
        kind, keys = made
        concerned = {before[key] for key in keys if key in before}
        if kind == "undo":
            concerned |= {before[key] for key in log[world.log[-1].undoes - 1].was if key in before}
        for number in set(before.values()) - concerned:
            assert members(world.before, number) == members(before, number)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.integers(0, 3), st.randoms(use_true_random=False))
def test_undoing_the_last_correction_restores_identities_and_numbers(world, count, random):
    for _ in range(count):
        step(world, random)
    before, made = dict(world.before), len(world.log)
    if step(world, random) and len(world.log) > made and world.log[-1].kind != "undo":
        world.correct("undo", undoes=made + 1)
        assert world.before == before


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.integers(1, 5), st.randoms(use_true_random=False))
def test_undoing_all_from_the_last_to_the_first_restores_the_beginning(world, count, random):
    before = dict(world.before)
    for _ in range(count):
        kind = random.choice(("same", "different", "nobody"))
        here = sorted(world.before)
        if len(here) > 2:
            try:
                world.correct(kind, *random.sample(here, 1 if kind == "nobody" else 2))
            except BadInputError:
                continue
    for correction in reversed(list(world.log)):
        world.correct("undo", undoes=correction.number)
    assert world.before == before


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_tracklets_does_not_matter(world, count, random):
    other = World.__new__(World)
    other.__dict__ |= world.__dict__
    rows = list(range(len(world.people)))
    random.shuffle(rows)
    other.people, other.vectors, other.log = [world.people[row] for row in rows], world.vectors[rows], []
    for _ in range(count):
        step(world, random)
    for correction in world.log:
        other.correct(correction.kind, *(one.key for one in correction.tracklets), undoes=correction.undoes)
    assert other.before == world.before


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.integers(0, 4), st.randoms(use_true_random=False))
def test_linking_again_with_nothing_new_changes_nothing(world, count, random):
    for _ in range(count):
        step(world, random)
    facts = told(world.log, world.present)
    tracklets = {one.key: one for one in world.people if one.key not in facts.nobody}
    known = known_of(facts, world.before, tracklets, Known(disjoint=world.disjoint))
    assert (set(known.settled), set(known.loose)) == (set(world.before.values()), set())
    assert world.link(known, facts.nobody) == world.before


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.integers(0, 5), st.randoms(use_true_random=False))
def test_numbers_of_identities_that_are_gone_are_not_given_again(world, count, random):
    """A new number is above all that ever were, so that a note about person 9 stays about nobody else."""
    ever = set(world.before.values())
    for _ in range(count):
        members = dict(world.before)
        made = step(world, random)
        if made and made[0] != "undo":
            fresh = set(world.before.values()) - set(members.values())
            assert not fresh & ever
        ever |= set(world.before.values())


# ---- single cases

A, B, C, D = (TrackletKey("a", 1), TrackletKey("a", 2), TrackletKey("b", 1), TrackletKey("b", 2))


def people(*spans):
    """Tracklets A, B in camera a and C, D in camera b, at these times."""
    return {key: tracklet(key, *span) for key, span in zip((A, B, C, D), spans, strict=True)}


APART = people((0, 1), (2, 3), (4, 5), (6, 7))


def facts_of(*said):
    named = {key: Named(key, Mark("f", number, 1)) for number, key in enumerate((A, B, C, D))}
    log = [
        Correction(number, "", kind, tuple(named[key] for key in keys)) for number, (kind, *keys) in enumerate(said, 1)
    ]
    return told(log, {one.mark: one.key for one in named.values()})


def test_two_identities_become_one_with_the_lower_number():
    known = known_of(facts_of(("same", A, C)), {A: 7, B: 7, C: 3, D: 5}, APART)
    assert known.before == {A: 3, B: 3, C: 3, D: 5}
    assert (known.settled, known.loose) == ({3, 5}, set())


def test_where_others_would_be_in_two_places_the_members_are_linked_again():
    world = people((0, 1), (2, 3), (4, 5), (2.5, 2.7))
    world = {key: tracklet(key, one.start_s, one.end_s, camera="hall") for key, one in world.items()}
    known = known_of(facts_of(("same", A, C)), {A: 1, B: 1, C: 2, D: 2}, world)
    assert (known.settled, known.loose) == (set(), {1, 2})
    assert known_of(facts_of(("same", B, D)), {A: 1, B: 1, C: 2, D: 2}, world).settled == {1}  # they are said to be one


def test_the_one_who_held_two_together_turns_out_to_be_nobody():
    """A and C at one moment were one person only as both were B."""
    world = {key: tracklet(key, 0, 1, camera="hall") for key in (A, B, C)}
    before = {A: 1, B: 1, C: 1}
    facts = facts_of(("same", A, B), ("same", B, C), ("nobody", B))
    assert facts.same == ()
    without = {key: one for key, one in world.items() if key != B}
    assert known_of(facts, before, without).loose == {1}


def test_an_identity_that_holds_two_people_is_linked_again():
    known = known_of(facts_of(("different", A, C)), {A: 1, B: 2, C: 1, D: 1}, APART)
    assert (known.settled, known.loose) == ({2}, {1})


def test_a_new_tracklet_joins_the_identity_it_is_said_to_be():
    known = known_of(facts_of(("same", A, C)), {A: 4, B: 4}, APART)
    assert known.before == {A: 4, B: 4, C: 4}
    through_new = known_of(facts_of(("same", A, D), ("same", D, C)), {A: 4, B: 4, C: 2}, APART)
    assert through_new.before == {A: 2, B: 2, C: 2, D: 2}


def test_what_has_grown_since_is_linked_again_when_a_correction_is_taken_back():
    same = Correction(1, "", "same", (Named(A, Mark("f", 0, 1)), Named(C, Mark("f", 2, 1))), was={A: 1, C: 2})
    grown = known_of(facts_of(), {A: 1, C: 1, D: 1, B: 5}, APART, undone=same)
    assert (grown.settled, grown.loose) == ({5}, {1})
    not_grown = known_of(facts_of(), {A: 1, C: 1, D: 3, B: 5}, APART, undone=same)
    assert (not_grown.before, not_grown.loose) == ({A: 1, C: 2, D: 3, B: 5}, set())


@pytest.mark.parametrize("seed", range(5))
def test_cameras_that_share_no_place_never_share_a_person_at_one_moment(seed):
    world = World(12, seed, disjoint=(("gate", "r2", "r3"),), min_probability=0.0)
    for a, b in itertools.combinations(world.keys, 2):
        assert world.before[a] != world.before[b] or not world.at_once(a, b)
