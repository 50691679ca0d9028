"""An embedder's file in a program of your own: ONNX Runtime and NumPy, nothing else.

    embedder = Embedder("standard.onnx")
    a, b = embedder([read_crop("a.ppm"), read_crop("b.ppm")])
    same = a @ b >= embedder.threshold(0.001)

The vectors are those of reidtrack itself: crops are shrunk as it shrinks them.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Embedder:
    """Crops to unit vectors, and what their similarities mean.

    Args:
        path: what ``reidtrack export`` or ``import-model`` wrote, or a file of ``reid/weights``.
        threads: of the CPU; 0 for one per core.
        providers: ONNX Runtime's, best first, such as ("CUDAExecutionProvider", "CPUExecutionProvider").
    """

    def __init__(self, path: str, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=list(providers))
        except Exception as error:  # ONNX Runtime has a type of its own for every kind
            raise ValueError(f"{path}: cannot be opened ({str(error).splitlines()[0]})") from None
        metadata = self.session.get_modelmeta().custom_metadata_map
        if "reidtrack.size" not in metadata or self.session.get_inputs()[0].type != "tensor(uint8)":
            raise ValueError(f"{path}: no embedder of reidtrack; make one with `reidtrack export` or `import-model`")
        height, _, width = metadata["reidtrack.size"].partition("x")
        self.size = int(height), int(width)
        self.bgr = metadata.get("reidtrack.colour", "rgb") == "bgr"
        batch = self.session.get_inputs()[0].shape[0]
        self.batch = batch if isinstance(batch, int) else None  # crops at a time, where the file was made for a number
        self.curve = json.loads(metadata.get("reidtrack.calibration", "{}")).get("crops")

    def __call__(self, crops: Sequence[Image]) -> Floats:
        """RGB uint8 crops (h, w, 3), of any sizes, to (n, dim) float32 of unit norm, in order."""
        if not crops:
            raise ValueError("no crops; give one at least")
        images = np.stack([resized(crop, self.size) for crop in crops])[..., :: -1 if self.bgr else 1]
        if self.batch is None:
            vectors: Floats = self.session.run(["vectors"], {"crops": np.ascontiguousarray(images)})[0]
            return vectors
        images = np.pad(images, [(0, -len(crops) % self.batch), (0, 0), (0, 0), (0, 0)])
        groups = (images[start : start + self.batch] for start in range(0, len(images), self.batch))
        return np.concatenate([self.session.run(["vectors"], {"crops": group})[0] for group in groups])[: len(crops)]

    def threshold(self, false_match_rate: float) -> float:
        """The least similarity of one person's crops, at which this share of pairs of strangers passes too."""
        points = self._calibrated()["points"]
        for rate, similarity, _ in points:
            if math.isclose(rate, false_match_rate):
                return float(similarity)
        raise ValueError(f"no threshold for {false_match_rate:g}; known: {', '.join(f'{one[0]:g}' for one in points)}")

    def probability(self, similarity: float) -> float:
        """That two crops of this similarity show one person, 0..1, for even odds beforehand."""
        curve = self._calibrated()
        return 0.5 + 0.5 * math.tanh(0.5 * (curve["slope"] * similarity + curve["intercept"]))  # the logistic curve

    def _calibrated(self) -> dict[str, Any]:
        if self.curve is None:
            raise ValueError("this file has no calibration; make it again with --calibrate market1501=FOLDER")
        return self.curve


def read_crop(path: str | Path) -> Image:
    """A binary PPM (P6, 8 bits) or an .npy of (h, w, 3) uint8 RGB. Your program has its pictures in memory already."""
    try:
        if str(path).endswith(".npy"):
            crop = np.load(path)
        else:
            data = Path(path).read_bytes()
            header = re.match(rb"P6(?:\s+|#[^\n]*\n)+(\d+)\s+(\d+)\s+255\s", data)
            if header is None:
                raise ValueError("not a PPM of 8 bits (P6) or an .npy")
            width, height = int(header[1]), int(header[2])
            crop = np.frombuffer(data, np.uint8, height * width * 3, header.end()).reshape(height, width, 3)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
        raise ValueError(f"{path}: expected (h, w, 3) uint8, got {crop.shape} {crop.dtype}")
    return crop


def resized(crop: Image, size: tuple[int, int]) -> Image:
    """Stretch to (height, width): means of areas where the crop shrinks in both, else bilinear."""
    if crop.shape[:2] == size:
        return crop
    area = crop.shape[0] > size[0] and crop.shape[1] > size[1]
    down, across = (weights(crop.shape[axis], size[axis], area) for axis in (0, 1))
    rows = np.tensordot(down, crop.astype(np.float32), 1)  # (height, w, 3)
    pixels = np.tensordot(across, rows, (1, 1))  # (width, height, 3)
    return np.rint(pixels).clip(0, 255).astype(np.uint8).transpose(1, 0, 2)


def weights(count: int, wanted: int, area: bool) -> Floats:
    """(wanted, count): what each of ``count`` pixels in a row weighs in each of those wanted."""
    pixel = np.arange(count)
    if area:
        edges = np.linspace(0, count, wanted + 1)
        shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
        return (shared.clip(0) * (wanted / count)).astype(np.float32)
    centres = ((np.arange(wanted) + 0.5) * (count / wanted) - 0.5).clip(0, count - 1)
    return (1 - np.abs(centres[:, None] - pixel)).clip(0).astype(np.float32)
