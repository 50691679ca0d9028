"""Joining: fragments of one person become one tracklet, and nobody else's."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import same_tracklet
from tests.repair.people import CURVE, SECONDS, embeddings, nobody, person, walk
from tracker.repair.join import (
    HIDDEN,
    LONGEST_S,
    OVERLAP_S,
    RIDES,
    Scene,
    assign,
    candidates,
    join,
    within,
)
from tracker.types import Crop, TrackletKey


def joined(tracklets, people):
    """Numbers that remain, and how many boxes each has."""
    found, given_ = join(tracklets, embeddings(tracklets, people), CURVE, SECONDS)
    assert given_.keys == tuple(one.key for one in found)
    assert given_.counts.tolist() == [len(one.crops) for one in found]
    return {one.key.track_id: len(one.index) for one in found}


PASSER_BY = walk(9, 0, 1, at=(500, 300))  # somebody else, so that the scene is larger than one person


def test_a_walk_that_was_broken_is_one_again():
    before, after = walk(1, 0, 3, speed=(40, 0)), walk(2, 5, 8, speed=(40, 0))
    assert joined([before, after, PASSER_BY], [7, 7, 8]) == {1: 62, 9: 11}


def test_three_parts_become_one_and_the_first_number_stays():
    parts = [walk(number, 3 * number, 3 * number + 2, speed=(40, 0)) for number in (3, 1, 2)]
    assert joined([*parts, PASSER_BY], [7, 7, 7, 8]) == {1: 63, 9: 11}


def test_whoever_looks_like_somebody_else_is_not_joined_however_well_the_place_fits():
    assert joined([walk(1, 0, 3), walk(2, 3.1, 6), PASSER_BY], [7, 6, 8]) == {1: 31, 2: 30, 9: 11}


def test_whoever_is_elsewhere_is_not_joined_however_alike():
    apart = walk(2, 3.2, 6, at=(400, 300))
    assert joined([walk(1, 0, 3), apart, PASSER_BY], [7, 7, 8]) == {1: 31, 2: 29, 9: 11}


def test_whoever_was_away_for_long_is_left_to_linking():
    assert joined([walk(1, 0, 3), walk(2, 3 + LONGEST_S + 0.5, 9), PASSER_BY], [7, 7, 8]) == {1: 31, 2: 16, 9: 11}


def test_two_people_at_once_are_never_joined():
    beside = walk(2, 2.5, 6, at=(160, 50))
    assert joined([walk(1, 0, 3), beside, PASSER_BY], [7, 7, 8]) == {1: 31, 2: 36, 9: 11}


def test_a_track_that_hands_over_to_another_on_the_same_boxes_is_joined_and_the_surer_box_stays():
    before, after = walk(1, 0, 3, score=0.9), walk(2, 2.6, 6, at=(104, 52), score=0.5)
    whole, vectors = join([before, after, PASSER_BY], embeddings([before, after, PASSER_BY], [7, 7, 8]), CURVE, SECONDS)
    assert whole[0].index.tolist() == list(range(1, 62))
    assert whole[0].xyxy[30, 0] == 100  # both have this frame
    assert whole[0].xyxy[31, 0] == 104
    assert vectors.counts[0] == len(whole[0].crops)


def test_of_a_frame_with_two_crops_the_better_stays_with_its_vector():
    before, after = walk(1, 0, 3), walk(2, 2.8, 6)
    last = replace(before.crops[-1], quality=0.2)
    before = replace(before, crops=(*before.crops[:-1], last))
    after = replace(after, crops=(Crop(last.index, 0.7, b"better"), *after.crops[1:]))
    vectors = np.concatenate([person(7, 6), person(8, 3)])
    whole, given_ = join([before, after, PASSER_BY], embeddings([before, after, PASSER_BY], vectors), CURVE, SECONDS)
    assert [crop.index for crop in whole[0].crops] == sorted({crop.index for crop in (*before.crops, *after.crops)})
    assert whole[0].crops[2].jpeg == b"better"
    np.testing.assert_array_equal(given_.each()[0], vectors[[0, 1, 3, 4, 5]])


def test_one_end_is_joined_to_the_one_beginning_that_fits_best():
    end, near, far = walk(1, 0, 3), walk(2, 3.2, 6, at=(105, 50)), walk(3, 3.2, 6, at=(150, 60))
    assert joined([end, near, far, PASSER_BY], [7, 7, 7, 8]) == {1: 60, 3: 29, 9: 11}


def test_the_order_of_the_tracklets_does_not_matter():
    parts = [walk(number, 2 * number, 2 * number + 1.5, at=(90 + 5 * number, 50)) for number in (1, 2, 3)]
    people = dict(zip([1, 2, 3, 9], [7, 7, 7, 8], strict=True))
    expected = {1: 48, 9: 11}
    for order in itertools.permutations([*parts, PASSER_BY]):
        assert joined(list(order), [people[one.key.track_id] for one in order]) == expected


def test_nothing_to_join():
    assert join([], nobody(), CURVE, SECONDS)[0] == []
    alone = [walk(1, 0, 3)]
    assert same_tracklet(join(alone, embeddings(alone, [7]), CURVE, SECONDS)[0][0], alone[0])


def test_other_tracklets_vectors_are_refused():
    alone = [walk(1, 0, 3)]
    other = replace(embeddings(alone, [7]), keys=(TrackletKey("gate", 2),))
    with pytest.raises(ValueError, match="expected those of the same tracklets"):
        join(alone, other, CURVE, SECONDS)


# ---- parts

TIMES = st.tuples(st.floats(0, 12), st.floats(0.3, 4), st.floats(0, 60))


@given(st.lists(TIMES, max_size=7))
def test_candidates_by_naive_loops(times):
    tracklets = [walk(k, start, start + length, at=(x, 50)) for k, (start, length, x) in enumerate(times, 1)]
    expected = set()
    for a, b in itertools.permutations(range(len(tracklets)), 2):
        one, other = tracklets[a], tracklets[b]
        if not (one.start_s < other.start_s and one.end_s < other.end_s):
            continue
        if not one.end_s - OVERLAP_S <= other.start_s < one.end_s + LONGEST_S:
            continue
        common = set(one.index.tolist()) & set(other.index.tolist())
        boxes = [(one.xyxy[one.index == f], other.xyxy[other.index == f]) for f in common]
        if other.start_s > one.end_s or all(within(p, q)[0] >= RIDES for p, q in boxes):
            expected.add((a, b))
    assert set(candidates(tracklets)) == expected


@settings(max_examples=60)
@given(st.lists(st.tuples(TIMES, st.integers(1, 2)), max_size=7))
def test_what_is_joined_has_every_frame_once_and_loses_none(drawn):
    tracklets = [walk(k, start, start + long, at=(x, 50)) for k, ((start, long, x), _) in enumerate(drawn, 1)]
    found, _ = join(tracklets, embeddings(tracklets, [who for _, who in drawn]), CURVE, SECONDS)
    numbers = {one.key.track_id for one in tracklets}
    assert {one.key.track_id for one in found} <= numbers
    for one in found:
        assert (np.diff(one.index) > 0).all()
        assert (np.diff(one.time_s) > 0).all()
        assert (np.diff([crop.index for crop in one.crops]) > 0).all()
    frames = set(itertools.chain.from_iterable(one.index.tolist() for one in tracklets))
    assert set(itertools.chain.from_iterable(one.index.tolist() for one in found)) == frames


@given(st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.floats(-5, 20), max_size=9), st.floats(0, 5))
def test_assignment_by_trying_everything(weights, least):
    good = [pair for pair, weight in weights.items() if weight > least]
    best = 0.0
    for size in range(len(good) + 1):
        for chosen in itertools.combinations(good, size):
            if len({a for a, _ in chosen}) == len({b for _, b in chosen}) == size:
                best = max(best, sum(weights[pair] for pair in chosen))
    found = assign(list(weights), np.array(list(weights.values())), least)
    assert len(set(found.values())) == len(found)
    assert all(weights[pair] > least for pair in found.items())
    assert sum(weights[pair] for pair in found.items()) == pytest.approx(best)


def test_place_is_worth_less_the_longer_ago():
    scene = Scene(400.0 * 500.0, 0.1)
    start = walk(1, 0, 3)
    worth = [scene.going_on(start, walk(2, 3 + gap, 9)) for gap in (0.1, 0.5, 1.0, 2.0, 4.0)]
    assert worth == sorted(worth, reverse=True)


def test_where_a_walker_is_expected_weighs_as_if_they_had_stood():
    scene = Scene(400.0 * 500.0, 0.1)
    standing = scene.going_on(walk(1, 0, 3), walk(2, 5, 8))
    walking = scene.going_on(walk(1, 0, 3, speed=(60, 10)), walk(2, 5, 8, speed=(60, 10)))
    assert walking == pytest.approx(standing, abs=0.05)


def test_going_on_by_the_definition():
    scene = Scene(200_000.0, 0.3)
    earlier, later = walk(1, 0, 3), walk(2, 4, 8, at=(120, 50), height=110)
    height = math.sqrt(100 * 110)
    missed = (120 + 22 - 120) / height  # the middle of the upper edge
    variance = 0.2**2 + (0.5 * 1.0) ** 2
    place = math.exp(-(missed**2) / 2 / variance) / (2 * math.pi * variance)
    ratio = math.log(1.1)

    def normal(value, variance):
        return math.exp(-(value**2) / 2 / variance) / math.sqrt(2 * math.pi * variance)

    size = normal(ratio, 0.2**2) / normal(ratio, 0.2**2 + 2 * 0.3**2)
    expected = math.log(place * (200_000 / height**2) * (HIDDEN + (1 - HIDDEN) * size))
    assert scene.going_on(earlier, later) == pytest.approx(expected, abs=1e-3)


def test_another_height_speaks_against_and_no_more_than_that_somebody_may_be_half_hidden():
    scene, tall = Scene(400.0 * 500.0, 0.3), walk(1, 0, 3, height=160)
    found = [scene.going_on(tall, walk(2, 3.2, 6, height=height)) for height in (160, 120, 80, 40)]
    assert (np.diff(found) < 0).all()
    assert found[0] - found[2] > 2
    assert found[0] - found[3] < -math.log(HIDDEN) + 3  # a place of fewer heights' precision is a little worse too


def test_scene_of_tracklets():
    scene = Scene.of([walk(1, 0, 1, at=(0, 0)), walk(2, 0, 1, at=(300, 200), height=200)])
    assert scene.area == pytest.approx((340 - 20 + 150) * (200 + 150))
    assert scene.spread == pytest.approx(math.log(2) / 2)


def test_share_of_the_smaller_box():
    a = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    b = np.array([[2, 2, 4, 4], [5, 0, 15, 10], [20, 0, 30, 10]], np.float32)
    np.testing.assert_allclose(within(a, b), [1, 0.5, 0])
    np.testing.assert_allclose(within(b, a), [1, 0.5, 0])
