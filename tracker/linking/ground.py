"""Cameras that see one place: whose feet are at one spot on the ground at one moment is one person.

Where two tracklets of different calibrated cameras share moments, the places of their feet (the middle of the box's
lower edge) are compared at each of them. One person's two places differ by a normal distribution: a share of the box's
height by which its lower edge errs, in metres by the homography's Jacobian, so that it grows away from the camera, and
what the two sides of a body and the calibration add. Two people are anywhere in the area that both cameras see. At some
moments the lower edge is not at the feet because something hides them.

Neighbouring frames err alike, so moments add up by the second, and both hypotheses keep a share that no number of
seconds takes away: tracklets whose feet are hidden throughout, and people who walk together.

Clocks are taken to agree to about a frame.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.cluster.hierarchy import DisjointSet
from scipy.spatial import KDTree

from tracker.linking.agglomeration import CROWD, Group, needed
from tracker.linking.evidence import Appearance
from tracker.linking.gates import Gate
from tracker.linking.homography import Doubles, Homographies, on_ground
from tracker.types import Integers, Tracklet

STEP = 0.25  # seconds from one moment that is compared to the next; a power of two, so that multiples are exact
GAP = 1.5  # seconds between two boxes, up to which somebody went straight from one to the other
FEET = 0.05  # of the box's height: what its lower edge errs by
SIGMA = 0.5  # metres, along either axis: what one person's places differ by with the best of boxes
HIDDEN = 0.1  # share of moments at which the lower edge is not at the feet
ALWAYS_HIDDEN = 0.005  # share of tracklets of which it never is
TOGETHER = 0.02  # share of pairs of people who walk together
STRONG = 2.0  # evidence from which on two tracklets may be joined beforehand
LEAST_AREA = 10.0  # square metres; where few people were seen, the area that they cover says little
KNOWN = 1.0  # metres of standard deviation, up to which a place counts for the area that a camera sees
VAGUE = 30.0  # metres of standard deviation, from which on a place says nothing: it is all but on the horizon
NEAR = 3.0  # metres: who is never as near has no strong evidence


@dataclass(frozen=True)
class Walk:
    """Where a tracklet's feet were.

    Attributes:
        tick: (k,) int64, ascending, moments in steps of ``STEP`` seconds.
        place: (k, 2) metres.
        spread: (k, 2, 2) square metres, covariance of the place.
    """

    tick: Integers
    place: Doubles
    spread: Doubles


class Ground:
    """The evidence of places.

    Args:
        tracklets: n, of which everything here names the rows.
        homographies: by camera, from picture to ground; cameras without one say nothing, nor do photos.
    """

    def __init__(self, tracklets: Sequence[Tracklet], homographies: Homographies) -> None:
        self.camera = [tracklet.camera for tracklet in tracklets]
        self.walks: dict[int, Walk] = {}
        clocked = [row for row, tracklet in enumerate(tracklets) if not tracklet.photo]
        for camera in sorted({self.camera[row] for row in clocked} & set(homographies)):
            rows = [row for row in clocked if self.camera[row] == camera]
            walks = _walks([tracklets[row] for row in rows], np.array(homographies[camera], np.float64))
            self.walks |= {row: walk for row, walk in zip(rows, walks, strict=True) if len(walk.tick)}
        self.first = np.full(len(tracklets), np.iinfo(np.int64).max)
        self.last = np.full(len(tracklets), np.iinfo(np.int64).min)
        for row, walk in self.walks.items():
            self.first[row], self.last[row] = walk.tick[0], walk.tick[-1]
        self.areas = self._areas()
        self.known: dict[tuple[int, int], float] = {}

    def evidence(self, row: int, other: int) -> float:
        """Log-likelihood ratio of one person against two; 0 where the two share no moment on the ground."""
        row, other = min(row, other), max(row, other)
        if (row, other) not in self.known:
            self.known[row, other] = self._evidence(row, other)
        return self.known[row, other]

    def _evidence(self, row: int, other: int) -> float:
        if self.camera[row] == self.camera[other] or not {row, other} <= self.walks.keys():
            return 0.0
        one, two = self.walks[row], self.walks[other]
        _, i, j = np.intersect1d(one.tick, two.tick, assume_unique=True, return_indices=True)
        area = self.areas[frozenset((self.camera[row], self.camera[other]))]
        return evidence_of(one.place[i] - two.place[j], one.spread[i] + two.spread[j], area)

    def gate(self, left: Sequence[int], right: Sequence[int]) -> float:
        """The strongest that speaks against one person, of all pairs; 0 where nothing does."""
        return min([0.0, *(self.evidence(a, b) for a, b in self._at_once(left, right))])

    def _at_once(self, left: Sequence[int], right: Sequence[int]) -> list[tuple[int, int]]:
        """Pairs that may share a moment, the lower row first."""
        if not self.walks:
            return []
        a, b = np.asarray(left)[:, None], np.asarray(right)[None, :]
        found = np.nonzero((self.first[a] <= self.last[b]) & (self.first[b] <= self.last[a]))
        return [(min(left[i], right[j]), max(left[i], right[j])) for i, j in zip(*found, strict=True)]

    def meetings(
        self, appearance: Appearance, gates: Sequence[Gate], joined: Iterable[tuple[int, int]], min_probability: float
    ) -> list[tuple[int, int]]:
        """Pairs that are one person by where they were and what they look like.

        Those with the most evidence first, and none that would join what a gate keeps apart: whoever is found again in
        the other camera is found once at a time.

        Args:
            appearance: of the tracklets.
            gates: what speaks against, this one's among them.
            joined: pairs of rows that are one person already.
            min_probability: see ``agglomerate``; what it takes falls here too as groups become fewer.
        """
        groups = DisjointSet(range(len(self.camera)))
        for a, b in joined:
            groups.merge(a, b)
        pairs = []
        for total, a, b in self._candidates(appearance):
            if not groups.connected(a, b):
                left, right = sorted(groups.subset(a)), sorted(groups.subset(b))
                against = sum(gate(left, right) for gate in gates)
                if total + against >= needed(min_probability, min(groups.n_subsets, CROWD)):
                    groups.merge(a, b)
                    pairs.append((a, b))
        return pairs

    def _candidates(self, appearance: Appearance) -> list[tuple[float, int, int]]:
        """(evidence of places and looks, row, other), the strongest first, of pairs that places strongly speak for."""
        strong = [(a, b) for a, b in self._near() if self.evidence(a, b) >= STRONG]
        found = [(self.evidence(a, b) + float(appearance.between(a, np.array([b]))[0]), a, b) for a, b in strong]
        return sorted(found, key=lambda one: (-one[0], one[1:]))

    def weigh(self, groups: Sequence[Group], met: Iterable[tuple[int, int]]) -> None:
        """Let the merges that were made beforehand say what the places add, and those of ``meetings`` be no given ones.

        Args:
            groups: from ``agglomerate``; their merges are changed.
            met: pairs from ``meetings``.
        """
        if not self.walks:
            return
        met = set(met)
        merges = [merge for group in groups for merge in group.merges]
        for merge in merges:
            if merge.given:
                pairs = self._at_once(merge.left, merge.right)
                merge.evidence += max([0.0, *(self.evidence(a, b) for a, b in pairs)])
                merge.given = met.isdisjoint(pairs)

    def _near(self) -> list[tuple[int, int]]:
        """Pairs of different cameras that were within ``NEAR`` of each other at a moment."""
        if not self.walks:
            return []
        row = np.repeat(list(self.walks), [len(walk.tick) for walk in self.walks.values()])
        tick = np.concatenate([walk.tick for walk in self.walks.values()])
        place = np.concatenate([walk.place for walk in self.walks.values()])
        moments = (tick - tick.min()) * (2 * NEAR)  # one moment is out of reach of the next
        tree = KDTree(np.column_stack([place - np.median(place, 0), moments]))
        pairs = np.unique(np.sort(row[tree.query_pairs(NEAR, output_type="ndarray")], 1), axis=0)
        return [(a, b) for a, b in pairs.tolist() if self.camera[a] != self.camera[b]]

    def _areas(self) -> dict[frozenset[str], float]:
        """Square metres that two cameras both see, as far as somebody's feet show it."""
        places: dict[str, list[Doubles]] = {}
        for row, walk in self.walks.items():
            sure = walk.spread.trace(axis1=1, axis2=2) <= 2 * KNOWN**2
            places.setdefault(self.camera[row], []).append(walk.place[sure])
        seen = {camera: np.concatenate(parts) for camera, parts in places.items()}
        origin = np.concatenate([*seen.values(), np.zeros((1, 2))])[0]  # cv2's floats are too short for a national grid
        hulls = {camera: _hull(place - origin) for camera, place in seen.items()}
        return {frozenset((a, b)): max(_shared(hulls[a], hulls[b]), LEAST_AREA) for a in hulls for b in hulls if a < b}


def evidence_of(apart: Doubles, spread: Doubles, area: float) -> float:
    """Log-likelihood ratio of one person against two, of what two tracklets' places differ by, moment by moment.

    Args:
        apart: (k, 2) metres.
        spread: (k, 2, 2) square metres, covariance of it, ``SIGMA`` not included.
        area: square metres where two people may be.

    Returns:
        Between the logarithms of about ``ALWAYS_HIDDEN`` and 1 / ``TOGETHER``; 0 of no moments.
    """
    if not len(apart):
        return 0.0
    spread = spread + SIGMA**2 * np.eye(2)
    square = np.einsum("ki,kij,kj->k", apart, np.linalg.inv(spread), apart)
    # Two people's places err as much as one's do: where both are vague, neither hypothesis gains.
    gain = 1 + area / (2 * math.pi * np.sqrt(np.linalg.det(spread)))
    total = STEP * float(np.log((1 - HIDDEN) * gain * np.exp(-square / 2) + HIDDEN).sum())
    one = np.logaddexp(math.log(1 - ALWAYS_HIDDEN) + total, math.log(ALWAYS_HIDDEN))
    two = np.logaddexp(math.log(1 - TOGETHER), math.log(TOGETHER) + total)
    return float(one - two)


def _walks(tracklets: Sequence[Tracklet], homography: Doubles) -> list[Walk]:
    """Of one camera's tracklets: only together do they tell on which side of the horizon the ground is."""
    boxes = np.concatenate([tracklet.xyxy for tracklet in tracklets]).astype(np.float64)
    feet = np.column_stack([boxes[:, ::2].mean(1), boxes[:, 3]])
    place, jacobian, sound = on_ground(homography, feet)
    error = jacobian * (FEET * (boxes[:, 3] - boxes[:, 1]))[:, None, None]
    spread = error @ error.transpose(0, 2, 1)
    sound &= spread.trace(axis1=1, axis2=2) < VAGUE**2
    ends = np.cumsum([len(tracklet.index) for tracklet in tracklets])[:-1]
    parts = zip(tracklets, *(np.split(array, ends) for array in (place, spread, sound)), strict=True)
    return [_walk(tracklet.time_s[seen], where[seen], vague[seen]) for tracklet, where, vague, seen in parts]


def _walk(time_s: Doubles, place: Doubles, spread: Doubles) -> Walk:
    """Places at every ``STEP``, on straight ways between the boxes before and after."""
    if not len(time_s):
        return Walk(np.zeros(0, np.int64), place, spread)
    tick = np.arange(math.ceil(time_s[0] / STEP), math.floor(time_s[-1] / STEP) + 1, dtype=np.int64)
    after = np.searchsorted(time_s, tick * STEP)
    before = np.searchsorted(time_s, tick * STEP, side="right") - 1
    near = time_s[after] - time_s[before] <= GAP
    tick, after, before = tick[near], after[near], before[near]
    length = np.maximum(time_s[after] - time_s[before], 1e-9)
    part = (tick * STEP - time_s[before]) / length
    return Walk(
        tick,
        place[before] + part[:, None] * (place[after] - place[before]),
        spread[before] + part[:, None, None] * (spread[after] - spread[before]),
    )


def _hull(place: Doubles) -> Doubles:
    return np.asarray(cv2.convexHull(place.astype(np.float32)), np.float64) if len(place) else np.zeros((0, 1, 2))


def _shared(one: Doubles, other: Doubles) -> float:
    if min(len(one), len(other)) < 3:
        return 0.0  # a point or a line has no area
    area, _ = cv2.intersectConvexConvex(one.astype(np.float32), other.astype(np.float32))
    return float(area)
