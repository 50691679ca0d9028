"""What the pipeline relies on, for every tracker in the table."""

import numpy as np
import pytest

from tracker.associate import REMEMBER_S, TRACKERS
from tracker.types import Detections

every = pytest.mark.parametrize("name", TRACKERS)
IMAGE = np.zeros((360, 640, 3), np.uint8)
RATE = 10.0


def walkers(number, order=(0, 1)):
    """Two people who walk side by side, 3 pixels a frame; ``order`` is that of the rows."""
    left = 40 + 3 * number
    boxes = np.array([[left, 60, left + 50, 180], [left, 200, left + 55, 340]], np.float32)
    score = np.array([0.9, 0.85], np.float32)
    return Detections(boxes[list(order)], score[list(order)])


def top_of(tracks):
    """Track id by the upper edge of its box, which tells the walkers apart."""
    return dict(zip(tracks.detections.xyxy[:, 1].tolist(), tracks.track_id.tolist(), strict=True))


@every
def test_two_people_keep_two_numbers(name):
    tracker = TRACKERS[name](RATE)
    seen = []
    for number in range(30):
        order = (0, 1) if number % 2 else (1, 0)
        seen.append(top_of(tracker.update(walkers(number, order), IMAGE)))
    assert all(len(tracks) == 2 for tracks in seen[5:])  # some wait a few frames to be sure
    assert len({tracks[60.0] for tracks in seen[5:]}) == 1
    assert len({tracks[200.0] for tracks in seen[5:]}) == 1
    assert seen[-1][60.0] != seen[-1][200.0]


@every
def test_tracks_are_rows_of_the_detections(name):
    tracker = TRACKERS[name](RATE)
    for number in range(10):
        given = walkers(number)
        tracks = tracker.update(given, IMAGE)
        found = tracks.detections
        assert (tracks.track_id.dtype, found.xyxy.dtype, found.score.dtype) == (np.int64, np.float32, np.float32)
        assert len(set(tracks.track_id.tolist())) == len(tracks.track_id)
        rows = {(*box, score) for box, score in zip(given.xyxy.tolist(), given.score.tolist(), strict=True)}
        assert {(*box, score) for box, score in zip(found.xyxy.tolist(), found.score.tolist(), strict=True)} <= rows
    assert len(tracks.track_id) == 2


@every
def test_frames_without_people(name):
    tracker = TRACKERS[name](RATE)
    for frame in [Detections.empty()] * 3 + [walkers(number) for number in range(6)] + [Detections.empty()] * 3:
        tracks = tracker.update(frame, IMAGE)
        assert len(tracks.track_id) <= len(frame)
        assert tracks.detections.xyxy.shape == (len(tracks.track_id), 4)


@every
def test_instances_share_nothing(name):
    alone, first = TRACKERS[name](RATE), TRACKERS[name](RATE)
    expected = [top_of(alone.update(walkers(number), IMAGE)) for number in range(20)]
    given, second = [], None
    for number in range(20):
        given.append(top_of(first.update(walkers(number), IMAGE)))
        if number == 7:
            second = TRACKERS[name](RATE)
        if second is not None:
            second.update(Detections(walkers(0).xyxy + 250, walkers(0).score), IMAGE)
    assert given == expected


@every
def test_the_same_frames_give_the_same_tracks(name):
    runs = []
    for _ in range(2):
        tracker = TRACKERS[name](RATE)
        runs.append([top_of(tracker.update(walkers(number), IMAGE)) for number in range(15)])
    assert runs[0] == runs[1]


def number_after_absence(seconds, rate):
    tracker = TRACKERS["bytetrack"](rate)
    still = walkers(0)
    for _ in range(10):
        before = top_of(tracker.update(still, IMAGE))
    for _ in range(round(seconds * rate)):
        assert len(tracker.update(Detections.empty(), IMAGE).track_id) == 0
    for _ in range(5):
        after = top_of(tracker.update(still, IMAGE))
    return before, after


@pytest.mark.parametrize("rate", [5.0, 10.0, 30.0])
def test_bytetrack_remembers_a_person_for_a_while_in_seconds(rate):
    before, after = number_after_absence(REMEMBER_S * 0.8, rate)
    assert before == after
    before, after = number_after_absence(REMEMBER_S * 1.5, rate)
    assert set(before.values()).isdisjoint(after.values())
