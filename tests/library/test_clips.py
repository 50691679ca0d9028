"""`reidtrack search --clip`: every sighting's moment as an MP4, named, whole, and never over something else."""

from pathlib import Path

import cv2
import pytest

from tests.library.conftest import run
from tracker.casefile import moments
from tracker.cli import main
from tracker.errors import RunError
from tracker.library.clips import names
from tracker.library.store import Library, writer
from tracker.video import VideoReader


@pytest.fixture
def indexed(desk):
    assert main(["index", "lib", "monday", "tuesday"]) == 0
    return desk


def rows_of():
    return Library.open("lib").tracklets.to_arrow().to_pylist()


def cut(*args, folder="clips", key=None):
    """Look for the library's first tracklet, of everybody."""
    return main(["search", "lib", "--track", key or rows_of()[0]["key"], "--top", "99", "--clip", folder, *args])


def test_every_sighting_is_cut_by_true_times(indexed, capsys):
    assert cut("--clip-margin", "0.2") == 0
    rows = {(row["camera"], row["key"]): row for row in rows_of()[1:]}
    clips = sorted((indexed / "clips").glob("*.mp4"))
    assert len(clips) == len(rows)
    expected = []
    for row in rows.values():
        begin, end = row["file_start_s"] - 0.2, row["file_start_s"] + row["length_s"] + 0.2
        with VideoReader(Path(row["path"])) as video:
            expected.append(len([0 for frame in video if begin - 1e-3 <= frame.time_s <= end + 1e-3]))
    counts = []
    for clip in clips:
        with VideoReader(clip) as video:
            counts.append(len(list(video)))
        assert clip.with_suffix(".jpg").is_file()
    assert sorted(counts) == sorted(expected)
    assert any("22-00-0" in clip.name for clip in clips)  # tuesday's clock is known


def test_names_are_numbered_and_safe():
    row = {"camera": "o'clock/7", "start_s": 3725.9, "absolute": False, "photo": ""}
    assert names([row] * 100)[:2] == ["001_o_clock_7_01-02-05", "002_o_clock_7_01-02-05"]
    assert len(set(names([row] * 100))) == 100
    assert names([row | {"start_s": 1772575531.0, "absolute": True}]) == ["01_o_clock_7_22-05-31"]


def test_a_recording_that_is_gone_is_one_line_and_the_others_go_on(indexed, capsys):
    with writer("lib") as writing:
        writing.connection.open_table("tracklets").update(where="recording = 'b'", values={"path": "gone/b.mp4"})
        writing.commit(writing.meta.runs)
    wanted = next(row for row in rows_of() if row["recording"] == "a")
    capsys.readouterr()
    assert cut(key=wanted["key"]) == 1
    shown = capsys.readouterr()
    gone = sum(row["recording"] == "b" for row in rows_of())
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == gone
    assert all("gone/b.mp4: no such file" in line for line in errors)
    assert len(list((indexed / "clips").glob("*.mp4"))) == len(rows_of()) - 1 - gone
    assert shown.out


def test_a_full_disk_is_one_line_and_done_clips_stay(indexed, capsys, monkeypatch):
    done = []
    real = moments._write_clip

    def full_at_the_second(sighting, frames, trail, rate, clip, still):
        if done:
            raise RunError(f"{clip}: cannot be written (No space left on device); free some disk space")
        done.append(clip)
        return real(sighting, frames, trail, rate, clip, still)

    monkeypatch.setattr(moments, "_write_clip", full_at_the_second)
    capsys.readouterr()
    assert cut() == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "free some disk space" in errors[0]
    assert [path.name for path in (indexed / "clips").glob("*.mp4")] == [done[0].name]


def test_photos_are_pictures(indexed, capsys):
    (indexed / "album").mkdir()
    with VideoReader(indexed / "a.mp4") as video:
        frame = next(iter(video))
    cv2.imwrite(str(indexed / "album/IMG_1.png"), frame.image)
    assert run("c.mp4", out="photos", options=["--images", "album"]) == 0
    assert main(["index", "photos.lib", "photos"]) == 0
    rows = Library.open("photos.lib").tracklets.to_arrow().to_pylist()
    filmed = next(row for row in rows if not row["photo"])
    assert main(["search", "photos.lib", "--track", filmed["key"], "--top", "99", "--recording", "album",
                 "--clip", "clips"]) == 0  # fmt: skip
    found = sorted(path.name for path in (indexed / "clips").iterdir())
    assert len(found) == sum(bool(row["photo"]) for row in rows) > 0
    assert found[0] == "01_album_IMG_1.jpg"


@pytest.mark.parametrize(
    ("folder", "args", "said"),
    [
        ("monday", [], "--clip monday: is not empty; give a new or empty folder"),
        ("a.mp4", [], "--clip a.mp4: is a file"),
        ("clips", ["--clip-margin", "-1"], "--clip-margin -1 is no length"),
        ("clips", ["--clip-margin", "nan"], "--clip-margin nan is no length"),
    ],
)
def test_what_cannot_be_cut_is_one_line_before_anything_is_done(indexed, capsys, folder, args, said):
    capsys.readouterr()
    assert cut(*args, folder=folder) == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert said in line
    assert not shown.out
    assert not (indexed / "clips").exists()
