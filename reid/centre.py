"""Camera centring: what all people look like to one camera is no sign of one person.

A camera's light, lens and background move all vectors that it yields in one direction, so that two strangers of one
room resemble each other and one person in two rooms does not. The mean over many people of a camera is that direction;
taken away, similarities of different sites come to mean the same. (Normalisation per camera: Zhuang et al., ECCV 2020,
arXiv:2001.08680; the centring of i-vectors and x-vectors in speaker diarisation.)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

PRIOR = 10.0  # people at the origin that a camera's own are averaged with: a few people say little about their camera


def camera_means(vectors: Floats, camera: npt.NDArray[Any], prior: float = PRIOR) -> Floats:
    """The mean vector of each row's camera, drawn towards the origin, where the mean of all training people is.

    Args:
        vectors: (n, d) unit vectors, best one a tracklet, so that nobody counts for more by staying.
        camera: (n,) of any kind, equal for one camera.
        prior: vectors at the origin that every camera's are averaged with, not negative.

    Returns:
        (n, d), the vectors' dtype.

    Raises:
        ValueError: shapes that do not fit, or a negative prior.
    """
    if vectors.ndim != 2 or camera.shape != vectors.shape[:1] or prior < 0:
        raise ValueError(
            f"expected vectors (n, d), camera (n,), prior >= 0; got {vectors.shape}, {camera.shape}, {prior}"
        )
    names, number = np.unique(camera, return_inverse=True)
    total = np.zeros((len(names), vectors.shape[1]), np.float64)
    np.add.at(total, number, vectors)
    means = total / (np.bincount(number, minlength=len(names)) + prior)[:, None]
    return np.asarray(means[number], vectors.dtype)


def centred(vectors: Floats, means: Floats) -> Floats:
    """Unit vectors without their cameras' means; a vector that is its camera's mean stays as it was.

    Args:
        vectors: (n, d) unit vectors.
        means: (n, d) or (d,), from ``camera_means``.
    """
    moved = vectors - means
    norms = np.linalg.norm(moved, axis=-1, keepdims=True)
    return np.asarray(np.where(norms > 1e-6, moved / np.maximum(norms, 1e-6), vectors), vectors.dtype)
