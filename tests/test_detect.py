"""The detector: where weights come from, and that the CPU's ONNX twin finds what the .pt finds."""

from pathlib import Path

import numpy as np
import pytest

from reid.errors import ModelError
from reid.evaluation.search import overlap
from tests.clips import photograph
from tracker import detect
from tracker.detect import DEFAULT_SHA256, YoloDetector, default_weights, detector_id, find_weights
from tracker.files import sha256
from tracker.types import Detections


def test_default_weights_are_the_official_file():
    assert sha256(default_weights()) == DEFAULT_SHA256


def test_damaged_default_weights_are_refused(monkeypatch):
    monkeypatch.setattr(detect, "DEFAULT_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="force-reinstall"):
        default_weights()


def test_onnx_twin_agrees_with_the_pt():
    """Same people, boxes within 2 pixels of a 1080-pixel picture, confidences within 0.01; at three sizes at once."""
    full = photograph("bus.jpg")
    pictures = [full, full[:, ::-1].copy(), full[200:, 100:].copy()]
    twin = YoloDetector("yolov8n", "cpu")
    assert twin.runs.suffix == ".onnx"
    original = YoloDetector("yolov8n", "cpu")
    original._model = detect._load(default_weights())
    for picture in pictures:
        (a,), (b,) = twin([picture]), original([picture])
        strong_a, strong_b = a.score > 0.3, b.score > 0.3
        assert strong_a.sum() == strong_b.sum() >= 3
        match = overlap(a.xyxy[strong_a], b.xyxy[strong_b]).argmax(1)
        assert sorted(match) == list(range(len(match)))
        assert np.abs(a.xyxy[strong_a] - b.xyxy[strong_b][match]).max() < 2
        assert np.abs(a.score[strong_a] - b.score[strong_b][match]).max() < 0.01


def test_a_batch_gives_what_single_pictures_give():
    full = photograph("bus.jpg")
    pictures = [full, full[:, ::-1].copy(), np.zeros_like(full)]
    detector = YoloDetector("yolov8n", "cpu")
    together = detector(pictures)
    for one, several in zip([detector([picture])[0] for picture in pictures], together, strict=True):
        assert len(one) == len(several)
        assert np.allclose(one.xyxy, several.xyxy, atol=0.5)
    assert len(together[2]) == 0
    assert isinstance(together[2], Detections)


def test_identity_of_a_detector_needs_no_loading(monkeypatch):
    loaded = YoloDetector("yolov8n", "cpu").model_id
    monkeypatch.setattr(detect, "_load", None)
    assert detector_id("yolov8n") == loaded


def test_a_model_name_that_cannot_be_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("REIDTRACK_CACHE", str(tmp_path))
    import ultralytics.utils.downloads as downloads

    def refuse(path):
        raise ConnectionError("no network")

    monkeypatch.setattr(downloads, "attempt_download_asset", refuse)
    with pytest.raises(ModelError, match="cannot be downloaded; connect"):
        find_weights("yolo11n")


def test_a_fetched_model_is_kept_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("REIDTRACK_CACHE", str(tmp_path))
    import ultralytics.utils.downloads as downloads

    monkeypatch.setattr(downloads, "attempt_download_asset", lambda path: Path(path).write_bytes(b"weights"))
    path = find_weights("yolo11n")
    assert tmp_path in path.parents
    monkeypatch.setattr(downloads, "attempt_download_asset", None)
    assert find_weights("yolo11n.pt") == path


def test_cuda_runs_the_pt_in_half_precision(monkeypatch):
    """Without a GPU here, what is asked of ultralytics is what can be checked."""
    asked = {}

    class Model:
        names = {0: "person", 1: "bicycle"}

        def predict(self, images, **options):
            asked.update(options)
            return []

    monkeypatch.setattr(detect, "_load", lambda path: asked.setdefault("file", path) and Model())
    detector = YoloDetector("yolov8n", "cuda:1")
    detector([np.zeros((8, 8, 3), np.uint8)])
    assert asked["file"] == default_weights()
    assert asked["device"] == "cuda:1"
    assert asked["half"] is True
    assert detector.batch == 32


def test_a_model_that_detects_no_people(monkeypatch):
    class Model:
        names = {0: "cat", 1: "dog"}

    monkeypatch.setattr(detect, "_load", lambda path: Model())
    with pytest.raises(ModelError, match="no person class"):
        YoloDetector("yolov8n", "cuda:0")
