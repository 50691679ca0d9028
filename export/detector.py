"""A person detector as one ONNX file: exported, proven, opened. ``export.detector_graph`` says what it computes.

Such a file takes ``picture`` (h, w, 3) uint8 RGB, h and w free, and gives ``boxes`` (n, 4) float32, xyxy in the
picture's pixels, and ``scores`` (n,) float32, best first. Its metadata says which weights, size and thresholds are in
it.
"""

import hashlib
import importlib
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from export.detector_graph import INPUT, MOST, OUTPUTS, STRIDE, class_names, person_class, whole_graph
from export.placing import placed, writing
from reid.errors import BadInputError, ModelError
from reid.images import Image, read_image, resize_crop
from reid.runtime import open_session

_log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Report = Callable[[str], None]

FORMAT = "1"
SIZE = 640
OPSET = 18
CONFIDENCE, OVERLAP = 0.1, 0.6
NEAR_PX, NEAR_SCORE = 1.0, 0.01
RESIZED_SCORE = 0.03  # of a picture that was resized: OpenCV, which PyTorch's picture comes from, rounds otherwise
_PREFIX = "reidtrack.detector."


class People(NamedTuple):
    """Who is in a picture: (n, 4) float32 boxes, xyxy in its pixels, and (n,) float32 scores, best first."""

    boxes: Floats
    scores: Floats


Find = Callable[[Image], People]


def export_detector(
    weights: str | Path,
    out: Path,
    size: int = SIZE,
    report: Report = _log.info,
    confidence: float = CONFIDENCE,
    overlap: float = OVERLAP,
) -> Path:
    """Export a detector, prove it equal to the network on photographs, and only then put it at ``out``.

    ultralytics is imported as it is; its habits are ``tracker.detect.import_ultralytics``'s matter.

    Args:
        weights: an ultralytics detection model's .pt.
        out: the file to write; one that is there is replaced only by one that was proven.
        size: longest side in pixels that pictures are scaled to; a multiple of 32.
        report: called with lines of progress.
        confidence: score that a box needs, 0..1.
        overlap: intersection over union from which two boxes are one person, 0..1.

    Returns:
        ``out``.

    Raises:
        ModelError: the weights are absent, no detector's or find no people; or the file finds others than the network.
        BadInputError: an option makes no sense, or ``out`` cannot be written.
    """
    weights = Path(weights)
    if size < STRIDE or size % STRIDE:
        raise BadInputError(f"size {size}: give a multiple of {STRIDE}, such as {SIZE}")
    if not (0 <= confidence < 1 and 0 < overlap <= 1):
        raise BadInputError(f"confidence {confidence:g}, overlap {overlap:g}: give shares of 1, such as 0.1 and 0.6")
    if out.suffix != ".onnx":
        raise BadInputError(f"{out}: a detector is written as .onnx; give a name that ends so")
    if weights.suffix != ".pt" or not weights.is_file():
        raise ModelError(f"{weights}: no such .pt file; give an ultralytics detection model's weights")
    with placed(out) as partial:
        report(f"exporting {weights.name} at {size} pixels")
        network = _exported(weights, size)
        with weights.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        entries = {"weights": weights.name, "weights_sha256": content, "size": size}
        graph = whole_graph(network, str(weights), size, confidence, overlap)
        thresholds = {"confidence": confidence, "overlap": overlap}
        onnx.helper.set_model_props(graph, _metadata(network, entries | thresholds))
        with writing(out):
            onnx.save(graph, partial)
        found = open_detector(partial, "cpu")
        assert found is not None  # its metadata was written just now
        person = person_class(class_names(network, str(weights)), str(weights))
        expected, pictures = _reference(weights, person, size, confidence, overlap), _photographs(size)
        pixels, score = prove(out, found, expected, pictures, size, confidence)
    report(
        f"{out}: finds whom the network finds in {len(pictures)} pictures; "
        f"boxes within {pixels:.2f} of its pixels, scores within {score:.4f}"
    )
    return out


def open_detector(path: Path, device: str = "auto") -> Find | None:
    """A file that ``export_detector`` made, as a call; None where it is another file.

    Args:
        path: of the file.
        device: as for ``reid.runtime.open_session``.

    Raises:
        ModelError: it cannot be opened.
        BadInputError: the device cannot be used.
    """
    try:
        entries = onnx.load(path, load_external_data=False).metadata_props
    except Exception:  # protobuf has types of its own
        return None  # whoever opens it says what is wrong with it
    if FORMAT not in [entry.value for entry in entries if entry.key == f"{_PREFIX}format"]:
        return None
    session = open_session(path, device)

    def find(picture: Image) -> People:
        boxes, scores = session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(picture)})
        return People(boxes, scores)

    return find


def _exported(weights: Path, size: int) -> onnx.ModelProto:
    """The network alone, as ultralytics writes it: beside its source, so from a copy."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about PyTorch's exporter, which ultralytics calls
        copy = Path(folder, weights.name)
        shutil.copyfile(weights, copy)
        try:
            made = _yolo(copy).export(
                format="onnx", dynamic=True, imgsz=size, opset=OPSET, simplify=True, device="cpu", verbose=False
            )
        except Exception as error:  # a file that is no detector raises whatever its bytes happen to hit
            _log.debug("the export failed", exc_info=error)
            raise ModelError(
                f"{weights}: not a YOLO detector that ultralytics can export; give a detection model's .pt"
            ) from None
        return onnx.load(made)


def _yolo(weights: Path) -> Any:
    os.environ.setdefault("YOLO_AUTOINSTALL", "False")
    os.environ.setdefault("YOLO_VERBOSE", "False")
    ultralytics: Any = importlib.import_module("ultralytics")
    return ultralytics.YOLO(str(weights), task="detect")


def _metadata(network: onnx.ModelProto, entries: Mapping[str, object]) -> dict[str, str]:
    """What the file says of itself; the licence is what ultralytics wrote."""
    licence = next((entry.value for entry in network.metadata_props if entry.key == "license"), "not stated")
    told = {"format": FORMAT, "colour": "rgb", "finds": "person", "licence": licence, **entries}
    return {_PREFIX + key: str(value) for key, value in told.items()}


def _photographs(size: int) -> dict[str, Image]:
    """The pictures that ultralytics carries, at the network's size, whole, cut to odd sizes, small; and a black one."""
    import ultralytics

    pictures = {
        path.stem: read_image(path) for path in sorted(Path(ultralytics.__file__).with_name("assets").glob("*.jpg"))
    }
    made: dict[str, Image] = {"black": np.zeros((481, 333, 3), np.uint8)}
    for name, picture in pictures.items():
        height, width = picture.shape[:2]
        ratio = size / max(height, width)
        fitted = resize_crop(picture, (max(round(height * ratio), 1), max(round(width * ratio), 1)))
        made |= {name: picture, f"{name}, fitted": fitted, f"{name}, cut": picture[height // 7 :, width // 9 :]}
        made[f"{name}, small"] = resize_crop(picture, (height // 3, width // 3))
    return made


def _reference(weights: Path, person: int, size: int, confidence: float, overlap: float) -> Find:
    """What PyTorch finds with the same weights and thresholds."""
    model = _yolo(weights)

    def find(picture: Image) -> People:
        bgr = np.ascontiguousarray(picture[..., ::-1])
        (found,) = model.predict(
            bgr, conf=confidence, iou=overlap, imgsz=size, classes=[person], max_det=MOST, device="cpu", verbose=False
        )
        boxes = found.boxes.cpu().numpy()
        return People(boxes.xyxy.astype(np.float32), boxes.conf.astype(np.float32))

    return find


def prove(
    out: Path, found: Find, expected: Find, pictures: Mapping[str, Image], size: int, confidence: float
) -> tuple[float, float]:
    """Compare what a file finds in pictures with what its network finds.

    Args:
        out: what a message calls the file.
        found, expected: the two.
        pictures: RGB, by what a message calls them.
        size: longest side that the network sees them at: boxes are compared in its pixels, or in those of a picture
            that is smaller.
        confidence: the threshold of both; boxes that are near it may be in one only.

    Returns:
        The largest distance between two boxes' sides in those pixels, and the largest difference of two scores.

    Raises:
        ModelError: somebody is found by one of them only, or a box or a score differs too much.
    """
    worst = (0.0, 0.0)
    for name, picture in pictures.items():
        a, b, scale = found(picture), expected(picture), min(size / max(picture.shape), 1)
        near = NEAR_SCORE if max(picture.shape) == size else RESIZED_SCORE
        for one, other in ((a, b), (b, a)):
            apart, score = _differences(one, other, confidence + near)
            pixels = apart * scale
            if not (pixels <= NEAR_PX and score <= near):
                raise ModelError(
                    f"{out}: in the picture {name!r} a box differs by {pixels:.2f} of the network's pixels and a"
                    f" score by {score:.4f} from what it finds itself, where {NEAR_PX:g} and {near:g} are"
                    " allowed; try another size, or yolov8n"
                )
            worst = max(worst[0], pixels), max(worst[1], score)
    return worst


def _differences(one: People, other: People, sure: float) -> tuple[float, float]:
    """How far one's sure boxes are from the other's nearest: pixels and scores; infinite where there is none."""
    pixels = score = 0.0
    for box, value in zip(one.boxes, one.scores, strict=True):
        if value >= sure:
            apart = np.abs(other.boxes - box).max(axis=1, initial=0.0)
            if not len(apart):
                return np.inf, np.inf
            nearest = int(apart.argmin())
            pixels = float(np.maximum(pixels, apart[nearest]))  # keeps NaN, which max would drop
            score = float(np.maximum(score, abs(other.scores[nearest] - value)))
    return pixels, score
