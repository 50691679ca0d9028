"""`reidtrack search`: the right person, honest numbers, filters, pictures and scenes, and what cannot be asked."""

import json
import math
import shutil
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest

from reid.errors import BadInputError, DataError
from tests.helpers import write_image
from tests.library.conftest import add, made_up
from tracker.cli import main
from tracker.library.examples import Example, is_crop, library_mean, track_example
from tracker.library.filters import Filters
from tracker.library.scores import weighed
from tracker.library.searching import search
from tracker.library.store import Library
from tracker.types import Detections


def unit(*values):
    return np.array([values], np.float32) / np.float32(np.linalg.norm(values))


def wanted(seed=5, dim=8, k=1, quality=0.4):
    vectors = np.random.default_rng(seed).normal(size=(k, dim)).astype(np.float32)
    return Example("x", vectors / np.linalg.norm(vectors, axis=1, keepdims=True), quality)


def naive(rows, examples, others=(), keep=lambda row: True):
    """Identity -> probability, by loops over what was put in."""

    def share(quality):
        return min(max(quality / 0.45, 1e-3), 1) ** 0.3

    members, qualities = {}, {}
    for run in rows:
        kept = {row["key"]: row for row in run.tracklets.to_pylist() if keep(row)}
        best = {}
        for row in run.vectors.to_pylist():
            if row["key"] in kept:
                best.setdefault(row["key"], []).append(np.array(row["vector"]))
        for key, vectors in best.items():
            row = kept[key]
            said = []
            for example in (*examples, *others):
                alike = max(float(a @ b) for a in vectors for b in example.vectors)
                said.append(
                    run.entry.slope * alike + run.entry.intercept * share(row["quality"]) * share(example.quality)
                )
            weights = [share(example.quality) for example in examples]
            mean = sum(w * s for w, s in zip(weights, said, strict=False)) / sum(weights)
            name = (row["run"], row["identity"])
            members.setdefault(name, []).append((mean, *said[len(examples) :]))
            qualities.setdefault(name, []).append(share(row["quality"]))
    sizes = [len(one) for one in members.values()]
    people = sum(sizes) ** 2 / sum(size**2 for size in sizes)
    found = {}
    for name, said in members.items():
        means = [
            sum(w * s[place] for w, s in zip(qualities[name], said, strict=True)) / sum(qualities[name])
            for place in range(1 + len(others))
        ]
        strangers = max(people - 1, 1)
        odds = math.exp(means[0]) / (strangers + sum(map(math.exp, means[1:])))
        found[name] = odds / (1 + odds)
    return found


@pytest.fixture(scope="module")
def rows():
    return [made_up("one", seed=1), made_up("two", seed=2, count=30)]


@pytest.fixture(scope="module")
def library(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made_up") / "lib"
    add(folder, *rows)
    return Library.open(str(folder))


# ---- what is found


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("others", [0, 2])
def test_probabilities_are_those_of_naive_loops(library, rows, examples, others):
    asked = [wanted(seed, k=seed % 3 + 1, quality=0.1 * seed) for seed in range(1, 1 + examples)]
    apart = [wanted(seed) for seed in range(50, 50 + others)]
    hits = search(library, asked, apart, top=1000)
    expected = naive(rows, asked, apart)
    assert {(hit.run, hit.identity) for hit in hits} == set(expected)
    for hit in hits:
        assert hit.probability == pytest.approx(expected[hit.run, hit.identity], rel=1e-3, abs=1e-9)
    assert [hit.evidence for hit in hits] == sorted((hit.evidence for hit in hits), reverse=True)


FILTERS = [
    (Filters(cameras=["g"]), lambda row: row["camera"] == "g"),
    (Filters(cameras=["g", "o"], recordings=["o'clock"]), lambda row: row["recording"] == "o'clock"),
    (Filters(begin=(50.0, False)), lambda row: row["end_s"] >= 50 and not row["absolute"]),
    (
        Filters(begin=(30.0, True), end=(40.0, True)),
        lambda row: row["end_s"] >= 30 and row["start_s"] <= 40 and row["absolute"],
    ),
    (Filters(min_length_s=10), lambda row: row["length_s"] >= 10),
]


@pytest.mark.parametrize(("filters", "keep"), FILTERS)
def test_filtering_is_searching_a_library_of_what_passes(library, rows, filters, keep):
    hits = search(library, [wanted()], filters=filters, top=1000)
    expected = naive(rows, [wanted()], keep=keep)
    assert {(hit.run, hit.identity): hit.probability for hit in hits} == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert all(keep(one.row) for hit in hits for one in hit.tracklets)
    assert sum(len(hit.tracklets) for hit in hits) == sum(
        keep(row) for run in rows for row in run.tracklets.to_pylist()
    )


def test_top_and_least_probability_cut_the_same_list(library):
    whole = search(library, [wanted()], top=1000)
    assert search(library, [wanted()], top=3) == whole[:3]
    bar = whole[1].probability
    assert search(library, [wanted()], top=1000, min_probability=bar) == [h for h in whole if h.probability >= bar]


def test_an_identitys_likeliest_sighting_comes_first(library):
    for hit in search(library, [wanted()], top=1000):
        said = [one.probability for one in hit.tracklets]
        assert said == sorted(said, reverse=True)


def test_the_order_of_runs_does_not_matter(library, rows, tmp_path):
    add(tmp_path / "lib", rows[1])
    add(tmp_path / "lib", rows[0])
    assert search(Library.open(str(tmp_path / "lib")), [wanted()], top=1000) == search(library, [wanted()], top=1000)


def test_a_counter_example_takes_away_and_one_that_resembles_nobody_does_not():
    assert weighed(3.0, [], 20) == pytest.approx(3.0)
    assert weighed(3.0, [6.0], 20) < weighed(3.0, [3.0], 20) < weighed(3.0, [-20.0], 20) <= 3.0
    assert weighed(3.0, [-50.0], 20) == pytest.approx(3.0)


def test_a_tracklet_finds_its_own_identity_and_not_itself(library, rows):
    row = next(
        row
        for row in rows[0].tracklets.to_pylist()
        if [one["identity"] for one in rows[0].tracklets.to_pylist()].count(row["identity"]) > 2
    )
    example = track_example(library, row["key"])
    hits = search(library, [example], top=1000)
    assert row["key"] not in {one.row["key"] for hit in hits for one in hit.tracklets}
    expected = naive(rows, [example], keep=lambda one: one["key"] != row["key"])
    assert {(hit.run, hit.identity): hit.probability for hit in hits} == pytest.approx(expected, rel=1e-3, abs=1e-9)
    assert (row["run"], row["identity"]) in [(hit.run, hit.identity) for hit in hits[:3]]


def test_the_librarys_mean_counts_every_camera_once():
    one, two = made_up("one").entry, made_up("two").entry
    runs = {
        "two": two.__class__(**{**vars(two), "cameras": 1, "mean": [4.0, 0.0]}),
        "one": one.__class__(**{**vars(one), "cameras": 3, "mean": [0.0, 2.0]}),
    }
    assert library_mean(runs, 2).tolist() == [1.0, 1.5]
    assert library_mean({}, 2).tolist() == [0.0, 0.0]


# ---- on real runs


class FakeDetector:
    """Finds the bright blobs of a picture; knows no people."""

    model_id, batch = "fake", 8

    def __call__(self, images):
        found = []
        for image in images:
            count, _, stats, _ = cv2.connectedComponentsWithStats((image.max(2) > 60).astype(np.uint8))
            boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, area in stats[1:count] if area > 50], np.float32)
            found.append(Detections(boxes.reshape(-1, 4), np.full(len(boxes), 0.9, np.float32)))
        return found


@pytest.fixture
def indexed(desk, monkeypatch):
    monkeypatch.setattr("tracker.cli.search._detector", lambda device: FakeDetector())
    assert main(["index", "lib", "monday", "tuesday"]) == 0
    return desk


def asked(capsys, *args):
    capsys.readouterr()
    assert main(["search", "lib", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *args, library="lib"):
    capsys.readouterr()
    code = main(["search", library, *args])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return code, line


def test_a_runs_own_crop_finds_its_identity(indexed, capsys):
    tracklets = Library.open("lib").tracklets.to_arrow().to_pylist()
    row = max(tracklets, key=lambda row: row["quality"])
    folder = Library.open("lib").meta.runs[row["run"]].path
    hits = asked(capsys, "--image", f"{folder}/{row['crop']}", "--recording", row["recording"])
    assert (hits[0]["run"], hits[0]["identity"]) == (row["run"], row["identity"])
    assert row["key"] in [one["tracklet"] for one in hits[0]["sightings"]]
    for hit in hits:
        assert 0 <= hit["probability"] <= 1
        for one in hit["sightings"]:
            assert (indexed / one["crop"]).is_file()
            assert one["play"].startswith("ffplay -ss ")


def test_a_runs_own_crop_is_one_though_nobody_is_found_on_it(indexed, capsys, monkeypatch):
    nobody = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    monkeypatch.setattr(import_module("tracker.cli.search"), "_detector", lambda device: lambda images: [nobody])
    entry = next(iter(Library.open("lib").meta.runs.values()))
    crop = Path(entry.path, "crops", "wide.png")
    write_image(crop, (90, 90, 90), (60, 90))
    assert asked(capsys, "--image", str(crop))
    shutil.copy(crop, "elsewhere.png")
    assert main(["search", "lib", "--image", "elsewhere.png"]) == 1
    assert "nobody is found on it" in capsys.readouterr().err


def test_the_table_says_who_where_when_and_how_to_play_it(indexed, capsys):
    row = Library.open("lib").tracklets.to_arrow().to_pylist()[0]
    name = indexed.joinpath(Library.open("lib").meta.runs[row["run"]].path).name
    assert main(["search", "lib", "--track", f"{name}/{row['recording']}/{row['track_id']}"]) == 0
    text = capsys.readouterr().out
    assert "2026-03-03 22:00:0" in text
    assert "monday/a/" in text or "monday/b/" in text
    assert "ffplay -ss" in text
    assert main(["search", "lib", "--track", row["key"], "--min-probability", "1"]) == 0
    assert "lower --min-probability" in capsys.readouterr().out


def scene(path, *lefts):
    """A dark wide picture with a person-shaped blob at each place."""
    picture = np.zeros((120, 400, 3), np.uint8)
    for number, left in enumerate(lefts):
        picture[20:100, left : left + 30] = [(200, 40, 40), (40, 200, 40), (40, 40, 200)][number % 3]
    assert cv2.imwrite(str(path), picture[:, :, ::-1])


def test_of_several_people_one_is_chosen(indexed, capsys):
    scene("three.png", 10, 100, 200)
    capsys.readouterr()
    assert main(["search", "lib", "--image", "three.png"]) == 2
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "person  left,top  size", "1       10,20     30x80", "2       100,20    30x80", "3       200,20    30x80"
    ]  # fmt: skip
    assert shown.err == "error: three.png: shows 3 people; say which one by --person NUMBER\n"
    assert main(["search", "lib", "--image", "three.png", "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["people"]) == 3
    write_image(indexed / "green.png", (40, 200, 40), size=(80, 30))
    by_number = [asked(capsys, "--image", "three.png", "--person", str(number)) for number in (1, 2, 3)]
    assert by_number[0] != by_number[1] != by_number[2]
    scene("one.png", 50)
    assert asked(capsys, "--image", "one.png") == by_number[0]
    assert refused(capsys, "--image", "three.png", "--person", "4")[1].endswith("give a number from 1 on")
    assert "no picture shows several" in refused(capsys, "--image", "one.png", "--person", "1")[1]
    both = asked(capsys, "--image", "three.png", "--not", "three.png", "--person", "1", "2")
    assert {hit["identity"] for hit in both}


@pytest.mark.parametrize(
    ("shape", "boxes", "crop"),
    [
        ((200, 100), [], True),
        ((100, 100), [], False),
        ((100, 200), [[0, 0, 100, 100]], True),
        ((100, 200), [[0, 0, 99, 100]], False),
        ((200, 100), [[0, 0, 50, 100]], True),
        ((200, 100), [[0, 0, 49, 100], [50, 0, 99, 100]], False),
    ],
)
def test_what_is_taken_for_a_crop(shape, boxes, crop):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    assert is_crop(np.zeros((*shape, 3), np.uint8), Detections(boxes, np.ones(len(boxes), np.float32))) == crop


# ---- what cannot be asked


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "nobody to look for"),
        (["--image", "nowhere.jpg"], 1, "nowhere.jpg: cannot be read"),
        (["--image", "a.mp4"], 1, "a.mp4: not an image"),
        (["--image", "dark.png"], 1, "dark.png: nobody is found on it"),
        (["--track", "x"], 2, "names no tracklet; write RUN/RECORDING/NUMBER"),
        (["--track", "friday/a/1"], 2, "friday: no such run in lib; it holds monday, tuesday"),
        (["--track", "monday/a/999"], 2, "the run has no such tracklet"),
        (["--track", "monday/a/1", "--camera", "x"], 2, "--camera x: the library has none of this name; it has a,"),
        (["--track", "monday/a/1", "--recording", "x"], 2, "--recording x: the library has none"),
        (["--track", "monday/a/1", "--camera", "a", "--recording", "b"], 2, "nothing passes all of these filters"),
        (["--track", "monday/a/1", "--from", "9", "--to", "8"], 2, "--from is later than --to"),
        (["--track", "monday/a/1", "--from", "9", "--to", "2026-03-01"], 2, "use one form for both"),
        (["--track", "monday/a/1", "--to", "noon"], 2, "--to: 'noon' is neither a clock time"),
        (["--track", "monday/a/1", "--min-length", "-1"], 2, "--min-length -1 is no length"),
        (["--track", "monday/a/1", "--top", "0"], 2, "--top 0: give a count"),
        (["--track", "monday/a/1", "--min-probability", "2"], 2, "is no probability"),
        (["--image", "dark.png", "--embedder", "standard"], 2, "--embedder standard: is "),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_line(indexed, capsys, args, code, said):
    scene("dark.png")
    found = refused(capsys, *args)
    assert found[0] == code
    assert said in found[1]


def test_an_embedder_that_has_gone_is_asked_for(indexed, capsys):
    scene("one.png", 50)
    before = asked(capsys, "--image", "one.png")
    (indexed / "colour.onnx").rename(indexed / "moved.onnx")
    assert "is not where it was; name its file by --embedder" in refused(capsys, "--image", "one.png")[1]
    assert asked(capsys, "--image", "one.png", "--embedder", "moved.onnx") == before


def test_no_library_and_an_empty_one(indexed, capsys):
    assert refused(capsys, "--track", "monday/a/1", library="nowhere") == (
        1, "error: nowhere: no library; make one with `reidtrack index nowhere RUN`"
    )  # fmt: skip
    assert main(["index", "lib", "--remove", "monday", "tuesday"]) == 0
    scene("one.png", 50)
    code, line = refused(capsys, "--image", "one.png")
    assert (code, "empty" in line) == (2, True)


def test_filters_that_contradict_each_other_and_a_library_that_is_damaged(tmp_path):
    with pytest.raises(BadInputError, match="is no length"):
        Filters(min_length_s=math.nan)
    add(tmp_path / "lib", made_up("one"))
    for path in (tmp_path / "lib/meta.lance").rglob("*.manifest"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read as a library"):
        Library.open(str(tmp_path / "lib"))
