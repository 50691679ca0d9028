"""Whatever a user gives: one clear line that names the thing and the remedy, exit code 1 or 2, no traceback."""

import json

import pytest

from tests.clips import empty_room, silence
from tests.helpers import colour_embedder
from tracker import pipeline
from tracker.cli import main
from tracker.video import VideoReader


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder to work in, with an embedder that needs no training."""
    monkeypatch.chdir(tmp_path)
    colour_embedder(tmp_path / "colour.onnx")
    return tmp_path


def run(*args):
    """``reidtrack run`` with the small embedder."""
    return main(["run", *map(str, args), "--embedder", "colour.onnx", "--out", "out"])


def error_line(capsys):
    """The one line on stderr that says what went wrong."""
    text = capsys.readouterr().err
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert lines, text
    return lines[-1]


def half(source, out):
    data = source.read_bytes()
    out.write_bytes(data[: len(data) // 2])
    return out


UNREADABLE = {
    "missing": (lambda path: None, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "text": (lambda path: path.write_text("not a video " * 100), "not a video"),
    "audio": (silence, "no video in it"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_file(desk, capsys, kind):
    make, words = UNREADABLE[kind]
    make(desk / "cam.mp4")
    assert run("--videos", "cam.mp4") == 1
    line = error_line(capsys)
    assert "cam.mp4" in line
    assert words in line
    assert not (desk / "out").exists()


def test_one_bad_recording_does_not_lose_the_others(desk, capsys):
    empty_room(desk / "good.mp4")
    (desk / "bad.mp4").write_text("hello")
    assert run("--videos", "bad.mp4", "good.mp4") == 1
    err = capsys.readouterr().err
    assert "bad.mp4: not a video" in err
    assert "1 of 2 recordings could not be read" in err
    manifest = json.loads((desk / "out/run.json").read_text())
    assert manifest["status"] == "complete"
    assert [entry["name"] for entry in manifest["recordings"]] == ["good"]
    assert "bad.mp4" in (desk / "out/report.html").read_text()


def test_a_file_cut_off_half_way_yields_what_it_holds(desk, capsys):
    whole = empty_room(desk / "whole.mp4", frames=60, noise=60)
    half(whole, desk / "cut.mp4")
    with VideoReader(desk / "cut.mp4") as video:
        frames = sum(1 for _ in video)
    assert 0 < frames < 60
    assert run("--videos", "cut.mp4") == 0
    assert f"{60 - frames} of 60 frames are lost" in capsys.readouterr().err


def test_a_recording_that_grows_while_it_is_worked_on_is_another_afterwards(desk, monkeypatch, capsys):
    path = empty_room(desk / "cam.mp4", frames=4)
    track = pipeline._track

    def growing(*args):
        done = track(*args)
        path.write_bytes(path.read_bytes() + b"more")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_track", growing)
        assert run("--videos", "cam.mp4") == 0
    assert run("--videos", "cam.mp4") == 2
    assert "holds another run" in error_line(capsys)


def test_a_video_without_people(desk, capsys):
    empty_room(desk / "room.mp4")
    assert run("--videos", "room.mp4") == 0
    assert "no people found" in capsys.readouterr().out
    assert (desk / "out/identities.csv").read_text().count("\n") == 1
    assert (desk / "out/tracks/room.txt").read_text() == ""
    assert "No people" in (desk / "out/report.html").read_text()


def test_a_video_with_one_frame(desk, capsys):
    empty_room(desk / "one.mp4", frames=1)
    assert run("--videos", "one.mp4") == 0


def test_a_folder_without_videos(desk, capsys):
    (desk / "empty").mkdir()
    assert run("--videos", "empty") == 2
    assert "no videos in this folder" in error_line(capsys)


def test_a_pattern_that_matches_nothing(desk, capsys):
    assert run("--videos", "*.mkv") == 2
    assert "no file matches" in error_line(capsys)


def test_the_same_file_twice(desk, capsys):
    empty_room(desk / "a.mp4")
    assert run("--videos", "a.mp4", "./a.mp4") == 2
    assert "given twice" in error_line(capsys)


def test_a_copy_of_the_same_recording(desk, capsys):
    empty_room(desk / "a.mp4")
    (desk / "b.mp4").write_bytes((desk / "a.mp4").read_bytes())
    assert run("--videos", "a.mp4", "b.mp4") == 2
    assert "same recording" in error_line(capsys)


def test_an_output_that_cannot_be_written(desk, capsys):
    empty_room(desk / "a.mp4")
    (desk / "out").write_text("a file")
    assert run("--videos", "a.mp4") == 1
    assert "out: is a file" in error_line(capsys)


def test_an_output_below_a_file(desk, capsys):
    empty_room(desk / "a.mp4")
    (desk / "file").write_text("")
    args = ["run", "--videos", "a.mp4", "--embedder", "colour.onnx", "--out", "file/out"]
    assert main(args) == 1
    assert "cannot be written" in error_line(capsys)


def test_an_output_that_holds_another_run(desk, capsys):
    empty_room(desk / "a.mp4")
    empty_room(desk / "b.mp4", frames=20)
    assert run("--videos", "a.mp4") == 0
    capsys.readouterr()
    assert run("--videos", "b.mp4") == 2
    line = error_line(capsys)
    assert "holds another run (of a.mp4)" in line
    assert json.loads((desk / "out/run.json").read_text())["recordings"][0]["name"] == "a"


def test_an_output_that_holds_something_else(desk, capsys):
    empty_room(desk / "a.mp4")
    (desk / "out").mkdir()
    (desk / "out/thesis.txt").write_text("precious")
    assert run("--videos", "a.mp4") == 2
    assert "not empty" in error_line(capsys)
    assert [path.name for path in (desk / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--tracker", "nonsense"], "bytetrack"),
        (["--detector", "nonsense"], "neither a file nor a model"),
        (["--detector", "absent.onnx"], "no such file"),
        (["--device", "gpu"], "auto, cpu"),
        (["--device", "cuda:99"], "cuda"),
        (["--fps", "fast"], "neither native nor a number"),
        (["--fps", "-1"], "no frame rate"),
        (["--min-probability", "3"], "no probability"),
        (["--cameras", "x", "y"], "2 names for 1"),
        (["--start-times", "noon"], "neither a clock time"),
        (["--start-times", "1", "2"], "2 given for 1"),
    ],
)
def test_a_bad_option(desk, capsys, option, words):
    empty_room(desk / "a.mp4")
    assert run("--videos", "a.mp4", *option) in (1, 2)
    assert words in error_line(capsys)
    assert not (desk / "out").exists()


@pytest.mark.parametrize("name", ["model.pt", "model.onnx"])
@pytest.mark.parametrize("content", [b"", b"not a model"], ids=["empty", "text"])
def test_a_detector_file_that_is_none(desk, capsys, name, content):
    empty_room(desk / "a.mp4")
    (desk / name).write_bytes(content)
    assert run("--videos", "a.mp4", "--detector", name) == 1
    line = error_line(capsys)
    assert name in line
    assert "not a YOLO detector" in line


def test_an_embedder_file_that_is_none(desk, capsys):
    empty_room(desk / "a.mp4")
    (desk / "bad.onnx").write_bytes(b"nonsense")
    assert main(["run", "--videos", "a.mp4", "--embedder", "bad.onnx", "--out", "out"]) == 1
    assert "bad.onnx" in error_line(capsys)


def test_clock_times_and_seconds_do_not_mix(desk, capsys):
    empty_room(desk / "a.mp4")
    empty_room(desk / "b.mp4", frames=20)
    assert run("--videos", "a.mp4", "b.mp4", "--start-times", "5", "2026-03-01T22:00:00") == 2
    assert "mixed" in error_line(capsys)
