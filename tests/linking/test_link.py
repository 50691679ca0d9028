"""Linking tracklets: who may join, what is known beforehand, numbers, and what links say."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from tests.helpers import tracklet
from tracker.linking import Known, link

CURVE = Curve(10.0, -5.0)
seeds, probabilities = st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


def unit(count, seed, dim=4):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_links_say_why():
    people = [tracklet((name, 1), start, start + 1) for start, name in enumerate("abc")]
    vectors = np.array([[1, 0], [0.6, 0.8], [0.28, 0.96]], np.float32)
    (identity,) = link(people, vectors, CURVE, 0)
    first, second = identity.links
    assert (first.left, first.right) == (("b", 1), ("c", 1))
    assert (first.distance, first.nearest) == (pytest.approx(0.064), pytest.approx(0.064))
    assert (second.left, second.right) == (("a", 1), ("b", 1))
    assert (second.distance, second.nearest) == (pytest.approx(0.56), pytest.approx(0.4))
    assert first.probability > second.probability
    assert identity.probability == second.probability


def test_nobody():
    assert link([], np.zeros((0, 3), np.float32), CURVE) == []


def test_one():
    (identity,) = link([tracklet(("a", 4))], unit(1, 0), CURVE, 0)
    assert (identity.id, identity.members, identity.links, identity.probability) == (1, (("a", 4),), (), 1.0)


# ---- tracklets


def same_person(count):
    return np.ones((count, 1), np.float32)


def members(tracklets, vectors=None, known=Known()):  # noqa: B008
    """Groups where everything joins that may."""
    vectors = same_person(len(tracklets)) if vectors is None else vectors
    return [identity.members for identity in link(tracklets, vectors, CURVE, 0, known)]


def test_two_people_at_once_in_one_camera_are_two():
    pair = [tracklet(("a", 1), 0, 5), tracklet(("a", 2), 4, 9)]
    assert members(pair) == [(("a", 1),), (("a", 2),)]


def test_a_shared_moment_is_enough():
    assert len(members([tracklet(("a", 1), 0, 5), tracklet(("a", 2), 5, 9)])) == 2
    assert len(members([tracklet(("a", 1), 0, 5), tracklet(("a", 2), 5.01, 9)])) == 1


def test_one_within_the_others_time():
    assert len(members([tracklet(("a", 1), 0, 9), tracklet(("a", 2), 3, 4)])) == 2


def test_the_same_time_in_two_cameras_may_be_one_person():
    assert members([tracklet(("a", 1), 0, 5), tracklet(("b", 1), 0, 5)]) == [(("a", 1), ("b", 1))]


def test_two_recordings_of_one_camera_constrain_each_other():
    pair = [tracklet(("a", 1), 0, 5, camera="gate"), tracklet(("b", 1), 3, 8, camera="gate")]
    assert len(members(pair)) == 2


def test_a_group_that_holds_one_never_takes_the_other():
    """x and y are in sight together; z, who looks like both, joins the nearer one and thereby parts from the other."""
    people = [tracklet(("a", 1), 0, 5), tracklet(("a", 2), 0, 5), tracklet(("b", 1), 10, 12)]
    vectors = np.array([[1, 0], [0.9, 0.436], [0.95, 0.312]], np.float32)
    assert members(people, vectors) == [(("a", 1),), (("a", 2), ("b", 1))]


def random_tracklets(count, seed):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        start = float(rng.integers(0, 6))
        made.append(
            tracklet((f"r{rng.integers(3)}", number + 1), start, start + float(rng.integers(1, 4)), seed=number)
        )
    return made


@given(st.integers(1, 14), seeds)
def test_overlap_in_one_camera_never_joins(count, seed):
    people = random_tracklets(count, seed)
    by_key = {person.key: person for person in people}
    for group in members(people):
        for a, b in itertools.combinations([by_key[key] for key in group], 2):
            apart = a.end_s < b.start_s or b.end_s < a.start_s
            assert apart or a.camera != b.camera


@given(st.integers(1, 14), seeds, probabilities, st.randoms(use_true_random=False))
def test_the_order_of_tracklets_does_not_matter(count, seed, min_probability, random):
    people, vectors = random_tracklets(count, seed), unit(count, seed)
    rows = list(range(count))
    random.shuffle(rows)
    shuffled = link([people[row] for row in rows], vectors[rows], CURVE, min_probability)
    assert shuffled == link(people, vectors, CURVE, min_probability)


def test_twins_that_may_not_join_are_told_apart_the_same_way_in_any_order():
    people = [tracklet(("a", 1), 0, 5), tracklet(("a", 2), 0, 5), tracklet(("b", 1), 0, 5), tracklet(("b", 2), 0, 5)]
    found = {tuple(members([people[row] for row in order])) for order in itertools.permutations(range(4))}
    assert len(found) == 1


def test_identities_are_numbered_and_listed_in_order_of_appearance():
    people = [tracklet(("a", 1), 20, 21), tracklet(("b", 7), 3, 4), tracklet(("a", 2), 8, 9), tracklet(("c", 1), 1, 2)]
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    found = link(people, vectors, CURVE)
    assert [(identity.id, identity.members) for identity in found] == [
        (1, (("c", 1), ("a", 2))),
        (2, (("b", 7), ("a", 1))),
    ]


# ---- what is known beforehand


def test_what_the_user_says_is_one_person_is_and_certainly():
    people = [tracklet(("a", 1), 0, 1), tracklet(("a", 2), 2, 3), tracklet(("b", 1), 4, 5)]
    vectors = np.array([[1, 0], [-1, 0], [0, 1]], np.float32)
    same = link(people, vectors, CURVE, 0.5, Known(same=[(("a", 1), ("a", 2)), (("a", 1), ("gone", 7))]))
    assert [identity.members for identity in same] == [(("a", 1), ("a", 2)), (("b", 1),)]
    (only,) = same[0].links
    assert (only.given, only.probability, same[0].probability) == (True, 1.0, 1.0)


def test_cameras_that_share_no_place_do_not_share_a_person_either():
    people = [tracklet(("a", 1), 0, 5), tracklet(("b", 1), 4, 9), tracklet(("c", 1), 4, 9)]
    apart = Known(disjoint=[("a", "b")])
    assert members(people, known=apart) == [(("a", 1), ("c", 1)), (("b", 1),)]
    assert len(members(people, known=Known(disjoint=[("a", "b", "c")]))) == 3


def constraints(people, random, count):
    if len(people) < 2:
        return []
    return [tuple(person.key for person in random.sample(people, 2)) for _ in range(count)]


@given(st.integers(1, 14), seeds, probabilities, st.randoms(use_true_random=False))
def test_what_is_different_never_meets_and_the_rest_still_may_not_be_at_once_in_two_places(
    count, seed, min_probability, random
):
    people = random_tracklets(count, seed)
    different = constraints(people, random, count)
    found = link(people, unit(count, seed), CURVE, min_probability, Known(different=different))
    number = {key: identity.id for identity in found for key in identity.members}
    assert all(number[a] != number[b] for a, b in different)


@given(st.integers(2, 14), seeds, st.randoms(use_true_random=False))
def test_what_is_the_same_always_meets(count, seed, random):
    people = random_tracklets(count, seed)
    same = constraints(people, random, 3)
    found = link(people, unit(count, seed), CURVE, 0.9, Known(same=same))
    number = {key: identity.id for identity in found for key in identity.members}
    assert all(number[a] == number[b] for a, b in same)
    for identity in found:
        assert len(identity.links) == len(identity.members) - 1


@given(st.integers(1, 14), st.integers(0, 10), seeds, probabilities)
def test_a_new_recording_moves_nobody_who_is_settled(count, more, seed, min_probability):
    people, vectors = random_tracklets(count + more, seed), unit(count + more, seed)
    first = link(people[:count], vectors[:count], CURVE, min_probability)
    before = {key: identity.id for identity in first for key in identity.members}
    known = Known(before=before, settled=set(before.values()))
    second = link(people, vectors, CURVE, min_probability, known)
    after = {key: identity.id for identity in second for key in identity.members}
    assert {key: after[key] for key in before} == before
    assert sorted(after) == sorted(person.key for person in people)


@given(st.integers(1, 14), seeds, probabilities)
def test_linking_again_what_is_settled_changes_no_join(count, seed, min_probability):
    people, vectors = random_tracklets(count, seed), unit(count, seed)
    first = link(people, vectors, CURVE, min_probability)
    before = {key: identity.id for identity in first for key in identity.members}
    second = link(people, vectors, CURVE, min_probability, Known(before=before, settled=set(before.values())))
    assert [identity.members for identity in second] == [identity.members for identity in first]
    assert all(link.given for identity in second for link in identity.links)
    for old, new in zip(first, second, strict=True):  # the joins are the same, in the same order, as sure as at the end
        assert [(a.left, a.right) for a in old.links] == [(a.left, a.right) for a in new.links]


@given(st.integers(2, 14), seeds)
def test_loose_ones_keep_to_themselves(count, seed):
    people, vectors = random_tracklets(count, seed), same_person(count)
    before = {person.key: 1 + row % 3 for row, person in enumerate(people)}
    found = link(people, vectors, CURVE, 0, Known(before=before, settled={2, 3}, loose={1}))
    for identity in found:
        assert len({before[key] for key in identity.members}) == 1


def test_numbers_stay_with_most_of_their_tracklets_and_new_ones_follow():
    people = [tracklet(("a", row), row * 10, row * 10 + 1) for row in range(1, 6)]
    before = {("a", 2): 4, ("a", 3): 4, ("a", 4): 4, ("a", 5): 9}
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    found = link(people, vectors, CURVE, 0.5, Known(before=before))
    assert [(identity.id, identity.members) for identity in found] == [
        (4, (("a", 3), ("a", 4))),
        (9, (("a", 1), ("a", 2), ("a", 5))),
    ]
