"""Which cameras see no place in common, learned from the links that are sure.

Nobody is at once in two cameras that see no place in common. Of the pairs of sightings, one in either camera, that a
first linking was sure of, k of n share a moment; of two people's, a share b does by chance. Where the cameras see no
place in common, one person's share a moment only where a link is wrong: at 1 - ``SURE`` of b. Where they do, at any
rate, all equally likely beforehand. Either is as likely as the other, so that Bayes' rule gives what to expect of one
more pair of one person. Its ratio to b, where it is less than 1, is what a shared moment says: at most the logarithm of
1 - ``SURE``, however many pairs are known, and nothing where fewer than ``LEAST_PAIRS`` are.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tracker.linking.agglomeration import Group
from tracker.types import Times, Tracklet

SURE = 0.9  # probability of a join from which on it tells about cameras
LEAST_PAIRS = 5  # of one person, in two cameras: fewer tell nothing


def at_once(tracklets: Sequence[Tracklet], groups: Sequence[Group]) -> npt.NDArray[np.float64]:
    """What a moment that two sightings share says about their being of one person, by their cameras.

    Args:
        tracklets: n, on clocks that can be compared; those of photos, which have none, are passed over.
        groups: of their rows, from ``agglomerate``.

    Returns:
        (c, c) log-likelihood ratios, 0 or less, by the cameras' places in the sorted names; 0 for sightings of one.
    """
    start = np.array([tracklet.start_s for tracklet in tracklets])
    end = np.array([tracklet.end_s for tracklet in tracklets])
    names, camera = np.unique([tracklet.camera for tracklet in tracklets], return_inverse=True)
    filmed = np.array([not tracklet.photo for tracklet in tracklets])
    known, shared = np.zeros((2, len(names), len(names)), np.int64)
    for group in groups:
        for merge in group.merges:
            if merge.probability >= SURE:
                rows = [np.array(side)[filmed[side]] for side in (merge.left, merge.right)]
                left, right = rows[0][:, None], rows[1][None, :]
                np.add.at(known, (camera[left], camera[right]), 1)
                together = (start[left] <= end[right]) & (start[right] <= end[left])
                np.add.at(shared, (camera[left], camera[right]), together)
    known, shared = known + known.T, shared + shared.T
    says = np.zeros(known.shape)
    for i, j in zip(*np.nonzero(np.triu(known, 1) >= LEAST_PAIRS), strict=True):
        a, b = (np.flatnonzero((camera == one) & filmed) for one in (i, j))
        others = len(a) * len(b) - known[i, j]
        theirs = _together(start[a], end[a], start[b], end[b]) - shared[i, j]
        chance = (theirs + 1) / (others + 2)
        says[i, j] = says[j, i] = against(int(shared[i, j]), int(known[i, j]), float(chance))
    return says


def against(shared: int, known: int, chance: float) -> float:
    """What one more shared moment says about one person, 0 or less.

    Args:
        shared: of one person's pairs of sightings, those that shared a moment.
        known: all of them.
        chance: share of two people's pairs that do, above 0.

    >>> [round(against(0, known, 0.1), 2) for known in (0, 5, 20, 100)], against(10, 20, 0.1)
    ([0.0, -1.21, -2.12, -2.3], 0.0)
    """
    wrong = (1 - SURE) * chance
    apart = shared * math.log(wrong) + (known - shared) * math.log1p(-wrong)
    common = math.lgamma(shared + 1) + math.lgamma(known - shared + 1) - math.lgamma(known + 2)
    share = 1 / (1 + math.exp(min(common - apart, 700)))
    expected = share * wrong + (1 - share) * (shared + 1) / (known + 2)
    return min(0.0, math.log(max(expected, wrong) / chance))


def _together(start_a: Times, end_a: Times, start_b: Times, end_b: Times) -> int:
    """How many pairs of spans, one of each kind, share a moment."""
    later = len(start_b) - np.searchsorted(np.sort(start_b), end_a, "right")
    earlier = np.searchsorted(np.sort(end_b), start_a, "left")
    return int(len(start_a) * len(start_b) - later.sum() - earlier.sum())
