"""The gate that every exported file passes: the same vectors as the network it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from reid.embed import INPUT, OUTPUT
from reid.errors import ModelError
from reid.images import Image
from reid.model import EmbeddingModel
from reid.runtime import open_session

MIN_COSINE = 0.9999
_BATCHES = (1, 2, 7, 32)
_SIZES = ((1, 1), (37, 19), (97, 41), (301, 149))  # smaller than any model, odd, and larger


@dataclass(frozen=True)
class Check:
    """One batch compared.

    Attributes:
        name: what was in the batch.
        cosine: lowest cosine similarity between a vector of the file and the network's, as 1 - |a - b|^2 / 2: the same
            for unit vectors, and lower where the file's are not of unit norm.
        difference: largest absolute difference of any component.
    """

    name: str
    cosine: float
    difference: float


@dataclass(frozen=True)
class ParityReport:
    """All checks, every one passed."""

    checks: tuple[Check, ...]

    @property
    def cosine(self) -> float:
        """The lowest of all checks."""
        return min(check.cosine for check in self.checks)

    @property
    def difference(self) -> float:
        """The largest of all checks."""
        return max(check.difference for check in self.checks)


def check_parity(model: EmbeddingModel, onnx_path: Path, min_cosine: float = MIN_COSINE) -> ParityReport:
    """Compare an ONNX file on the CPU with the float32 network it was exported from.

    Batches of 1, 2, 7 and 32 crops at the model's size, crops of odd sizes below and above it, black crops and a ramp:
    each must give unit vectors with at least ``min_cosine`` to the network's.

    Args:
        model: on the CPU, in ``eval`` mode.
        onnx_path: the file, following the contract in ``reid.embed``.
        min_cosine: lowest cosine similarity that passes.

    Raises:
        ModelError: a check failed (NaN fails), named with its figure; or the file does not open or run.
    """
    session = open_session(onnx_path, "cpu")
    done = []
    for name, crops in parity_cases(model.size):
        with torch.inference_mode():
            expected = model(torch.from_numpy(crops)).numpy()
        try:
            vectors = session.run([OUTPUT], {INPUT: crops})[0]
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"{onnx_path}: parity check {name!r} does not run ({reason}); do not use this file"
            ) from None
        done.append(_compare(name, vectors, expected))
        if not done[-1].cosine >= min_cosine:  # written so that NaN fails
            raise ModelError(
                f"{onnx_path}: parity check {name!r} failed, cosine {done[-1].cosine:.6f} to the trained network where "
                f"{min_cosine} is needed; do not use this file"
            )
    return ParityReport(tuple(done))


def parity_cases(size: tuple[int, int]) -> Iterator[tuple[str, Image]]:
    """The batches to compare, always the same: a name and (n, h, w, 3) uint8 crops each."""
    rng = np.random.default_rng(0)
    for n in _BATCHES:
        yield f"batch of {n}", rng.integers(0, 256, (n, *size, 3), np.uint8)
    for height, width in _SIZES:
        yield f"noise {height}x{width}", rng.integers(0, 256, (2, height, width, 3), np.uint8)
        ramp = np.linspace(0, 255, height * width * 3).reshape(1, height, width, 3)
        yield f"ramp {height}x{width}", ramp.astype(np.uint8)
    yield "black", np.zeros((2, *size, 3), np.uint8)
    yield "white", np.full((2, *size, 3), 255, np.uint8)


def _compare(name: str, vectors: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> Check:
    if vectors.shape != expected.shape:
        raise ModelError(f"parity check {name!r} failed: vectors {vectors.shape} where {expected.shape} is needed")
    a, b = vectors.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):  # NaN and infinity are what this looks for
        cosine = 1 - np.square(a - b).sum(1).max() / 2
        difference = np.abs(a - b).max()
    return Check(name, float(cosine), float(difference))
