"""Filling: a fragment goes into the gap of its person's track, and nobody else's does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.repair.people import CURVE, SECONDS, embeddings, nobody, walk
from tracker.repair.fill import fill, gaps
from tracker.types import TrackletKey

PASSER_BY = walk(9, 0, 1, at=(500, 300))  # somebody else, so that the scene is larger than one person


def broken(number, start, end, gap, **options):
    """A walk without its boxes from ``gap[0]`` to ``gap[1]`` seconds."""
    whole = walk(number, start, end, **options)
    seen = (whole.time_s < gap[0]) | (whole.time_s > gap[1])
    crops = tuple(crop for crop in whole.crops if crop.index in whole.index[seen])
    return replace(
        whole, index=whole.index[seen], time_s=whole.time_s[seen], xyxy=whole.xyxy[seen], score=whole.score[seen],
        crops=crops,
    )  # fmt: skip


def filled(tracklets, people):
    """Numbers that remain, and how many boxes each has."""
    found, given_ = fill(tracklets, embeddings(tracklets, people), CURVE, SECONDS)
    assert given_.keys == tuple(one.key for one in found)
    assert given_.counts.tolist() == [len(one.crops) for one in found]
    assert all((np.diff(one.index) > 0).all() for one in found)
    return {one.key.track_id: len(one.index) for one in found}


def test_a_fragment_that_goes_on_from_both_sides_of_a_gap_fills_it():
    track, fragment = broken(1, 0, 6, (2, 4), speed=(40, 0)), walk(2, 2.5, 3.5, speed=(40, 0))
    assert filled([track, fragment, PASSER_BY], [7, 7, 8]) == {1: 51, 9: 11}


def test_half_a_person_who_emerges_is_the_person_still():
    """Behind somebody only the upper half is seen: half the height, the head where it should be."""
    track, half = broken(1, 0, 6, (2, 4), speed=(40, 0)), walk(2, 2.5, 3.5, at=(110, 50), speed=(40, 0), height=50)
    assert filled([track, half, PASSER_BY], [7, 7, 8]) == {1: 51, 9: 11}


def test_somebody_else_in_the_gap_stays_apart():
    track, other = broken(1, 0, 6, (2, 4)), walk(2, 2.5, 3.5)
    assert filled([track, other, PASSER_BY], [7, 6, 8]) == {1: 40, 2: 11, 9: 11}


def test_whoever_is_elsewhere_in_the_meantime_stays_apart_however_alike():
    track, elsewhere = broken(1, 0, 6, (2, 4)), walk(2, 2.5, 3.5, at=(400, 300))
    assert filled([track, elsewhere, PASSER_BY], [7, 7, 8]) == {1: 40, 2: 11, 9: 11}


def test_whoever_fits_one_side_alone_stays_apart():
    """Standing where the track stopped, while it is found again across the room."""
    track = broken(1, 0, 6, (2, 4), speed=(80, 0))
    track = replace(track, xyxy=track.xyxy + np.where(track.time_s > 3, 400, 0)[:, None].astype(np.float32))
    standing = walk(2, 2.2, 3.8, at=(260, 50))
    assert filled([track, standing, PASSER_BY], [7, 7, 8])[2] == len(standing.index)


def test_two_fragments_fill_two_gaps_and_one_gap():
    track = broken(1, 0, 9, (2, 4))
    track = replace(track, **{
        name: getattr(track, name)[(track.time_s < 6) | (track.time_s > 7)]
        for name in ("index", "time_s", "xyxy", "score")
    })  # fmt: skip
    track = replace(track, crops=tuple(crop for crop in track.crops if crop.index in track.index))
    parts = [walk(2, 2.2, 2.8), walk(3, 3.1, 3.9), walk(4, 6.2, 6.8)]
    assert filled([track, *parts, PASSER_BY], [7, 7, 7, 7, 8]) == {1: len(track.index) + 7 + 9 + 7, 9: 11}


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 30), st.sets(st.integers(1, 28))), max_size=6))
def test_gaps_by_naive_loops(spans):
    tracklets = []
    for number, (start, length, missing) in enumerate(spans, 1):
        whole = walk(number, start / 10, (start + length) / 10)
        seen = np.array([row == 0 or row not in missing for row in range(len(whole.index))])
        tracklets.append(
            replace(whole, index=whole.index[seen], time_s=whole.time_s[seen], xyxy=whole.xyxy[seen],
                    score=whole.score[seen])
        )  # fmt: skip
    expected = {
        (row, host)
        for host, track in enumerate(tracklets)
        for row, fragment in enumerate(tracklets)
        for before, after in zip(track.index, track.index[1:], strict=False)
        if before < fragment.index[0] and fragment.index[-1] < after
    }
    found = list(gaps(tracklets))
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_nothing_to_fill():
    assert fill([], nobody(), CURVE, SECONDS)[0] == []


def test_other_tracklets_vectors_are_refused():
    alone = [walk(1, 0, 3)]
    other = replace(embeddings(alone, [7]), keys=(TrackletKey("gate", 2),))
    with pytest.raises(ValueError, match="expected those of the same tracklets"):
        fill(alone, other, CURVE, SECONDS)
