"""The run directory: every file's format, whose folder it is, and reading it back."""

import csv
import json

import numpy as np
import pytest

from reid.errors import BadInputError
from tests.helpers import tracklet
from tracker.errors import RunError
from tracker.lock import only_writer
from tracker.manifest import FORMAT, check_claim, known_contents, read_manifest, write_manifest
from tracker.scoring.boxes import read_mot_lines
from tracker.store import (
    Run,
    by_recording,
    crop_name,
    identities_json,
    sightings,
    tracks_name,
    write_crops,
    write_csv,
    write_json,
    write_mot,
    write_table,
)
from tracker.types import Identity, Link, Recording, Rival

A1 = tracklet(("gate", 1), 10.0, 12.5, "north", seed=1)
A2 = tracklet(("gate", 2), 30.0, 31.0, "north", seed=2)
B1 = tracklet(("hall", 1), 11.0, 20.0, "south", seed=3)
EVERYONE = [A1, A2, B1]
BY_KEY = {person.key: person for person in EVERYONE}
PAIR = (A1.crops[0].index, B1.crops[1].index)
IDENTITIES = [
    Identity(1, (A1.key, B1.key), (Link(A1.key, B1.key, 0.25, 0.2, 0.87654, usual_s=(2.04, 9.0), pictures=PAIR),)),
    Identity(2, (A2.key,), (), (Rival(1, 0.125, A2.key, B1.key, "a reason"),)),
]
NUMBERS = {A1.key: 1, B1.key: 1, A2.key: 2}


# ---- lists


def test_a_sighting_sums_up_an_identity():
    both, alone = sightings(IDENTITIES, BY_KEY)
    assert (both.identity, both.cameras, both.tracklets) == (1, ("north", "south"), 2)
    assert (both.first_s, both.last_s, both.duration_s) == (10.0, 20.0, 11.5)
    assert both.probability == 0.87654
    assert (alone.identity, alone.probability, alone.duration_s) == (2, 1.0, 1.0)


def test_identities_csv(tmp_path):
    write_csv(tmp_path / "identities.csv", sightings(IDENTITIES, BY_KEY))
    assert (tmp_path / "identities.csv").read_bytes().decode() == (
        "identity,cameras,tracklets,first_s,last_s,duration_s,probability\n"
        "1,north;south,2,10.000,20.000,11.500,0.8765\n"
        "2,north,1,30.000,31.000,1.000,1.0000\n"
    )


def test_identities_csv_of_nobody_and_of_odd_cameras(tmp_path):
    write_csv(tmp_path / "a.csv", [])
    assert (tmp_path / "a.csv").read_text() == "identity,cameras,tracklets,first_s,last_s,duration_s,probability\n"
    odd = tracklet(("x", 1), camera='Tür 3, "links"')
    write_csv(tmp_path / "b.csv", sightings([Identity(1, (odd.key,), ())], {odd.key: odd}))
    with (tmp_path / "b.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["cameras"] == 'Tür 3, "links"'


def test_identities_json(tmp_path):
    write_json(tmp_path / "identities.json", identities_json(IDENTITIES, BY_KEY))
    both, alone = json.loads((tmp_path / "identities.json").read_text(encoding="utf-8"))
    assert both["identity"] == 1
    assert both["cameras"] == ["north", "south"]
    assert [member["tracklet"] for member in both["tracklets"]] == ["gate/1", "hall/1"]
    assert both["tracklets"][0]["first_frame"] == A1.index[0]
    assert both["tracklets"][0]["boxes"] == len(A1.index)
    assert both["links"] == [
        {
            "tracklets": ["gate/1", "hall/1"],
            "probability": 0.8765,
            "given": False,
            "average_distance": 0.25,
            "nearest_distance": 0.2,
            "crops": [crop_name(A1, A1.crops[0].index), crop_name(B1, B1.crops[1].index)],
            "between_s": max(A1.start_s, B1.start_s) - min(A1.end_s, B1.end_s),
            "usual_s": [2.0, 9.0],
        }
    ]
    assert alone["links"] == []
    assert both["rivals"] == []
    assert alone["rivals"] == [
        {"identity": 1, "tracklets": ["gate/2", "hall/1"], "probability": 0.125, "against": "a reason"}
    ]


def test_crops_lie_where_the_list_says(tmp_path):
    write_crops(tmp_path, EVERYONE)
    content = identities_json(IDENTITIES, BY_KEY)
    listed = [name for identity in content for member in identity["tracklets"] for name in member["crops"]]
    written = {str(path.relative_to(tmp_path).as_posix()) for path in tmp_path.rglob("*.jpg")}
    assert set(listed) == written
    assert len(listed) == len(written) == 6
    crop = A1.crops[1]
    assert (tmp_path / crop_name(A1, crop.index)).read_bytes() == crop.jpeg


# ---- MOT


def test_mot_lines(tmp_path):
    write_mot(tmp_path / "tracks" / "a.txt", [A2, A1], NUMBERS)
    lines = (tmp_path / "tracks" / "a.txt").read_text().splitlines()
    rows = [tuple(map(float, line.split(","))) for line in lines]
    assert len(rows) == len(A1.index) + len(A2.index)
    assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)  # by frame, then by identity
    assert {row[:2] for row in rows} == {(i, 1) for i in A1.index} | {(i, 2) for i in A2.index}
    assert min(row[0] for row in rows) >= 1
    for row in rows:
        owner = A1 if row[1] == 1 else A2
        at = owner.index.tolist().index(int(row[0]))
        x1, y1, x2, y2 = owner.xyxy[at].tolist()
        assert row[2:6] == pytest.approx((x1, y1, x2 - x1, y2 - y1), abs=0.006)
        assert row[6] == pytest.approx(owner.score[at], abs=6e-5)
        assert row[7:] == (-1, -1, -1)


def test_mot_frames_are_sorted_as_numbers(tmp_path):
    early, late = (tracklet(("gate", n), boxes=1, crops=1) for n in (1, 2))
    early.index[0], late.index[0] = 9, 10
    write_mot(tmp_path / "a.txt", [late, early], {early.key: 7, late.key: 3})
    assert [line.split(",")[:2] for line in (tmp_path / "a.txt").read_text().splitlines()] == [["9", "7"], ["10", "3"]]


def test_mot_is_read_back_by_scoring(tmp_path):
    write_mot(tmp_path / "a.txt", [A1], NUMBERS)
    read = read_mot_lines(tmp_path / "a.txt").boxes
    assert read.frame.tolist() == A1.index.tolist()
    assert np.allclose(read.xyxy, A1.xyxy, atol=0.011)


def test_mot_of_nobody_is_an_empty_file(tmp_path):
    write_mot(tmp_path / "a.txt", [], {})
    assert (tmp_path / "a.txt").read_bytes() == b""


def test_tracks_are_named_by_camera(tmp_path):
    gate, hall, hall_2 = (
        Recording(name, camera, tmp_path / f"{name}.mp4", "0")
        for name, camera in [("gate", "North gate"), ("h1", "hall"), ("h2", "hall")]
    )
    everything = [gate, hall, hall_2]
    assert [tracks_name(recording, everything) for recording in everything] == [
        "tracks/North_gate.txt",
        "tracks/hall_h1.txt",
        "tracks/hall_h2.txt",
    ]


def test_two_cameras_never_share_a_file(tmp_path):
    cameras = {"g1": "Gate 1", "g2": "Gate/1", "g3": "gate 1", "x": "a", "y": "a", "z": "a_x", "b": "b"}
    everything = [Recording(name, camera, tmp_path / name, "0") for name, camera in cameras.items()]
    names = [tracks_name(recording, everything) for recording in everything]
    assert len({name.casefold() for name in names}) == len(names)
    assert names[-1] == "tracks/b.txt"


# ---- the table


def unit(count, dim=5):
    vectors = np.random.default_rng(count).normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def finished(folder):
    write_manifest(folder, {"format": FORMAT, "status": "complete", "recordings": []})
    return Run.open(folder)


def test_the_table_comes_back_with_its_vectors(tmp_path):
    write_table(tmp_path, EVERYONE, unit(3), NUMBERS, "model-1")
    table = finished(tmp_path).tracklets()
    rows = table.to_pylist()
    assert [row["tracklet"] for row in rows] == ["gate/1", "gate/2", "hall/1"]
    assert [row["recording"] for row in rows] == ["gate", "gate", "hall"]
    assert [row["camera"] for row in rows] == ["north", "north", "south"]
    assert [row["track_id"] for row in rows] == [1, 2, 1]
    assert [row["identity"] for row in rows] == [1, 2, 1]
    assert [(row["start_s"], row["end_s"]) for row in rows] == [(10, 12.5), (30, 31), (11, 20)]
    assert {row["model_id"] for row in rows} == {"model-1"}
    for row, person in zip(rows, EVERYONE, strict=True):
        assert (row["boxes"], row["first_frame"], row["last_frame"]) == (5, person.index[0], person.index[-1])
        assert row["mean_height"] == pytest.approx((person.xyxy[:, 3] - person.xyxy[:, 1]).mean())
        assert row["mean_score"] == pytest.approx(person.score.mean())
        assert row["quality"] == pytest.approx(person.quality)
    assert np.array_equal(np.array(table["vector"].to_pylist(), np.float32), unit(3))


def test_writing_the_table_again_replaces_it(tmp_path):
    write_table(tmp_path, EVERYONE, unit(3), NUMBERS, "model-1")
    write_table(tmp_path, [B1], unit(1), {B1.key: 9}, "model-2")
    (row,) = finished(tmp_path).tracklets().to_pylist()
    assert (row["tracklet"], row["identity"], row["model_id"]) == ("hall/1", 9, "model-2")
    assert len(list((tmp_path / "tracklets.lance").rglob("*.lance"))) == 1  # what it held before is gone


def test_the_table_of_nobody_has_its_columns(tmp_path):
    write_table(tmp_path, [], np.zeros((0, 5), np.float32), {}, "model-1")
    empty = finished(tmp_path).tracklets()
    assert len(empty) == 0
    write_table(tmp_path, EVERYONE, unit(3), NUMBERS, "model-1")
    assert empty.schema.equals(finished(tmp_path).tracklets().schema)


# ---- opening a run


def test_a_finished_run_opens(tmp_path):
    write_json(tmp_path / "identities.json", identities_json(IDENTITIES, BY_KEY))
    run = finished(tmp_path)
    assert run.path == tmp_path
    assert run.manifest["format"] == FORMAT
    assert [identity["identity"] for identity in run.identities()] == [1, 2]
    assert Run.open(str(tmp_path)) == run


def test_what_is_no_run_says_so(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunError, match=r"not a run directory \(no run\.json in it\); make one"):
            Run.open(folder)


def test_an_unfinished_run_says_how_to_finish_it(tmp_path):
    write_manifest(tmp_path, {"format": FORMAT, "status": "incomplete"})
    with pytest.raises(RunError, match="not finished; give its `reidtrack run` command again"):
        Run.open(tmp_path)


DAMAGED = [b"", b"{", b"[]", b"1", b"null", b"{}", b'{"format": "x"}', b'{"format": null}', b"\xff\xfe\x00"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_run_json_is_one_clear_line(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    for open_it in (Run.open, read_manifest, lambda folder: check_claim(folder, ["a"]), known_contents):
        with pytest.raises(RunError, match=r"run\.json: damaged or not written by reidtrack; remove it") as caught:
            open_it(tmp_path)
        assert "\n" not in str(caught.value)


def test_a_run_of_another_version_is_refused(tmp_path):
    write_manifest(tmp_path, {"format": FORMAT + 1, "status": "complete"})
    with pytest.raises(RunError, match=rf"run format {FORMAT + 1}, this version reads {FORMAT}"):
        Run.open(tmp_path)


# ---- whose folder it is


def entry(content, name="gate.mp4"):
    return {"path": f"/videos/{name}", "sha256": content, "bytes": 10, "modified_ns": 5}


@pytest.fixture
def run_of_a_and_b(tmp_path):
    write_manifest(tmp_path, {"format": FORMAT, "status": "incomplete", "recordings": [entry("a"), entry("b")]})
    return tmp_path


def test_a_new_or_empty_folder_may_be_used(tmp_path):
    check_claim(tmp_path / "new", ["a"])
    check_claim(tmp_path, ["a"])


@pytest.mark.parametrize("contents", [["a", "b"], ["b", "a"], ["a", "c", "b"]])
def test_the_same_recordings_and_more_may_be_added(run_of_a_and_b, contents):
    check_claim(run_of_a_and_b, contents)


@pytest.mark.parametrize("contents", [[], ["a"], ["c"], ["b", "c"]])
def test_recordings_that_are_left_out_refuse_the_folder(run_of_a_and_b, contents):
    with pytest.raises(BadInputError, match=r"holds another run \(of gate\.mp4.*; choose another --out"):
        check_claim(run_of_a_and_b, contents)


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.doc").write_text("")
    with pytest.raises(BadInputError, match="not empty and no run directory"):
        check_claim(tmp_path, ["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_folder_that_only_a_lock_was_left_in_is_as_good_as_empty(tmp_path):
    """A run that could write no more than that, on a full disk, is begun again."""
    with only_writer(tmp_path / "out", "out"):
        check_claim(tmp_path / "out", ["a"])


def test_a_run_that_is_being_written_is_not_said_to_be_interrupted(run_of_a_and_b):
    manifest = dict(read_manifest(run_of_a_and_b) or {}) | {"status": "incomplete"}
    write_manifest(run_of_a_and_b, manifest)
    with only_writer(run_of_a_and_b, "out"), pytest.raises(RunError, match=r"process \d+, .* is writing to it; wait"):
        Run.open(run_of_a_and_b)
    with pytest.raises(RunError, match="was not finished"):
        Run.open(run_of_a_and_b)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(RunError, match="is a file; give --out a folder"):
        check_claim(tmp_path / "out", ["a"])


def test_contents_known_from_an_earlier_run(run_of_a_and_b, tmp_path_factory):
    assert known_contents(run_of_a_and_b) == {("/videos/gate.mp4", 10, 5): "b"}
    assert known_contents(tmp_path_factory.mktemp("new")) == {}


# ---- small parts


def test_tracklets_by_recording():
    assert by_recording(EVERYONE) == {"gate": [A1, A2], "hall": [B1]}
    assert by_recording([]) == {}


def test_a_table_that_is_gone_is_told(tmp_path):
    write_manifest(tmp_path, {"format": FORMAT, "status": "complete", "recordings": []})
    with pytest.raises(RunError, match=r"tracklets\.lance: absent or damaged; give the `reidtrack run` command again"):
        Run.open(tmp_path).tracklets()
