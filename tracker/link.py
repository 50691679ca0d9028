"""From tracklets to identities: agglomeration of evidence under hard constraints.

The evidence for a pair of tracklets is the logarithm of how much likelier their resemblance is of one person than of
two: the embedder's calibrated curve. Poor pictures of one person resemble each other less than good ones, so what
speaks against shrinks with the tracklets' quality. The evidence for two groups is the average over all pairs, and they
join while it exceeds the prior odds against it: among many people, two that look alike are no rarity. (Agglomeration of
likelihood ratios, as in speaker diarisation: Sell and Garcia-Romero, SLT 2014.)

Two tracklets that overlap in time in one camera are two people; a group that holds one of them never joins a group
that holds the other. Everything else may join: fragments in one camera, sightings in several.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reid.calibration import Curve
from tracker.types import Floats, Identity, Link, Tracklet, TrackletKey, expect_shape

Matrix = npt.NDArray[np.bool_]

MIN_PROBABILITY = 0.5
# The odds against two of K groups being one person are K - 1 to 1 for a single look. An average over many pairs errs
# less than a single pair's, and this power of the odds is what such averages need.
PRIOR_POWER = 0.7
FULL_QUALITY = 0.45  # a tracklet's, from which on its pictures are as telling as those that curves are fitted to
RELIABILITY_POWER = 0.3


def reliability(quality: npt.ArrayLike) -> Floats:
    """How much of its person a tracklet's vector shows: (n,) above 0 to 1, of (n,) qualities 0..1."""
    shares = np.clip(np.asarray(quality, np.float64) / FULL_QUALITY, 1e-3, 1)
    return np.asarray(shares**RELIABILITY_POWER, np.float32)


def appearance_evidence(vectors: Floats, reliable: Floats, curve: Curve) -> Floats:
    """(n, n) log-likelihood ratios of one person against two, from appearance alone.

    The curve is that of two normal distributions of equal width, the one of strangers about 0. Where pictures show a
    share r of the person, one person's similarities are about r_i r_j of what good pictures give; so is the constant.

    Args:
        vectors: (n, d) unit vectors, centred.
        reliable: (n,) from ``reliability``.
        curve: of good tracklets.
    """
    similarity = np.clip(vectors @ vectors.T, -1, 1)
    return np.asarray(curve.slope * similarity + curve.intercept * np.outer(reliable, reliable), np.float32)


def cannot_link(tracklets: Sequence[Tracklet]) -> Matrix:
    """(n, n) bool, symmetric, False on the diagonal: tracklets that share a moment in one camera."""
    start = np.array([tracklet.start_s for tracklet in tracklets])
    end = np.array([tracklet.end_s for tracklet in tracklets])
    camera = np.unique([tracklet.camera for tracklet in tracklets], return_inverse=True)[1]
    together = (start[:, None] <= end[None, :]) & (start[None, :] <= end[:, None])
    forbidden = together & (camera[:, None] == camera[None, :])
    np.fill_diagonal(forbidden, False)
    return np.asarray(forbidden, np.bool_)


@dataclass
class Merge:
    """Two groups that joined: the rows of each, the evidence, and the probability that they are one person."""

    left: list[int]
    right: list[int]
    evidence: float
    probability: float


@dataclass
class Group:
    """Tracklets taken for one person: their row numbers, and the merges that joined them, in order."""

    members: list[int]
    merges: list[Merge] = field(default_factory=list)


def agglomerate(
    evidence: Floats, weights: Floats, forbidden: Matrix, min_probability: float = MIN_PROBABILITY
) -> list[Group]:
    """Average-linkage agglomeration with cannot-link constraints, the strongest evidence first.

    The evidence of a merged group with any other is the weighted mean over all pairs (Lance-Williams update). A
    forbidden pair stands in the matrix as minus infinity, and a mean with that is minus infinite: that is how
    constraints propagate through merges. Ties go to the earlier rows, so give them in a fixed order.

    Args:
        evidence: (n, n) symmetric log-likelihood ratios.
        weights: (n,) positive; a pair weighs the product.
        forbidden: (n, n) from ``cannot_link``.
        min_probability: groups join while the probability that they are one person is at least this, 0..1. With K
            groups left, its prior odds are 1 to (K - 1) to the power of ``PRIOR_POWER``.

    Returns:
        Groups, members ascending, in order of their first member.
    """
    count = len(evidence)
    expect_shape("evidence", evidence, (count, count))
    expect_shape("weights", weights, (count,))
    expect_shape("forbidden", forbidden, (count, count))
    if count == 0:
        return []
    between = evidence.astype(np.float32)
    between[forbidden] = -np.inf
    np.fill_diagonal(between, -np.inf)
    weight = weights.astype(np.float32)
    nearest = between.argmax(1)
    strongest = between[np.arange(count), nearest]
    groups = {row: Group([row]) for row in range(count)}
    while True:
        i = int(strongest.argmax())
        found = float(strongest[i])
        probability = _probability(found, len(groups))
        if not found > -np.inf or probability < min_probability:
            break
        i, j = sorted((i, int(nearest[i])))
        left, right = groups[i], groups.pop(j)
        merge = Merge(left.members, right.members, found, probability)
        groups[i] = Group(sorted(left.members + right.members), [*left.merges, *right.merges, merge])

        joined = (weight[i] * between[i] + weight[j] * between[j]) / (weight[i] + weight[j])
        joined[i] = -np.inf
        between[i] = between[:, i] = joined
        between[j] = between[:, j] = -np.inf
        weight[i] += weight[j]
        # A mean is never above its parts' maximum, so only rows that pointed at i or j need another look.
        for row in {i, j, *np.flatnonzero((nearest == i) | (nearest == j)).tolist()}:
            nearest[row] = between[row].argmax()
            strongest[row] = between[row, nearest[row]]
    return [groups[row] for row in sorted(groups)]


def _probability(evidence: float, groups: int) -> float:
    against = PRIOR_POWER * math.log(max(groups - 1, 1))
    return 0.5 * (1 + math.tanh(0.5 * (evidence - against)))


def link(
    tracklets: Sequence[Tracklet], vectors: Floats, curve: Curve, min_probability: float = MIN_PROBABILITY
) -> list[Identity]:
    """Identities of all recordings, numbered from 1 in order of first appearance.

    The order in which tracklets are given does not matter.

    Args:
        tracklets: n, of any recordings and cameras.
        vectors: (n, d) unit vectors, row by row, centred on their cameras.
        curve: of the embedder's tracklets.
        min_probability: see ``agglomerate``.
    """
    order = sorted(range(len(tracklets)), key=lambda row: (tracklets[row].start_s, tracklets[row].key))
    ordered, vectors = [tracklets[row] for row in order], vectors[order]
    keys = [tracklet.key for tracklet in ordered]
    reliable = reliability([tracklet.quality for tracklet in ordered])
    evidence = appearance_evidence(vectors, reliable, curve)
    groups = agglomerate(evidence, reliable, cannot_link(ordered), min_probability)
    return [
        Identity(
            number,
            tuple(keys[row] for row in group.members),
            tuple(_explained(merge, keys, vectors) for merge in group.merges),
        )
        for number, group in enumerate(groups, 1)
    ]


def _explained(merge: Merge, keys: Sequence[TrackletKey], vectors: Floats) -> Link:
    apart = np.clip(1 - vectors[merge.left] @ vectors[merge.right].T, 0, 2)  # rounding reaches beyond
    a, b = np.unravel_index(int(apart.argmin()), apart.shape)
    left, right = keys[merge.left[a]], keys[merge.right[b]]
    return Link(left, right, float(apart.mean()), float(apart[a, b]), merge.probability)
