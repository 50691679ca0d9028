"""From tracks to tracklets: how well a box shows a person, which pictures are kept, when a track is over."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.images import sharpness
from tracker import tracklets as module
from tracker.tracklets import MIN_BOXES, SPACING_S, BestCrops, Collector, encode_jpeg, geometric_quality
from tracker.types import Detections, Frame, Tracks

PICTURE = (400, 600)  # height, width


def detections(*boxes, score=1.0):
    scores = score if isinstance(score, list) else [score] * len(boxes)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32))


def quality(box, *others, score=1.0, others_score=1.0):
    judged = detections(box, score=score)
    everyone = detections(box, *others, score=[score] + [others_score] * len(others))
    return float(geometric_quality(judged, everyone, PICTURE)[0])


# ---- one factor at a time

WHOLE = (100, 100, 150, 228)  # 128 high, free, far from every edge


def test_a_whole_person_is_perfect():
    assert quality(WHOLE) == 1


def test_confidence_counts_once():
    assert quality(WHOLE, score=0.6) == pytest.approx(0.6)


@pytest.mark.parametrize(("height", "expected"), [(32, 0.25), (64, 0.5), (128, 1), (250, 1)])
def test_height_counts_up_to_128_pixels(height, expected):
    assert quality((100, 100, 150, 100 + height)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "box", [(0, 100, 50, 228), (100, 0, 150, 128), (550, 100, 600, 228), (100, 272, 150, 400), (0, 0, 600, 400)]
)
def test_a_box_cut_by_the_edge_counts_less(box):
    assert quality(box) == pytest.approx(0.4)


def test_a_box_near_the_edge_is_not_cut():
    assert quality((2, 2, 598, 398)) == 1


@pytest.mark.parametrize(("covered", "expected"), [(0, 1), (10, 0.64), (25, 0.25), (50, 0)])
def test_what_another_covers_counts_squared(covered, expected):
    other = (150 - covered, 90, 250, 300)
    assert quality(WHOLE, other) == pytest.approx(expected)


def test_only_the_largest_cover_counts():
    assert quality(WHOLE, (140, 90, 250, 300), (50, 90, 105, 300)) == pytest.approx(0.64)


def test_ghosts_cover_nobody():
    assert quality(WHOLE, (125, 90, 250, 300), others_score=0.2) == 1


def test_no_boxes():
    assert geometric_quality(Detections.empty(), detections(WHOLE), PICTURE).shape == (0,)


edge = st.integers(0, 30)
some_boxes = st.lists(
    st.tuples(edge, edge, st.integers(1, 20), st.integers(1, 20), st.floats(0, 1, width=32)), min_size=1, max_size=6
)


@given(some_boxes)
def test_quality_by_naive_loops(rows):
    boxes = [(x + 50, y + 50, x + w + 50, y + h + 50) for x, y, w, h, _ in rows]
    found = detections(*boxes, score=[score for *_, score in rows])
    given_quality = geometric_quality(found, found, PICTURE)
    assert given_quality.dtype == np.float32
    for (x1, y1, x2, y2), score, value in zip(boxes, found.score.tolist(), given_quality.tolist(), strict=True):
        largest = 0.0
        for (u1, v1, u2, v2), rival in zip(boxes, found.score.tolist(), strict=True):
            if rival >= 0.3 and (u1, v1, u2, v2) != (x1, y1, x2, y2):
                shared = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
                largest = max(largest, shared / ((x2 - x1) * (y2 - y1)))
        assert value == pytest.approx(score * min((y2 - y1) / 128, 1) * (1 - largest) ** 2, abs=1e-5)
        assert 0 <= value <= 1


# ---- the best pictures


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


TEXTURE = noise(40, 20)
SHARPNESS = sharpness(cv2.cvtColor(TEXTURE, cv2.COLOR_BGR2GRAY))


def offered(offers, limit):
    best = BestCrops(limit)
    for index, (time_s, value) in enumerate(offers):
        best.offer(Frame(index, time_s, TEXTURE), np.array([0, 0, 20, 40], np.float32), value)
    return best


gaps = st.floats(0.01, 1)
offers_in_time = st.lists(st.tuples(gaps, st.floats(0.01, 1)), min_size=1, max_size=40).map(
    lambda rows: list(zip(itertools.accumulate(gap for gap, _ in rows), (value for _, value in rows), strict=True))
)
offers_in_any_order = st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 1)), min_size=1, max_size=40)


@given(offers_in_time | offers_in_any_order, st.integers(1, 6))
def test_kept_pictures_are_few_and_hold_the_best(offers, limit):
    best = offered(offers, limit)
    assert 1 <= len(best.kept) <= limit
    top = max(value for _, value in offers)
    kept = list(best.kept.values())
    assert max(candidate.quality for candidate in kept) == pytest.approx(top * SHARPNESS)
    assert {(candidate.index, candidate.time_s) for candidate in kept} <= {
        (index, time_s) for index, (time_s, _) in enumerate(offers)
    }
    assert [crop.index for crop in best.encode()] == sorted(candidate.index for candidate in kept)


@given(offers_in_time, st.integers(1, 6))
def test_every_stretch_of_time_gives_its_best(offers, limit):
    best = offered(offers, limit)
    start, length = offers[0][0], SPACING_S
    while (offers[-1][0] - start) / length >= limit:
        length *= 2
    stretches = {}
    for index, (time_s, value) in enumerate(offers):
        stretches.setdefault(int((time_s - start) / length), []).append((-value, index))
    assert [crop.index for crop in best.encode()] == [min(stretch)[1] for _, stretch in sorted(stretches.items())]


def test_a_long_track_keeps_pictures_of_its_whole_length():
    best = offered([(number * 0.1, 1 / (number + 1)) for number in range(6000)], 32)  # the best ones are all early
    times = [candidate.time_s for candidate in best.kept.values()]
    assert 16 <= len(times) <= 32
    assert max(np.diff(sorted([0, *times, 600]))) < 2 * 600 / 16


def test_a_sharp_picture_beats_a_blurred_one_of_better_geometry():
    blurred = cv2.GaussianBlur(TEXTURE, (0, 0), 6)
    best, box = BestCrops(1), np.array([0, 0, 20, 40], np.float32)
    best.offer(Frame(1, 0.0, blurred), box, 0.9)
    best.offer(Frame(2, 0.1, TEXTURE), box, 0.8)
    assert [candidate.index for candidate in best.kept.values()] == [2]


def test_a_kept_picture_does_not_hold_the_frame():
    image = np.zeros((50, 50, 3), np.uint8)
    best = BestCrops()
    best.offer(Frame(1, 0.0, image), np.array([0, 0, 20, 40], np.float32), 1.0)
    image[:] = 255
    assert next(iter(best.kept.values())).image.max() == 0


def test_a_box_outside_the_picture_gives_nothing():
    best = BestCrops()
    best.offer(Frame(1, 0.0, TEXTURE), np.array([30, 0, 40, 20], np.float32), 1.0)
    assert best.kept == {}


def decoded(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((10, 20, 60, 150), (130, 50)),
        ((10.4, 20.4, 59.6, 149.6), (130, 50)),
        ((-5, -5, 30, 40), (40, 30)),
        ((580, 380, 700, 700), (20, 20)),
        ((10, 10, 10.2, 10.2), (1, 1)),
    ],
)
def test_a_kept_picture_is_the_boxs_part_of_the_frame(box, shape):
    image = cv2.GaussianBlur(noise(*PICTURE), (0, 0), 3)
    best = BestCrops()
    best.offer(Frame(7, 0.0, image), np.array(box, np.float32), 1.0)
    (crop,) = best.encode()
    left, top = (max(round(value), 0) for value in box[:2])
    assert decoded(crop.jpeg).shape == (*shape, 3)
    part = image[top : top + shape[0], left : left + shape[1]]
    assert np.abs(decoded(crop.jpeg).astype(int) - part).mean() < 4


def test_a_huge_picture_is_kept_smaller_in_its_proportions():
    best = BestCrops()
    best.offer(Frame(1, 0.0, noise(1000, 600)), np.array([0, 0, 500, 960], np.float32), 1.0)
    assert decoded(best.encode()[0].jpeg).shape == (256, 133, 3)


def test_jpeg_keeps_the_colours():
    image = np.zeros((32, 16, 3), np.uint8)
    image[:] = (200, 100, 30)
    assert np.abs(decoded(encode_jpeg(image)).astype(int) - (200, 100, 30)).max() <= 4


# ---- collecting


def frame(number, rate=10):
    return Frame(number, (number - 1) / rate, noise(*PICTURE))


def follow(collector, number, *people):
    """One frame with people, (track id, left); returns the tracklets that closed."""
    found = detections(*[(left, 100, left + 50, 228) for _, left in people], score=0.9)
    return collector.add(frame(number), Tracks(np.array([person for person, _ in people], np.int64), found), found)


@pytest.fixture
def collector():
    return Collector("gate", "north", close_after_s=0.5)


def test_tracklets_are_numbered_in_order_of_appearance(collector):
    for number in range(1, 6):
        follow(collector, number, (70, 300), *([(12, 10)] if number > 1 else []))
    one, two = collector.finish()
    assert (one.key, two.key) == (("gate", 1), ("gate", 2))
    assert one.index.tolist() == [1, 2, 3, 4, 5]
    assert two.index.tolist() == [2, 3, 4, 5]
    assert one.camera == two.camera == "north"


def test_a_tracklet_holds_its_boxes_row_by_row(collector):
    for number in range(1, 5):
        follow(collector, number, (1, 10 * number))
    (tracklet,) = collector.finish()
    assert tracklet.time_s.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert tracklet.xyxy.tolist() == [[10 * n, 100, 10 * n + 50, 228] for n in range(1, 5)]
    assert tracklet.score.tolist() == pytest.approx([0.9] * 4)
    assert (tracklet.index.dtype, tracklet.time_s.dtype) == (np.int64, np.float64)
    assert (tracklet.xyxy.dtype, tracklet.score.dtype) == (np.float32, np.float32)
    assert decoded(tracklet.crops[0].jpeg).shape == (128, 50, 3)


def test_a_track_closes_after_its_silence(collector):
    for number in range(1, 5):  # last seen at 0.3 s
        assert follow(collector, number, (1, 10)) == []
    for number in range(5, 9):  # until 0.7 s
        assert follow(collector, number, (2, 300)) == []
    (tracklet,) = follow(collector, 10, (2, 300))
    assert tracklet.key == ("gate", 1)
    assert [left.key for left in collector.finish()] == [("gate", 2)]
    assert collector.finish() == []


def unsure(collector, number, *boxes, tracked=(), score=0.9):
    """One frame whose tracker has not yet reported all that was detected."""
    everyone = detections(*boxes, *tracked, score=score)
    own = detections(*tracked, score=0.9)
    return collector.add(frame(number), Tracks(np.arange(1, len(tracked) + 1), own), everyone)


def walking(number, step=8):
    return (100 + step * number, 100, 150 + step * number, 228)


def test_what_was_detected_before_the_tracker_was_sure_is_the_persons(collector):
    for number in (1, 2, 3):
        unsure(collector, number, walking(number))
    for number in (4, 5, 6):
        unsure(collector, number, tracked=[walking(number)])
    (tracklet,) = collector.finish()
    assert tracklet.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert tracklet.time_s.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert tracklet.xyxy.tolist() == [list(walking(number)) for number in range(1, 7)]
    assert min(crop.index for crop in tracklet.crops) >= 4  # of earlier frames nothing but boxes was kept


def test_a_frame_without_the_person_ends_the_look_back(collector):
    for number in (1, 2):
        unsure(collector, number, walking(number))
    unsure(collector, 3)
    for number in (4, 5, 6):
        unsure(collector, number, tracked=[walking(number)])
    assert collector.finish()[0].index.tolist() == [4, 5, 6]


def test_the_look_back_ends_after_a_second(collector):
    for number in range(1, 31):
        unsure(collector, number, walking(0))
    for number in (31, 32, 33):
        unsure(collector, number, tracked=[walking(0)])
    assert collector.finish()[0].index[0] == 20


@pytest.mark.parametrize(
    ("before", "score"),
    [((300, 100, 350, 228), 0.9), (walking(4), 0.2)],
    ids=["elsewhere", "ghost"],
)
def test_what_is_elsewhere_or_weak_is_not_the_persons(collector, before, score):
    for number in (1, 2, 3):
        unsure(collector, number, before, score=score)
    for number in (4, 5, 6):
        unsure(collector, number, tracked=[walking(4)])
    assert collector.finish()[0].index.tolist() == [4, 5, 6]


def test_another_tracks_boxes_are_not_taken_nor_one_twice(collector):
    place = (300, 100, 350, 228)
    for number in (1, 2, 3):
        unsure(collector, number, walking(0), tracked=[place])
    for number in (4, 5, 6):  # two people come out of one detection
        unsure(collector, number, tracked=[place, walking(0), walking(1)])
    tracks = {tracklet.key.track_id: tracklet.index.tolist() for tracklet in collector.finish()}
    assert tracks[1] == [1, 2, 3, 4, 5, 6]
    assert sorted([tracks[2], tracks[3]]) == [[1, 2, 3, 4, 5, 6], [4, 5, 6]]


def test_a_track_that_returns_in_time_is_one_tracklet(collector):
    for number in (1, 2, 6, 7):
        assert follow(collector, number, (1, 10)) == []
    assert collector.finish()[0].index.tolist() == [1, 2, 6, 7]


def test_a_number_that_returns_after_the_silence_is_another_tracklet(collector):
    """Trackers count frames: where the recording itself has a gap, they do not notice it."""
    for number in range(1, 4):
        follow(collector, number, (1, 10))
    (one,) = follow(collector, 20, (1, 10))
    for number in range(21, 24):
        assert follow(collector, number, (1, 10)) == []
    (two,) = collector.finish()
    assert (one.key.track_id, one.index.tolist()) == (1, [1, 2, 3])
    assert (two.key.track_id, two.index.tolist()) == (2, [20, 21, 22, 23])


def test_short_tracks_are_dropped(collector):
    for number in range(1, MIN_BOXES + 1):
        follow(collector, number, (1, 10), *([(2, 300)] if number < MIN_BOXES else []))
    assert [tracklet.key.track_id for tracklet in collector.finish()] == [1]


def test_empty_frames_move_time_on(collector):
    for number in range(1, 4):
        follow(collector, number, (1, 10))
    assert [tracklet.key.track_id for tracklet in follow(collector, 30)] == [1]


def test_a_person_behind_another_gives_lesser_pictures(collector):
    behind, before = (100, 100, 150, 228), (110, 90, 170, 300)
    everyone = detections(behind, before, score=0.9)
    alone = detections(behind, score=0.9)
    for number in range(1, 10):
        seen = everyone if number < 5 else alone
        collector.add(frame(number), Tracks(np.array([1], np.int64), alone), seen)
    (tracklet,) = collector.finish()
    early = [crop.quality for crop in tracklet.crops if crop.index < 5]
    late = [crop.quality for crop in tracklet.crops if crop.index >= 5]
    assert late
    assert max(early, default=0) < 0.1 < 0.5 < min(late)


def test_collectors_share_nothing():
    one, two = Collector("one", "c", 0.5), Collector("two", "c", 0.5)
    for number in range(1, 6):
        follow(one, number, (1, 10), (2, 300))
        follow(two, number, (1, 200))
    assert [tracklet.key for tracklet in two.finish()] == [("two", 1)]
    assert [tracklet.key for tracklet in one.finish()] == [("one", 1), ("one", 2)]


def test_the_number_of_pictures_is_the_callers(monkeypatch):
    collector = Collector("gate", "north", close_after_s=5, crops=2)
    monkeypatch.setattr(module, "SPACING_S", 0.05)
    for number in range(1, 10):
        follow(collector, number, (1, 10))
    assert len(collector.finish()[0].crops) == 2
