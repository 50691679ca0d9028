"""Trackers side by side, on drawn clips of people whose boxes are known."""

import contextlib
import json

import cv2
import numpy as np
import pytest

from reid.embed import Embedder
from reid.errors import BadInputError, DataError
from tests.helpers import CALIBRATION, colour_embedder
from tracker.associate import TRACKERS
from tracker.bench.clips import detect_clip, open_clip
from tracker.bench.trackers import PUBLISHED, bench_trackers
from tracker.cli import main
from tracker.cli.bench_trackers import tracker_table
from tracker.encode import VideoWriter
from tracker.errors import VideoError
from tracker.repair import REPAIRS
from tracker.types import Detections

FRAMES = 24
SIZE = (120, 240)
PEOPLE = {1: (200, 40, 40), 2: (40, 40, 200)}


def boxes(number):
    """Of both people in a frame, xyxy: one to the right, one to the left."""
    return {1: (10 + 4 * number, 10, 30 + 4 * number, 50), 2: (200 - 4 * number, 60, 220 - 4 * number, 110)}


def picture(number):
    image = np.full((*SIZE, 3), 90, np.uint8)
    for person, (x1, y1, x2, y2) in boxes(number).items():
        image[y1:y2, x1:x2] = PEOPLE[person]
    return image


def truth_lines():
    return "".join(
        f"{number},{person},{x1},{y1},{x2 - x1},{y2 - y1},1,-1,-1,-1\n"
        for number in range(1, FRAMES + 1)
        for person, (x1, y1, x2, y2) in boxes(number).items()
    )


@pytest.fixture
def folder(tmp_path):
    """MOT-Challenge's layout."""
    root = tmp_path / "Street"
    (root / "img1").mkdir(parents=True)
    (root / "gt").mkdir()
    for number in range(1, FRAMES + 1):
        cv2.imwrite(str(root / "img1" / f"{number:06}.png"), picture(number))
    (root / "gt" / "gt.txt").write_text(truth_lines())
    return root


@pytest.fixture
def video(tmp_path):
    with VideoWriter(tmp_path / "lane.mp4", SIZE[1], SIZE[0], 10) as writer:
        for number in range(1, FRAMES + 1):
            writer.write(picture(number), (number - 1) / 10)
    (tmp_path / "lane.txt").write_text(truth_lines())
    return f"{tmp_path / 'lane.mp4'},truth={tmp_path / 'lane.txt'}"


class Finder:
    """Finds whatever differs from the background, in the upper and in the lower half; counts its calls."""

    model_id, batch = "finder", 5

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return [self.find(image) for image in images]

    def find(self, image):
        found = []
        for low, high in ((0, 55), (55, SIZE[0])):
            rows, columns = np.nonzero(np.abs(image[low:high].astype(int) - 90).max(2) > 30)
            found.append((columns.min(), rows.min() + low, columns.max() + 1, rows.max() + low + 1))
        return Detections(np.array(found, np.float32), np.array([0.9, 0.8], np.float32))


@contextlib.contextmanager
def stage(name, total, unit):
    yield lambda count: None


@pytest.fixture
def embedder(tmp_path):
    return Embedder(str(colour_embedder(tmp_path / "colour.onnx")), "cpu")


def test_everyone_is_found_and_kept_apart_by_every_tracker_and_step(folder, video, embedder, tmp_path):
    clips = [open_clip(f"{folder},rate=10"), open_clip(video)]
    rows = bench_trackers(clips, Finder(), embedder, CALIBRATION.tracklets, tmp_path / "out", stage)
    steps = ["tracklets", *(f"tracklets, {name}" for name in REPAIRS), "tracklets, repaired"]
    names = [*TRACKERS, *PUBLISHED, *(f"tracktrack, {step}" for step in steps)]
    assert [(row.clip, row.what) for row in rows] == [(clip, name) for clip in ("Street", "lane") for name in names]
    for row in rows:
        assert row.scores.boxes == 2 * FRAMES
        assert row.scores.switches == 0
        assert row.scores.false == 0
        assert row.scores.idf1 > 0.9
        assert (row.ms is None) == ("tracklets" in row.what)
    whole = [row for row in rows if row.what == "tracktrack, tracklets, repaired"]
    assert all(row.scores.missed == 0 for row in whole)  # from the first frame on
    lines = tracker_table(rows).splitlines()
    assert lines[0].split() == [
        "clip", "tracker", "HOTA", "DetA", "AssA", "IDF1", "MOTA", "switches", "false", "missed", "ms", "a", "frame",
    ]  # fmt: skip
    assert len(lines) == 1 + len(rows)


def test_a_folders_pictures_and_a_video_have_frames_from_one_at_their_rate(folder, video):
    for clip in (open_clip(f"{folder},rate=10"), open_clip(video)):
        frames = list(clip.frames())
        assert [frame.index for frame in frames] == list(range(1, FRAMES + 1))
        np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(FRAMES) / 10, atol=1e-6)
        assert (clip.rate, clip.length, len(clip.truth.people)) == (10, FRAMES, 2 * FRAMES)


def test_pictures_come_in_the_order_of_their_numbers(folder):
    for path in (folder / "img1").iterdir():
        path.rename(path.with_name(f"{int(path.stem)}.png"))
    for frame in open_clip(str(folder)).frames():
        np.testing.assert_array_equal(frame.image, picture(frame.index))


def test_a_rate_that_is_given_for_a_video_sets_its_times(video):
    clip = open_clip(f"{video},rate=5")
    assert [frame.time_s for frame in clip.frames()] == [(number - 1) / 5 for number in range(1, FRAMES + 1)]


def test_a_folder_tells_its_rate(folder):
    assert open_clip(str(folder)).rate == 25
    (folder / "seqinfo.ini").write_text("[Sequence]\nframeRate=14\nseqLength=24\n")
    assert open_clip(str(folder)).rate == 14
    assert open_clip(f"{folder},rate=7.5").rate == 7.5


def test_a_second_call_does_not_detect_again_unless_a_picture_changed(folder, tmp_path):
    def look():
        finder = Finder()
        found = list(detect_clip(open_clip(str(folder)), finder, tmp_path / "out", stage))
        assert [frame.index for frame, _ in found] == list(range(1, FRAMES + 1))
        np.testing.assert_array_equal(found[3][1].xyxy, np.array(list(boxes(4).values()), np.float32))
        return finder.seen

    assert [look(), look()] == [FRAMES, 0]
    cv2.imwrite(str(folder / "img1" / "000001.png"), picture(1) + np.uint8(1))
    assert look() == FRAMES


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{folder},rate=0", BadInputError, "rate=0 is no frame rate"),
        ("{folder},rate=fast", BadInputError, "rate=fast is no frame rate"),
        ("{folder},truth=gt.txt", BadInputError, "leave truth= out"),
        ("absent", BadInputError, "no such folder; a video needs its people"),
        ("absent.mp4,truth=absent.txt", VideoError, "no such file"),
        ("{folder}/img1", DataError, "no pictures in it"),
    ],
)
def test_what_is_no_clip_is_told(folder, text, error, message):
    with pytest.raises(error, match=message):
        open_clip(text.format(folder=folder))


def test_truth_without_people_is_told(folder):
    (folder / "gt" / "gt.txt").write_text("")
    with pytest.raises(DataError, match="nobody is in it"):
        open_clip(str(folder))


def test_the_command_prints_json(folder, embedder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tracker.detect.YoloDetector", lambda source, device: Finder())
    out = str(tmp_path / "out")
    args = ["bench", "trackers", "--data", str(folder), "--embedder", str(embedder.path), "--out", out, "--json"]
    assert main(args) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["clip"] == "Street"
    assert rows[0]["what"] == "tracktrack"
    assert {"hota", "det_a", "ass_a", "idf1", "mota", "switches", "ms"} <= set(rows[0])
    assert len(rows) == len(TRACKERS) + len(PUBLISHED) + len(REPAIRS) + 2
