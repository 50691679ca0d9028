"""The main job on the demo's clips, whose people are known; resuming, growing, reusing."""

import csv
import json
import re
import shutil

import av
import lancedb
import numpy as np
import pytest

from tests.clips import cut
from tests.helpers import colour_embedder
from tracker import outputs, track
from tracker.cli import main
from tracker.compare import compare
from tracker.detect import YoloDetector
from tracker.scoring.boxes import read_mot_lines
from tracker.store import Run


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """`reidtrack demo --render`, once: (folder, what it printed)."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("demo")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["demo", "--out", str(folder), "--render"]) == 0
    return folder, out.getvalue()


@pytest.fixture(scope="module")
def clips(demo):
    """The demo's two clips."""
    return sorted((demo[0] / "clips").glob("*.mp4"))


class TestDemo:
    def test_every_person_is_found_once_in_both_cameras(self, demo, clips):
        folder, printed = demo
        cameras = [clip.stem for clip in clips]
        truth = {camera: read_mot_lines(folder / f"clips/truth/{camera}.txt").boxes for camera in cameras}
        found = {camera: read_mot_lines(folder / f"run/tracks/{camera}.txt").boxes for camera in cameras}
        people = compare(truth, found)
        assert len(people) >= 3
        main_identities = [{person.main_identity(camera) for camera in cameras} for person in people]
        assert all(len(identities) == 1 and None not in identities for identities in main_identities)
        assert len(set.union(*main_identities)) == len(people)
        assert printed.count(" right") == len(people)

    def test_lists_agree(self, demo):
        folder = demo[0] / "run"
        rows = list(csv.DictReader((folder / "identities.csv").read_text().splitlines()))
        assert list(rows[0]) == ["identity", "cameras", "tracklets", "first_s", "last_s", "duration_s", "probability"]
        listed = json.loads((folder / "identities.json").read_text())
        table = lancedb.connect(str(folder)).open_table("tracklets").to_arrow().to_pylist()
        assert [int(row["identity"]) for row in rows] == [entry["identity"] for entry in listed]
        for row, entry in zip(rows, listed, strict=True):
            members = [line for line in table if line["identity"] == entry["identity"]]
            assert int(row["tracklets"]) == len(entry["tracklets"]) == len(members)
            assert set(row["cameras"].split(";")) == {line["camera"] for line in members}
            assert float(row["first_s"]) == pytest.approx(min(line["start_s"] for line in members), abs=1e-3)
            assert float(row["last_s"]) == pytest.approx(max(line["end_s"] for line in members), abs=1e-3)
            assert 0 < float(row["probability"]) <= 1
            assert len(entry["links"]) == len(members) - 1
            for made in entry["links"]:
                crops = {member["tracklet"]: member["crops"] for member in entry["tracklets"]}
                assert all(crop in crops[key] for key, crop in zip(made["tracklets"], made["crops"], strict=True))
        norms = [np.linalg.norm(line["vector"]) for line in table]
        assert np.allclose(norms, 1, atol=1e-4)

    def test_crops_are_the_files_that_are_listed(self, demo):
        folder = demo[0] / "run"
        listed = json.loads((folder / "identities.json").read_text())
        named = {crop for entry in listed for tracklet in entry["tracklets"] for crop in tracklet["crops"]}
        there = {path.relative_to(folder).as_posix() for path in (folder / "crops").rglob("*.jpg")}
        assert named == there

    def test_report_is_self_contained_and_complete(self, demo):
        folder = demo[0] / "run"
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert not re.search(r"""(?:src|href)=["']https?:""", page)
        for entry in json.loads((folder / "identities.json").read_text()):
            assert f"Person {entry['identity']}" in page

    def test_manifest_says_with_what(self, demo):
        manifest = Run.open(demo[0] / "run").manifest
        assert manifest["status"] == "complete"
        assert {"python", "torch", "ultralytics"} <= set(manifest["versions"])
        assert all(len(entry["sha256"]) == 64 for entry in manifest["recordings"])
        assert {"tracking", "embedding", "linking", "writing"} <= set(manifest["timings_s"])

    def test_rendered_videos_play_in_a_browser(self, demo, clips):
        for clip in clips:
            with av.open(str(demo[0] / f"run/rendered/{clip.name}")) as made, av.open(str(clip)) as source:
                stream = made.streams.video[0]
                assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
                assert stream.frames == source.streams.video[0].frames

    def test_tracks_carry_the_sources_frame_numbers(self, demo, clips):
        for clip in clips:
            frames = read_mot_lines(demo[0] / f"run/tracks/{clip.stem}.txt").boxes.frame.tolist()
            with av.open(str(clip)) as source:
                assert min(frames) >= 1
                assert max(frames) <= source.streams.video[0].frames


@pytest.fixture
def desk(clips, tmp_path, monkeypatch):
    """Two short clips with people, and an embedder that needs no training."""
    monkeypatch.chdir(tmp_path)
    for name, clip in zip(("a.mp4", "b.mp4"), clips, strict=True):
        cut(clip, tmp_path / name, 60, 95)
    colour_embedder(tmp_path / "colour.onnx")
    return tmp_path


@pytest.fixture
def looked_at(monkeypatch):
    """Counts the pictures that the detector is given."""
    seen = []
    call = YoloDetector.__call__

    def counting(self, images):
        seen.extend(images)
        return call(self, images)

    monkeypatch.setattr(YoloDetector, "__call__", counting)
    return seen


def run(*args):
    return main(["run", *args, "--embedder", "colour.onnx", "--out", "out"])


def results(desk):
    """What a run found, as text that must be equal for equal results."""
    tracks = [path.read_text() for path in sorted((desk / "out/tracks").iterdir())]
    return [(desk / "out/identities.csv").read_text(), (desk / "out/identities.json").read_text(), *tracks]


def test_the_same_command_again_detects_nothing_again(desk, looked_at):
    assert run("--videos", "a.mp4", "b.mp4") == 0
    first = results(desk)
    assert len(looked_at) == 72
    assert run("--videos", "a.mp4", "b.mp4") == 0
    assert len(looked_at) == 72
    assert results(desk) == first


def test_an_interrupted_run_continues(desk, looked_at, monkeypatch, capsys):
    """Ctrl-C in the second recording: the first is not touched again, and the second goes on where it was."""
    original = track.detections_of
    batches = []

    def interrupted(batch, log, detector):
        batches.append(batch)
        if len(batches) == 8:  # 36 frames in batches of 8 are 5; this is the third of the second recording
            raise KeyboardInterrupt
        return original(batch, log, detector)

    monkeypatch.setattr(track, "detections_of", interrupted)
    assert run("--videos", "a.mp4", "b.mp4") == 1
    assert "error: interrupted; give the same command again" in capsys.readouterr().err
    assert json.loads((desk / "out/run.json").read_text())["status"] == "incomplete"
    done = len(looked_at)
    assert done == 36 + 16

    monkeypatch.setattr(track, "detections_of", original)
    assert run("--videos", "a.mp4", "b.mp4") == 0
    assert len(looked_at) == 72
    assert "1 of 2 recordings are done already" in capsys.readouterr().err
    continued = results(desk)
    shutil.rmtree(desk / "out")
    assert run("--videos", "a.mp4", "b.mp4") == 0
    assert results(desk) == continued
    assert not list((desk / "out").rglob("*.partial"))


def test_adding_a_recording_works_only_on_that(desk, looked_at):
    assert run("--videos", "a.mp4") == 0
    stages = {path: path.stat().st_mtime_ns for path in (desk / "out/stages").iterdir()}
    assert run("--videos", "a.mp4", "b.mp4") == 0
    assert len(looked_at) == 72
    assert {path: path.stat().st_mtime_ns for path in stages} == stages
    rows = list(csv.DictReader((desk / "out/identities.csv").read_text().splitlines()))
    assert {camera for row in rows for camera in row["cameras"].split(";")} == {"a", "b"}


def test_the_order_of_recordings_does_not_matter(desk):
    assert run("--videos", "a.mp4", "b.mp4") == 0
    first = results(desk)
    assert run("--videos", "b.mp4", "a.mp4") == 0
    assert results(desk) == first


def test_another_tracker_detects_nothing_again(desk, looked_at):
    assert run("--videos", "a.mp4") == 0
    assert run("--videos", "a.mp4", "--tracker", "ocsort") == 0
    assert len(looked_at) == 36


def test_a_higher_probability_joins_no_more(desk):
    counts = []
    for probability in ("1", "0"):
        assert run("--videos", "a.mp4", "b.mp4", "--min-probability", probability) == 0
        counts.append((desk / "out/identities.csv").read_text().count("\n"))
    assert counts[0] > counts[1]


def test_a_damaged_stage_is_made_again(desk, looked_at):
    assert run("--videos", "a.mp4") == 0
    first = results(desk)
    for path in (desk / "out/stages").glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-20])
    assert run("--videos", "a.mp4") == 0
    assert results(desk) == first
    assert len(looked_at) == 36


def test_clocks_and_cameras(desk):
    starts = ["2026-03-01T22:00:00", "2026-03-01T23:00:00+01:00"]
    assert run("--videos", "a.mp4", "b.mp4", "--cameras", "gate", "hall", "--start-times", *starts) == 0
    table = Run.open(desk / "out").tracklets().to_pylist()
    assert {line["camera"] for line in table} == {"gate", "hall"}
    assert {(path.name) for path in (desk / "out/tracks").iterdir()} == {"gate.txt", "hall.txt"}
    epoch = 1772402400.0  # 2026-03-01T22:00:00Z
    assert all(epoch <= line["start_s"] < epoch + 5 for line in table)


def test_two_recordings_of_one_camera(desk):
    assert run("--videos", "a.mp4", "b.mp4", "--cameras", "gate", "gate", "--start-times", "0", "100") == 0
    assert {path.name for path in (desk / "out/tracks").iterdir()} == {"gate_a.txt", "gate_b.txt"}
    assert {line["camera"] for line in Run.open(desk / "out").tracklets().to_pylist()} == {"gate"}


def test_sampling_looks_at_fewer_frames(desk, looked_at):
    assert run("--videos", "a.mp4", "--fps", "5") == 0
    with av.open("a.mp4") as source:
        rate = float(source.streams.video[0].average_rate)
    assert len(looked_at) == pytest.approx(36 * 5 / rate, abs=1)


def test_videos_by_folder_and_pattern(desk, looked_at):
    (desk / "in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(desk / name, desk / "in" / name)
    assert run("--videos", "in") == 0
    assert run("--videos", "in/*.mp4") == 0
    assert run("--videos", "in/a.mp4", "--videos", "in/b.mp4") == 0
    assert len(looked_at) == 72


def test_a_full_disk_is_told_and_loses_nothing(desk, looked_at, monkeypatch, capsys):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_mot", full)
    assert run("--videos", "a.mp4") == 1
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(desk)
    assert run("--videos", "a.mp4") == 0
    assert len(looked_at) == 36
