"""Measuring a calibration: what an embedder's similarities mean, from identities it never trained on.

Pairs are counted by similarity in steps of 0.0001, so that memory does not grow with their number, and everything
else is read off the counts.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reid.calibration import (
    Calibration,
    Curve,
    OperatingPoint,
    expected_calibration_error,
    fit_curve,
    reliability,
)
from reid.centre import camera_means, centred
from reid.datasets import ImageSet, Split
from reid.datasets.types import DISTRACTOR
from reid.errors import DataError
from reid.evaluation import embed_images
from reid.images import Image
from reid.pool import POOLINGS

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Report = Callable[[str], None]
Rows = dict[tuple[int, int], Integers]

CROPS = 8  # of a tracklet at most: more hardly change its mean
SINGLE_CROPS = 2  # of a tracklet, compared one by one: with all 8 Market-1501's curve is the same
RATES = (0.1, 0.01, 0.001, 0.0001)  # false-match rates at which thresholds are known
LEAST_PAIRS = 10  # of two people above a threshold: fewer do not tell its rate
LEAST_IDENTITIES = 4  # seen by 2 cameras: each half needs pairs of one person and of two

STEPS = 20_000
EDGES = np.round(np.linspace(-1, 1, STEPS + 1), 4)
_MIDDLES = np.tile((EDGES[1:] + EDGES[:-1]) / 2, 2)
_SAME = np.repeat([False, True], STEPS)
_HALVES = ((0, 1), (1, 0))  # fitted on one, measured on the other
_BLOCK = 4_000_000  # similarities at a time


@dataclass(frozen=True)
class Sample:
    """All pairs of one kind.

    Attributes:
        curve: fitted to them.
        two, one: (STEPS,) shares of the pairs of two people and of one, by similarity between ``EDGES``. Several data
            sets weigh the same.
        halves: of either half of the identities, under the curve of the other half: what ``reliability`` returns.
    """

    curve: Curve
    two: Floats
    one: Floats
    halves: tuple[tuple[Floats, Floats, Floats], ...]


class Measured(NamedTuple):
    """A calibration, and the pairs behind it."""

    calibration: Calibration
    tracklets: Sample
    crops: Sample


def calibrate(splits: Mapping[str, Split], embed: Callable[[Sequence[Image]], Vectors], report: Report) -> Measured:
    """Fit similarity to probability on data sets' test identities, for pooled tracklets and for single crops.

    Up to 8 images of one identity in one camera, pooled, stand for a tracklet; pairs are from different cameras of one
    data set, their vectors centred on their cameras (``reid.centre``) as the application's are. Data sets weigh the
    same, whatever their size. The expected calibration error is measured on either half of the identities, under the
    curve that was fitted on the other half; theirs is the mean.

    Args:
        splits: by name, sets with a gallery of identities that the embedder did not train on.
        embed: n RGB uint8 crops to (n, d) unit vectors.
        report: called with lines of progress, and of what was found.

    Raises:
        DataError: no set, one without a gallery or with fewer than 4 identities in several cameras, or similarity is
            no higher for the same person.
    """
    if not splits:
        raise DataError("calibration needs a data set of identities that were not trained on")
    chosen = {name: tracklet_rows(name, split) for name, split in splits.items()}  # all are looked at before the work
    tracklets, crops, identities = {}, {}, 0
    for name, rows in chosen.items():
        features = embed_images(_gallery(name, splits[name]).take(_joined(rows)), embed, name, report)
        pid, camera = np.array(list(rows)).T
        half = _halves(pid)
        bounds = list(itertools.pairwise(np.cumsum([0, *map(len, rows.values())])))
        vectors = np.stack([POOLINGS["mean"](features[a:b], np.ones(b - a, np.float32)) for a, b in bounds])
        means = camera_means(vectors, camera)
        tracklets[name] = count_pairs(centred(vectors, means), pid, camera, half)
        alone = [np.unique(np.linspace(a, b - 1, SINGLE_CROPS).astype(np.int64)) for a, b in bounds]
        owner = np.repeat(np.arange(len(rows)), [len(some) for some in alone])
        single = centred(features[np.concatenate(alone)], means[owner])
        crops[name] = count_pairs(single, pid[owner], camera[owner], half[owner])
        identities += len(np.unique(pid))
    pooled, separate = measure(tracklets, identities), measure(crops, identities)
    for kind, sample in (("tracklets", pooled), ("single crops", separate)):
        _tell(kind, sample.curve, report)
    return Measured(Calibration(pooled.curve, separate.curve), pooled, separate)


def tracklet_rows(name: str, split: Split) -> Rows:
    """Gallery image rows by (identity, camera), up to 8 spread over each; distractors and junk left out.

    Raises:
        DataError: there is no gallery, or fewer than 4 identities are seen by 2 cameras.
    """
    images = _gallery(name, split)
    people = np.flatnonzero(images.pid > DISTRACTOR)
    keys, owner = np.unique(np.stack([images.pid, images.camera], 1)[people], axis=0, return_inverse=True)
    order = np.argsort(owner.ravel(), kind="stable")
    parts = np.split(people[order], np.cumsum(np.bincount(owner.ravel(), minlength=len(keys)))[:-1])
    several = int((np.unique(keys[:, 0], return_counts=True)[1] > 1).sum())
    if several < LEAST_IDENTITIES:
        raise DataError(
            f"{name}: calibration needs at least {LEAST_IDENTITIES} identities that are seen by 2 cameras, and its"
            f" gallery has {several}; give another data set"
        )
    spread = [np.unique(np.linspace(0, len(part) - 1, CROPS).round().astype(np.int64)) for part in parts]
    return {(int(pid), int(camera)): part[rows] for (pid, camera), part, rows in zip(keys, parts, spread, strict=True)}


def count_pairs(vectors: Vectors, pid: Integers, camera: Integers, half: Integers) -> Integers:
    """Count pairs from different cameras by similarity.

    Args:
        vectors: (n, d) of unit norm.
        pid, camera: (n,).
        half: (n,) 0 or 1, the same for all of an identity.

    Returns:
        (3, 2, STEPS): pairs within half 0, within half 1, across them; of two people, of one; between ``EDGES``.
    """
    counts = np.zeros(3 * 2 * STEPS, np.int64)
    height = max(1, _BLOCK // max(len(vectors), 1))
    for top in range(0, len(vectors), height):
        rows, others = slice(top, top + height), slice(top, None)
        similarity = vectors[rows] @ vectors[others].T
        pairs = np.triu(camera[rows, None] != camera[None, others], 1)
        step = np.clip((similarity[pairs].astype(np.float64) + 1) * (STEPS / 2), 0, STEPS - 1).astype(np.int64)
        part = np.where(half[rows, None] == half[None, others], half[rows, None], 2)
        same = pid[rows, None] == pid[None, others]
        counts += np.bincount((part * 2 + same)[pairs] * STEPS + step, minlength=len(counts))
    return counts.reshape(3, 2, STEPS)


def measure(counts: Mapping[str, Integers], identities: int) -> Sample:
    """The curve of all pairs of one kind, its thresholds, and its error.

    Args:
        counts: by data set, as from ``count_pairs``.
        identities: how many there are in all.

    Raises:
        DataError: pairs of one kind are missing in a half, or similarity is no higher for the same person.
    """
    whole = [count.sum(0) for count in counts.values()]
    two, one = _shares(whole)
    curves = [_fit(_shares([count[fitted] for count in counts.values()])) for fitted, _ in _HALVES]

    def error(names: Sequence[str]) -> float:
        shares = [_shares([counts[name][tested] for name in names]) for _, tested in _HALVES]
        return float(np.mean([_error(curve, share) for curve, share in zip(curves, shares, strict=True)]))

    curve = replace(
        _fit((two, one)),
        points=operating_points([count[0] for count in whole], one),
        error=error(list(counts)),
        error_by_site={name: error([name]) for name in counts},
        identities=identities,
        pairs=(int(sum(count[1].sum() for count in whole)), int(sum(count[0].sum() for count in whole))),
    )
    tested = [np.concatenate(_shares([count[half] for count in counts.values()])) for _, half in _HALVES]
    return Sample(
        curve,
        two,
        one,
        tuple(reliability(c.probability(_MIDDLES), _SAME, w) for c, w in zip(curves, tested, strict=True)),
    )


def operating_points(two: Sequence[Integers], one: Floats) -> tuple[OperatingPoint, ...]:
    """For each rate in ``RATES`` the lowest step of similarity from which on it holds in every data set.

    A data set tells a rate that at least 10 of its pairs of two people would reach; a rate that none tells is left out.

    Args:
        two: of each data set the (STEPS,) counts of pairs of two people between ``EDGES``.
        one: (STEPS,) shares of all pairs of one person, of sum 1.
    """
    found = one[::-1].cumsum()[::-1]
    points = []
    for rate in RATES:
        lowest = []
        for counts in two:
            allowed = rate * (1 + 1e-9) * counts.sum()  # a product rounds
            if allowed >= LEAST_PAIRS:
                above = counts[::-1].cumsum()[::-1]
                lowest.append(int(np.append(above <= allowed, True).argmax()))
        if lowest and max(lowest) < STEPS:
            points.append(OperatingPoint(rate, float(EDGES[max(lowest)]), float(min(found[max(lowest)], 1))))
    return tuple(points)


def _gallery(name: str, split: Split) -> ImageSet:
    if split.gallery is None:
        raise DataError(
            f"{name}: calibration needs identities that were not trained on, but this data set has no gallery"
        )
    return split.gallery.images()


def _joined(rows: Rows) -> Integers:
    return np.concatenate(list(rows.values()))


def _halves(pid: Integers) -> Integers:
    """0 or 1 for each tracklet, by its identity, by turns: those in several cameras first, so both halves have some."""
    people, owner, cameras = np.unique(pid, return_inverse=True, return_counts=True)
    turn = np.empty(len(people), np.int64)
    turn[np.argsort(cameras == 1, kind="stable")] = np.arange(len(people)) % 2
    return turn[owner]


def _shares(counts: Sequence[Integers]) -> tuple[Floats, Floats]:
    """Of (2, STEPS) counts of data sets the mean shares of pairs of two people and of one; 0 where there are none."""
    shares = np.mean([count / np.maximum(count.sum(1, keepdims=True), 1) for count in counts], 0)
    return shares[0], shares[1]


def _fit(shares: tuple[Floats, Floats]) -> Curve:
    weights = np.concatenate(shares)
    filled = weights > 0
    return fit_curve(_MIDDLES[filled], _SAME[filled], weights[filled])


def _error(curve: Curve, shares: tuple[Floats, Floats]) -> float:
    return expected_calibration_error(curve.probability(_MIDDLES), _SAME, np.concatenate(shares))


def _tell(kind: str, curve: Curve, report: Report) -> None:
    one, two = curve.pairs
    sites = ", ".join(f"{name} {error:.4f}" for name, error in curve.error_by_site.items())
    report(
        f"{kind}: {one} pairs of one person and {two} of two, of {curve.identities} identities; calibration error"
        f" {curve.error:.4f} on identities not fitted on ({sites})"
    )
    for rate, similarity, found in curve.points:
        report(
            f"{kind}: at {rate:g} false matches similarity {similarity:.4f}, probability"
            f" {float(curve.probability(similarity)):.3f}; {found:.1%} of one person's pairs match"
        )
