"""A finished run on disk and a folder of truth, to all figures, the picture and the command's text."""

import json
import shutil
import tracemalloc

import matplotlib.image
import numpy as np
import pytest

from reid.calibration import Curve
from reid.errors import DataError
from tests.scoring.worlds import standing, write_run, write_truth
from tracker.cli import main
from tracker.errors import RunError
from tracker.material import Material
from tracker.scoring import score_run
from tracker.scoring.figure import MOST, draw_scores
from tracker.scoring.found import read_tracklet_table
from tracker.scoring.job import ALL, Joins, score_joins
from tracker.store import Run
from tracker.types import Crop, Tracklet

FRAMES = range(1, 11)
PEOPLE = {
    "gate": {1: standing(0, FRAMES), 2: standing(50, FRAMES)},
    "hall": {1: standing(20, FRAMES), 2: standing(90, FRAMES)},
}
RIGHT = {("gate", 1): 1, ("gate", 2): 2, ("hall", 1): 1, ("hall", 2): 2}


@pytest.fixture
def said():
    return []


def perfect(folder, **options):
    return write_run(folder / "run", PEOPLE, identity=options.pop("identity", RIGHT), frames=10, **options)


def scored(folder, said, truth=None, **options):
    return score_run(Run.open(folder / "run"), truth or folder / "truth", said.append, **options)


def test_a_perfect_run_is_1_everywhere(tmp_path, said):
    detections = {name: {f: [path[f] for path in paths.values()] for f in FRAMES} for name, paths in PEOPLE.items()}
    perfect(tmp_path, detections=detections)
    write_truth(tmp_path / "truth", PEOPLE)
    scores = scored(tmp_path, said)
    assert said == ["gate: truth on every frame, 1 to 10", "hall: truth on every frame, 1 to 10"]
    for one in scores.identities.values():
        assert {one.hota, one.det_a, one.ass_a, one.idf1, one.idp, one.idr, one.mota} == {1.0}
        assert (one.switches, one.false, one.missed, one.people) == (0, 0, 0, 2)
    assert scores.identities[ALL].boxes == 40
    assert scores.idf1_several == scores.attribution.idf1 == scores.labels.purity == 1
    assert set(scores.attribution.losses().values()) == {0}
    assert scores.attribution.untracked == 0
    assert (scores.joins.precision, scores.joins.recall) == (1, 1)
    assert (scores.retrieval.mean_ap, scores.retrieval.mean_inp, scores.retrieval.rank(1)) == (1, 1, 1)
    assert scores.retrieval.queries == 4
    assert (scores.open_set.enrolled, scores.open_set.strangers) == (4, 4)
    assert [rate[2] for rate in scores.open_set.rates] == [1, 1]
    assert scores.confusion.tolist() == [[20, 0], [0, 20]]


def test_before_linking_every_tracklet_is_somebody_else(tmp_path, said):
    perfect(tmp_path)
    write_truth(tmp_path / "truth", PEOPLE)
    scores = scored(tmp_path, said)
    assert scores.tracklets["gate"].idf1 == 1
    assert scores.tracklets[ALL].idf1 == 0.5
    assert scores.attribution.untracked is None
    assert "the run's stages/ holds no detections any more" in said[-1]


def test_fragments_of_one_identity_keep_their_own_boxes(tmp_path, said):
    """The MOT file has one id for both; the table tells which tracklet a line is of."""
    tracks = {"gate": {1: standing(0, range(1, 5)), 2: standing(0, range(7, 11)), 3: standing(50, FRAMES)}}
    write_run(tmp_path / "run", tracks, identity={("gate", 1): 4, ("gate", 2): 4, ("gate", 3): 9}, frames=10)
    write_truth(tmp_path / "truth", {"gate": PEOPLE["gate"]})
    scores = scored(tmp_path, said)
    assert scores.labels.counts.tolist() == [[4, 0], [4, 0], [0, 10]]
    assert scores.identities[ALL].idf1 == pytest.approx(2 * 18 / (20 + 18))
    assert scores.tracklets[ALL].idf1 == pytest.approx(2 * 14 / (20 + 18))
    assert (scores.idf1_several, scores.retrieval) == (None, None)


def test_truth_by_camera_and_by_the_name_of_the_tracks(tmp_path, said):
    perfect(tmp_path, cameras={"gate": "north", "hall": "south"})
    write_truth(tmp_path / "truth", {"north": PEOPLE["gate"], "hall": PEOPLE["hall"], "attic": {}})
    assert scored(tmp_path, said).identities[ALL].idf1 == 1
    assert "truth of no recording in this run: attic" in said
    perfect(
        tmp_path / "b", cameras={"gate": "both", "hall": "both"}, identity={**RIGHT, ("hall", 1): 3, ("hall", 2): 4}
    )
    write_truth(tmp_path / "b/truth", {"both_gate": PEOPLE["gate"], "both": PEOPLE["hall"]})
    assert list(scored(tmp_path / "b", said).frames) == ["gate"]
    assert f"not scored, as {tmp_path / 'b/truth'} has no truth of them: hall" in said


def test_frames_by_option_and_to_the_recordings_end(tmp_path, said):
    perfect(tmp_path)
    write_truth(tmp_path / "truth", {name: {1: standing(0, range(1, 30, 2))} for name in PEOPLE})
    scores = scored(tmp_path, said)
    assert scores.frames["gate"] == range(1, 11, 2)
    assert said[0] == "gate: truth on one frame in 2, 1 to 29"
    assert said[1] == "gate: has 10 frames; the truth of later ones is not scored"
    assert scores.identities["gate"].boxes == 5
    said.clear()
    assert scored(tmp_path, said, frames=range(1, 6)).identities["gate"].boxes == 3
    assert not any("truth on" in line for line in said)


def test_frames_that_the_run_did_not_look_at_are_told(tmp_path, said):
    tracks = {"gate": {1: standing(0, FRAMES[::3])}}
    write_run(tmp_path / "run", tracks, identity={("gate", 1): 1}, frames=10)
    path = tmp_path / "run/run.json"
    manifest = json.loads(path.read_text())
    manifest["recordings"][0]["video"]["sampled"] = 4
    path.write_text(json.dumps(manifest))
    write_truth(tmp_path / "truth", {"gate": {1: standing(0, FRAMES)}})
    assert scored(tmp_path, said).identities[ALL].missed == 6
    assert said[1].startswith("warning: gate: the run looked at 4 of 10 frames; 6 of the 10 that are scored are not")
    said.clear()
    assert scored(tmp_path, said, frames=range(1, 11, 3)).identities[ALL].idf1 == 1
    assert not any("warning" in line for line in said)


def sample(folder, count):
    """Say that the run looked at ``count`` of its frames."""
    path = folder / "run/run.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["recordings"]:
        entry["video"]["sampled"] = count
    path.write_text(json.dumps(manifest))


TENTH = (1, 4, 6, 9)  # of 25 frames a second, sampled at 10: no step of theirs is common


@pytest.mark.parametrize("seen", [TENTH, ()])
def test_the_detections_tell_which_frames_were_looked_at(tmp_path, said, seen):
    """Also where nobody was found."""
    tracks = {"gate": {1: standing(0, seen)} if seen else {}}
    log, identity = {"gate": dict.fromkeys(TENTH, ())}, {("gate", 1): 1} if seen else {}
    write_run(tmp_path / "run", tracks, identity=identity, frames=10, detections=log)
    sample(tmp_path, 4)
    write_truth(tmp_path / "truth", {"gate": {1: standing(0, FRAMES)}})
    scored(tmp_path, said)
    assert said[1].startswith("warning: gate: the run looked at 4 of 10 frames; 6 of the 10 that are scored are not")
    said.clear()
    scored(tmp_path, said, frames=range(4, 7, 2))
    assert not any("warning" in line for line in said)


@pytest.mark.parametrize("log", [None, {"gate": dict.fromkeys(FRAMES, ())}])
def test_where_nothing_tells_which_frames_the_warning_says_so(tmp_path, said, log):
    """The detections are gone, or they are also those of an earlier run that looked at more."""
    tracks = {"gate": {1: standing(0, TENTH)}}
    write_run(tmp_path / "run", tracks, identity={("gate", 1): 1}, frames=10, detections=log)
    sample(tmp_path, 4)
    write_truth(tmp_path / "truth", {"gate": {1: standing(0, FRAMES)}})
    scored(tmp_path, said)
    assert "4 of 10 frames; some of the 10 that are scored may not be among them" in said[1]


def test_two_tracklets_of_one_moment_joined_by_a_correction(tmp_path, said):
    """Each keeps its own boxes, the identity counts once in a frame."""
    write_run(tmp_path / "run", {"gate": PEOPLE["gate"]}, identity={("gate", 1): 4, ("gate", 2): 4}, frames=10)
    write_truth(tmp_path / "truth", {"gate": PEOPLE["gate"]})
    scores = scored(tmp_path, said)
    assert scores.labels.counts.tolist() == [[10, 0], [0, 10]]
    assert scores.identities[ALL].idf1 == scores.attribution.idf1 == 0.5
    assert scores.identities[ALL].false == 10
    assert scores.tracklets[ALL].idf1 == 1


def test_tracklets_of_one_moment_and_identity_with_gaps(tmp_path, said):
    """Where a tracklet has no box in a frame of its own, the other's box is not taken for it."""
    tracks = {"gate": {1: standing(0, (1, 2, 5, 6, 9)), 2: standing(50, (2, 3, 6, 7, 8)), 3: standing(90, (7, 10))}}
    write_run(tmp_path / "run", tracks, identity={("gate", row): 4 for row in (1, 2, 3)}, frames=10)
    write_truth(tmp_path / "truth", tracks)
    scores = scored(tmp_path, said)
    assert scores.labels.counts.tolist() == [[5, 0, 0], [0, 5, 0], [0, 0, 2]]


def test_more_boxes_of_an_identity_than_tracklets_do_not_fit(tmp_path, said):
    write_run(tmp_path / "run", {"gate": PEOPLE["gate"]}, identity={("gate", 1): 4, ("gate", 2): 4}, frames=10)
    write_truth(tmp_path / "truth", {"gate": PEOPLE["gate"]})
    path = tmp_path / "run/tracks/gate.txt"
    path.write_text("1,4,0,0,10,20\n" * 3)
    with pytest.raises(RunError, match=r"gate\.txt: does not fit the run's tracklets"):
        scored(tmp_path, said)


def test_vectors_are_compared_as_linking_does(tmp_path):
    """Centred on a camera, those of an album as they are."""
    rng = np.random.default_rng(0)
    tracks = {name: {row: standing(20 * row, (1,)) for row in range(1, 5)} for name in ("gate", "photos")}
    keys = [(name, row) for name in tracks for row in tracks[name]]
    vectors = {key: row / np.linalg.norm(row) for key, row in zip(keys, rng.normal(1, 1, (8, 6)), strict=True)}
    write_run(tmp_path / "run", tracks, identity={key: number for number, key in enumerate(keys)}, vectors=vectors)
    path = tmp_path / "run/run.json"
    manifest = json.loads(path.read_text())
    manifest["recordings"][1]["photos"] = ["a.jpg"]
    path.write_text(json.dumps(manifest))
    found = read_tracklet_table(Run.open(tmp_path / "run"))
    people = [
        Tracklet(key, camera, *one_box(), (Crop(1, 0.5, b""),), "a.jpg" if key.recording == "photos" else "")
        for key, camera in zip(found.keys, found.camera, strict=True)
    ]
    material = Material([], [], people, found.vectors, "model", Curve(1, 0), [])
    np.testing.assert_array_equal(found.centred(), material.centred())
    np.testing.assert_array_equal(found.centred()[4:], found.vectors[4:])


def one_box():
    return np.ones(1, np.int64), np.zeros(1), np.zeros((1, 4), np.float32), np.ones(1, np.float32)


def test_joins_of_many_tracklets_take_little_memory():
    tracemalloc.start()
    joins = score_joins(np.repeat([1, 2], 2000), np.arange(4000) // 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (joins.precision, joins.recall) == (1, pytest.approx(1 / 1999))
    assert peak < 2e6


def test_joins_of_nobody_are_none():
    assert score_joins(np.array([0, -1]), np.array([1, 1])) == Joins(None, None)


def test_ignored_boxes_and_small_ones(tmp_path, said):
    perfect(tmp_path)
    write_truth(tmp_path / "truth", {name: {1: paths[1]} for name, paths in PEOPLE.items()})
    assert scored(tmp_path, said).identities[ALL].false == 20
    write_truth(tmp_path / "truth", {name: {2: paths[2]} for name, paths in PEOPLE.items()}, "_ignore")
    scores = scored(tmp_path, said)
    assert (scores.identities[ALL].false, scores.identities[ALL].idf1) == (0, 1)
    assert scores.labels.pid.tolist() == [1, -1, 1, -1]
    with pytest.raises(DataError, match="nobody is labelled in the frames to score; check --frames and --min-area"):
        scored(tmp_path, said, min_area=201)


def test_a_run_that_found_nobody(tmp_path, said):
    write_run(tmp_path / "run", {"gate": {}, "hall": {}}, identity={}, detections={"gate": {}, "hall": {}})
    write_truth(tmp_path / "truth", PEOPLE)
    scores = scored(tmp_path, said)
    assert scores.identities[ALL].idf1 == 0
    assert scores.attribution.missed == 1
    assert (scores.retrieval, scores.open_set) == (None, None)
    assert draw_scores(tmp_path / "a.png", scores).exists()


# ---- what can be wrong


def test_no_name_in_common_lists_both(tmp_path, said):
    perfect(tmp_path)
    write_truth(tmp_path / "truth", {"cam1": {}, "cam2": {}})
    with pytest.raises(DataError, match=r"has truth of cam1, cam2, but the run is of gate, hall; name the files like"):
        scored(tmp_path, said)


def test_an_empty_file_needs_frames(tmp_path, said):
    perfect(tmp_path)
    write_truth(tmp_path / "truth", {"gate": PEOPLE["gate"], "hall": {}})
    with pytest.raises(DataError, match=r"hall\.txt: has no line; say by --frames"):
        scored(tmp_path, said)
    scores = scored(tmp_path, said, frames=FRAMES)
    assert (scores.identities["hall"].boxes, scores.identities["hall"].false) == (0, 20)


def test_tracks_that_do_not_fit_the_table(tmp_path, said):
    perfect(tmp_path)
    write_truth(tmp_path / "truth", PEOPLE)
    path = tmp_path / "run/tracks/hall.txt"
    path.write_text("11,1,0,0,10,20,1,-1,-1,-1\n")
    with pytest.raises(RunError, match=r"hall\.txt: does not fit the run's tracklets; give the `reidtrack run`"):
        scored(tmp_path, said)
    path.unlink()
    with pytest.raises(RunError, match=r"hall\.txt: absent; give"):
        scored(tmp_path, said)


# ---- the command


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    perfect(tmp_path, identity={**RIGHT, ("hall", 2): 3})
    write_truth(tmp_path / "truth", PEOPLE)
    return tmp_path


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


def test_text_files_and_picture(desk, capsys):
    assert evaluate("run", "--truth", "truth", "--out", "scores") == 0
    shown = capsys.readouterr()
    assert "gate: truth on every frame, 1 to 10" in shown.err
    rows = {line.split()[0]: line.split() for line in shown.out.splitlines() if line}
    header = "identities HOTA DetA AssA IDF1 IDP IDR MOTA switches false missed people boxes"
    assert " ".join(rows["identities"]) == header
    assert rows["linking"][1] == "25.00%"
    assert rows["IDF1"][1] == "75.00%"
    scores = json.loads((desk / "scores/scores.json").read_text())
    assert scores["identities"]["all"]["idf1"] == 0.75
    assert scores["frames"]["gate"] == [1, 10, 1]
    assert (scores["run"], scores["iou"], scores["min_area"]) == ("run", 0.5, 0.0)
    picture = matplotlib.image.imread(desk / "scores/scores.png")
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 3


def test_json_is_the_file(desk, capsys):
    assert evaluate("run", "--truth", "truth", "--out", "scores", "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((desk / "scores/scores.json").read_text())


def test_a_file_where_the_results_should_go_is_told_before_the_work(desk, capsys):
    (desk / "scores").write_text("")
    for arguments in (["run", "--truth", "truth"], ["market1501", "--data", "truth"]):
        assert evaluate(*arguments, "--out", "scores") == 2
        assert capsys.readouterr().err.strip() == "error: --out scores: cannot be a folder (File exists); give another"


def test_a_run_without_its_table(desk, capsys):
    shutil.rmtree(desk / "run/tracklets.lance")
    assert evaluate("run", "--truth", "truth") == 1
    assert "tracklets.lance: absent or damaged; give the `reidtrack run` command again" in capsys.readouterr().err


def test_one_camera_has_one_row(desk, capsys):
    (desk / "truth/hall.txt").unlink()
    assert evaluate("run", "--truth", "truth", "--frames", "1:10:3", "--iou", "0.9", "--min-area", "10") == 0
    shown = capsys.readouterr().out
    assert "\nall " not in shown
    assert "retrieval: nobody has tracklets in two cameras" in shown
    assert "AI City" not in shown


def test_a_picture_of_many_says_what_it_leaves_out(tmp_path, said):
    many = {number: standing(20 * number, range(1, 3)) for number in range(1, MOST + 6)}
    write_run(tmp_path / "run", {"gate": many}, identity={("gate", number): number for number in many})
    write_truth(tmp_path / "truth", {"gate": many})
    assert draw_scores(tmp_path / "a.png", scored(tmp_path, said)).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "run: a run is scored against known people; give their folder by --truth"),
        (["market1501", "--truth", "truth"], 2, "--truth scores a run, and market1501 is a data set"),
        (["market1501"], 2, "market1501: --data is needed, the data set's folder"),
        (["absent", "--truth", "truth"], 1, "absent: not a run directory"),
        (["truth", "--truth", "truth"], 1, "truth: not a run directory"),
        (["run", "--truth", "absent"], 1, "absent: no such folder"),
        (["run", "--truth", "truth", "--frames", "1-5"], 2, "write first:last:step"),
        (["run", "--truth", "truth", "--iou", "0"], 2, "--iou 0 is no overlap"),
        (["run", "--truth", "truth", "--iou", "nan"], 2, "--iou nan is no overlap"),
        (["run", "--truth", "truth", "--min-area", "-1"], 2, "--min-area -1 is no area"),
        (["run", "--truth", "truth", "--model", "x.onnx"], 2, "--model is for when a data set is scored"),
        (["run", "--truth", "truth", "--rerank", "k_reciprocal"], 2, "--rerank is for when a data set is scored"),
        (["market1501", "--data", "x", "--frames", "1:2"], 2, "--frames is for when a run is scored"),
    ],
)
def test_mistakes_end_in_one_line(desk, capsys, arguments, code, words):
    assert evaluate(*arguments) == code
    *rest, error = capsys.readouterr().err.strip().splitlines()
    assert not rest
    assert error.startswith("error: ")
    assert words in error


def test_malformed_truth_and_an_unfinished_run(desk, capsys):
    (desk / "truth/hall.txt").write_text("1,1,0,0,10,20\n2;1;0;0;10;20\n")
    assert evaluate("run", "--truth", "truth") == 1
    assert "hall.txt: line 2 is not frame,id,left,top,width,height" in capsys.readouterr().err
    manifest = json.loads((desk / "run/run.json").read_text())
    (desk / "run/run.json").write_text(json.dumps(manifest | {"status": "incomplete"}))
    assert evaluate("run", "--truth", "truth") == 1
    assert "this run was not finished" in capsys.readouterr().err
