import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto

from reid import embed
from reid.embed import DEFAULT_EMBEDDER, EMBEDDERS, Card, Embedder, find_embedder
from reid.errors import BadInputError, ModelError
from reid.images import resize_crop
from tests.helpers import CALIBRATION, CARD, colour_embedder


@pytest.fixture
def path(tmp_path):
    return colour_embedder(tmp_path / "colour.onnx")


def crops(rng, count):
    return [rng.integers(0, 256, (*rng.integers(1, 60, 2), 3), dtype=np.uint8) for _ in range(count)]


def test_what_an_embedder_says_of_itself(path):
    embedder = Embedder(path, "cpu")
    assert (embedder.dim, embedder.size) == (3, (8, 4))
    assert embedder.card == CARD
    assert embedder.calibration == CALIBRATION
    backbone, _, digest = embedder.model_id.partition("-")
    assert backbone == "colour"
    assert len(digest) == 12
    assert Embedder(str(path), "cpu").model_id == embedder.model_id


def test_another_file_is_another_model(path, tmp_path):
    other = colour_embedder(tmp_path / "other.onnx", card=Card("colour", (8, 5), "nothing", "free", 1, "0" * 64))
    assert Embedder(path, "cpu").model_id != Embedder(other, "cpu").model_id
    assert Embedder(other, "cpu").calibration is None
    assert Embedder(other, "cpu").card.scores == {}


@pytest.mark.parametrize("batch", [1, 3, 32])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_vectors_in_order_whatever_the_batch(path, batch, count):
    images = crops(np.random.default_rng(count), count)
    vectors = Embedder(path, "cpu")(images, batch)
    colours = np.stack([resize_crop(image, (8, 4)).mean((0, 1)) + 1 for image in images])
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(colours / np.linalg.norm(colours, axis=1, keepdims=True), abs=1e-5)


def test_no_crops_give_no_vectors(path):
    vectors = Embedder(path, "cpu")([])
    assert vectors.shape == (0, 3)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_a_crop_of_another_kind_is_named(path, crop):
    with pytest.raises(ValueError, match=r"crop 1: expected \(h, w, 3\) uint8, got"):
        Embedder(path, "cpu")([np.zeros((4, 4, 3), np.uint8), crop])


def test_a_batch_of_none_is_refused(path):
    with pytest.raises(ValueError, match="batch"):
        Embedder(path, "cpu")([], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata": {}}, "no metadata reidtrack.format, reidtrack.backbone, reidtrack.size"),
        ({"names": ("images", "vectors")}, "no input crops"),
        ({"names": ("crops", "features")}, "no output vectors"),
        ({"kind": TensorProto.INT32}, "no input crops"),
        ({"metadata": {"reidtrack.format": "1"}}, r"reads \(format '1' where it reads '2': export it again\)"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.format": "3"}}, "format '3' where it reads '2'"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.parameters": "0"}}, "parameters '0', expected a count"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.parameters": "1.9M"}}, "parameters '1.9M'"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.scores": "{"}}, "scores '{', expected mAP and R1"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.scores": "[1]"}}, "expected mAP and R1"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.scores": '{"x": [0.5]}'}}, "expected mAP and R1"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.scores": '{"x": [57.6, 77.9]}'}}, "expected mAP and R1"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.size": "192"}}, "size '192'"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.size": "0x96"}}, "size '0x96'"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.calibration": "{}"}}, "calibration: expected tracklets"),
        ({"metadata": CARD.to_metadata() | {"reidtrack.calibration": "{"}}, "calibration: not JSON"),
    ],
)
def test_a_model_off_the_contract_is_refused(tmp_path, changes, message):
    path = colour_embedder(tmp_path / "a.onnx", **changes)
    with pytest.raises(ModelError, match=message) as caught:
        Embedder(path, "cpu")
    assert "reidtrack export" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_metadata_is_left_alone(tmp_path):
    path = colour_embedder(tmp_path / "a.onnx", metadata=CARD.to_metadata() | {"made.by": "someone"})
    assert Embedder(path, "cpu").card == CARD


def test_find_embedder(path, monkeypatch, tmp_path):
    monkeypatch.setitem(EMBEDDERS, "shipped", path)
    monkeypatch.setitem(EMBEDDERS, "lost", tmp_path / "lost.onnx")
    assert find_embedder("shipped") == path
    assert find_embedder(path) == find_embedder(str(path)) == path
    with pytest.raises(ModelError, match="shipped embedder is missing; reinstall"):
        find_embedder("lost")
    with pytest.raises(
        ModelError, match=r"nowhere.onnx: no such embedder; give an exported .onnx file or one of standard"
    ):
        find_embedder("nowhere.onnx")


def test_a_malformed_device_is_bad_input(path):
    with pytest.raises(BadInputError, match="'gpu7'"):
        Embedder(path, "gpu7")


def test_the_default_is_listed():
    assert DEFAULT_EMBEDDER in EMBEDDERS
    assert all(file.suffix == ".onnx" and file.parent.name == "weights" for file in EMBEDDERS.values())


def test_embedding_does_without_torch():
    code = f"import sys, {embed.__name__}, reid.pool; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
