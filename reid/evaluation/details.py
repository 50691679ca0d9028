"""What pictures need beside the scores: each query's nearest gallery items, and how far apart pairs are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

NEAREST = 10
BINS = 200
NOBODY = -1


@dataclass(frozen=True)
class Details:
    """Collected while queries are ranked.

    Attributes:
        nearest: (q, k) int64 gallery rows of each query's best, best first, junk passed over; ``NOBODY`` where the
            gallery has fewer.
        distance: (q, k) float32 their distances; NaN where there is nobody.
        match: (q, k) bool, whether they are the query's identity.
        edges: (bins + 1,) float64 bounds of the histograms' bins, 0..2 as cosine distances are.
        positive: (bins,) int64 pairs of one person, seen by two cameras.
        negative: (bins,) int64 pairs of two people, or of a person and a distractor, seen by two cameras. Distances
            beyond the edges count in the outermost bins.
    """

    nearest: Integers
    distance: npt.NDArray[np.float32]
    match: npt.NDArray[np.bool_]
    edges: npt.NDArray[np.float64]
    positive: Integers
    negative: Integers


class Collector:
    """Gathers ``Details`` query by query; hand it to whatever ranks. Memory is (q, nearest) and the bins.

    Args:
        nearest: gallery items kept for each query.
        bins: of the histograms.
    """

    def __init__(self, nearest: int = NEAREST, bins: int = BINS) -> None:
        self._k = nearest
        self._edges = np.linspace(0, 2, bins + 1)
        self._positive = np.zeros(bins, np.int64)
        self._all = np.zeros(bins, np.int64)
        self._rows: list[tuple[Integers, npt.NDArray[np.float32], npt.NDArray[np.bool_]]] = []

    def add(self, row: Floats, apart: npt.NDArray[np.bool_], matches: Integers) -> None:
        """Take in the next query.

        Args:
            row: (g,) distances, NaN at junk.
            apart: (g,) True for gallery items of other cameras than the query's.
            matches: gallery rows of the query's matches.
        """
        self._all += self._histogram(row[apart])
        self._positive += self._histogram(row[matches])
        best = _smallest(row, self._k)
        nearest = np.full(self._k, NOBODY, np.int64)
        distance = np.full(self._k, np.nan, np.float32)
        nearest[: len(best)], distance[: len(best)] = best, row[best]
        self._rows.append((nearest, distance, np.isin(nearest, matches)))

    def details(self) -> Details:
        """All that was taken in so far, at least one query."""
        nearest, distance, match = (np.stack(part) for part in zip(*self._rows, strict=True))
        return Details(nearest, distance, match, self._edges, self._positive.copy(), self._all - self._positive)

    def _histogram(self, distances: Floats) -> Integers:
        inside = np.clip(distances, 0, 2)  # rounding puts equal vectors below 0
        return np.histogram(inside, len(self._all), (0, 2))[0].astype(np.int64)  # drops the NaN


def _smallest(row: Floats, k: int) -> Integers:
    """Positions of the k smallest values that are numbers, ascending, equal ones in the row's order."""
    k = min(k, len(row) - int(np.count_nonzero(np.isnan(row))))
    if not k:
        return np.empty(0, np.int64)
    bound = np.partition(row, k - 1)[k - 1]
    candidates = np.flatnonzero(row <= bound)
    return np.asarray(candidates[np.argsort(row[candidates], kind="stable")][:k], np.int64)
