"""Embedders that somebody else made: an ONNX file or an OpenVINO IR, with its preprocessing declared beside it.

Such a file takes images, (n, 3, h, w) float32, resized and scaled already, and does not say how. ``Preprocessing`` says
it, and ``ForeignEmbedder`` is then called as ``reid.embed.Embedder`` is. Everything is computed in float32.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reid.errors import BadInputError, ModelError
from reid.graphs import SUFFIXES, Floats, open_graph, written
from reid.images import Image, resize_crop
from reid.options import read_number

Channels = tuple[float, float, float]

OPTIONS = ("like", "size", "colour", "mean", "std")
_DECLARATION = re.compile(rf"(?P<file>.+(?:{'|'.join(map(re.escape, SUFFIXES))}))(?P<options>(?:,[^,=]*=[^,]*)+)")


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a crop before the network, after it was stretched to the network's size.

    Attributes:
        colour: order of the network's channels.
        mean, std: of the channels in the network's order, for pixels of 0..255: (pixel - mean) / std goes in.
        size: (height, width); None takes what the file says.
    """

    colour: Literal["rgb", "bgr"]
    mean: Channels
    std: Channels
    size: tuple[int, int] | None = None

    def __call__(self, crops: Sequence[Image], size: tuple[int, int]) -> Floats:
        """RGB uint8 crops (h, w, 3), of any sizes, to (n, 3, *size) float32."""
        images = np.empty((len(crops), 3, *size), np.float32)
        for image, crop in zip(images, crops, strict=True):
            image[:] = resize_crop(crop, size).transpose(2, 0, 1)[:: -1 if self.colour == "bgr" else 1]
        if any(self.mean):
            images -= np.array(self.mean, np.float32)[:, None, None]
        if self.std != (1, 1, 1):
            images *= 1 / np.array(self.std, np.float32)[:, None, None]
        return images

    def __str__(self) -> str:
        """As ``parse_declaration`` reads it."""
        mean, std = (":".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        size = f"size={self.size[0]}x{self.size[1]}," if self.size else ""
        return f"{size}colour={self.colour},mean={mean},std={std}"


# torchreid and nearly all that follow it; the models of OpenVINO's Open Model Zoo.
PRESETS: dict[str, Preprocessing] = {
    "torchreid": Preprocessing("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), (256, 128)),
    "openvino": Preprocessing("bgr", (0, 0, 0), (1, 1, 1)),
}


def parse_declaration(text: str) -> tuple[Path, Preprocessing] | None:
    """A foreign embedder as text: ``FILE,size=256x128,colour=bgr,mean=0,std=1`` or ``FILE,like=torchreid``.

    ``mean`` and ``std`` are one number or three joined by colons, in the network's order of channels, for pixels of
    0..255. ``like`` takes all from a preset; options after it change single ones.

    Returns:
        File and preprocessing; None where the text is a file or a name without options.

    Raises:
        BadInputError: an option is unknown, malformed or missing.
    """
    match = _DECLARATION.fullmatch(text)
    if match is None:
        if "," in text and "=" in text:
            raise BadInputError(f"{text!r}; write FILE{' or FILE'.join(SUFFIXES)} and options, such as like=torchreid")
        return None
    options: dict[str, str] = {}
    for part in match["options"][1:].split(","):
        name, _, value = part.partition("=")
        if name not in OPTIONS:
            raise BadInputError(f"{text}: option {name!r} is unknown; choose from {', '.join(OPTIONS)}")
        options[name] = value
    return Path(match["file"]), read_options(match["file"], options)


def read_options(file: str, options: dict[str, str]) -> Preprocessing:
    """What options such as ``{"like": "torchreid", "size": "256x128"}`` declare of a file; names are of ``OPTIONS``.

    Raises:
        BadInputError: one is malformed or missing.
    """
    options = dict(options)
    like = options.pop("like", None)
    if like is not None and like not in PRESETS:
        raise BadInputError(f"{file}: like={like} is unknown; choose from {', '.join(PRESETS)}")
    missing = [name for name in ("colour", "mean", "std") if name not in options]
    if like is None and missing:
        raise BadInputError(f"{file}: say {', '.join(missing)} too, or like={' or like='.join(PRESETS)}")
    read = {"size": _read_size, "colour": _read_colour, "mean": _read_channels, "std": _read_channels}
    values: dict[str, Any] = {name: read[name](file, name, value) for name, value in options.items()}
    made = replace(PRESETS[like], **values) if like is not None else Preprocessing(**values)
    if min(made.std) < 1:
        raise BadInputError(f"{file}: std {min(made.std):g} is for pixels of 0..1; write mean and std for 0..255")
    return made


def _read_size(file: str, name: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if match is None:
        raise BadInputError(f"{file}: size={text}; write HEIGHTxWIDTH such as 256x128")
    return int(match[1]), int(match[2])


def _read_colour(file: str, name: str, text: str) -> str:
    if text not in ("rgb", "bgr"):
        raise BadInputError(f"{file}: colour={text}; write rgb or bgr")
    return text


def _read_channels(file: str, name: str, text: str) -> Channels:
    values = [read_number(part, f"{file}: {name}") for part in text.split(":")]
    if len(values) not in (1, 3):
        raise BadInputError(f"{file}: {name}={text}; write one number, or three joined by colons")
    red, green, blue = values * (3 // len(values))
    return red, green, blue


class ForeignEmbedder:
    """Somebody else's file that turns person crops into vectors.

    Args:
        path: an ``.onnx`` file, or the ``.xml`` of an OpenVINO IR, its ``.bin`` beside it.
        preprocessing: what the file does not say of itself.
        device: as for ``Embedder``; an OpenVINO IR runs on the CPU only.
        threads: of the CPU that share one operator; 0 for one per core.

    Attributes:
        path: the file; ``files`` are all files that it consists of.
        preprocessing: with its size.
        model_id: the file's stem and the first 12 hexadecimal digits of ``digest``.
        digest: hexadecimal SHA-256 of the files' contents and the preprocessing.
        dim: length of the vectors.
        size: (height, width) that crops are resized to.
        parameters: as for ``reid.graphs.Graph``.

    Raises:
        ModelError: a file is absent, is no model, or takes or gives something else than images and vectors; or openvino
            is not installed.
        BadInputError: the size is missing or is not the file's; the device cannot be used.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing, device: str = "auto", threads: int = 0) -> None:
        self.path = path
        graph = open_graph(path, device, threads)
        self.size = _agree(path, preprocessing.size, graph.size)
        self.preprocessing = replace(preprocessing, size=self.size)
        self.parameters, self.files = graph.parameters, graph.files
        self._run = graph.load(self.size)
        self.digest = _digest(self.files, str(self.preprocessing))
        self.model_id = f"{path.stem}-{self.digest[:12]}"
        self.dim = self._embed([np.full((*self.size, 3), 128, np.uint8)]).shape[1]

    def __call__(self, crops: Sequence[Image], batch: int = 32) -> Floats:
        """Embed crops, in order.

        Args:
            crops: n RGB uint8 images (h, w, 3), of any sizes.
            batch: crops that are preprocessed at a time, at least 1.

        Returns:
            (n, dim) float32, unit norm.

        Raises:
            ModelError: a vector is zero or not finite.
            ValueError: a crop has another shape or dtype, or is empty.
        """
        if batch < 1:
            raise ValueError(f"batch: expected at least 1, got {batch}")
        for number, crop in enumerate(crops):
            if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
                raise ValueError(f"crop {number}: expected (h, w, 3) uint8, got {crop.shape} {crop.dtype}")
        vectors = np.empty((len(crops), self.dim), np.float32)
        for start in range(0, len(crops), batch):
            vectors[start : start + batch] = self._embed(crops[start : start + batch])
        return vectors

    def _embed(self, crops: Sequence[Image]) -> Floats:
        images = self.preprocessing(crops, self.size)
        try:
            given = self._run(images)
        except Exception as error:  # either runtime's own types
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(f"{self.path}: fails on {len(crops)} crops of {self.size} ({reason})") from None
        if given.ndim < 2 or len(given) != len(crops) or given.size != len(crops) * given.shape[1]:
            raise ModelError(f"{self.path}: gives {given.shape} for {len(crops)} crops; expected a vector for each")
        flat = given.reshape(len(crops), -1).astype(np.float32)
        norms = np.linalg.norm(flat, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and norms.all()):
            raise ModelError(f"{self.path}: gives a vector that is zero or not finite; check mean and std")
        vectors: Floats = flat / norms
        return vectors


def _agree(path: Path, asked: tuple[int, int] | None, own: tuple[int | None, int | None]) -> tuple[int, int]:
    """The size that the declaration and the file agree on."""
    height, width = own
    if asked is None:
        if height is None or width is None:
            raise BadInputError(f"{path}: takes images of any size; say which, such as size=256x128")
        return height, width
    if height not in (None, asked[0]) or width not in (None, asked[1]):
        raise BadInputError(f"{path}: takes images of {written(own)}, not {written(asked)}; leave size out")
    return asked


def _digest(files: Sequence[Path], text: str) -> str:
    total = hashlib.sha256(text.encode())
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
