"""Division: a tracklet that passes from one person to another is divided there, and nothing else is."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import tracklet
from tests.repair.people import CURVE, DIM, SECONDS, embeddings, following, nobody, person
from tracker.linking.evidence import reliability
from tracker.repair import vectors as kept_together
from tracker.repair.divide import divide, moments
from tracker.repair.vectors import IMPROBABLE, pooled
from tracker.types import Crop, TrackletKey


def naive_moments(vectors, quality):
    """The definition, stretch by stretch."""
    count = len(vectors)
    weights = quality / max(quality.max(), 1e-6) + 1e-3
    found = []
    for start in range(count):
        for end in range(start + 2, count + 1):
            if start == 1 or end == count - 1 or (start, end) == (0, count):
                continue
            rest = [row for row in range(count) if not start <= row < end]
            inside = sum(weights[row] * vectors[row] for row in range(start, end))
            outside = sum(weights[row] * vectors[row] for row in rest)
            alike = inside @ outside / np.linalg.norm(inside) / np.linalg.norm(outside)
            good = np.mean(quality[start:end]), np.mean(quality[rest])
            share = float(reliability(good[0]) * reliability(good[1]))
            found.append((share * (CURVE.slope * alike + share * CURVE.intercept), start, end))
    if not found or 1 / (1 + math.exp(-min(found)[0] - math.log(count))) >= IMPROBABLE:
        return []
    _, start, end = min(found)
    bounds = sorted({0, start, end, count})
    rest = [
        low + row
        for low, high in itertools.pairwise(bounds)
        for row in naive_moments(vectors[low:high], quality[low:high])
    ]
    return sorted([*bounds[1:-1], *rest])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 8)), min_size=1, max_size=4), st.integers(0, 1000))
def test_moments_by_naive_loops(people, seed):
    vectors = following(*people).astype(np.float64)
    quality = np.random.default_rng(seed).uniform(0.1, 1, len(vectors))
    assert moments(vectors, quality, CURVE) == naive_moments(vectors, quality)


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([(1, 12)], []),
        ([(1, 6), (2, 6)], [6]),
        ([(1, 2), (2, 9)], [2]),
        ([(1, 4), (2, 5), (3, 6)], [4, 9]),
        ([(1, 5), (2, 5), (1, 5)], [5, 10]),
        ([(1, 1), (2, 2)], []),
    ],
)
def test_a_track_is_divided_where_the_person_changes(people, expected):
    vectors = following(*people)
    assert moments(vectors, np.ones(len(vectors), np.float32), CURVE) == expected


def test_one_strange_picture_divides_nothing():
    vectors = following((1, 5), (2, 1), (1, 5))
    assert moments(vectors, np.ones(11, np.float32), CURVE) == []


def test_pictures_without_any_quality_divide_nothing():
    vectors = following((1, 4), (2, 4))
    assert moments(vectors, np.zeros(8, np.float32), CURVE) == []


# ---- tracklets


def track(number, crops, start=0.0):
    """A tracklet of ``crops`` pictures, 10 boxes apart."""
    given_ = tracklet(("gate", number), boxes=crops * 10)
    frames = np.arange(1, crops * 10 + 1)
    pictures = tuple(Crop(index * 10 + 5, 1.0, bytes([index])) for index in range(crops))
    return replace(given_, index=frames, time_s=start + frames / 25, crops=pictures)


def test_a_divided_tracklet_keeps_its_number_and_loses_nothing():
    whole = [track(4, 6), track(2, 10), track(3, 6)]
    vectors = following((7, 6), (1, 4), (2, 6), (8, 6))
    parts, given_ = divide(whole, embeddings(whole, vectors), CURVE, SECONDS)
    assert [part.key.track_id for part in parts] == [4, 2, 5, 3]
    first, second = parts[1:3]
    assert (first.index[-1], second.index[0]) == (40, 41)  # half way between crops of frames 35 and 45
    for field in ("index", "time_s", "score", "xyxy"):
        joined = np.concatenate([getattr(first, field), getattr(second, field)])
        assert np.array_equal(joined, getattr(whole[1], field))
    assert first.crops + second.crops == whole[1].crops
    assert parts[0] is not None
    assert parts[0].index.tolist() == whole[0].index.tolist()
    assert given_.keys == tuple(part.key for part in parts)
    assert given_.counts.tolist() == [6, 4, 6, 6]
    np.testing.assert_array_equal(given_.vectors, vectors)


def test_new_parts_are_numbered_in_order_of_time():
    whole = [track(1, 8, start=100), track(2, 8)]
    parts, _ = divide(whole, embeddings(whole, following((1, 4), (2, 4), (3, 4), (4, 4))), CURVE, SECONDS)
    assert [(part.key.track_id, part.start_s > 99) for part in parts] == [(1, True), (4, True), (2, False), (3, False)]


def test_vectors_are_pooled_by_quality():
    whole = [replace(track(1, 2), crops=(Crop(5, 0.9, b"a"), Crop(15, 0.3, b"b")))]
    vectors = np.eye(2, DIM, dtype=np.float32)
    np.testing.assert_allclose(
        pooled(whole, embeddings(whole, vectors))[0, :2], np.array([0.9, 0.3]) / np.hypot(0.9, 0.3), rtol=1e-5
    )


def test_what_everyone_in_a_room_shares_holds_nothing_together(monkeypatch):
    """Two strangers under one light resemble each other; beside the others of that room they do not."""
    monkeypatch.setattr(kept_together, "camera_means", lambda vectors, camera: np.zeros_like(vectors))
    light = 1.2 * person(99, 1, 0)
    whole = [track(number, 8) for number in range(1, 30)]
    vectors = np.concatenate([following((1, 4), (2, 4)), *(person(number, 8) for number in range(2, 30))]) + light
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    assert len(divide(whole, embeddings(whole, vectors), CURVE, SECONDS)[0]) == 29
    monkeypatch.undo()
    assert len(divide(whole, embeddings(whole, vectors), CURVE, SECONDS)[0]) == 30


def test_poor_pictures_that_differ_divide_nothing():
    vectors = following((1, 4), (2, 4))
    worse = 0.92 * vectors + 0.08 * person(3, 1, 0)  # a little alike
    worse /= np.linalg.norm(worse, axis=1, keepdims=True)
    assert moments(worse, np.full(8, 0.8, np.float32), CURVE) == [4]
    assert moments(worse, np.full(8, 0.02, np.float32), CURVE) == []


def test_nothing_to_divide():
    assert divide([], nobody(), CURVE, SECONDS)[0] == []


def test_other_tracklets_vectors_are_refused():
    whole = [track(1, 2)]
    other = replace(embeddings(whole, person(1, 2)), keys=(TrackletKey("gate", 2),))
    with pytest.raises(ValueError, match="expected those of the same tracklets"):
        divide(whole, other, CURVE, SECONDS)
