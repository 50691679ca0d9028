"""Crops to vectors at run time: ONNX Runtime and one exported file, without PyTorch.

An embedder file takes ``crops`` (n, h, w, 3) uint8, h and w free, n too unless its card fixes it, RGB unless its card
says BGR, and gives ``vectors`` (n, dim) float32 of unit norm; preprocessing is inside. Its metadata (``Card``) says
what it is. ``reidtrack export`` makes such files.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reid.calibration import Calibration
from reid.errors import ModelError
from reid.images import Image, resize_crop
from reid.runtime import open_session

INPUT, OUTPUT = "crops", "vectors"
FORMAT = "2"
_PREFIX = "reidtrack."
_KEYS = ("format", "backbone", "size", "training_data", "licence", "parameters", "weights_sha256", "scores")
_DYNAMIC = "dynamic"

EMBEDDERS: dict[str, Path] = {name: Path(__file__).parent / "weights" / f"{name}.onnx" for name in ("standard", "edge")}
PRECISIONS = ("fp32", "fp16", "int8")
COLOURS = ("rgb", "bgr")
DEFAULT_EMBEDDER = "standard"


@dataclass(frozen=True)
class Card:
    """What an embedder file says of itself, in its ONNX metadata.

    Attributes:
        backbone: name in ``reid.backbones.BACKBONES``; of an imported file, its name without the ending.
        size: (height, width) that the network works at.
        training_data: what it was trained on, in words.
        licence: the terms of the training data, in words.
        parameters: learned numbers of the network, without what only training needs, such as the classifier.
        weights_sha256: of the checkpoint that it was exported from, or the file that it was imported from, hexadecimal.
        scores: data set -> (mAP, R1) of this file as shares, single query without re-ranking; empty where none were
            measured.
        calibration: how to read its similarities; None where it was never measured. Of a file in another form that was
            not measured itself, it is that of the file it was made from.
        precision: what it computes in, a name in ``PRECISIONS``.
        colour: order of the channels that it takes, ``rgb`` or ``bgr``.
        batch: crops that it takes at a time, never more or fewer; 0 for any number.
    """

    backbone: str
    size: tuple[int, int]
    training_data: str
    licence: str
    parameters: int
    weights_sha256: str
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    calibration: Calibration | None = None
    precision: str = "fp32"
    colour: str = "rgb"
    batch: int = 0

    @property
    def network_id(self) -> str:
        """Of the weights, whatever became of them: what ``reid.network.Network.model_id`` says of the checkpoint."""
        return f"{self.backbone}-{self.weights_sha256[:12]}"

    def to_metadata(self) -> dict[str, str]:
        """As ONNX ``metadata_props``, keys starting with ``reidtrack.``."""
        entries = {
            "format": FORMAT,
            "model_id": self.network_id,
            "backbone": self.backbone,
            "size": f"{self.size[0]}x{self.size[1]}",
            "training_data": self.training_data,
            "licence": self.licence,
            "parameters": str(self.parameters),
            "weights_sha256": self.weights_sha256,
            "scores": json.dumps(dict(self.scores)),
            "precision": self.precision,
            "colour": self.colour,
            "batch": str(self.batch or _DYNAMIC),
        }
        if self.calibration is not None:
            entries["calibration"] = self.calibration.to_json()
        return {_PREFIX + key: value for key, value in entries.items()}

    @staticmethod
    def from_metadata(metadata: Mapping[str, str]) -> "Card":
        """Read what ``to_metadata`` wrote.

        Raises:
            ValueError: naming every key that is missing, or the one that cannot be read.
        """
        written = metadata.get(_PREFIX + "format", FORMAT)
        if written != FORMAT:
            raise ValueError(f"format {written!r} where it reads {FORMAT!r}: export it again")
        missing = [_PREFIX + key for key in _KEYS if _PREFIX + key not in metadata]
        if missing:
            raise ValueError(f"no metadata {', '.join(missing)}")
        entries = {key: metadata[_PREFIX + key] for key in _KEYS}
        if not (entries["parameters"].isdecimal() and int(entries["parameters"])):
            raise ValueError(f"parameters {entries['parameters']!r}, expected a count such as 1900000")
        calibration = metadata.get(_PREFIX + "calibration")
        return Card(
            backbone=entries["backbone"],
            size=_read_size(entries["size"]),
            training_data=entries["training_data"],
            licence=entries["licence"],
            parameters=int(entries["parameters"]),
            weights_sha256=entries["weights_sha256"],
            scores=_read_scores(entries["scores"]),
            calibration=None if calibration is None else Calibration.from_json(calibration),
            precision=_read_choice(metadata, "precision", PRECISIONS),
            colour=_read_choice(metadata, "colour", COLOURS),
            batch=_read_batch(metadata.get(_PREFIX + "batch", _DYNAMIC)),
        )


def _read_size(text: str) -> tuple[int, int]:
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ValueError(f"size {text!r}, expected HEIGHTxWIDTH such as 192x96")
    return int(height), int(width)


def _read_choice(metadata: Mapping[str, str], key: str, choices: Sequence[str]) -> str:
    """The first choice where there is no entry: files of before it was written are of that kind."""
    value = metadata.get(_PREFIX + key, choices[0])
    if value not in choices:
        raise ValueError(f"{key} {value!r}, expected {' or '.join(choices)}")
    return value


def _read_batch(text: str) -> int:
    if text == _DYNAMIC:
        return 0
    if not (text.isdecimal() and int(text)):
        raise ValueError(f"batch {text!r}, expected {_DYNAMIC} or a count")
    return int(text)


def _read_scores(text: str) -> dict[str, tuple[float, float]]:
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        scores = {name: (float(m_ap), float(r1)) for name, (m_ap, r1) in json.loads(text).items()}
        if all(0 <= share <= 1 for pair in scores.values() for share in pair):
            return scores
    raise ValueError(f'scores {text!r}, expected mAP and R1 of each data set, such as {{"market1501": [0.5, 0.7]}}')


class Embedder:
    """A file that turns person crops into vectors.

    Args:
        model: a name in ``EMBEDDERS`` or the path of an exported file.
        device: as for ``reid.runtime.open_session``.
        threads: of the CPU that share one operator; 0 for one per core.

    Attributes:
        path: the file.
        model_id: backbone and the first 12 hexadecimal digits of the file's SHA-256. Vectors compare only to vectors
            of the same model.
        dim: length of the vectors.
        size: (height, width) that crops are resized to.
        card: all that the file says of itself.
        calibration: similarity to probability; None where the file has none.

    Raises:
        ModelError: the file is absent, is no ONNX model, or is not an embedder's.
        BadInputError: the device is malformed, or was asked for by name and does not work.
    """

    def __init__(self, model: str | Path = DEFAULT_EMBEDDER, device: str = "auto", threads: int = 0) -> None:
        self.path = find_embedder(model)
        self._session = open_session(self.path, device, threads)
        try:
            self.dim = _check_graph(self._session.get_inputs(), self._session.get_outputs())
            self.card = Card.from_metadata(self._session.get_modelmeta().custom_metadata_map)
        except ValueError as error:
            raise ModelError(
                f"{self.path}: not an embedder that this reidtrack reads ({error}); make one with `reidtrack export`"
            ) from None
        self.size = self.card.size
        self.calibration = self.card.calibration
        with self.path.open("rb") as file:
            self.model_id = f"{self.card.backbone}-{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"

    def __call__(self, crops: Sequence[Image], batch: int = 32) -> npt.NDArray[np.float32]:
        """Embed crops, in order.

        Args:
            crops: n RGB uint8 images (h, w, 3), of any sizes.
            batch: crops that go through the network at a time, at least 1; a file of a fixed batch keeps to its own.

        Returns:
            (n, dim) float32, unit norm.

        Raises:
            ValueError: a crop has another shape or dtype, or is empty.
        """
        if batch < 1:
            raise ValueError(f"batch: expected at least 1, got {batch}")
        batch = self.card.batch or batch
        vectors = np.empty((len(crops), self.dim), np.float32)
        for start in range(0, len(crops), batch):
            stop = min(start + batch, len(crops))
            images = np.zeros((self.card.batch or stop - start, *self.size, 3), np.uint8)
            for image, number in zip(images, range(start, stop), strict=False):
                image[:] = self._resized(crops[number], number)[..., :: -1 if self.card.colour == "bgr" else 1]
            vectors[start:stop] = self._session.run([OUTPUT], {INPUT: images})[0][: stop - start]
        return vectors

    def _resized(self, crop: Image, number: int) -> Image:
        if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
            raise ValueError(f"crop {number}: expected (h, w, 3) uint8, got {crop.shape} {crop.dtype}")
        return resize_crop(crop, self.size)


def calibration_of(embedder: Embedder) -> Calibration:
    """How to read an embedder's similarities.

    Raises:
        ModelError: it was never measured.
    """
    if embedder.calibration is None:
        raise ModelError(
            f"{embedder.path}: carries no calibration, so its similarities mean nothing here; make it again by"
            " `reidtrack export` or `import-model` with --calibrate market1501=FOLDER"
        )
    return embedder.calibration


def find_embedder(model: str | Path) -> Path:
    """The file of a name in ``EMBEDDERS``, or the path itself.

    Raises:
        ModelError: there is no such file.
    """
    shipped = EMBEDDERS.get(str(model))
    if shipped is not None and not shipped.is_file():
        raise ModelError(f"{shipped}: the shipped embedder is missing; reinstall reidtrack or give an exported .onnx")
    path = shipped or Path(model)
    if not path.is_file():
        raise ModelError(f"{path}: no such embedder; give an exported .onnx file or one of {', '.join(EMBEDDERS)}")
    return path


def _check_graph(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Length of the vectors; ValueError names what the graph lacks."""
    taken = [(node.name, node.type, tuple(node.shape)) for node in inputs]
    given = [(node.name, node.type, tuple(node.shape)) for node in outputs]
    if len(taken) != 1 or taken[0][:2] != (INPUT, "tensor(uint8)") or len(taken[0][2]) != 4 or taken[0][2][3] != 3:
        raise ValueError(f"no input {INPUT} (n, h, w, 3) uint8")
    shape = next((s for name, kind, s in given if (name, kind) == (OUTPUT, "tensor(float)")), ())
    if len(shape) != 2 or not isinstance(shape[1], int):
        raise ValueError(f"no output {OUTPUT} (n, dim) float32")
    return int(shape[1])
