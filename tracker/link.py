"""From tracklets to identities: agglomeration by average cosine distance under hard constraints.

Two tracklets that overlap in time in one camera are two people; a group that holds one of them never joins a group
that holds the other. Everything else may join: fragments in one camera, sightings in several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tracker.types import Floats, Identity, Link, Tracklet, TrackletKey, expect_shape

Matrix = npt.NDArray[np.bool_]


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
class Group:
    """Tracklets taken for one person: their row numbers, and the merges that joined them, in order."""

    members: list[int]
    links: list[Link] = field(default_factory=list)


def agglomerate(
    keys: Sequence[TrackletKey],
    vectors: Floats,
    forbidden: Matrix,
    threshold: float,
    probability: Callable[[float], float],
) -> list[Group]:
    """Average-linkage agglomeration with cannot-link constraints, nearest groups first.

    The distance of a merged group to any other is the mean over all pairs (Lance-Williams update, weights by size).
    A forbidden pair stands in the matrix as infinity, and a mean with infinity is infinite: that is how constraints
    propagate through merges. Ties go to the earlier tracklets in ``keys``' order, so give them in a fixed order.

    Args:
        keys: n tracklets.
        vectors: (n, d) unit vectors.
        forbidden: (n, n) from ``cannot_link``.
        threshold: largest average cosine distance, 0..2, at which groups join.
        probability: from cosine similarity to the probability of one person.

    Returns:
        Groups, members ascending, in order of their first member.
    """
    count = len(keys)
    expect_shape("vectors", vectors, (count, None))
    expect_shape("forbidden", forbidden, (count, count))
    if count == 0:
        return []
    distance = np.clip(1 - vectors @ vectors.T, 0, 2).astype(np.float32)  # rounding reaches beyond
    distance[forbidden] = np.inf
    np.fill_diagonal(distance, np.inf)
    size = np.ones(count, np.float32)
    nearest = distance.argmin(1)
    closest = distance[np.arange(count), nearest]
    groups = {row: Group([row]) for row in range(count)}
    while True:
        i = int(closest.argmin())
        apart = float(closest[i])
        if not apart <= threshold:
            break
        i, j = sorted((i, int(nearest[i])))
        left, right = groups[i], groups.pop(j)
        link = _evidence(left, right, keys, vectors, apart, probability(1 - apart))
        groups[i] = Group(sorted(left.members + right.members), [*left.links, *right.links, link])

        joined = (size[i] * distance[i] + size[j] * distance[j]) / (size[i] + size[j])
        joined[i] = np.inf
        distance[i] = distance[:, i] = joined
        distance[j] = distance[:, j] = np.inf
        size[i] += size[j]
        # A mean is never below its parts' minimum, so only rows that pointed at i or j need another look.
        for row in {i, j, *np.flatnonzero((nearest == i) | (nearest == j)).tolist()}:
            nearest[row] = distance[row].argmin()
            closest[row] = distance[row, nearest[row]]
    return [groups[row] for row in sorted(groups)]


def _evidence(
    left: Group, right: Group, keys: Sequence[TrackletKey], vectors: Floats, apart: float, probability: float
) -> Link:
    between = 1 - vectors[left.members] @ vectors[right.members].T
    a, b = np.unravel_index(int(between.argmin()), between.shape)
    return Link(keys[left.members[a]], keys[right.members[b]], apart, float(between[a, b]), probability)


def link(
    tracklets: Sequence[Tracklet], vectors: Floats, threshold: float, probability: Callable[[float], float]
) -> list[Identity]:
    """Identities of all recordings, numbered from 1 in order of first appearance.

    The order in which tracklets are given does not matter.

    Args:
        tracklets: n, of any recordings and cameras.
        vectors: (n, d) unit vectors, row by row.
        threshold, probability: see ``agglomerate``.
    """
    order = sorted(range(len(tracklets)), key=lambda row: (tracklets[row].start_s, tracklets[row].key))
    ordered = [tracklets[row] for row in order]
    keys = [tracklet.key for tracklet in ordered]
    groups = agglomerate(keys, vectors[order], cannot_link(ordered), threshold, probability)
    return [
        Identity(number, tuple(keys[row] for row in group.members), tuple(group.links))
        for number, group in enumerate(groups, 1)
    ]
