"""The demo's clips and their truth; rendered once, and only the truth of a second rendering is compared."""

import av
import numpy as np
import pytest

from tracker import demo
from tracker.errors import RunError
from tracker.video import VideoReader

EXPECTED = {"lobby": (240, 640, 480, 20), "street": (210, 768, 432, 15)}  # frames, width, height, rate


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return demo.render_demo(tmp_path_factory.mktemp("demo") / "clips")


def overlap(one, two):
    """Intersection over the smaller box."""
    sides = np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2])
    return sides.clip(0).prod() / min((one[2:] - one[:2]).prod(), (two[2:] - two[:2]).prod())


def appearances(boxes):
    """People in order of their first box."""
    return list(dict.fromkeys(boxes.person.tolist()))


def test_clips_are_videos_of_the_stated_kind(scene):
    assert [path.stem for path in scene.videos] == list(EXPECTED)
    for path in scene.videos:
        frames, width, height, rate = EXPECTED[path.stem]
        with VideoReader(path) as reader:
            info = reader.info
        assert (info.width, info.height) == (width, height)
        assert info.rate == pytest.approx(rate)
        with av.open(str(path)) as container:
            assert sum(packet.size > 0 for packet in container.demux(video=0)) == frames


def test_everyone_walks_through_both_cameras(scene):
    people = set(range(1, scene.people + 1))
    assert scene.people == 4
    assert all(set(boxes.person.tolist()) == people for boxes in scene.boxes)
    for boxes in scene.boxes:
        assert np.bincount(boxes.person)[1:].min() >= 45
    first, second = map(appearances, scene.boxes)
    assert first != second


def test_boxes_lie_within_the_picture(scene):
    for path, boxes in zip(scene.videos, scene.boxes, strict=True):
        frames, width, height, _ = EXPECTED[path.stem]
        assert boxes.xyxy.shape == (len(boxes.frame), 4)
        assert 1 <= boxes.frame.min() <= boxes.frame.max() <= frames
        assert (np.diff(boxes.frame) >= 0).all()
        assert (boxes.xyxy >= 0).all()
        assert (boxes.xyxy <= (width, height, width, height)).all()
        assert (boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all()
        assert (boxes.visible >= demo.MIN_VISIBLE).all()
        assert (boxes.visible <= 1).all()


def test_each_camera_has_a_moment_of_occlusion(scene):
    for path, boxes in zip(scene.videos, scene.boxes, strict=True):
        crossings = 0
        for frame in np.unique(boxes.frame):
            xyxy = boxes.xyxy[boxes.frame == frame]
            crossings += any(overlap(a, b) > 0.5 for i, a in enumerate(xyxy) for b in xyxy[:i])
        assert crossings * (1 / EXPECTED[path.stem][3]) > 0.3


def test_a_person_vanishes_behind_the_column_and_returns(scene):
    boxes = scene.boxes[1]
    gaps = [np.diff(boxes.frame[boxes.person == person]).max() for person in range(1, scene.people + 1)]
    assert 4 <= max(gaps) <= 20


def test_truth_files_hold_the_boxes(scene):
    for path, video, boxes in zip(scene.truth, scene.videos, scene.boxes, strict=True):
        assert path.parts[-2:] == ("truth", f"{video.stem}.txt")
        table = np.loadtxt(path, delimiter=",")
        np.testing.assert_array_equal(table[:, 0], boxes.frame)
        np.testing.assert_array_equal(table[:, 1], boxes.person)
        np.testing.assert_array_equal(table[:, 2:4] + table[:, 4:6], boxes.xyxy[:, 2:])
        assert (table[:, 6:] == (1, -1, -1, -1)).all()


def test_truth_is_the_same_every_time(scene, tmp_path, monkeypatch):
    class NoVideo:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, *_):
            pass

    monkeypatch.setattr(demo, "VideoWriter", NoVideo)
    again = demo.render_demo(tmp_path)
    for one, two in zip(scene.truth, again.truth, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_missing_photograph_is_named(tmp_path, monkeypatch):
    class Elsewhere:
        origin = str(tmp_path / "ultralytics" / "__init__.py")

    monkeypatch.setattr(demo, "find_spec", lambda _: Elsewhere)
    with pytest.raises(RunError, match=r"bus\.jpg.*install ultralytics again"):
        demo.render_demo(tmp_path / "clips")
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    with pytest.raises(RunError, match="not installed"):
        demo.render_demo(tmp_path / "clips")
