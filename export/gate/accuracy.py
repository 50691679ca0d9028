"""What an artifact costs on data sets: mAP, rank-1, and where its thresholds lie, beside its reference's."""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from export.gate.types import THRESHOLD_DRIFT, Check, Floats, Reference, Report, Shares
from reid.calibration import Calibration, Curve
from reid.datasets import Split
from reid.evaluation import evaluate_split
from reid.images import Image, resize_crop


class Remembered:
    """An embedder that never computes a crop's vector twice: data sets to score on and to calibrate on overlap.

    Crops are resized as ``reid.embed.Embedder`` does before they go into the network. What is kept is a vector and a
    digest a crop.

    Args:
        embed: crops of one size to vectors.
        size: (height, width) of the network.
    """

    def __init__(self, embed: Reference, size: tuple[int, int]) -> None:
        self._embed, self._size = embed, size
        self._known: dict[bytes, Floats] = {}

    def __call__(self, crops: Sequence[Image]) -> Floats:
        """RGB uint8 crops of any sizes to (n, d) vectors."""
        digests = [
            hashlib.blake2b(f"{crop.shape}".encode() + crop.tobytes(), digest_size=16).digest() for crop in crops
        ]
        new = {digest: crop for digest, crop in zip(digests, crops, strict=True) if digest not in self._known}
        if new:
            vectors = self._embed([resize_crop(crop, self._size) for crop in new.values()])
            self._known.update(zip(new, vectors, strict=True))
        return np.stack([self._known[digest] for digest in digests])


def scores(splits: Mapping[str, Split], embed: Reference, report: Report) -> dict[str, tuple[float, float]]:
    """(mAP, R1) as shares, single query without re-ranking, of every data set."""
    results = {name: evaluate_split(split, embed, report) for name, split in splits.items()}
    return {name: (float(result.mean_ap), float(result.rank(1))) for name, result in results.items()}


def score_checks(reference: Shares, candidate: Shares, points: float, provider: str) -> list[Check]:
    """Whether mAP and R1 stay within so many percentage points, on each data set."""
    return [
        Check(f"{name} {what}", provider, abs(ours - theirs) * 100, points, at_least=False)
        for name in reference
        for what, theirs, ours in zip(("mAP", "R1"), reference[name], candidate[name], strict=True)
    ]


def drift(reference: Calibration, candidate: Calibration, false_match: float) -> dict[str, float]:
    """How far each threshold at a false-match rate moved, by kind of pair.

    Where only one of both has pairs enough to tell it, it counts as moved by 2, the whole range; where neither has, it
    is left out.
    """
    pairs = {"tracklets": (reference.tracklets, candidate.tracklets), "crops": (reference.crops, candidate.crops)}
    moved = {}
    for kind, curves in pairs.items():
        theirs, ours = (_threshold(curve, false_match) for curve in curves)
        if theirs is not None or ours is not None:
            moved[kind] = 2.0 if theirs is None or ours is None else abs(ours - theirs)
    return moved


def told(moved: Mapping[str, float], false_match: float, provider: str) -> str:
    """What ``drift`` found between the reference and the runtime whose thresholds are the file's, in words."""
    at = f"thresholds at {false_match:g} false matches on {provider}"
    if not moved:
        return f"{at}: the data sets have too few pairs to tell any"
    anew = f", {THRESHOLD_DRIFT:g} or more: a table measured anew is in the file" if too_far(moved) else ""
    return f"{at} moved by {_words(moved)}{anew}"


def told_beside(moved: Mapping[str, float], false_match: float, provider: str) -> str:
    """What ``drift`` found between the table in the file and what another runtime gives, in words."""
    at = f"thresholds at {false_match:g} false matches on {provider}"
    if not moved:
        return f"{at}: the data sets have too few pairs to tell any"
    line = f"{at} are {_words(moved)} from those in the file"
    if not too_far(moved):
        return line
    return f"{line}, {THRESHOLD_DRIFT:g} or more: for {provider} make a file of its own, with --runtimes {provider}"


def too_far(moved: Mapping[str, float]) -> bool:
    """Whether a threshold moved so far that another table is needed."""
    return max(moved.values(), default=0.0) >= THRESHOLD_DRIFT


def _words(moved: Mapping[str, float]) -> str:
    return ", ".join(f"{kind} {value:.4f}" for kind, value in moved.items())


def _threshold(curve: Curve, false_match: float) -> float | None:
    near = (one.similarity for one in curve.points if math.isclose(one.false_match_rate, false_match))
    return next(near, None)
