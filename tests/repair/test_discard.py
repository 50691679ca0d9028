"""Discarding: twins, things that never move and noise go; whoever may be a person stays."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tests.repair.people import CURVE, DIM, SECONDS, embeddings, nobody, person, walk
from tracker.repair.discard import (
    GLIMPSE_QUALITY,
    GLIMPSE_S,
    NOISE_S,
    STILL_S,
    SURE,
    discard_noise,
    discard_still,
    discard_twins,
)
from tracker.types import TrackletKey

OTHERS = [walk(number, 0, 3, at=(100 * number, 300)) for number in (8, 9)]


def numbers(discard, tracklets, people):
    kept, vectors = discard(tracklets, embeddings(tracklets, people), CURVE, SECONDS)
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


def test_only_those_who_are_there_at_the_same_time_are_looked_at(monkeypatch):
    """A long recording takes about a second, not as many as its tracklets squared."""
    looked = []
    monkeypatch.setattr("tracker.repair.discard._rides", lambda a, b: looked.append((a, b)) or False)
    day = [replace(DAY, key=TrackletKey("gate", number), time_s=DAY.time_s + 3 * number) for number in range(8000)]
    vectors = np.resize(person(1, 50), (len(day), DIM))
    began = time.process_time()
    kept, _ = discard_twins(day, embeddings(day, vectors), CURVE, SECONDS)
    assert time.process_time() - began < 3
    assert len(kept) == len(day)
    assert looked == []


DAY = walk(1, 0, 2, crops=1)

# ---- still

HALL = walk(8, 0, 2 * STILL_S, at=(400, 300), speed=(3, 0), crops=8)


def poster(**changes):
    """On the wall from the first moment to the last, its pictures all alike."""
    thing = walk(1, 0, 2 * STILL_S, crops=8)
    return replace(thing, xyxy=thing.xyxy + np.resize([0, 0.5, 1], (len(thing.index), 1)).astype(np.float32), **changes)


def still(thing, spread, others=(HALL,), seconds=2 * STILL_S):
    """Whether it is dropped from a recording that long, its pictures that unlike."""
    tracklets = [*others, thing]
    vectors = np.concatenate([*(person(5, len(one.crops)) for one in others), person(3, len(thing.crops), spread)])
    kept, _ = discard_still(tracklets, embeddings(tracklets, vectors), CURVE, seconds)
    assert kept[: len(others)] == list(others)
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


def test_whoever_is_alone_in_a_long_recording_and_still_for_a_part_of_it_stays():
    """From the recording's beginning to its end, not from the first tracklet's to the last one's."""
    assert not still(poster(), 0.02, others=(), seconds=3 * STILL_S)
    assert still(poster(), 0.02, others=())


def test_in_a_short_clip_nobody_is_a_poster():
    short = STILL_S - 2
    assert not still(walk(1, 0, short, crops=8), 0.02, [walk(8, 0, short, at=(300, 300))], short)


# ---- noise


def test_a_few_unsure_boxes_are_dropped():
    assert numbers(discard_noise, [walk(1, 0, NOISE_S / 2, score=SURE - 0.1), *OTHERS], [7, 5, 6]) == [8, 9]


def test_a_glimpse_that_nobody_could_be_recognised_by_is_dropped():
    glimpse = walk(1, 0, GLIMPSE_S - 0.1, quality=GLIMPSE_QUALITY - 0.05)
    assert numbers(discard_noise, [glimpse, *OTHERS], [7, 5, 6]) == [8, 9]


@pytest.mark.parametrize(
    "seen",
    [
        walk(1, 0, GLIMPSE_S - 0.1, quality=GLIMPSE_QUALITY + 0.05),
        walk(1, 0, GLIMPSE_S + 0.1, quality=GLIMPSE_QUALITY - 0.05),
    ],
)
def test_a_glimpse_of_a_whole_person_is_kept_and_so_is_a_longer_look(seen):
    assert numbers(discard_noise, [seen, *OTHERS], [7, 5, 6]) == [1, 8, 9]


@pytest.mark.parametrize("thing", [walk(1, 0, NOISE_S / 2, score=SURE + 0.1), walk(1, 0, NOISE_S + 1, score=0.2)])
def test_whoever_is_surely_seen_or_stays_is_kept(thing):
    assert numbers(discard_noise, [thing, *OTHERS], [7, 5, 6]) == [1, 8, 9]


@pytest.mark.parametrize("discard", [discard_twins, discard_still, discard_noise])
def test_nothing_to_discard(discard):
    kept, vectors = discard([], nobody(), CURVE, SECONDS)
    assert (kept, len(vectors.vectors)) == ([], 0)


@pytest.mark.parametrize("discard", [discard_twins, discard_still, discard_noise])
def test_other_tracklets_vectors_are_refused(discard):
    alone = [walk(1, 0, 3)]
    other = replace(embeddings(alone, [7]), keys=(TrackletKey("gate", 2),))
    with pytest.raises(ValueError, match="expected those of the same tracklets"):
        discard(alone, other, CURVE, SECONDS)
