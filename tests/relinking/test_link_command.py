"""`reidtrack link` on small real runs, and runs that grow: who moves, who stays, what is kept and what is refused."""

import csv
import itertools
import json
import re
import shutil

import numpy as np
import pytest

from reid.calibration import Calibration, Curve
from tests.clips import cut
from tests.helpers import colour_embedder
from tracker import outputs, site
from tracker.cli import main
from tracker.demo import render_demo
from tracker.detect import YoloDetector
from tracker.lock import only_writer
from tracker.relinking.corrections import CORRECTIONS
from tracker.store import Run
from tracker.unlabelled import Pairs

CLIPS = ("a.mp4", "b.mp4", "c.mp4")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with three short clips of two cameras, and a finished run of all of them, ``all``."""
    folder = tmp_path_factory.mktemp("made")
    left, right = render_demo(folder / "clips").videos
    for name, clip, first in zip(CLIPS, (left, right, left), (60, 60, 130), strict=True):
        cut(clip, folder / name, first, first + 24)
    colour_embedder(folder / "colour.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(*CLIPS, out="all") == 0
    return folder


@pytest.fixture
def desk(made, tmp_path, monkeypatch):
    """The same to change: ``all``, and ``out`` that holds stages only, so that a run there detects nothing."""
    for name in (*CLIPS, "colour.onnx"):
        shutil.copy(made / name, tmp_path / name)
    shutil.copytree(made / "all", tmp_path / "all")
    monkeypatch.chdir(tmp_path)

    def refuse(*args):
        raise AssertionError("detects")

    monkeypatch.setattr(YoloDetector, "__call__", refuse)
    return tmp_path


def run(*clips, out, options=()):
    return main(["run", "--videos", *clips, "--embedder", "colour.onnx", "--out", out, *options])


def lend_stages(desk):
    """``out`` gets the stages of all recordings: a run there finds its own work done."""
    (desk / "out").mkdir()
    shutil.copytree(desk / "all/stages", desk / "out/stages")
    content = json.loads((desk / "all/run.json").read_text())
    content |= {"recordings": [], "status": "incomplete"}
    (desk / "out/run.json").write_text(json.dumps(content))


def link(*args, out="all"):
    return main(["link", out, *map(str, args)])


def numbers(out="all"):
    return {
        one["tracklet"]: entry["identity"]
        for entry in json.loads((Run.open(out).path / "identities.json").read_text())
        for one in entry["tracklets"]
    }


def members(found):
    groups = {}
    for name, number in found.items():
        groups.setdefault(number, set()).add(name)
    return groups


def groups(found):
    return sorted(map(sorted, members(found).values()))


def written(out="all"):
    """Everything that says who is who, as text."""
    files = [
        "identities.csv",
        "identities.json",
        *sorted(f"tracks/{path.name}" for path in (Run.open(out).path / "tracks").iterdir()),
    ]
    return [(Run.open(out).path / name).read_text() for name in files]


def error_line(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def in_two(found):
    """Names of two tracklets of different identities in different recordings."""
    return next((a, b) for a in found for b in found if found[a] < found[b] and a.split("/")[0] != b.split("/")[0])


def in_one(found):
    """Names of two tracklets of one identity."""
    return next((a, b) for a in found for b in found if a < b and found[a] == found[b])


# ---- linking again


def test_linking_a_run_again_changes_nothing_and_says_so(desk, capsys):
    before = written()
    assert link() == 0
    assert written() == before
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == "no identity changed"
    assert "identities, " in shown.out
    assert "report: all/report.html" in shown.err


@pytest.mark.parametrize(
    "command",
    [["link", "all"], ["calibrate", "all"], ["calibrate", "all", "--reset"]],
    ids=" ".join,
)
def test_nobody_else_writes_into_the_run_meanwhile(desk, capsys, command):
    before = written()
    with only_writer(desk / "all", "all"):
        assert main(command) == 1
        assert re.search(r"^error: all: .*, process \d+, since .*, is writing to it; wait", error_line(capsys))
        assert run(*CLIPS, out="all") == 1
        assert "all: " in (said := error_line(capsys))
        assert "is writing to it" in said
    assert written() == before
    assert run(*CLIPS, out="all") == 0


def test_another_probability_is_kept(desk):
    assert link("--min-probability", 1) == 0
    apart = len(set(numbers().values()))
    assert link("--min-probability", 0) == 0
    assert len(set(numbers().values())) < apart == len(numbers())
    assert Run.open("all").manifest["options"]["min_probability"] == 0
    before = written()
    assert link() == 0
    assert written() == before
    assert "former" not in Run.open("all").manifest


def test_a_correction_changes_what_it_is_about_and_is_taken_back(desk, capsys):
    before = numbers()
    a, b = in_two(before)
    low, high = sorted((before[a], before[b]))
    assert link("--same", a, b) == 0
    after = numbers()
    assert after[a] == after[b]
    assert {name: n for name, n in after.items() if n not in (low, high)} == {
        name: n for name, n in before.items() if n not in (low, high)
    }
    said = capsys.readouterr().out
    assert f"identities {low} (" in said
    assert "became" in said
    assert link("--undo", 1) == 0
    assert numbers() == before


def test_two_people_are_divided_and_stay_so(desk, capsys):
    before = numbers()
    a, b = in_one(before)
    assert link("--different", a, b) == 0
    after = numbers()
    assert after[a] != after[b]
    others = [name for name in before if before[name] != before[a]]
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    assert link() == 0
    assert numbers()[a] != numbers()[b]
    assert run(*CLIPS, out="all") == 0
    assert numbers()[a] != numbers()[b]
    assert link("--undo", 1) == 0
    assert link() == 0
    assert groups(numbers()) == groups(before)


def test_no_number_is_given_twice(desk):
    before = numbers()
    a, b = in_one(before)
    given = set(before.values())
    for correction in (1, 3, 5):
        assert link("--different", a, b) == 0
        (new,) = set(numbers().values()) - set(before.values())
        assert new not in given
        given.add(new)
        assert link("--undo", correction) == 0
        assert numbers() == before
    assert Run.open("all").manifest["linking"]["highest"] == max(given)


def test_nobody_leaves_all_results(desk):
    before, name = numbers(), "a/1"
    assert link("--nobody", name) == 0
    assert numbers() == {other: number for other, number in before.items() if other != name}
    assert name not in {str(line["tracklet"]) for line in Run.open("all").tracklets().to_pylist()}
    assert not list((desk / "all/crops/a").glob("00001_*"))
    assert link("--undo", 1) == 0
    assert numbers() == before
    assert list((desk / "all/crops/a").glob("00001_*"))


def test_everybody_may_be_nobody(desk, capsys):
    names = [word for name in numbers() for word in ("--nobody", name)]
    assert link(*names) == 0
    assert "no people found" in capsys.readouterr().out
    assert numbers() == {}
    assert link("--undo", 1) == 0
    assert len(numbers()) == 1


def test_several_corrections_at_once_are_as_one_after_the_other(desk):
    before = numbers()
    a, b = in_two(before)
    c = next(name for name in before if name not in (a, b))
    assert link("--nobody", c, "--same", a, b) == 0
    together = numbers()
    assert link("--undo", 2, "--undo", 1) == 0
    assert numbers() == before
    assert link("--same", a, b) == 0
    assert link("--nobody", c) == 0
    assert numbers() == together


def test_corrections_are_listed(desk, capsys):
    assert link("--corrections") == 0
    assert capsys.readouterr().out == "no corrections\n"
    before = written()
    a, b = in_two(numbers())
    assert link("--same", a, b) == 0
    assert link("--undo", 1) == 0
    capsys.readouterr()
    assert link("--corrections") == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["correction", "when", "what"]
    assert f"{a} = {b}" in first
    assert first.endswith("taken back by 2")
    assert "takes back 1" in second
    assert len(written()) == len(before)


def test_what_was_said_is_not_said_twice(desk, capsys):
    a, b = in_two(numbers())
    assert link("--same", a, b) == 0
    assert link("--same", b, a) == 0
    assert "said already (correction 1)" in capsys.readouterr().err
    assert (desk / "all" / CORRECTIONS).read_text().count("\n") == 1
    assert link("--undo", 1) == 0
    assert link("--undo", 1) == 0
    assert "taken back already (correction 2)" in capsys.readouterr().err


def test_two_boxes_at_one_moment_are_one_person_where_the_user_says_so(desk, capsys):
    times = {
        one["tracklet"]: (one["start_s"], one["end_s"])
        for entry in Run.open("all").identities()
        for one in entry["tracklets"]
    }
    a, b = next(
        (a, b)
        for a in times
        for b in times
        if a < b and a[0] == b[0] and times[a][0] <= times[b][1] and times[b][0] <= times[a][1]
    )
    assert link("--same", a, b) == 0
    assert f"{a} and {b} are in {a[0]} at one moment" in capsys.readouterr().err
    assert numbers()[a] == numbers()[b]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--same", "a/1", "a1"], "'a1' names no tracklet; write RECORDING/NUMBER"),
        (["--nobody", "a/x"], "'a/x' names no tracklet"),
        (["--same", "a/1", "a/1"], "a/1 is one tracklet; name two"),
        (["--different", "a/1", "b/99"], "b/99: no such tracklet"),
        (["--nobody", "z/1"], "no recording 'z' with people; it has a, b, c"),
        (["--undo", "7"], "--undo 7: no such correction"),
        (["--min-probability", "2"], "2 is no probability"),
        (["--same", "a/1", "b/1", "--different", "b/1", "a/1"], "contradicts a/1 = b/1 (given now)"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(desk, capsys, args, said):
    before = {path: path.read_bytes() for path in (desk / "all").glob("*.*") if path.is_file()}
    assert link(*args) == 2
    assert said in error_line(capsys)
    assert {path: path.read_bytes() for path in (desk / "all").glob("*.*") if path.is_file()} == before


def test_contradictions_with_earlier_corrections(desk, capsys):
    assert link("--same", "a/1", "b/1", "--same", "b/1", "c/1", "--nobody", "a/2") == 0
    capsys.readouterr()
    assert link("--different", "a/1", "c/1") == 2
    assert "contradicts a/1 = b/1 (correction 1) and b/1 = c/1 (correction 2)" in error_line(capsys)
    assert link("--different", "a/2", "c/1") == 2
    assert "a/2 is nobody by correction 3; take that back with --undo 3" in error_line(capsys)
    assert link("--undo", 1, "--different", "a/1", "c/1") == 0
    assert link("--undo", 4) == 2
    assert "takes back 1 itself" in error_line(capsys)


def test_a_folder_that_is_no_run(desk, capsys):
    assert link(out="clips") == 1
    assert "not a run directory" in error_line(capsys)


def test_corrections_are_not_applied_to_another_trackers_tracklets(desk, capsys):
    a, b = in_one(numbers())
    assert link("--different", a, b) == 0
    assert run(*CLIPS, out="all", options=["--tracker", "ocsort"]) == 0
    told = capsys.readouterr().err
    assert told.count("are kept and not applied: 1") == 1
    assert told.count("since something differs: --tracker (ocsort, ") == 1
    assert run(*CLIPS, out="all") == 0
    assert numbers()[a] != numbers()[b]


def test_pairs_of_crops(desk, capsys):
    assert link("--same", "a/1", "b/1", "--same", "b/1", "c/1", "--different", "a/2", "c/1") == 0
    before = written()
    capsys.readouterr()
    assert link("--pairs", "pairs.csv") == 0
    assert written() == before
    rows = list(csv.DictReader((desk / "pairs.csv").read_text().splitlines()))
    assert f"{len(rows)} pairs of crops: pairs.csv" in capsys.readouterr().err
    assert list(rows[0]) == ["kind", "crop_a", "crop_b"]
    found = {
        (
            row["kind"],
            *sorted(f"{name.split('/')[2]}/{int(name.split('/')[3][:5])}" for name in (row["crop_a"], row["crop_b"])),
        )
        for row in rows
    }
    same = {("same", "a/1", "b/1"), ("same", "b/1", "c/1"), ("same", "a/1", "c/1")}
    assert found == same | {("different", "a/1", "a/2"), ("different", "a/2", "b/1"), ("different", "a/2", "c/1")}
    assert all((desk / row[side]).is_file() for row in rows for side in ("crop_a", "crop_b"))
    assert len({tuple(row.values()) for row in rows}) == len(rows)


# ---- interruptions


def interrupt_writing(monkeypatch, when):
    """Ctrl-C in ``tracker.outputs``, at the function named."""

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, when, interrupted)


@pytest.mark.parametrize("when", ["write_crops", "write_page"], ids=["before identities.json", "after it"])
@pytest.mark.parametrize("then", [["--undo", "1"], ["--undo", "1", "--corrections"]])
def test_an_interrupted_undo_is_finished_by_the_same_command(desk, monkeypatch, capsys, when, then):
    before = numbers()
    a, b = in_two(before)
    assert link("--same", a, b) == 0
    with monkeypatch.context() as patch:
        interrupt_writing(patch, when)
        assert link("--undo", 1) == 1
    assert json.loads((desk / "all/run.json").read_text())["status"] == "incomplete"
    assert link(*then) == 0
    assert numbers() == before


@pytest.mark.parametrize("when", ["write_crops", "write_page"], ids=["before identities.json", "after it"])
def test_run_finishes_an_interrupted_link_too(desk, monkeypatch, when):
    before = numbers()
    a, b = in_two(before)
    with monkeypatch.context() as patch:
        interrupt_writing(patch, when)
        assert link("--same", a, b) == 1
    assert run(*CLIPS, out="all") == 0
    assert numbers()[a] == numbers()[b]


# ---- runs that grow


def grow(desk, *, out="out"):
    """A run of a and b in ``out``, with the stages of c lying there already."""
    lend_stages(desk)
    assert run("a.mp4", "b.mp4", out=out) == 0


def test_a_new_recording_moves_nobody(desk, capsys):
    grow(desk)
    a, b = in_two(numbers("out"))
    assert link("--same", a, b, out="out") == 0
    before = numbers("out")
    capsys.readouterr()
    assert run(*CLIPS, out="out") == 0
    after = numbers("out")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in after} == {"a", "b", "c"}
    count = len(set(before.values()))
    assert (
        f"{count} identities stay as they were, with their numbers; `reidtrack link out` links everything afresh"
        in capsys.readouterr().err
    )
    assert run("c.mp4", "b.mp4", "a.mp4", out="out") == 0
    assert numbers("out") == after


def test_a_run_that_grew_is_linked_afresh_on_request(desk):
    grow(desk)
    assert run(*CLIPS, out="out") == 0
    assert link(out="out") == 0
    assert groups(numbers("out")) == groups(numbers())


@pytest.mark.parametrize("when", ["tracking", "write_crops", "write_page"])
def test_growing_interrupted_loses_nobody(desk, monkeypatch, when):
    grow(desk)
    a, b = in_two(numbers("out"))
    assert link("--same", a, b, out="out") == 0
    before = numbers("out")
    with monkeypatch.context() as patch:
        if when == "tracking":
            patch.setattr("tracker.pipeline._track", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        else:
            interrupt_writing(patch, when)
        assert run(*CLIPS, out="out") == 1
        assert run(*CLIPS, out="out") == 1
    assert run(*CLIPS, out="out") == 0
    after = numbers("out")
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        (["--min-probability", "0.9"], "--min-probability (0.9, 0.5 before)"),
        (["--cameras", "x", "y", "z"], "camera or start time of a, b"),
        (["--start-times", "0", "1", "50"], "camera or start time of b"),
        (["--disjoint", "all"], "--disjoint"),
    ],
)
def test_where_the_question_is_another_everything_is_linked_afresh(desk, capsys, options, differs):
    grow(desk)
    before = numbers("out")
    capsys.readouterr()
    assert run(*CLIPS, out="out", options=options) == 0
    told = capsys.readouterr().err.splitlines()
    assert not [line for line in told if "stay as they were" in line]
    assert f"everything is linked afresh, since something differs: {differs}" in told
    found = groups(numbers("out"))
    assert set(before.values()) & set(numbers("out").values())
    shutil.rmtree(desk / "out")
    lend_stages(desk)
    assert run(*CLIPS, out="out", options=options) == 0
    assert found == groups(numbers("out"))


def test_what_similarities_mean_is_a_question_too(desk, capsys):
    calibration = Calibration(Curve(5.0, -2.0), Curve(5.0, -2.0))
    some = Pairs(np.array([-0.1, 0.1], np.float32), 4, np.zeros(0, np.float32), np.zeros(0, np.float32))
    site.write(desk / "all", Run.open("all").manifest["embedder"], calibration, calibration.tracklets, some)
    assert run(*CLIPS, out="all") == 0
    assert "differs: what similarities mean (`reidtrack calibrate`" in capsys.readouterr().err


def test_a_run_that_grows_keeps_its_own_probability(desk, capsys):
    grow(desk)
    assert link("--min-probability", 0.7, out="out") == 0
    before = numbers("out")
    assert run(*CLIPS, out="out") == 0
    assert "afresh, since" not in capsys.readouterr().err
    assert {name: numbers("out")[name] for name in before} == before
    assert Run.open("out").manifest["options"]["min_probability"] == 0.7


def test_a_run_of_another_recordings_name_keeps_its_people(desk):
    """A second file of the same name gives both their folders' names; people and corrections follow."""
    grow(desk)
    a, b = in_two(numbers("out"))
    assert link("--same", a, b, out="out") == 0
    before = numbers("out")
    (desk / "night").mkdir()
    shutil.move(desk / "c.mp4", desk / "night/a.mp4")
    assert run("a.mp4", "b.mp4", "night/a.mp4", out="out", options=["--cameras", "a", "b", "c"]) == 0
    after = numbers("out")
    renamed = {name.replace("a/", f"{desk.name}_a/"): number for name, number in before.items()}
    assert {name: after[name] for name in renamed} == renamed
    assert link("--undo", 1, out="out") == 0
    assert link(out="out") == 0


# ---- cameras that share no place


def test_nobody_is_at_once_in_cameras_that_share_no_place(desk, capsys):
    assert run(*CLIPS, out="all", options=["--min-probability", "0"]) == 0
    assert any(len({name[0] for name in names}) > 1 for names in members(numbers()).values())
    assert run(*CLIPS, out="all", options=["--min-probability", "0", "--disjoint", "all"]) == 0
    for _ in range(2):  # linked again it holds too
        assert Run.open("all").manifest["options"]["disjoint"] == ["all"]
        for entry in Run.open("all").identities():
            spans = sorted((one["start_s"], one["end_s"]) for one in entry["tracklets"])
            assert all(first[1] < second[0] for first, second in itertools.pairwise(spans))
        assert link() == 0


@pytest.mark.parametrize(
    ("names", "said"), [(["a", "x"], "no camera 'x'; name some of a, b, c, or all"), (["a"], "a alone shares")]
)
def test_cameras_that_there_are_not(desk, capsys, names, said):
    assert run(*CLIPS, out="new", options=["--disjoint", *names]) == 2
    assert said in error_line(capsys)
    assert not (desk / "new").exists()


def test_rendered_videos_follow_and_are_left_out_where_the_recording_is_gone(desk, capsys):
    assert run(*CLIPS, out="all", options=["--render"]) == 0
    assert link() == 0
    assert len(list((desk / "all/rendered").iterdir())) == 3
    (desk / "b.mp4").unlink()
    assert link() == 0
    assert "b.mp4 is gone" in capsys.readouterr().err
    assert not (desk / "all/rendered").exists()


def test_a_recording_that_cannot_be_read_any_more_costs_its_picture_only(desk, capsys):
    path = desk / "all/run.json"
    manifest = json.loads(path.read_text())
    manifest["options"]["render"] = True
    for entry in manifest["recordings"]:
        entry["path"] = str(desk / f"{entry['name']}.mp4")
    path.write_text(json.dumps(manifest))
    (desk / "b.mp4").write_text("no video")
    a, b = in_two(numbers())
    assert link("--same", a, b) == 0
    assert numbers()[a] == numbers()[b]
    told = capsys.readouterr()
    assert "warning: " in told.err
    assert "b.mp4: not a video" in told.err
    assert "report: all/report.html" in told.err
    assert sorted(path.name for path in (desk / "all/rendered").iterdir()) == ["a.mp4", "c.mp4"]
    assert "it is not rendered" in (desk / "all/report.html").read_text()
    (warning,) = Run.open("all").manifest["warnings"]
    assert "b.mp4" in warning


def test_a_run_is_complete_before_it_is_rendered(desk, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_writing(patch, "render")
        assert run(*CLIPS, out="all", options=["--render"]) == 1
    assert Run.open("all").identities()
    assert (desk / "all/report.html").is_file()


def test_a_run_of_an_earlier_version_is_linked_afresh(desk, capsys):
    """Its run.json says neither which files its stages made nor how it was linked."""
    before, path = numbers(), desk / "all/run.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["recordings"]:
        del entry["stages"]
    del manifest["linking"], manifest["calibration"], manifest["options"]["disjoint"]
    path.write_text(json.dumps(manifest))
    assert link("--pairs", "pairs.csv") == 1
    assert "made by an older version" in error_line(capsys)
    assert link() == 1
    assert "give its `reidtrack run` command again" in error_line(capsys)
    assert run(*CLIPS, out="all") == 0
    assert numbers() == before
