"""A case's bundle: what is in it, that it can be verified, and that nothing half is ever left."""

import hashlib
import json
import re
import shutil
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from reid.errors import BadInputError
from tracker.casefile import bundle as bundling
from tracker.casefile.bundle import export
from tracker.casefile.cases import add, find_case, new_case
from tracker.casefile.checking import check
from tracker.casefile.moments import Trail, passage, trail_of
from tracker.cli import main
from tracker.files import sha256
from tracker.progress import Progress
from tracker.store import Run
from tracker.video import VideoReader

QUIET = Progress(quiet=True)


def exported(library, case, name="out"):
    return export(library, case, Path(name), QUIET, 0.4)


def manifest_of(folder):
    return json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))


class Links(HTMLParser):
    """What a page loads or leads to, and its text."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.tags, self.text = [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.targets += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]

    def handle_data(self, data):
        self.text += data


# ---- what is in it


def test_a_bundle_holds_page_clips_pictures_log_and_hashes(desk, library, case):
    made = exported(library, case)
    manifest = manifest_of("out")
    assert made.lacks == ()
    assert made.seal == sha256(Path("out/manifest.json"))

    files = {path.relative_to("out").as_posix(): path for path in Path("out").rglob("*") if path.is_file()}
    assert set(files) == {*manifest["files"], "manifest.json"}
    for name, facts in manifest["files"].items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == facts["sha256"]
        assert files[name].stat().st_size == facts["bytes"]

    first, second = manifest["sightings"]
    assert set(first["files"]) == set(second["files"]) == {"crop", "clip", "still"}
    assert (first["query"], first["probability"]) == ("person.jpg", 0.93)
    assert first["note"] == "red jacket\n<b>not</b> bold"
    assert manifest["case"] == {"name": "Stolen bicycle", "note": "seen twice"}

    recordings = {one["path"]: one for one in manifest["recordings"]}
    runs = {one["name"]: one for one in manifest["runs"]}
    for name, facts in runs.items():
        run = Run.open(name).manifest
        assert facts["state"] == "verified"
        assert facts["options"] == run["options"]
        assert facts["versions"] == run["versions"]
        assert facts["detector"] == run["detector"]
        assert run["detector"].split("-")[1] == facts["detector_sha256"][:12]
        assert facts["embedder_sha256"] == sha256(desk / "colour.onnx")
        assert facts["files"]["run.json"] == sha256(desk / name / "run.json")
    for one in (first, second):
        assert recordings[one["tracklet"]["path"]]["sha256"] == sha256(Path(one["tracklet"]["path"]))
        assert recordings[one["tracklet"]["path"]]["state"] == "verified"
    assert (Path("out") / "log.jsonl").read_bytes() == (case.folder / "log.jsonl").read_bytes()[
        : len((Path("out") / "log.jsonl").read_bytes())
    ]
    assert find_case("lib", case.name).log[-1]["seal"] == made.seal

    page = Links(Path("out/index.html").read_text(encoding="utf-8"))
    assert [one for one in page.targets if not one.startswith("data:image/jpeg;base64,") and one not in files] == []
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<b>not</b> bold" in page.text
    for fact in ("Stolen bicycle", "seen twice", "93%", "2026-03-03 22:00:0", first["tracklet"]["sha256"]):
        assert fact in page.text


def test_a_clip_shows_the_recordings_own_frames_at_their_times_with_the_box(library, case):
    exported(library, case)
    sighting = case.sightings[0]
    files = manifest_of("out")["sightings"][0]["files"]
    with VideoReader(Path(sighting.row["path"])) as video:
        begin, end = sighting.begin_s - 0.4, sighting.end_s + 0.4
        wanted = [frame for frame in video if begin - 1e-3 <= frame.time_s <= end + 1e-3]
    with VideoReader(Path("out") / files["clip"]) as video:
        found = list(video)
    assert [round(frame.time_s, 3) for frame in found] == [
        round(frame.time_s - wanted[0].time_s, 3) for frame in wanted
    ]
    trail = trail_of(sighting)
    differs = []
    for ours, theirs in zip(found, wanted, strict=True):
        box = trail.at(theirs.index, 10)
        apart = np.abs(ours.image.astype(int) - theirs.image.astype(int)).max(2)
        if box is None:
            continue
        left, top, right, bottom = (int(value) for value in box.round())
        edge = apart[max(top, 0) : bottom, min(max(left, 0), apart.shape[1] - 1)]
        inside = apart[top + 12 : bottom - 12, left + 12 : right - 12]
        differs.append(np.median(edge) > 30 > np.median(inside))
    assert len(differs) > 3
    assert np.mean(differs) > 0.8


def test_a_zip_holds_the_same_in_one_folder(library, case):
    exported(library, case, "out.zip")
    with zipfile.ZipFile("out.zip") as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
        assert names == {"out"}
        archive.extractall("unpacked")
    assert check(Path("out.zip"), None, QUIET) == check(Path("unpacked/out"), None, QUIET)
    assert check(Path("out.zip"), None, QUIET).faults == ()


def test_a_part_of_a_tracklet_is_cut_to_it(library, case):
    row = case.sightings[0].row
    other = new_case("lib", "part")
    part = add(other, library, row["key"], span=(row["file_start_s"] + 0.5, row["file_start_s"] + 0.7))
    export(library, find_case("lib", "part"), Path("part"), QUIET, 0.1)
    with VideoReader(next(Path("part/clips").iterdir())) as video:
        times = [frame.time_s for frame in video]
    assert times[-1] <= part.end_s - part.begin_s + 0.2 + 1e-3
    assert len(times) >= 3


# ---- what is missing is said


def test_a_recording_that_is_gone_or_changed_is_said_and_the_rest_is_exported(library, case):
    first, second = (Path(one.row["path"]) for one in case.sightings)
    first.unlink()
    with second.open("ab") as file:
        file.write(b"more")
    made = exported(library, case)
    assert "sighting 1" in made.lacks[0]
    assert "the recording is not there any more" in made.lacks[0]
    assert "the file is not the recording that was worked on" in made.lacks[1]
    manifest = manifest_of("out")
    assert [one["state"] for one in manifest["recordings"]] == ["missing", "changed"]
    assert [set(one["files"]) for one in manifest["sightings"]] == [{"crop"}, {"crop"}]
    assert "not there any more" in Links(Path("out/index.html").read_text(encoding="utf-8")).text
    assert check(Path("out"), None, QUIET).faults == ()


def test_a_run_that_is_gone_is_said_and_its_clip_has_no_box(library, case):
    shutil.rmtree("monday")
    made = exported(library, case)
    assert any("monday: no run there any more" in line for line in made.lacks)
    assert "clip" in manifest_of("out")["sightings"][0]["files"]


def test_corrections_in_force_are_in_the_bundle(library, case, capsys):
    name = case.sightings[0].row
    assert main(["link", "monday", "--nobody", f"{name['recording']}/{name['track_id']}"]) == 0
    made = exported(library, case)
    runs = {one["name"]: one for one in manifest_of("out")["runs"]}
    (correction,) = runs["monday"]["corrections"]
    assert correction["says"].endswith("is nobody")
    assert any("has no tracklet" in line for line in made.lacks)
    assert correction["says"] in Links(Path("out/index.html").read_text(encoding="utf-8")).text


# ---- whole or not at all


def test_an_interrupted_export_leaves_nothing(library, case, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundling, "write_page", interrupted)
    before = sorted(path.name for path in Path().iterdir())
    for name in ("out", "out.zip"):
        with pytest.raises(KeyboardInterrupt):
            exported(library, case, name)
    assert sorted(path.name for path in Path().iterdir()) == before
    assert find_case("lib", case.name).log == case.log


def test_what_is_there_is_not_written_over_and_an_empty_tray_is_refused(library, case):
    Path("out").mkdir()
    with pytest.raises(BadInputError, match="out: is there already"):
        exported(library, case)
    with pytest.raises(BadInputError, match="nothing in its tray"):
        exported(library, new_case("lib", "empty"))


def test_a_case_whose_log_was_changed_is_not_exported(library, case, capsys):
    path = case.folder / "log.jsonl"
    path.write_text(path.read_text().replace("person.jpg", "another.jpg"))
    assert main(["case", "lib", case.name, "--export", "out"]) == 1
    assert "line 3 does not follow from the one before; it was changed; put the file back" in capsys.readouterr().err
    assert not Path("out").exists()


# ---- where a person is, and when a frame is


def test_between_frames_that_were_looked_at_a_box_is_in_between():
    trail = Trail([10, 20, 90], np.array([[0, 0, 10, 10], [10, 20, 30, 40], [0, 0, 1, 1]], np.float32))
    assert trail.at(10, 25).tolist() == [0, 0, 10, 10]
    assert trail.at(15, 25).tolist() == [5, 10, 20, 25]
    assert trail.at(9, 25) is None
    assert trail.at(91, 25) is None
    assert trail.at(50, 25) is None  # 70 frames are more than a second
    assert trail.at(50, 100) is not None
    assert Trail().at(5, 25) is None


@pytest.mark.parametrize("known", [0, 40, 119])
def test_late_in_a_long_recording_frames_have_the_same_numbers_as_from_the_beginning(desk, monkeypatch, known):
    from tests.clips import empty_room

    path = empty_room(Path("long.mp4"), frames=120, rate=10)
    with VideoReader(path) as video:
        all_frames = list(video)
    monkeypatch.setattr("tracker.casefile.moments.NEAR_S", 1.0)
    one = all_frames[known]
    found = list(passage(path, 8.05, 10.2, (one.index, one.time_s)))
    expected = [frame for frame in all_frames if 8.05 <= frame.time_s <= 10.2]
    assert [frame.index for frame in found] == [frame.index for frame in expected]
    assert [frame.time_s for frame in found] == pytest.approx([frame.time_s for frame in expected])
    assert all(np.array_equal(a.image, b.image) for a, b in zip(found, expected, strict=True))


def test_where_the_known_frame_is_not_found_everything_is_decoded(desk, monkeypatch):
    from tests.clips import empty_room

    path = empty_room(Path("long.mp4"), frames=60, rate=10)
    monkeypatch.setattr("tracker.casefile.moments.NEAR_S", 1.0)
    found = list(passage(path, 3.0, 4.0, (33, 3.25)))  # no frame is at 3.25 s
    assert [frame.index for frame in found] == list(range(31, 42))


# ---- verifying


def rewritten(folder, change):
    path = Path(folder) / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def cut_clip(folder):
    clip = next((Path(folder) / "clips").iterdir())
    clip.write_bytes(clip.read_bytes()[:-1])


def change_log_and_its_hash(folder):
    path = Path(folder) / "log.jsonl"
    path.write_text(path.read_text().replace("person.jpg", "another.jpg"))
    rewritten(folder, lambda content: content["files"]["log.jsonl"].update(sha256=sha256(path)))


FORGERIES = {
    "a clip cut short": (cut_clip, r"clips/.*: was changed"),
    "a file removed": (lambda folder: (Path(folder) / "index.html").unlink(), "index.html: is missing"),
    "a file added": (lambda folder: (Path(folder) / "more.txt").write_text("x"), "more.txt: is not in the manifest"),
    "the log changed and hashed again": (change_log_and_its_hash, "log.jsonl: line 3 does not follow"),
    "the log left out": (
        lambda folder: rewritten(folder, lambda content: content["files"].pop("log.jsonl")),
        "the case's log is not in the manifest",
    ),
    "a way out of the bundle": (
        lambda folder: rewritten(folder, lambda content: content["files"].update({"../a.mp4": {"sha256": "0"}})),
        r"\.\./a\.mp4: is missing",
    ),
}


def packed(folder, out, **more):
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            archive.write(path, f"out/{path.relative_to(folder).as_posix()}")
        for name, content in more.items():
            archive.writestr(name, content)
    return Path(out)


@pytest.fixture
def bundle(library, case):
    exported(library, case)
    return Path("out")


def test_forgeries_are_told(bundle, capsys):
    for what, (forge, said) in FORGERIES.items():
        shutil.copytree(bundle, "forged")
        forge("forged")
        assert main(["verify", "forged"]) == 1, what
        out = capsys.readouterr().out
        assert re.search(f"fault: .*{said}", out), (what, out)
        assert "do not rely on this bundle" in out
        shutil.rmtree("forged")


def test_a_file_beside_a_zips_folder_is_told(bundle):
    # Programs unpack it beside the genuine ones; by its name alone it would be taken for one of them.
    for name in ("index.html", "manifest.json"):
        (fault,) = check(packed(bundle, f"{name}.zip", **{name: "forged"}), None, QUIET).faults
        assert fault == f"../{name}: is not in the manifest"


def test_a_byte_that_was_changed_anywhere_in_a_zip_is_told(bundle):
    whole = packed(bundle, "whole.zip").read_bytes()
    with zipfile.ZipFile("whole.zip") as archive:
        page, content = archive.getinfo("out/index.html"), archive.read("out/index.html")
    begin = page.header_offset + 30 + len(page.filename)
    told = 0
    for place in range(begin, begin + page.compress_size, max(page.compress_size // 40, 1)):
        Path("changed.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        faults = check(Path("changed.zip"), None, QUIET).faults
        if not faults:  # another way to compress the same page
            with zipfile.ZipFile("changed.zip") as archive:
                assert archive.read("out/index.html") == content
            continue
        (fault,) = faults
        assert fault.startswith(("index.html: was changed", "index.html: cannot be read"))
        told += 1
    assert told > 30


def test_a_manifest_that_names_a_device_as_a_recording_does_not_hold_anything_up(bundle):
    rewritten(bundle, lambda content: content["recordings"][0].update(path="/dev/zero"))
    assert check(bundle, None, QUIET).recordings[0][2] == "not found"


def test_a_manifest_of_anything_else_is_one_line(bundle, capsys):
    for content in ("[" * 100_000, '{"format": 1e999}', '{"format": 1, "files": {}, "recordings": [{"bytes": []}]}'):
        (bundle / "manifest.json").write_text(content)
        assert main(["verify", "out", "--recordings", "."]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "its manifest.json is damaged" in line


def test_a_recording_is_not_taken_for_another_of_the_same_name(bundle, desk):
    first, second = (Path(one["path"]) for one in manifest_of(bundle)["recordings"])
    for number, path in enumerate((first, second)):
        (desk / f"disk{number}").mkdir()
        path.rename(desk / f"disk{number}/video.mp4")
    moved = [str(desk / f"disk{number}/video.mp4") for number in (0, 1)]
    rewritten(
        bundle, lambda content: [one.update(path=path) for one, path in zip(content["recordings"], moved, strict=True)]
    )
    Path(moved[0]).unlink()
    assert [state for _, _, state in check(bundle, None, QUIET).recordings] == ["not found", "agrees"]


def test_a_manifest_that_was_made_again_has_another_seal(bundle, capsys):
    assert main(["verify", "out"]) == 0
    seal = re.search("seal (.*)", capsys.readouterr().out)[1]
    assert main(["verify", "out", "--seal", seal.upper()]) == 0
    rewritten(bundle, lambda content: content["sightings"][0].update(probability=0.999))
    assert main(["verify", "out", "--seal", seal]) == 1
    assert "the seal differs" in capsys.readouterr().out


def test_recordings_are_found_by_content_wherever_they_are(bundle, desk, capsys):
    (desk / "disk/below").mkdir(parents=True)
    for number, one in enumerate(manifest_of(bundle)["recordings"]):
        shutil.move(one["path"], desk / f"disk/below/{number}.mp4")
    assert main(["verify", "out"]) == 0
    assert "not found" in capsys.readouterr().out
    assert main(["verify", "out", "--recordings", "disk"]) == 0
    assert capsys.readouterr().out.count("agrees") == len(manifest_of(bundle)["recordings"])
    other = desk / "disk/below/0.mp4"
    other.write_bytes(other.read_bytes()[:-1] + b"x")
    assert main(["verify", "out", "--recordings", "disk"]) == 1
    assert "not found" in capsys.readouterr().out
    assert main(["verify", "out", "--recordings", "nowhere"]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such bundle"),
        (lambda path: path.write_text("x"), "neither a folder nor a .zip"),
        (lambda path: path.mkdir(), "no manifest.json in it"),
        (lambda path: (path.mkdir(), (path / "manifest.json").write_text("{}")), "its manifest.json is damaged"),
        (
            lambda path: (path.mkdir(), (path / "manifest.json").write_text('{"format": 99}')),
            "bundle format 99, this reidtrack reads 1",
        ),
    ],
)
def test_what_is_no_bundle_is_one_line(tmp_path, capsys, make, said):
    make(tmp_path / "it")
    assert main(["verify", str(tmp_path / "it")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


# ---- the command


def test_cases_are_listed_shown_and_exported_from_the_command_line(desk, case, capsys):
    assert main(["case", "lib"]) == 0
    assert "Stolen bicycle  2" in capsys.readouterr().out
    assert main(["case", "lib", "Stolen bicycle"]) == 0
    assert "0.93" in capsys.readouterr().out
    assert main(["case", "lib", "stolen_bicycle", "--export", "b.zip", "--margin", "0"]) == 0
    out = capsys.readouterr().out
    assert main(["verify", "b.zip", "--seal", out.split()[-1]]) == 0
    assert main(["case", "lib", "other"]) == 2
    assert main(["case", "lib", "--export", "x"]) == 2
    assert main(["case", "lib", "Stolen bicycle", "--export", "y", "--margin", "-1"]) == 2
    assert main(["case", "nowhere"]) == 1
