"""The PxK batch sampler (Hermans et al.; as torchreid's and BoT's RandomIdentitySampler).

With cameras, an identity's images in a batch come from different cameras as far as it has them: the pairs that a metric
loss learns from are then those that evaluation asks about (the idea of fast-reid's BalancedIdentitySampler).
"""

import numpy as np
import numpy.typing as npt

from reid.errors import BadInputError

Indices = npt.NDArray[np.int64]


def pk_batches(labels: Indices, p: int, k: int, seed: tuple[int, ...], cameras: Indices | None = None) -> list[Indices]:
    """One epoch of batches of P identities x K images.

    Every batch holds P distinct identities with exactly K images each; no image comes twice in an epoch unless its
    identity has fewer than K (those are drawn with replacement up to K). An identity's remainder beyond whole chunks
    of K is dropped, and the epoch ends when fewer than P identities have a chunk left.

    Args:
        labels: (n,) identity of each image.
        p: identities a batch.
        k: images an identity, at least 2.
        seed: the same seed gives the same epoch; pass (seed, epoch).
        cameras: (n,) camera of each image: an identity's images are dealt so that each of its chunks has as many of
            every camera as the others, give or take one. None mixes them at random.

    Returns:
        Batches of p * k image indices, the K images of an identity side by side.

    Raises:
        BadInputError: k below 2, or fewer identities than P.
        ValueError: cameras of another length than labels.
    """
    if k < 2:
        raise BadInputError(f"K is {k}; a metric loss needs at least 2 images of each identity in a batch")
    if cameras is not None and cameras.shape != labels.shape:
        raise ValueError(f"expected cameras {labels.shape}, got {cameras.shape}")
    rng = np.random.default_rng(seed)
    by_label = np.argsort(labels, kind="stable")
    starts = np.unique(labels[by_label], return_index=True)[1]
    groups = np.split(by_label, starts[1:])
    if len(groups) < p:
        raise BadInputError(f"P is {p} but there are {len(groups)} identities; lower P or add data")
    if cameras is None:
        chunks = [_mixed(images, k, rng) for images in groups]
    else:
        chunks = [_dealt(images, cameras[images], k, rng) for images in groups]
    count = np.array([len(rows) for rows in chunks])
    left = np.arange(len(chunks))
    batches = []
    while len(left) >= p:
        chosen = rng.choice(left, p, replace=False)
        count[chosen] -= 1
        batches.append(np.concatenate([chunks[i][count[i]] for i in chosen]))
        left = left[count[left] > 0]
    return batches


def _mixed(images: Indices, k: int, rng: np.random.Generator) -> Indices:
    """(m, k) chunks of one identity's images at random."""
    if len(images) < k:
        images = rng.choice(images, k)
    return rng.permutation(images)[: len(images) // k * k].reshape(-1, k)


def _dealt(images: Indices, cameras: Indices, k: int, rng: np.random.Generator) -> Indices:
    """(m, k) chunks of one identity's images, dealt like cards that are sorted by camera."""
    order = rng.permutation(len(images))
    if len(images) < k:
        order = np.resize(order, k)  # round after round: each image as often as the others, give or take one
    m = len(order) // k
    order = order[: m * k]
    names, numbers = np.unique(cameras[order], return_inverse=True)
    rank = rng.permutation(len(names))[numbers]
    return images[order[np.argsort(rank, kind="stable")]].reshape(k, m).T
