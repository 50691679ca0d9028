"""Images and tracklets to vectors, read in batches."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from reid.datasets.types import ImageSet, TrackletSet
from reid.errors import BadInputError, DataError
from reid.images import Image

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Embed = Callable[[Sequence[Image]], Floats]
Report = Callable[[str], None]
Pooling = Literal["mean", "max"]

BATCH = 64


def embed_set(
    items: ImageSet | TrackletSet,
    embed: Embed,
    name: str,
    report: Report,
    batch: int = BATCH,
    pooling: Pooling = "mean",
) -> Floats:
    """(n, d) features of images, or pooled ones of tracklets: ``embed_images`` or ``embed_tracklets``."""
    if isinstance(items, TrackletSet):
        return embed_tracklets(items, embed, name, report, batch, pooling)
    return embed_images(items, embed, name, report, batch)


def embed_images(images: ImageSet, embed: Embed, name: str, report: Report, batch: int = BATCH) -> Floats:
    """Features of an image set.

    Args:
        images: at least one.
        embed: RGB uint8 images, of their own sizes, to (n, d) vectors; an ``Embedder`` is one.
        name: stands in the lines of progress.
        report: called with a line of progress about ten times a set.
        batch: images read and embedded at a time.

    Returns:
        (n, d).

    Raises:
        DataError: there is no image, or one cannot be read.
    """
    return np.concatenate([features for _, features in _batches(images, embed, name, report, batch)])


def embed_tracklets(
    tracklets: TrackletSet,
    embed: Embed,
    name: str,
    report: Report,
    batch: int = BATCH,
    pooling: Pooling = "mean",
    normalize: bool = False,
) -> Floats:
    """One feature a tracklet, pooled while its frames are embedded: memory is a batch and one row for each tracklet.

    Args:
        tracklets: at least one.
        embed, name, report, batch: as for ``embed_images``.
        pooling: element-wise ``mean`` or ``max`` over all frames, then L2 normalisation.
        normalize: L2-normalise each frame's vector before pooling, as ``reid.pool`` does. The official MARS code
            pools raw vectors. An ``Embedder`` gives unit vectors, so that with one this changes nothing.

    Returns:
        (n, d) float32 unit vectors.

    Raises:
        BadInputError: the pooling is unknown.
        DataError: there is no frame, or one cannot be read.
        ValueError: a vector is zero or not finite.
    """
    check_pooling(pooling)
    combine = np.maximum if pooling == "max" else np.add
    owners = np.repeat(np.arange(len(tracklets)), [len(frames) for frames in tracklets.frames])
    pooled = np.empty((0, 0), np.float32)
    for start, features in _batches(tracklets.images(), embed, name, report, batch):
        vectors = unit(features) if normalize else features.astype(np.float32)
        if not start:
            pooled = np.full((len(tracklets), features.shape[1]), -np.inf if pooling == "max" else 0, np.float32)
        owner = owners[start : start + len(vectors)]
        first = np.flatnonzero(np.diff(owner, prepend=-1))  # a tracklet's frames lie together, a batch may cut them
        pooled[owner[first]] = combine(pooled[owner[first]], combine.reduceat(vectors, first))
    return unit(pooled)


def check_pooling(pooling: str) -> None:
    """Raise BadInputError for a pooling that is neither mean nor max."""
    if pooling not in ("mean", "max"):
        raise BadInputError(f"pooling {pooling!r} is unknown; choose mean or max")


def unit(features: Floats) -> npt.NDArray[np.float32]:
    """(n, d) float32 rows of norm 1.

    Raises:
        ValueError: a row is zero or not finite.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ValueError("features: expected finite vectors other than zero")
    return np.asarray(features / norms, np.float32)


def _batches(images: ImageSet, embed: Embed, name: str, report: Report, batch: int) -> Iterator[tuple[int, Floats]]:
    """First index and features of each batch."""
    if not len(images):
        raise DataError(f"the {name} set has no image; is it the right data set?")
    spoken = 0
    for start in range(0, len(images), batch):
        stop = min(start + batch, len(images))
        yield start, embed([images.read(i) for i in range(start, stop)])
        if stop * 10 // len(images) > spoken:
            spoken = stop * 10 // len(images)
            report(f"{name}: {stop} of {len(images)} images")
