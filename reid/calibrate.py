"""Measuring a calibration: what an embedder's similarities mean, from identities it never trained on."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from reid.calibration import Calibration, fit_calibration
from reid.datasets import ImageSet, Split
from reid.datasets.types import DISTRACTOR
from reid.errors import DataError
from reid.evaluation import embed_images
from reid.images import Image
from reid.pool import POOLINGS

Floats = npt.NDArray[np.float32]
Report = Callable[[str], None]

CROPS = 8  # a tracklet, as the application keeps


def calibrate(split: Split, embed: Callable[[Sequence[Image]], Floats], report: Report) -> Calibration:
    """Fit similarity to probability on a data set's test identities, pooled per identity and camera.

    Up to 8 images of one identity in one camera stand for a tracklet; pairs of tracklets from different cameras are
    the sample. The default threshold is the distance at which one person and two are equally likely.

    Args:
        split: a set with a gallery of identities that the embedder did not train on.
        embed: n RGB uint8 crops to (n, d) unit vectors.
        report: called with lines of progress.

    Raises:
        DataError: the set has no gallery, or too few identities in several cameras.
    """
    if split.gallery is None:
        raise DataError("calibration needs identities that were not trained on, but this data set has no gallery")
    gallery = split.gallery.images()
    chosen = tracklet_images(gallery)
    features = embed_images(gallery.take(np.concatenate(list(chosen.values()))), embed, "calibration", report)
    bounds = np.cumsum([0, *map(len, chosen.values())])
    vectors = np.stack(
        [POOLINGS["mean"](features[a:b], np.ones(b - a, np.float32)) for a, b in itertools.pairwise(bounds)]
    )
    pid, camera = np.array(list(chosen)).T
    first, second = np.triu_indices(len(vectors), 1)
    apart = camera[first] != camera[second]
    first, second = first[apart], second[apart]
    similarity = np.einsum("ij,ij->i", vectors[first], vectors[second])
    same = pid[first] == pid[second]
    found = fit_calibration(similarity, same)
    joined = 1 - similarity <= found.threshold
    report(
        f"calibrated on {len(vectors)} tracklets of {len(np.unique(pid))} identities: threshold {found.threshold:.3f},"
        f" where {joined[same].mean():.1%} of pairs of one person and {joined[~same].mean():.2%} of pairs of two join"
    )
    return found


def tracklet_images(images: ImageSet) -> dict[tuple[int, int], npt.NDArray[np.int64]]:
    """Image rows by (identity, camera), up to 8 spread over each; distractors and junk left out.

    Raises:
        DataError: fewer than 2 identities are seen by 2 cameras.
    """
    chosen: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
    for pid in np.unique(images.pid[images.pid > DISTRACTOR]):
        for camera in np.unique(images.camera[images.pid == pid]):
            rows = np.flatnonzero((images.pid == pid) & (images.camera == camera))
            spread = np.unique(np.linspace(0, len(rows) - 1, CROPS).round().astype(np.int64))
            chosen[int(pid), int(camera)] = rows[spread]
    pids = [pid for pid, _ in chosen]
    if sum(pids.count(pid) > 1 for pid in set(pids)) < 2:
        raise DataError("calibration needs at least 2 identities that are seen by 2 cameras")
    return chosen
