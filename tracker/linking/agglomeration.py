"""Average-linkage agglomeration under gates, exact, and sparse: only pairs that can ever join are held.

The evidence for two groups is a mean over pairs, so it is never above the strongest pair's, and gates only take away:
groups none of whose pairs reaches what a join needs will never join. What a join needs falls as groups become fewer, so
a first guess is made of how many will remain; where it was too high, all is done again from a lower one.

Groups are not people: a crowd of fragments that nothing could join yet is not taken for a crowd of people (``people``).
And nobody meets everybody: with more than ``CROWD`` people the odds against a join no longer grow, or of 100,000
tracklets, each taken for a person, hardly two could ever begin.
"""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tracker.linking.evidence import Appearance
from tracker.linking.gates import Gate

MIN_PROBABILITY = 0.5
CROWD = 1000  # the most people that a join reckons with
SMALL = 4096  # tracklets of which all pairs are looked at
TRACKLETS_A_PERSON = 50  # the first guess of how few people remain


@dataclass
class Merge:
    """Two groups that joined.

    Attributes:
        left, right: the rows of each, ascending.
        evidence: for their being one person, gates included.
        among: how many people there seemed to be, at most ``CROWD``.
        given: it was known beforehand.
    """

    left: list[int]
    right: list[int]
    evidence: float
    among: float
    given: bool = False

    @property
    def probability(self) -> float:
        """That they are one person, among so many people, 0..1."""
        return probability_of(self.evidence, self.among)


@dataclass
class Group:
    """Tracklets taken for one person: their row numbers, ascending, and the merges that joined them, in order."""

    members: list[int]
    merges: list[Merge] = field(default_factory=list)


def agglomerate(
    appearance: Appearance,
    gates: Sequence[Gate] = (),
    joined: Iterable[tuple[int, int]] = (),
    min_probability: float = MIN_PROBABILITY,
    fewest: int | None = None,
) -> list[Group]:
    """Join groups, those with the strongest evidence first.

    Ties go to the earlier rows, so give them in a fixed order.

    Args:
        appearance: of n tracklets; it is left as it was.
        gates: what speaks against.
        joined: pairs of rows that are one person from the start, whatever gates say; their order is kept.
        min_probability: groups join while the probability that they are one person is at least this, 0..1. Where
            there seem to be K people, or ``CROWD`` where there are more, its prior odds are 1 to K - 1.
        fewest: the first guess of how few people remain, at least 1, which changes how long it takes and not what comes
            out; None: 1 for up to ``SMALL`` tracklets.

    Returns:
        Groups in order of their first member.
    """
    joined = list(joined)
    count = len(appearance)
    if fewest is None:
        fewest = 1 if count <= SMALL else count // TRACKLETS_A_PERSON
    fewest = min(fewest, CROWD)
    while True:
        least = needed(min_probability, fewest)
        groups = _Agglomeration(appearance, gates, joined, least).run(min_probability)
        remain = reckoned([len(group.members) for group in groups])
        if fewest == 1 or remain >= fewest:
            return groups
        fewest = max(int(remain / 2), 1)


def people(sizes: npt.ArrayLike) -> float:
    """How many people there seem to be among groups of so many tracklets.

    Counted as two random tracklets would: as one over the share of pairs that are one person (the inverse Simpson
    index).

    >>> people([2, 2]), round(people([8, 1, 1]), 2), people([])
    (2.0, 1.52, 0.0)
    """
    found = np.asarray(sizes, np.float64)
    return float(found.sum() ** 2 / max((found**2).sum(), 1))


def probability_of(evidence: float, among: float) -> float:
    """That two groups are one person, among so many people, 0..1.

    >>> probability_of(0.0, 2), round(probability_of(5.0, 2), 2)
    (0.5, 0.99)
    """
    return 0.5 * (1 + math.tanh(0.5 * (evidence - strength_against(among))))


def needed(min_probability: float, among: float) -> float:
    """The evidence that makes it probable enough that two groups are one person, among so many people."""
    if min_probability in (0, 1):
        return -math.inf if min_probability == 0 else math.inf
    return math.log(min_probability / (1 - min_probability)) + strength_against(among)


def strength_against(among: float) -> float:
    """The logarithm of the odds against two being one person, before anything is known, among so many people.

    >>> [round(strength_against(people), 2) for people in (1, 2, 1001, 100_001)]
    [0.0, 0.0, 6.91, 11.51]
    """
    return math.log(max(among - 1, 1))


def reckoned(sizes: npt.ArrayLike) -> float:
    """How many people a join of groups of so many tracklets reckons with: ``people``, at most ``CROWD``.

    >>> reckoned([2, 2]), reckoned([1] * 5000)
    (2.0, 1000)
    """
    return min(people(sizes), CROWD)


class _Agglomeration:
    """One pass: groups live in the slot of their first row; ``heap`` holds what each slot would join at best."""

    def __init__(
        self, appearance: Appearance, gates: Sequence[Gate], joined: Sequence[tuple[int, int]], least: float
    ) -> None:
        count = len(appearance)
        self.neighbours = appearance.neighbours(least)
        self.appearance = appearance.of_rows(np.arange(count))
        self.gates, self.least = gates, least
        self.slot = np.arange(count)  # of each row's group
        self.groups = {row: Group([row]) for row in range(count)}
        self.count, self.squares = count, count  # of tracklets, and the sum of the groups' squared sizes
        self.version = np.zeros(count, np.int64)
        self.heap: list[tuple[float, int, int, int, int]] = []
        for a, b in joined:
            i, j = sorted(self.slot[[a, b]].tolist())
            if i != j:
                evidence = float(self.appearance.between(i, np.array([j]))[0])
                self._join(i, j, evidence, given=True)

    def run(self, min_probability: float) -> list[Group]:
        for group in self.groups.values():
            for merge in group.merges:
                merge.among = self.people
        for slot in self.groups:
            self._look(slot)
        while self.heap:
            negative, i, j, was_i, was_j = heapq.heappop(self.heap)
            if was_i != self.version[i]:
                continue  # it has grown or gone; what it would join now is elsewhere in the heap
            if was_j != self.version[j]:
                self._look(i)
                continue
            if probability_of(-negative, self.people) < min_probability:
                break
            i, j = min(i, j), max(i, j)
            self._join(i, j, -negative)
            self._look(i)
        return [self.groups[slot] for slot in sorted(self.groups)]

    @property
    def people(self) -> float:
        """See ``reckoned``."""
        return min(self.count**2 / max(self.squares, 1), CROWD)

    def _join(self, i: int, j: int, evidence: float, *, given: bool = False) -> None:
        among = self.people
        left, right = self.groups[i], self.groups.pop(j)
        self.squares += 2 * len(left.members) * len(right.members)
        merge = Merge(left.members, right.members, evidence, among, given)
        self.groups[i] = Group(sorted(left.members + right.members), [*left.merges, *right.merges, merge])
        self.appearance.join(i, j)
        self.slot[right.members] = i
        self.version[[i, j]] += 1
        self.neighbours[i] = np.concatenate([self.neighbours[i], self.neighbours[j]])
        self.neighbours[j] = self.neighbours[j][:0]

    def _look(self, slot: int) -> None:
        """Put the best that a slot would join now into the heap.

        A mean is never above its parts' maximum, so what the heap holds for others stays an upper bound, and a
        neighbour below the least counts again only as a part of one that is not.
        """
        rows = np.unique(self.slot[self.neighbours[slot]])
        rows = rows[rows != slot]
        evidence = self.appearance.between(slot, rows)
        enough = evidence >= self.least
        rows, evidence = rows[enough], evidence[enough]
        self.neighbours[slot] = rows
        best, other = -math.inf, -1
        for place in np.argsort(-evidence, kind="stable"):
            found = float(evidence[place])
            if found <= best:
                break
            total = found + self._against(slot, int(rows[place]))
            if total > best:
                best, other = total, int(rows[place])
        if other >= 0 and best >= self.least:
            heapq.heappush(self.heap, (-best, slot, other, int(self.version[slot]), int(self.version[other])))

    def _against(self, slot: int, other: int) -> float:
        left, right = self.groups[slot].members, self.groups[other].members
        total = 0.0
        for gate in self.gates:
            total += gate(left, right)
            if total == -math.inf:
                break
        return total
