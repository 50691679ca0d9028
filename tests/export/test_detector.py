"""The detector as one file: the letterbox and the choice of boxes against loops, and the real one against PyTorch."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export import detector
from export.detector import People, export_detector, open_detector, prove
from export.detector_graph import MOST, person_class, whole_graph
from reid.errors import BadInputError, ModelError
from reid.evaluation.search import overlap
from reid.graphs import import_openvino
from tests.clips import photograph
from tests.export.small import needs_openvino
from tracker.detect import YoloDetector, default_weights, find_weights

NAMES = "{0: 'cat', 1: 'Person', 2: 'dog'}"


def network(raw, names=NAMES, dims=None):
    """A network that gives ``raw`` (4 + classes, n) whatever it sees."""
    raw = np.asarray(raw, np.float32)[None]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images", "space"], ["mean"], keepdims=1),
            helper.make_node("Squeeze", ["mean", "last"], ["level"]),
            helper.make_node("Mul", ["level", "nothing"], ["none"]),
            helper.make_node("Add", ["raw", "none"], ["output0"]),
        ],
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, dims or [1, raw.shape[1], "anchors"])],
        [
            numpy_helper.from_array(np.array([1, 2, 3]), "space"),
            numpy_helper.from_array(np.array([3]), "last"),
            numpy_helper.from_array(np.zeros((1, 1, 1), np.float32), "nothing"),
            numpy_helper.from_array(raw, "raw"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {"names": names} if names else {})
    return model


def run(model, picture, outputs=("boxes", "scores")):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(list(outputs), {"picture": picture})


def letterboxed(picture, size):
    """As ultralytics' LetterBox pads to multiples of 32, with OpenCV."""
    height, width = picture.shape[:2]
    ratio = min(size / height, size / width)
    new = max(round(height * ratio), 1), max(round(width * ratio), 1)
    resized = cv2.resize(picture, new[::-1], interpolation=cv2.INTER_LINEAR)
    down, across = ((size - side) % 32 / 2 for side in new)
    sides = round(down - 0.1), round(down + 0.1), round(across - 0.1), round(across + 0.1)
    padded = cv2.copyMakeBorder(resized, *sides, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return padded.transpose(2, 0, 1)[None] / 255, ratio, (sides[2], sides[0])


def chosen(raw, person, confidence, most):
    """Non-maximum suppression, box by box: (cx, cy, w, h) and scores to xyxy and scores, best first."""
    left = [
        (score, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        for cx, cy, w, h, *scores in raw.T
        if (score := scores[person]) > confidence and score >= max(scores)
    ]
    kept = []
    for one in sorted(left, reverse=True):
        if len(kept) < MOST and all(shared(one[1:], other[1:]) <= most for other in kept):
            kept.append(one)
    return np.array([one[1:] for one in kept]).reshape(-1, 4), np.array([one[0] for one in kept])


def shared(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("extent", [(480, 640), (810, 1080), (97, 61), (64, 64), (40, 333), (700, 9), (1, 1)])
def test_the_letterbox_is_that_of_ultralytics(extent):
    picture = np.random.default_rng(0).integers(0, 256, (*extent, 3), np.uint8)
    picture = cv2.blur(picture, (5, 5)).reshape(*extent, 3)
    whole = whole_graph(network(np.zeros((7, 1))), "a.pt", 320, 0.1, 0.6)
    whole.graph.output.append(helper.make_tensor_value_info("images", TensorProto.FLOAT, None))
    (found,) = run(whole, picture, ["images"])
    expected = letterboxed(picture, 320)[0]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() * 255 < 1.01  # OpenCV rounds its weights
    assert np.mean(np.abs(found - expected) * 255 > 0.5) < 0.15  # of noise


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(0, 30),
    extent=st.tuples(st.integers(20, 400), st.integers(20, 400)),
    confidence=st.sampled_from([0.05, 0.3]),
    most=st.sampled_from([0.2, 0.6]),
)
def test_people_are_chosen_as_by_a_loop_and_placed_in_the_picture(seed, count, extent, confidence, most):
    rng = np.random.default_rng(seed)
    picture = np.zeros((*extent, 3), np.uint8)
    _, ratio, (left, top) = letterboxed(picture, 320)
    raw = np.concatenate([rng.uniform(20, 300, (2, count)), rng.uniform(5, 120, (2, count)), rng.random((3, count))])
    raw = raw.astype(np.float32)
    boxes, scores = run(whole_graph(network(raw), "a.pt", 320, confidence, most), picture)
    expected, values = chosen(raw, 1, confidence, most)
    limits = np.array([extent[1], extent[0]] * 2)
    placed = np.clip((expected - [left, top, left, top]) / ratio, 0, limits)
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes == pytest.approx(placed.astype(np.float32), abs=2e-2)
    assert scores == pytest.approx(values.astype(np.float32), abs=1e-6)


def test_an_anchor_whose_best_class_is_another_is_no_person():
    boxes = [[50, 150], [50, 150], [20, 20], [20, 20]]
    raw = np.array([*boxes, [0.9, 0.1], [0.8, 0.8], [0, 0]])
    found, scores = run(whole_graph(network(raw), "a.pt", 320, 0.1, 0.6), np.zeros((320, 320, 3), np.uint8))
    assert found.tolist() == [[140, 140, 160, 160]]
    assert scores == pytest.approx([0.8])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            network(np.zeros((7, 2)), names="{0: 'cat', 1: 'dog', 2: 'cow'}"),
            "a.pt: detects cat, dog, cow, .* no person",
        ),
        (network(np.zeros((6, 2))), r"a.pt: gives \[1, 6, 0\], not a box and 3 scores an anchor"),
        (network(np.zeros((7, 2)), dims=[1, 300]), r"a.pt: gives \[1, 300\], not a box"),
        (network(np.zeros((7, 2)), names=None), "a.pt: does not name its classes"),
        (network(np.zeros((7, 2)), names="people"), "a.pt: does not name its classes"),
    ],
)
def test_another_kind_of_network_is_told(made, message):
    with pytest.raises(ModelError, match=message) as caught:
        whole_graph(made, "a.pt", 320, 0.1, 0.6)
    assert "\n" not in str(caught.value)


def test_the_only_class_is_people_whatever_its_name():
    assert person_class({0: "head"}, "a.pt") == 0
    assert person_class({0: "cat", 5: "Pedestrian"}, "a.pt") == 5


BOX = np.array([[10, 10, 50, 90], [100, 10, 140, 80]], np.float32)
STREET = {"street": np.zeros((320, 200, 3), np.uint8)}
SEEN = People(BOX, np.array([0.9, 0.12], np.float32))
FAULTS = {
    "moved": People(BOX + np.float32(1.5), SEEN.scores),
    "one side": People(BOX + np.array([0, 0, 0, 1.2], np.float32), SEEN.scores),
    "less sure": People(BOX, SEEN.scores - np.float32(0.02)),
    "missing": People(BOX[:0], SEEN.scores[:0]),
    "too many": People(np.concatenate([BOX, BOX + 300]), np.concatenate([SEEN.scores, SEEN.scores])),
    "no number": People(BOX[:1] * np.float32(np.nan), SEEN.scores[:1]),
    "no score": People(BOX, SEEN.scores * np.float32(np.nan)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_finds_others_than_its_network_is_refused(fault):
    with pytest.raises(ModelError, match=r"p.onnx: in the picture 'street' a box differs by .* where 1 and 0.01 are"):
        prove(Path("p.onnx"), lambda picture: FAULTS[fault], lambda picture: SEEN, STREET, 320, 0.1)


def test_what_is_near_or_too_weak_to_count_passes():
    near = People(BOX + np.float32(0.5), SEEN.scores + np.float32(0.005))
    pixels, score = prove(Path("p.onnx"), lambda picture: near, lambda picture: SEEN, STREET, 320, 0.1)
    assert (pixels, score) == pytest.approx((0.5, 0.005), abs=1e-6)
    weak = People(BOX[:1], SEEN.scores[:1])
    assert prove(Path("p.onnx"), lambda picture: weak, lambda picture: SEEN, STREET, 320, 0.15) == (0, 0)


def test_scores_may_differ_more_where_the_picture_was_resized():
    less = People(BOX[:1], SEEN.scores[:1] - np.float32(0.02))
    seen, large = People(BOX[:1], SEEN.scores[:1]), {"street": np.zeros((640, 480, 3), np.uint8)}
    prove(Path("p.onnx"), lambda picture: less, lambda picture: seen, large, 320, 0.1)
    with pytest.raises(ModelError, match=r"a score by 0\.02"):
        prove(Path("p.onnx"), lambda picture: less, lambda picture: seen, STREET, 320, 0.1)


def test_boxes_are_compared_in_the_pixels_that_the_network_sees():
    picture = {"street": np.zeros((640, 480, 3), np.uint8)}
    moved = People(BOX + np.float32(1.5), SEEN.scores)
    assert prove(Path("p.onnx"), lambda picture: moved, lambda picture: SEEN, picture, 320, 0.1) == (0.75, 0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """yolov8n at 320 pixels, and what was told."""
    told = []
    out = tmp_path_factory.mktemp("detector") / "new" / "person.onnx"
    assert export_detector(str(default_weights()), out, 320, told.append) == out
    return out, told


def test_the_real_one_is_proven_and_says_what_it_is(exported):
    out, told = exported
    assert [path.name for path in out.parent.iterdir()] == ["person.onnx"]
    assert "finds whom the network finds in" in told[-1]
    model = onnx.load(out)
    entries = {entry.key.removeprefix("reidtrack.detector."): entry.value for entry in model.metadata_props}
    assert (entries["weights"], entries["size"], entries["colour"]) == ("yolov8n.pt", "320", "rgb")
    assert (entries["confidence"], entries["overlap"], entries["finds"]) == ("0.1", "0.6", "person")
    assert "AGPL" in entries["licence"]
    assert [value.name for value in model.graph.input] == ["picture"]
    assert [value.name for value in model.graph.output] == ["boxes", "scores"]


def test_reidtrack_runs_it_and_finds_whom_the_bundled_one_finds(exported):
    """At half the size: the same people, nearly as placed."""
    out, _ = exported
    assert find_weights(str(out)) == out
    detector, bundled = YoloDetector(str(out), "cpu"), YoloDetector("yolov8n", "cpu")
    picture = photograph("bus.jpg")
    found, empty = detector([picture, np.zeros_like(picture)])
    (expected,) = bundled([picture])
    sure = expected.xyxy[expected.score > 0.5]
    assert len(sure) == 3
    assert overlap(sure, found.xyxy[found.score > 0.4]).max(1).min() > 0.8
    assert len(empty) == 0
    assert detector.model_id != bundled.model_id


@needs_openvino
def test_openvino_finds_the_same(exported):
    out, _ = exported
    openvino = import_openvino(out)
    picture = np.ascontiguousarray(photograph("bus.jpg")[..., ::-1])
    compiled = openvino.Core().compile_model(out, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    boxes, scores = (compiled(picture)[name] for name in ("boxes", "scores"))
    expected = open_detector(out, "cpu")(picture)
    assert scores == pytest.approx(expected.scores, abs=1e-3)
    assert boxes == pytest.approx(expected.boxes, abs=0.5)


def test_other_files_are_none_of_its(tmp_path):
    onnx.save(network(np.zeros((7, 2))), tmp_path / "other.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    for name in ("other.onnx", "text.onnx", "absent.onnx"):
        assert open_detector(tmp_path / name) is None


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"weights": "absent.pt"}, ModelError, "absent.pt: no such .pt file"),
        ({"weights": "text.onnx"}, ModelError, "text.onnx: no such .pt file"),
        ({"weights": "text.pt"}, ModelError, "text.pt: not a YOLO detector that ultralytics can export"),
        ({"size": 100}, BadInputError, "size 100: give a multiple of 32"),
        ({"size": 0}, BadInputError, "size 0: give a multiple of 32"),
        ({"confidence": 1.0}, BadInputError, "confidence 1, overlap 0.6: give shares of 1"),
        ({"overlap": 0.0}, BadInputError, "confidence 0.1, overlap 0: give shares of 1"),
        ({"out": "a.engine"}, BadInputError, "a.engine: a detector is written as .onnx"),
        ({"out": "folder.onnx"}, BadInputError, "is a folder"),
        ({"out": "text.pt/a.onnx"}, BadInputError, "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_told(tmp_path, how, error, message):
    (tmp_path / "text.pt").write_text("not a checkpoint")
    (tmp_path / "text.onnx").write_text("not a checkpoint")
    (tmp_path / "folder.onnx").mkdir()
    options = {"weights": "text.pt", "out": "a.onnx"} | how
    options |= {name: tmp_path / options[name] for name in ("weights", "out")}
    with pytest.raises(error, match=message) as caught:
        export_detector(**options)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.onnx", "text.onnx", "text.pt"]


def test_a_file_that_is_not_proven_is_not_put_in_place(tmp_path, monkeypatch):
    out = tmp_path / "person.onnx"
    out.write_bytes(b"the last good one")
    raw = np.array([[50.0], [50], [20], [20], [0], [0.9], [0]])
    monkeypatch.setattr(detector, "_exported", lambda weights, size: network(raw))
    monkeypatch.setattr(detector, "_reference", lambda *given: lambda picture: People(BOX[:0], SEEN.scores[:0]))
    with pytest.raises(ModelError, match="a box differs by inf of the network's pixels"):
        export_detector(default_weights(), out)
    assert out.read_bytes() == b"the last good one"
    assert [path.name for path in tmp_path.iterdir()] == ["person.onnx"]
