"""The PxK batch sampler (Hermans et al.; as torchreid's and BoT's RandomIdentitySampler)."""

import numpy as np
import numpy.typing as npt

from reid.errors import BadInputError

Indices = npt.NDArray[np.int64]


def pk_batches(labels: Indices, p: int, k: int, seed: tuple[int, ...]) -> list[Indices]:
    """One epoch of batches of P identities x K images.

    Every batch holds P distinct identities with exactly K images each; no image comes twice in an epoch unless its
    identity has fewer than K (those are drawn with replacement up to K). An identity's remainder beyond whole chunks
    of K is dropped, and the epoch ends when fewer than P identities have a chunk left.

    Args:
        labels: (n,) identity of each image.
        p: identities a batch.
        k: images an identity, at least 2.
        seed: the same seed gives the same epoch; pass (seed, epoch).

    Returns:
        Batches of p * k image indices, the K images of an identity side by side.

    Raises:
        BadInputError: k below 2, or fewer identities than P.
    """
    if k < 2:
        raise BadInputError(f"K is {k}; a metric loss needs at least 2 images of each identity in a batch")
    rng = np.random.default_rng(seed)
    chunks: dict[int, list[Indices]] = {}
    for label in np.unique(labels):
        images = np.flatnonzero(labels == label)
        if len(images) < k:
            images = rng.choice(images, k)
        images = rng.permutation(images)
        chunks[int(label)] = [images[i : i + k] for i in range(0, len(images) - k + 1, k)]
    if len(chunks) < p:
        raise BadInputError(f"P is {p} but there are {len(chunks)} identities; lower P or add data")
    left = np.array(sorted(chunks))
    batches = []
    while len(left) >= p:
        chosen = rng.choice(left, p, replace=False)
        batches.append(np.concatenate([chunks[label].pop() for label in chosen]))
        left = np.array([label for label in left if chunks[label]])
    return batches
