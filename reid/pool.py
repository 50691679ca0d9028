"""Pooling: the vectors of one tracklet's crops become one vector.

Frame vectors are L2-normalised before pooling, so that no crop counts for more because its vector is long, and the
result is L2-normalised. To add a pooling, write a function with this signature and a line in ``POOLINGS``: the
command's choices and the contract tests iterate the dict.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def quality(frames: Floats, weights: Floats) -> Floats:
    """Mean of the unit vectors, each weighted by its crop's quality; the plain mean where all weights are 0.

    Args:
        frames: (k, d), k at least 1; the norms do not matter.
        weights: (k,) crop qualities, not negative.

    Returns:
        (d,) unit vector of the frames' dtype. Where the mean vanishes, as for two opposite vectors, the direction of
        the heaviest frame.

    Raises:
        ValueError: shapes that do not fit, a weight that is negative, a value that is not finite, or only zero vectors.
    """
    units, weights = _units(frames, weights)
    total = weights.sum()
    shares = weights / total if total > 0 else np.full(len(weights), 1 / len(weights))
    return _finish(shares @ units, units, weights, frames)


def mean(frames: Floats, weights: Floats) -> Floats:
    """Plain mean of the unit vectors; arguments, result and errors as in ``quality``."""
    units, weights = _units(frames, weights)
    return _finish(units.mean(0), units, weights, frames)


def maximum(frames: Floats, weights: Floats) -> Floats:
    """Element-wise maximum of the unit vectors (the official MARS evaluation); otherwise as in ``quality``."""
    units, weights = _units(frames, weights)
    return _finish(units.max(0), units, weights, frames)


def attention_weights(frames: Floats, kernel: Floats) -> npt.NDArray[np.float64]:
    """Weights for ``quality`` by learned attention (``reid.attention``): softmax of the unit vectors' inner products.

    Args:
        frames: as in ``quality``.
        kernel: (d,) learned; zero gives the plain mean.

    Returns:
        (k,) weights that sum to 1.

    Raises:
        ValueError: as ``quality``, or the kernel does not fit.
    """
    units, _ = _units(frames, np.ones(len(frames)))
    if kernel.shape != units.shape[1:]:
        raise ValueError(f"expected a kernel {units.shape[1:]}, got {kernel.shape}")
    scores = units @ kernel.astype(np.float64)
    exponents = np.exp(scores - scores.max())
    return np.asarray(exponents / exponents.sum(), np.float64)


POOLINGS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "quality": quality,
    "mean": mean,
    "max": maximum,
}
DEFAULT_POOLING = "quality"


def _units(frames: Floats, weights: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Checked frames as float64 unit vectors (a zero vector stays zero), and float64 weights."""
    if frames.ndim != 2 or len(frames) == 0 or weights.shape != (len(frames),):
        raise ValueError(f"expected frames (k, d) and weights (k,), k at least 1, got {frames.shape}, {weights.shape}")
    vectors, shares = frames.astype(np.float64), weights.astype(np.float64)
    if not (np.isfinite(vectors).all() and np.isfinite(shares).all() and (shares >= 0).all()):
        raise ValueError("frames and weights: expected finite values, and no weight below 0")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not norms.any():
        raise ValueError(f"frames: all {len(frames)} vectors are zero and have no direction")
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0), shares


def _finish(
    pooled: npt.NDArray[np.float64], units: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], frames: Floats
) -> Floats:
    norm = np.linalg.norm(pooled)
    if norm < 1e-9:  # rounding leaves about 1e-16 where unit vectors cancel
        pooled = units[np.argmax(np.where(units.any(1), weights, -1))]
        norm = np.linalg.norm(pooled)
    return np.asarray(pooled / norm, frames.dtype)
