"""`reidtrack compare`: crops, folders, tracklets and identities, against naive arithmetic; notes, picture, mistakes."""

import json
import math
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Calibration, Curve, OperatingPoint
from reid.embed import DEFAULT_EMBEDDER, EMBEDDERS, Embedder
from reid.figures import crop_pair
from reid.images import crop_quality, read_image
from tests.helpers import CARD, colour_embedder, tracklet, write_image
from tracker.cli import main
from tracker.repair.vectors import pool
from tracker.side_by_side import compared, notes
from tracker.side_by_side.faults import at_the_edge, faults
from tracker.side_by_side.sides import Picture, Side
from tracker.stages import TrackingFacts, TrackletWriter, write_embeddings
from tracker.store import crop_name
from tracker.tracklets import encode_jpeg
from tracker.types import Crop, Tracklet, TrackletKey

POINTS = (OperatingPoint(0.1, 0.4, 0.9), OperatingPoint(0.01, 0.625, 0.75), OperatingPoint(0.001, 0.9, 0.5))
CALIBRATION = Calibration(Curve(10.0, -5.0, POINTS, error=0.0125), Curve(8.0, -3.0, POINTS[:2]))
RED, GREEN, BLUE, VIOLET = (200, 40, 40), (40, 200, 40), (40, 40, 200), (150, 40, 150)
PEOPLE = {  # tracklet: colour, first second, camera's left edge of the boxes, identity
    ("gate", 1): (RED, 0.0, 100.0, 1),
    ("gate", 2): (BLUE, 0.0, 400.0, 2),
    ("gate", 3): (GREEN, 40.0, 100.0, 3),
    ("hall", 1): (RED, 20.0, 100.0, 1),
    ("hall", 2): (VIOLET, 20.0, 0.0, 4),
}
QUALITY = 0.3  # of every picture of a tracklet: less than pictures that tell all


def person(key, colour, start, left):
    """Half a minute of walking, four pictures of nearly one colour."""
    boxes = 20
    index = np.arange(1, boxes + 1) + int(10 * start)
    x = left + np.linspace(0, 0 if left == 0 else 150, boxes)
    xyxy = np.stack([x, np.full(boxes, 50), x + 50, np.full(boxes, 178)], 1).astype(np.float32)
    crops = []
    for place in (0, 6, 12, 18):
        noise = np.random.default_rng(place).integers(-20, 21, (128, 50, 3))
        image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)[:, :, ::-1]
        crops.append(Crop(int(index[place]), QUALITY, encode_jpeg(np.ascontiguousarray(image))))
    return Tracklet(key, key.recording, index, index / 10.0, xyxy, np.full(boxes, 0.9, np.float32), tuple(crops))


def make_run(folder, model, status="complete", curve=CALIBRATION.tracklets):
    """A finished run of five tracklets, as its stages and results would leave it."""
    embedder = Embedder(model, "cpu")
    tracklets = [person(TrackletKey(*key), *what[:3]) for key, what in PEOPLE.items()]
    entries = []
    for name in ("gate", "hall"):
        own = [one for one in tracklets if one.key.recording == name]
        files = {stage: f"{stage}-{name}" for stage in ("detections", "tracklets", "embeddings")}
        with TrackletWriter(folder / "stages" / files["tracklets"]) as writer:
            writer.add(own)
            writer.finish(TrackingFacts(600, 600, 0, len(own), 640, 480, 10.0, "h264", 0.0, 60.0, 1.0))
        pictures = [[read(crop.jpeg) for crop in one.crops] for one in own]
        vectors = [embedder(some) for some in pictures]
        write_embeddings(folder / "stages" / files["embeddings"], [one.key.track_id for one in own], vectors, 3)
        entries.append(
            {"name": name, "camera": name, "path": f"{name}.mp4", "sha256": "0", "start_s": 0.0, "video": {}}
            | {"stages": files}
        )
    identities = {}
    for (name, number), (*_, identity) in PEOPLE.items():
        identities.setdefault(identity, []).append({"tracklet": f"{name}/{number}"})
    manifest = {"format": 1, "status": status, "embedder": embedder.model_id, "recordings": entries}
    manifest["options"] = {"embedder": str(model)}
    manifest["calibration"] = {"slope": curve.slope, "intercept": curve.intercept}
    (folder / "run.json").write_text(json.dumps(manifest))
    content = [{"identity": number, "tracklets": members} for number, members in identities.items()]
    (folder / "identities.json").write_text(json.dumps(content))
    for one in tracklets:
        for crop in one.crops:
            path = folder / crop_name(one, crop.index)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(crop.jpeg)
    return folder


def read(jpeg):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    card = replace(CARD, calibration=CALIBRATION)
    colour_embedder(folder / "colour.onnx", card)
    colour_embedder(folder / "other.onnx", replace(card, backbone="other"))
    colour_embedder(folder / "bare.onnx", replace(card, calibration=None))
    write_image(folder / "red.png", RED, (128, 50))
    write_image(folder / "redder.png", (210, 30, 45), (128, 50), seed=1)
    write_image(folder / "blue.png", BLUE, (128, 50), seed=2)
    for number, colour in enumerate([RED, (180, 60, 60), (200, 40, 90)]):
        write_image(folder / f"reds/{number}.png", colour, (100 - 20 * number, 40), seed=number)
    for number in range(2):
        write_image(folder / f"blues/{number}.png", BLUE, (128, 50), seed=number)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no picture")
    make_run(folder / "monday", folder / "colour.onnx")
    make_run(folder / "tuesday", folder / "other.onnx")
    make_run(folder / "wednesday", folder / "colour.onnx", curve=Curve(12.0, -5.0))
    make_run(folder / "unfinished", folder / "colour.onnx", status="running")
    make_run(folder / "bare", folder / "colour.onnx")
    shutil.rmtree(folder / "bare/stages")
    return folder


@pytest.fixture(autouse=True)
def here(made, monkeypatch):
    """In the folder, with the colour embedder as the default one."""
    monkeypatch.chdir(made)
    monkeypatch.setitem(EMBEDDERS, DEFAULT_EMBEDDER, made / "colour.onnx")


def ask(capsys, *args):
    assert main(["compare", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def logistic(evidence):
    return 1 / (1 + math.exp(-evidence))


def unit(vector):
    return np.asarray(vector, np.float64) / np.linalg.norm(vector)


def looked_at(made, name):
    """The colour embedder's vector, without the embedder."""
    return unit(cv2.resize(read_image(made / name), (4, 8), interpolation=cv2.INTER_AREA).mean((0, 1)) + 1.0)


# ---- what the probability is


def test_two_crops_are_read_by_the_curve_of_crops(made, capsys):
    found = ask(capsys, "red.png", "redder.png")
    similarity = looked_at(made, "red.png") @ looked_at(made, "redder.png")
    assert found["similarity"] == pytest.approx(similarity, abs=1e-5)
    assert found["probability"] == pytest.approx(logistic(8.0 * similarity - 3.0), abs=1e-5)
    assert found["best_pair"] == {"a": "red.png", "b": "redder.png", "similarity": pytest.approx(similarity, abs=1e-5)}
    assert found["curve"]["of"] == "the embedder's for single crops"
    assert [one["reached"] for one in found["thresholds"]] == [similarity >= 0.4, similarity >= 0.625]


@pytest.mark.parametrize("first", ["red.png", "blues"])
def test_a_folder_is_pooled_by_quality_and_read_by_the_curve_of_tracklets(made, capsys, first):
    found = ask(capsys, first, "reds")

    def pooled(folder):
        names = sorted(path.relative_to(made) for path in (made / folder).iterdir())
        return unit(sum(crop_quality(read_image(made / name)) * looked_at(made, name) for name in names))

    one = looked_at(made, first) if first.endswith(".png") else pooled(first)
    similarity = one @ pooled("reds")
    assert found["similarity"] == pytest.approx(similarity, abs=1e-5)
    assert found["probability"] == pytest.approx(logistic(10.0 * similarity - 5.0), abs=1e-5)
    assert found["curve"]["of"] == "the embedder's for tracklets"


def test_a_folder_of_one_picture_is_a_crop(capsys, tmp_path):
    write_image(tmp_path / "one/red.png", RED, (128, 50))
    folder, crop = ask(capsys, tmp_path / "one", "blue.png"), ask(capsys, "red.png", "blue.png")
    assert folder["probability"] == crop["probability"]
    assert folder["curve"] == crop["curve"]


def naive_tracklets():
    """Unit vectors of the run's tracklets without their cameras, by the docstring of ``reid.centre``."""
    pooled = {}
    for key, (colour, start, left, _) in PEOPLE.items():
        pictures = [read(crop.jpeg) for crop in person(TrackletKey(*key), colour, start, left).crops]
        small = [cv2.resize(one, (4, 8), interpolation=cv2.INTER_AREA) for one in pictures]
        pooled[key] = unit(sum(unit(one.mean((0, 1)) + 1.0) for one in small))
    centred = {}
    for key, vector in pooled.items():
        of_camera = [other for (name, _), other in pooled.items() if name == key[0]]
        centred[key] = unit(vector - sum(of_camera) / (len(of_camera) + 10))
    return centred


def test_two_tracklets_are_centred_on_their_cameras_and_weighed_as_in_linking(capsys):
    found = ask(capsys, "monday/gate/1", "monday/hall/2")
    vectors, share = naive_tracklets(), (QUALITY / 0.45) ** 0.3
    similarity = vectors["gate", 1] @ vectors["hall", 2]
    assert found["similarity"] == pytest.approx(similarity, abs=2e-3)  # vectors are stored in half precision
    assert found["probability"] == pytest.approx(logistic(10.0 * similarity - 5.0 * share**2), abs=5e-3)
    assert found["curve"]["of"] == "the run's, as in linking"
    assert found["a"]["cameras"] == ["gate"]
    assert found["a"]["centred"]
    assert found["a"]["reliability"] == pytest.approx(share, abs=1e-4)
    assert found["notes"] == ["B: cut by the edge of the frame: 4 of 4 pictures"]


def test_an_identity_is_the_mean_of_its_tracklets(capsys):
    found = ask(capsys, "monday#1", "monday/hall/2")
    vectors, share = naive_tracklets(), (QUALITY / 0.45) ** 0.3
    similarity = np.mean([vectors[key] @ vectors["hall", 2] for key in (("gate", 1), ("hall", 1))])
    assert found["similarity"] == pytest.approx(similarity, abs=2e-3)
    assert found["probability"] == pytest.approx(logistic(10.0 * similarity - 5.0 * share**2), abs=5e-3)
    assert found["a"]["tracklets"] == ["gate/1", "hall/1"]
    assert len(found["a"]["pictures"]) == 8
    assert any("both are of camera hall" in note for note in found["notes"])


def test_the_best_pair_is_the_most_alike_of_all_pairs(made, capsys):
    found = ask(capsys, "reds", "redder.png")
    names = [f"reds/{number}.png" for number in range(3)]
    alike = {name: looked_at(made, name) @ looked_at(made, "redder.png") for name in names}
    assert found["best_pair"]["a"] == max(alike, key=alike.get)
    assert found["best_pair"]["similarity"] == pytest.approx(max(alike.values()), abs=1e-5)


def test_a_crop_and_a_tracklet(capsys):
    found = ask(capsys, "red.png", "monday/gate/1")
    assert found["curve"]["of"] == "the embedder's for tracklets"
    assert re.fullmatch(r"gate/1 frame \d+", found["best_pair"]["b"])
    assert found["notes"] == ["no camera is taken away from A: a little less exact than between two tracklets of a run"]
    assert found["probability"] > ask(capsys, "blue.png", "monday/gate/1")["probability"]


def crop_of(run, key):
    """Path of a tracklet's second picture in its run."""
    name, number = key
    return sorted((run / "crops" / name).glob(f"{number:05d}_*.jpg"))[1]


def test_a_crop_in_its_runs_folder_is_centred_on_its_camera(made, capsys):
    first, second = (crop_of(made / "monday", key) for key in (("gate", 1), ("hall", 2)))
    found = ask(capsys, first, second)
    assert [found[side]["centred"] for side in "ab"] == [True, True]
    assert found["curve"]["of"] == "the embedder's for single crops"
    assert found["best_pair"]["a"] == "gate/1 frame 7"
    vectors = naive_tracklets()  # a tracklet's pictures hardly differ
    similarity, share = vectors["gate", 1] @ vectors["hall", 2], (QUALITY / 0.45) ** 0.3
    assert found["similarity"] == pytest.approx(similarity, abs=2e-2)
    assert found["probability"] == pytest.approx(logistic(8.0 * found["similarity"] - 3.0 * share**2), abs=1e-6)
    assert len(found["a"]["pictures"]) == 1


def test_a_crop_taken_out_of_its_run_or_of_a_run_without_stages_is_a_file(made, capsys, tmp_path):
    shutil.copy(crop_of(made / "monday", ("gate", 1)), tmp_path / "00001_0000007.jpg")
    copied = ask(capsys, tmp_path / "00001_0000007.jpg", "blue.png")
    without = ask(capsys, crop_of(made / "bare", ("gate", 1)), "blue.png")
    assert [found["a"]["centred"] for found in (copied, without)] == [False, False]
    assert copied["probability"] == without["probability"]


def test_a_crop_that_its_tracklet_no_longer_has_is_a_file(capsys, tmp_path):
    shutil.copytree("monday", tmp_path / "run")
    old = crop_of(tmp_path / "run", ("gate", 1))
    former = old.rename(old.with_name("00001_0000009.jpg"))
    found = ask(capsys, former, "red.png")
    assert not found["a"]["centred"]
    assert found["best_pair"]["a"] == str(former)


def test_two_pictures_of_one_tracklet_are_said_to_be(made, capsys):
    first, *_, last = sorted((made / "monday/crops/gate").glob("00001_*.jpg"))
    assert "both are of gate/1, which was followed as one person" in ask(capsys, first, last)["notes"]
    assert "both sides are the same picture: compared with itself it says nothing" in ask(capsys, last, last)["notes"]


@pytest.mark.parametrize(
    ("a", "b"), [("red.png", "blue.png"), ("reds", "red.png"), ("monday/gate/1", "monday#4"), ("reds", "monday/hall/1")]
)
def test_a_with_b_is_b_with_a(capsys, a, b):
    there, back = ask(capsys, a, b), ask(capsys, b, a)
    assert there["probability"] == pytest.approx(back["probability"], abs=1e-9)
    assert there["similarity"] == pytest.approx(back["similarity"], abs=1e-9)
    assert there["best_pair"]["similarity"] == pytest.approx(back["best_pair"]["similarity"], abs=1e-9)
    assert (there["a"], there["b"]) == (back["b"], back["a"])


def test_the_prior_moves_the_odds_and_nothing_else(capsys):
    even = ask(capsys, "red.png", "blue.png")
    few = ask(capsys, "red.png", "blue.png", "--prior", 0.01)
    odds = [one["probability"] / (1 - one["probability"]) for one in (even, few)]
    assert odds[1] == pytest.approx(odds[0] / 99)
    assert few["similarity"] == even["similarity"]
    assert ask(capsys, "red.png", "blue.png", "--among", 100) == few


def two_sides(pictures, copies):
    """A side of (k, 2) vectors and one of the first vector alone; ``copies`` times the first picture is added."""
    vectors = np.array([*pictures, *[pictures[0]] * copies], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    image = np.full((128, 50, 3), 100, np.uint8)
    shown = tuple(Picture(f"{row}", image, 0.5, ()) for row in range(len(vectors)))
    pooled = pool(vectors, np.full(len(vectors), 0.5, np.float32))
    return Side("a", shown, vectors, pooled), Side("b", shown[:1], vectors[:1], vectors[0])


@given(
    st.lists(st.tuples(st.floats(0.5, 1), st.floats(-0.5, 0.5)), min_size=4, max_size=12),
    st.floats(0.01, 0.99),
)
def test_one_more_copy_of_a_picture_changes_little(pictures, prior):
    before, after = (compared(*two_sides(pictures, copies), CALIBRATION, prior, "m") for copies in (0, 1))
    assert abs(after.similarity - before.similarity) <= 2 / len(pictures)
    assert after.similarity >= before.similarity - 1e-6  # it is the other side's own picture
    assert after.best_similarity == pytest.approx(before.best_similarity, abs=1e-6)


def test_a_copy_in_a_folder_changes_little(capsys, tmp_path):
    for number, colour in enumerate([RED, (180, 60, 60), (200, 40, 90), (190, 50, 50), (220, 30, 40)]):
        write_image(tmp_path / f"{number}.png", colour, (128, 50), seed=number)
    before = ask(capsys, tmp_path, "blues")
    shutil.copy(tmp_path / "2.png", tmp_path / "5.png")
    after = ask(capsys, tmp_path, "blues")
    assert abs(after["probability"] - before["probability"]) < 0.1
    assert after["best_pair"]["similarity"] == before["best_pair"]["similarity"]


def test_a_copy_of_every_picture_changes_nothing(made, capsys, tmp_path):
    for path in (made / "reds").iterdir():
        shutil.copy(path, tmp_path / path.name)
        shutil.copy(path, tmp_path / f"again-{path.name}")
    once, twice = ask(capsys, "reds", "blues"), ask(capsys, tmp_path, "blues")
    assert twice["probability"] == pytest.approx(once["probability"], abs=1e-6)


@given(st.floats(-1, 1), st.floats(1e-6, 1 - 1e-6))
def test_nothing_is_certain(similarity, prior):
    image = np.full((128, 50, 3), 100, np.uint8)
    vectors = np.array([[1, 0], [similarity, math.sqrt(1 - similarity**2)]], np.float32)
    sides = [
        Side(name, (Picture(name, image, 1.0, ()),), vectors[[row]], vectors[row]) for row, name in enumerate("ab")
    ]
    steep = Calibration(Curve(10000.0, -5000.0), Curve(10000.0, -5000.0))
    assert 0 < compared(*sides, steep, prior, "m").probability < 1


# ---- which embedder


def test_vectors_that_are_kept_are_not_made_again(capsys, monkeypatch):
    def refuse(*args):
        raise AssertionError("embeds")

    monkeypatch.setattr(Embedder, "__call__", refuse)
    assert ask(capsys, "monday/gate/1", "monday/hall/1")["probability"] > 0.9


def test_runs_of_two_models_are_embedded_again_where_an_embedder_is_named(capsys):
    assert main(["compare", "monday/gate/1", "tuesday/gate/1"]) == 2
    assert "vectors of two models do not compare; give --embedder" in capsys.readouterr().err
    found = ask(capsys, "monday/gate/1", "tuesday/hall/1", "--embedder", "other.onnx")
    assert found["model_id"].startswith("other-")
    assert [found[side]["centred"] for side in "ab"] == [False, True]
    assert found["best_pair"]["similarity"] > 0.9


def test_runs_that_read_similarities_differently_are_read_by_the_embedder(made, capsys, monkeypatch):
    found = ask(capsys, "monday/gate/1", "wednesday/hall/1")
    assert found["curve"]["of"] == "the embedder's for tracklets"
    monkeypatch.setattr("tracker.side_by_side.choose_embedder", lambda *args: None)
    assert main(["compare", "monday/gate/1", "wednesday/hall/1"]) == 2
    assert "no curve is known that reads both; give the embedder's file as --embedder" in capsys.readouterr().err


def test_a_run_whose_embedder_is_gone(made, capsys, tmp_path):
    shutil.copytree("monday", tmp_path / "run")
    manifest = json.loads((tmp_path / "run/run.json").read_text())
    manifest["options"]["embedder"] = "gone.onnx"
    (tmp_path / "run/run.json").write_text(json.dumps(manifest))
    found = ask(capsys, f"{tmp_path}/run/gate/1", f"{tmp_path}/run/hall/1")
    known = ask(capsys, "monday/gate/1", "monday/hall/1")
    assert found["thresholds"] == []
    assert found["probability"] == known["probability"]
    assert main(["compare", f"{tmp_path}/run/gate/1", "red.png"]) == 1
    assert "is not at gone.onnx; give that file as --embedder" in capsys.readouterr().err


# ---- what else is said


@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        ("red.png", "red.png", "both sides are the same picture: compared with itself it says nothing"),
        ("reds", "reds/0.png", "1 picture is on both sides: what is compared with itself says nothing"),
        ("reds", "reds", "3 pictures are on both sides: what is compared with itself says nothing"),
        ("monday/gate/1", "monday#1", "on both sides: gate/1; what is compared with itself says nothing"),
        ("monday/gate/1", "monday/gate/2", "both are in one camera at one moment: two people"),
        ("monday/gate/1", "monday/gate/3", "both are of camera gate: probabilities are calibrated between cameras"),
        ("red.png", "blue.png", "no camera's light and place is taken away from these pictures"),
        ("red.png", "reds", "B: not the shape"),
    ],
)
def test_notes(capsys, tmp_path, a, b, note):
    if "shape" in note:
        write_image(tmp_path / "wide/1.png", (20, 20, 20), (30, 60))
        b, note = tmp_path / "wide", "B: not the shape of a standing person: 1 of 1 pictures"
    assert any(one.startswith(note) for one in ask(capsys, a, b)["notes"])


def test_one_moment_is_not_spoken_of_where_there_is_none(capsys):
    said = ask(capsys, "monday/gate/1", "monday/gate/3")["notes"]
    assert not any("one moment" in note for note in said)


def test_photos_have_no_camera_and_share_a_moment_only_within_a_photo(tmp_path):
    shot = [replace(tracklet(("album", number), 1, 1), photo="IMG_1.jpg") for number in (1, 2)]
    shot.append(replace(tracklet(("album", 3), 2, 2), photo="IMG_2.jpg"))
    picture = Picture("", np.full((128, 50, 3), 100, np.uint8), 1.0, ())
    vectors = np.ones((1, 1), np.float32)
    sides = [Side("", (picture,), vectors, vectors[0], tracklets=(one,), run=tmp_path) for one in shot]
    same, apart = notes(sides[0], sides[1]), notes(sides[0], sides[2])
    assert any(note.startswith("both are on one photo: two people") for note in same)
    assert not any("one photo" in note or "camera album" in note for note in apart)


def test_faults_of_a_crop():
    noise = np.random.default_rng(0).integers(0, 255, (128, 50, 3), dtype=np.uint8)
    assert faults(noise) == ()
    assert faults(noise[:63, :25]) == ("small",)
    assert faults(noise // 8) == ("dark",)
    assert faults(np.full((128, 50, 3), 100, np.uint8)) == ("blurred",)
    assert faults(noise[:, :], cut=True) == ("cut by the edge of the frame",)
    assert faults(noise.transpose(1, 0, 2)) == ("small", "not the shape of a standing person")


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((5, 5, 50, 90), False),
        ((1, 5, 50, 90), True),
        ((5, 0, 50, 90), True),
        ((5, 5, 99, 90), True),
        ((5, 5, 50, 99), True),
    ],
)
def test_the_edge_of_a_frame(box, cut):
    assert at_the_edge(np.array(box, np.float32), 100, 100) is cut


def test_what_a_person_reads(capsys):
    assert main(["compare", "red.png", "redder.png"]) == 0
    first, empty, *rest = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r">?9\d% the same person", first)
    assert empty == ""
    assert rest[0] == "A            red.png: 1 picture"
    assert rest[2].startswith("similarity   0.9")
    assert rest[2].endswith("(of pairs of two people 0.625 is reached by 1 in 100)")
    assert rest[3].startswith("best pair    red.png and redder.png, similarity 0.9")
    assert rest[4] == "before       even odds; where B was found among N people, give --among N"
    assert main(["compare", "monday#1", "monday/gate/2", "--among", "200"]) == 0
    first, _, *rest = capsys.readouterr().out.splitlines()
    assert first == "<1% the same person"
    assert rest[0] == "A            monday#1: 8 pictures, 2 tracklets, cameras gate, hall"
    assert "before       0.005, the probability without looking" in rest


def test_the_error_of_the_curve_is_told(capsys):
    assert main(["compare", "reds", "blues"]) == 0
    assert "for tracklets; on people it was not fitted on, off by 0.013 on average" in capsys.readouterr().out


# ---- the picture


def test_the_best_pair_is_drawn(made, capsys, tmp_path):
    ask(capsys, "reds", "blue.png", "--montage", tmp_path / "new/pair.png")
    image = read_image(tmp_path / "new/pair.png").astype(int)
    left, right = np.split(image[:560], [image.shape[1] // 2], 1)
    for half, colour in ((left, RED), (right, BLUE)):
        near = (np.abs(half - colour) <= 45).all(2)
        assert near.sum() > 30_000
    assert (image[600:] < 100).all(2).sum() > 500  # words
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pair.png"]


@pytest.mark.parametrize("shape", [(256, 128, 3), (30, 300, 3), (1, 1, 3), (900, 20, 3)])
def test_no_picture_is_stretched(tmp_path, shape):
    image = np.full(shape, (0, 200, 0), np.uint8)
    drawn = read_image(crop_pair(tmp_path / "a.png", image, image, ("a", "b"), "50%", "")).astype(int)
    green = (np.abs(drawn[:, : drawn.shape[1] // 2] - (0, 200, 0)) <= 2).all(2)
    height, width = np.ptp(np.nonzero(green)[0]) + 1, np.ptp(np.nonzero(green)[1]) + 1
    scale = min(512 / shape[0], 384 / shape[1])
    assert (height, width) == (pytest.approx(shape[0] * scale, abs=1), pytest.approx(shape[1] * scale, abs=1))


def test_pictures_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected an image"):
        crop_pair(tmp_path / "a.png", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint8), ("", ""), "", "")


# ---- mistakes


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["gone.jpg", "red.png"], 1, "gone.jpg: no such picture, folder or tracklet; give a crop"),
        (["red.png", "notes.txt"], 1, "notes.txt: not an image that can be decoded"),
        (["red.png", "empty"], 1, "empty: no pictures in this folder"),
        (["red.png", "monday"], 2, "monday: a run of many people; name a tracklet, monday/gate/12"),
        (["red.png", "monday/gate/9"], 2, "monday/gate/9: no such tracklet; identities.json and the report of monday"),
        (["red.png", "monday/roof/1"], 2, "monday has no recording 'roof' with people; it has gate, hall"),
        (["red.png", "monday#9"], 2, "no identity 9 in monday"),
        (["red.png", "unfinished/gate/1"], 1, "unfinished: this run was not finished"),
        (["red.png", "bare/gate/1"], 1, "bare: what its stages made is gone; give its `reidtrack run` command again"),
        (["red.png", "empty/gate/1"], 1, "empty: not a run directory"),
        (["red.png", "blue.png", "--embedder", "gone.onnx"], 1, "gone.onnx: no such embedder"),
        (["red.png", "blue.png", "--embedder", "bare.onnx"], 1, "bare.onnx: carries no calibration"),
        (["red.png", "blue.png", "--prior", "1"], 2, "1 is no prior; give --prior above 0 and below 1"),
        (["red.png", "blue.png", "--prior", "nan"], 2, "nan is no prior"),
        (["red.png", "blue.png", "--among", "1"], 2, "--among 1: nobody to choose from"),
        (["red.png", "blue.png", "--among", "3", "--prior", "0.1"], 2, "--prior and --among say the same thing"),
        (["red.png", "blue.png", "--montage", "a.jpg"], 2, "give a name that ends in .png"),
        (["red.png", "blue.png", "--montage", "notes.txt/a.png"], 1, "cannot be written"),
        (["red.png"], 2, "Missing argument 'B'"),
    ],
)
def test_mistakes_end_in_one_line(capsys, args, code, said):
    assert main(["compare", *args]) == code
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 0


def test_a_tracklet_that_the_stages_have_no_longer(capsys, tmp_path):
    shutil.copytree("monday", tmp_path / "run")
    content = json.loads((tmp_path / "run/identities.json").read_text())
    content[0]["tracklets"].append({"tracklet": "gate/7"})
    (tmp_path / "run/identities.json").write_text(json.dumps(content))
    assert main(["compare", f"{tmp_path}/run/gate/7", "red.png"]) == 1
    assert "the run's stages do not have gate/7 any more; give `reidtrack link" in capsys.readouterr().err
