"""Discarding: twins, things that never move and noise go; whoever may be a person stays."""

from dataclasses import replace

import numpy as np
import pytest

from tests.repair.people import CURVE, embeddings, nobody, person, walk
from tracker.repair.discard import NOISE_S, STILL_S, SURE, discard_noise, discard_still, discard_twins
from tracker.types import TrackletKey

OTHERS = [walk(number, 0, 3, at=(100 * number, 300)) for number in (8, 9)]


def numbers(discard, tracklets, people):
    kept, vectors = discard(tracklets, embeddings(tracklets, people), CURVE)
    assert vectors.keys == tuple(one.key for one in kept)
    return [one.key.track_id for one in kept]


# ---- twins


def test_an_upper_body_on_a_person_is_their_twin():
    whole, upper = walk(1, 0, 5, speed=(30, 0)), walk(2, 1, 3, at=(105, 52), speed=(30, 0), height=50)
    assert numbers(discard_twins, [upper, whole, *OTHERS], [7, 7, 5, 6]) == [1, 8, 9]


def test_a_child_before_its_mother_stays():
    whole, child = walk(1, 0, 5), walk(2, 1, 3, at=(105, 95), height=50)
    assert numbers(discard_twins, [whole, child, *OTHERS], [7, 4, 5, 6]) == [1, 2, 8, 9]


def test_whoever_steps_out_of_the_others_box_stays():
    whole, upper = walk(1, 0, 5), walk(2, 1, 3, at=(60, 52), speed=(30, 0), height=50)
    assert numbers(discard_twins, [whole, upper, *OTHERS], [7, 7, 5, 6]) == [1, 2, 8, 9]


def test_whoever_stays_longer_than_the_other_is_there_stays():
    whole, upper = walk(1, 0, 5), walk(2, 4, 8, at=(105, 52), height=50)
    assert numbers(discard_twins, [whole, upper, *OTHERS], [7, 7, 5, 6]) == [1, 2, 8, 9]


def test_of_two_twins_of_each_other_one_stays():
    same = [walk(1, 0, 4), walk(2, 0, 4, at=(102, 51))]
    assert numbers(discard_twins, [*same, *OTHERS], [7, 7, 5, 6]) == [1, 8, 9]


# ---- still

HALL = walk(8, 0, 2 * STILL_S, at=(400, 300), speed=(3, 0), crops=8)


def poster(**changes):
    """On the wall from the first moment to the last, its pictures all alike."""
    thing = walk(1, 0, 2 * STILL_S, crops=8)
    return replace(thing, xyxy=thing.xyxy + np.resize([0, 0.5, 1], (len(thing.index), 1)).astype(np.float32), **changes)


def still(thing, spread, others=(HALL,)):
    """Whether it is dropped, its pictures that unlike."""
    tracklets = [thing, *others]
    vectors = np.concatenate([person(3, len(thing.crops), spread), *(person(5, len(one.crops)) for one in others)])
    kept, _ = discard_still(tracklets, embeddings(tracklets, vectors), CURVE)
    assert kept[-len(others) :] == list(others)
    return len(kept) < len(tracklets)


def test_a_poster_is_dropped():
    assert still(poster(), spread=0.02)


def test_whoever_sits_still_but_looks_up_now_and_then_stays():
    assert not still(poster(), spread=0.5)


def test_whoever_sways_stays():
    thing = poster()
    sway = 6 * np.sin(thing.time_s / 3)[:, None].astype(np.float32) * np.array([1, 0, 1, 0], np.float32)
    assert not still(replace(thing, xyxy=thing.xyxy + sway), spread=0.02)


def test_whoever_comes_or_goes_stays():
    half = poster().index <= STILL_S * 13
    thing = poster()
    parts = {name: getattr(thing, name)[half] for name in ("index", "time_s", "xyxy", "score")}
    assert not still(replace(thing, **parts, crops=thing.crops[:5]), spread=0.02)


def test_in_a_short_clip_nobody_is_a_poster():
    assert not still(walk(1, 0, STILL_S - 2, crops=8), 0.02, [walk(8, 0, STILL_S - 2, at=(300, 300))])


# ---- noise


def test_a_few_unsure_boxes_are_dropped():
    assert numbers(discard_noise, [walk(1, 0, NOISE_S / 2, score=SURE - 0.1), *OTHERS], [7, 5, 6]) == [8, 9]


@pytest.mark.parametrize("thing", [walk(1, 0, NOISE_S / 2, score=SURE + 0.1), walk(1, 0, NOISE_S + 1, score=0.2)])
def test_whoever_is_surely_seen_or_stays_is_kept(thing):
    assert numbers(discard_noise, [thing, *OTHERS], [7, 5, 6]) == [1, 8, 9]


@pytest.mark.parametrize("discard", [discard_twins, discard_still, discard_noise])
def test_nothing_to_discard(discard):
    kept, vectors = discard([], nobody(), CURVE)
    assert (kept, len(vectors.vectors)) == ([], 0)


@pytest.mark.parametrize("discard", [discard_twins, discard_still, discard_noise])
def test_other_tracklets_vectors_are_refused(discard):
    alone = [walk(1, 0, 3)]
    other = replace(embeddings(alone, [7]), keys=(TrackletKey("gate", 2),))
    with pytest.raises(ValueError, match="expected those of the same tracklets"):
        discard(alone, other, CURVE)
