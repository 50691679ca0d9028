"""Joining: fragments of one person's track become one tracklet.

A tracker ends a track where a person is hidden for longer than it remembers, or moves otherwise than it predicts, and
begins another. That one tracklet goes on as another is weighed against two people, as log-likelihood ratios:

- looks, by the embedder's calibrated curve; poor pictures say less;
- place: where the later one begins, about where constant velocity leads, against anywhere that people are;
- size: nearly the same height, against those of any two people, unless somebody is half hidden;
- before looking: as many pairs as compete for the same end or beginning are as likely as each other.

Whoever looks like somebody else is not joined, however well the place fits: people take each other's place where they
meet, and tracklets that were divided there fit it perfectly. Of the pairs that are sure, those are joined that have the
greatest sum of evidence, each end with at most one beginning; the others are left to linking, which knows more people.
(Association of tracklets: Huang et al., ECCV 2008.)
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from reid.calibration import Curve
from tracker.linking.evidence import reliability
from tracker.repair.vectors import centred_pooled, expect_same, looks, sure, with_vectors
from tracker.types import Embeddings, Floats, Integers, Tracklet

LONGEST_S = 4.0  # from an end to a beginning; whoever was away for longer is for linking
OVERLAP_S = 1.0  # for which two tracks may ride on one person, as one hands over to the other
RIDES = 0.25  # of the smaller box within the other: a person falls into two boxes where one track hands over to another

MOTION_S = 1.0  # from which velocity is taken
WALK = 0.8  # heights a second, as people walk
JITTER = 0.05  # of boxes about a straight line, heights
STRAY = 0.2  # of a place that was predicted, heights at once,
DRIFT = 0.5  # and for each second: people stop, turn and begin to walk
SIZE = 0.2  # of the logarithm of one person's height, while as much of them is seen:
HIDDEN = 0.1  # how often that is not so


def join(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, curve: Curve, seconds: float
) -> tuple[list[Tracklet], Embeddings]:
    """Join one recording's tracklets that are fragments of one person's track.

    The first part's number stays. Where two parts overlap, each frame has the box that was found more surely.

    Args:
        tracklets: n, all that the recording has.
        embeddings: theirs.
        curve: of the embedder's tracklets.
        seconds: of the recording; not used.

    Returns:
        At most n tracklets, in the order of their first parts, and their embeddings.
    """
    expect_same(tracklets, embeddings)
    pairs = list(candidates(tracklets))
    if not pairs:
        return list(tracklets), embeddings
    each = embeddings.each()
    following = assign(pairs, evidence(tracklets, centred_pooled(tracklets, embeddings), curve, pairs), sure())
    wholes: dict[int, tuple[Tracklet, Floats]] = {}
    todo = sorted(set(range(len(tracklets))) - set(following.values()))
    while todo:
        first = row = todo.pop()
        wholes[first] = tracklets[row], each[row]
        while (row := following.get(row, -1)) >= 0:
            if not _may_go_on(wholes[first][0], tracklets[row]):  # it is no more than the last part's end that fits
                todo.append(row)
                break
            wholes[first] = union(*wholes[first], tracklets[row], each[row])
    joined = [wholes[first] for first in sorted(wholes)]
    whole = [tracklet for tracklet, _ in joined]
    return whole, with_vectors(embeddings, whole, (vectors for _, vectors in joined))


def candidates(tracklets: Sequence[Tracklet]) -> Iterator[tuple[int, int]]:
    """Rows of pairs of which the second may go on where the first ends, as far as their times and boxes tell."""
    start = np.array([tracklet.start_s for tracklet in tracklets])
    order = np.argsort(start, kind="stable")
    for row, earlier in enumerate(tracklets):
        low, high = np.searchsorted(start, (earlier.end_s - OVERLAP_S, earlier.end_s + LONGEST_S), sorter=order)
        yield from ((row, other) for other in order[low:high].tolist() if _may_go_on(earlier, tracklets[other]))


def _may_go_on(earlier: Tracklet, later: Tracklet) -> bool:
    """Whether one ends before the other begins, or hands over: is on the same person in every frame that both have."""
    if earlier.start_s >= later.start_s or earlier.end_s >= later.end_s:
        return False
    if earlier.end_s < later.start_s:
        return True
    _, a, b = np.intersect1d(earlier.index, later.index, return_indices=True)
    return len(a) > 0 and bool((within(earlier.xyxy[a], later.xyxy[b]) >= RIDES).all())


def within(a: Floats, b: Floats) -> Floats:
    """(n,) share of the smaller of two boxes, (n, 4) xyxy each, that is in the other."""
    shared = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(1)
    smaller = np.minimum((a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1))
    return np.asarray(shared / np.maximum(smaller, 1e-6))


# ---- evidence


def evidence(
    tracklets: Sequence[Tracklet], vectors: Floats, curve: Curve, pairs: Sequence[tuple[int, int]]
) -> npt.NDArray[np.float64]:
    """Log-odds that each pair is one person going on; minus infinity where looks alone say two.

    Args:
        tracklets: n, all that the recording has.
        vectors: (n, d) theirs, centred.
        curve: of the embedder's tracklets.
        pairs: rows, from ``candidates``.
    """
    share = reliability([tracklet.quality for tracklet in tracklets])
    scene = Scene.of(tracklets)
    first, second = np.array(pairs).T
    ends, begins = (np.bincount(rows, minlength=len(tracklets)) for rows in (first, second))
    rivals = ends[first] + begins[second] - 1
    alike = looks((vectors[first] * vectors[second]).sum(1), share[first] * share[second], curve)
    going_on = np.array([scene.going_on(tracklets[a], tracklets[b]) for a, b in pairs])
    return np.asarray(np.where(alike >= 0, alike + going_on - np.log(rivals), -np.inf))


@dataclass(frozen=True)
class Scene:
    """Where people are in a recording, and how large.

    Attributes:
        area: of the rectangle around all heads, square pixels.
        spread: standard deviation of the logarithm of people's heights.
    """

    area: float
    spread: float

    @staticmethod
    def of(tracklets: Sequence[Tracklet]) -> "Scene":
        """What the tracklets of a recording, at least one, tell of it."""
        heads = np.concatenate([_heads(tracklet) for tracklet in tracklets])
        heights = np.array([np.median(_heights(tracklet)) for tracklet in tracklets])
        sides = np.ptp(heads, axis=0) + np.median(heights)
        return Scene(float(sides.prod()), float(np.log(heights).std()))

    def going_on(self, earlier: Tracklet, later: Tracklet) -> float:
        """Log-likelihood ratio of the later one's place and size, where it goes on as the earlier one or is anyone."""
        a, b = _Way.of(earlier, earlier.end_s), _Way.of(later, later.start_s)
        gap = max(later.start_s - earlier.end_s, 0.0)
        height = math.sqrt(a.height * b.height)
        missed = (b.place - a.place - (a.velocity + b.velocity) / 2 * (later.start_s - earlier.end_s)) / height
        variance = STRAY**2 + (DRIFT * gap) ** 2
        place = -float(missed @ missed) / (2 * variance) - math.log(2 * math.pi * variance)
        anywhere = -math.log(self.area / height**2)
        ratio = math.log(b.height / a.height)
        one, two = SIZE**2, SIZE**2 + 2 * self.spread**2
        size = math.exp((ratio**2 / two - ratio**2 / one + math.log(two / one)) / 2)
        return place - anywhere + math.log(HIDDEN + (1 - HIDDEN) * size)


@dataclass(frozen=True)
class _Way:
    """How a tracklet moves about a moment: where its head is then, (2,) pixels; velocity, pixels a second; height."""

    place: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]
    height: float

    @staticmethod
    def of(tracklet: Tracklet, time_s: float) -> "_Way":
        """A straight line through the boxes around the moment, no steeper than they are sure of.

        Heads, since legs are hidden more often.
        """
        near = np.abs(tracklet.time_s - time_s) <= MOTION_S
        time, heads = tracklet.time_s[near] - time_s, _heads(tracklet)[near]
        centre = time.mean()
        ridge = (JITTER / WALK) ** 2  # s²: a velocity of nothing known is about 0, give or take a walk
        velocity = (time - centre) @ (heads - heads.mean(0)) / (((time - centre) ** 2).sum() + ridge)
        return _Way(heads.mean(0) - centre * velocity, velocity, float(np.median(_heights(tracklet)[near])))


def _heads(tracklet: Tracklet) -> npt.NDArray[np.float64]:
    """(t, 2) middle of the boxes' upper edges."""
    box = tracklet.xyxy.astype(np.float64)
    return np.stack([(box[:, 0] + box[:, 2]) / 2, box[:, 1]], 1)


def _heights(tracklet: Tracklet) -> npt.NDArray[np.float64]:
    """(t,) pixels, at least 1."""
    return np.maximum(tracklet.xyxy[:, 3].astype(np.float64) - tracklet.xyxy[:, 1], 1)


# ---- assignment


def assign(pairs: Sequence[tuple[int, int]], weight: npt.NDArray[np.float64], least: float) -> dict[int, int]:
    """The one-to-one pairs with the greatest sum of weights: the second of each by the first.

    Groups of pairs that share no row with others are solved alone, so that a long recording needs no square table.

    Args:
        pairs: (first, second) each, no pair twice.
        weight: (their number,).
        least: weight, not negative, above which pairs count.
    """
    chosen: Integers = np.array(pairs, np.int64).reshape(-1, 2)[weight > least]
    weight = weight[weight > least]
    if not len(chosen):
        return {}
    firsts, first = np.unique(chosen[:, 0], return_inverse=True)
    seconds, second = np.unique(chosen[:, 1], return_inverse=True)
    size = len(firsts) + len(seconds)
    graph = coo_array((np.ones(len(chosen)), (first, second + len(firsts))), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[first], kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[first][order])) + 1)
    return dict(itertools.chain.from_iterable(_assign(chosen[group], weight[group]) for group in groups))


def _assign(pairs: Integers, weight: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    firsts, first = np.unique(pairs[:, 0], return_inverse=True)
    seconds, second = np.unique(pairs[:, 1], return_inverse=True)
    table = np.zeros((len(firsts), len(seconds)))
    table[first, second] = weight
    rows, columns = linear_sum_assignment(-table)
    taken = table[rows, columns] > 0
    return list(zip(firsts[rows[taken]].tolist(), seconds[columns[taken]].tolist(), strict=True))


# ---- union


def union(earlier: Tracklet, before: Floats, later: Tracklet, after: Floats) -> tuple[Tracklet, Floats]:
    """Both as one with the earlier's name, and its crops' vectors; of a frame that both have, the surer and better."""
    box = _once(np.r_[earlier.index, later.index], np.r_[earlier.score, later.score])
    crops = [*earlier.crops, *later.crops]
    crop = _once(np.array([c.index for c in crops]), np.array([c.quality for c in crops], np.float32))
    whole = replace(
        earlier,
        index=np.r_[earlier.index, later.index][box],
        time_s=np.r_[earlier.time_s, later.time_s][box],
        xyxy=np.r_[earlier.xyxy, later.xyxy][box],
        score=np.r_[earlier.score, later.score][box],
        crops=tuple(crops[row] for row in crop),
    )
    return whole, np.r_[before, after][crop]


def _once(index: Integers, worth: Floats) -> Integers:
    """Rows in order of their index, the worthiest of each."""
    order = np.lexsort((-worth, index))
    return order[np.diff(index[order], prepend=-1) > 0]
