"""Recall of searches: of the tracklets most similar to an example, the share that is compared with it at all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracker.library.examples import Example
from tracker.library.filters import Filters, passing
from tracker.library.scores import near
from tracker.library.snapshot import Mask, Snapshot
from tracker.library.store import Library, reading
from tracker.progress import Progress
from tracker.types import Floats, Integers

FOUND = 10  # the most similar tracklets, of which recall is the share that is found
_CHUNK = 20_000  # tracklets whose vectors are in memory at once
_ALIKE = 1e-5  # similarities that differ by less are the same


@dataclass(frozen=True)
class Query:
    """A search: whom for, not whom, and where."""

    examples: tuple[Example, ...]
    others: tuple[Example, ...]
    filters: Filters

    @property
    def vectors(self) -> Floats:
        """(m, d) of all examples."""
        return np.concatenate([example.vectors for example in self.examples])


def recalls(library: Library, queries: Sequence[Query], top: int, progress: Progress) -> npt.NDArray[np.float64]:
    """(q,) recall of searches for the ``top`` likeliest identities, 0..1.

    What counts is a tracklet's best matching vector, and the tracklets that pass the filters but for the examples' own.

    Raises:
        DataError: the library cannot be read.
    """
    if not queries:
        return np.zeros(0)
    masks = [_mask(library, query) for query in queries]
    with reading(library.name):
        truth = _most_alike(library.snapshot, queries, masks, progress)
        found = [_found(library, query, mask, top) for query, mask in zip(queries, masks, strict=True)]
    return np.array([_recall(*both) for both in zip(truth, found, strict=True)])


def _recall(truth: Floats, found: Floats) -> float:
    """Of the similarities of the true neighbours, the share among those of found ones, both falling.

    >>> _recall(np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.9, 0.7, 0.6, 0.5]))
    0.75
    """
    return float(np.count_nonzero(found >= truth[-1] - _ALIKE)) / len(truth) if len(truth) else 1.0


def _mask(library: Library, query: Query) -> Mask:
    snapshot = library.snapshot
    mask = passing(library, query.filters)
    own = [snapshot.find(example.key) for example in (*query.examples, *query.others) if example.key]
    mask[[place for place in own if place is not None]] = False
    return mask


def _found(library: Library, query: Query, mask: Mask, top: int) -> Floats:
    """The greatest similarities, at most ``FOUND``, among tracklets that a search compares with, falling."""
    snapshot = library.snapshot
    places = near(library, query.examples, query.filters, mask, top)
    vectors, begins = snapshot.vectors_of(places)
    return np.sort(_alike(vectors @ query.vectors.T, begins))[::-1][:FOUND]


def _most_alike(
    snapshot: Snapshot, queries: Sequence[Query], masks: Sequence[Mask], progress: Progress
) -> list[Floats]:
    """For each query the greatest similarities, at most ``FOUND``, among all tracklets that pass, falling."""
    asked = np.concatenate([query.vectors for query in queries])
    columns = np.cumsum([0, *(len(query.vectors) for query in queries)])
    best = [np.zeros(0, np.float32) for _ in queries]
    with progress.stage("true neighbours", len(snapshot), "tracklets") as advance:
        for begin in range(0, len(snapshot), _CHUNK):
            places = np.arange(begin, min(begin + _CHUNK, len(snapshot)))
            vectors, begins = snapshot.vectors_of(places)
            every = vectors @ asked.T
            for number, mask in enumerate(masks):
                own = _alike(every[:, columns[number] : columns[number + 1]], begins)
                together = np.concatenate([best[number], own[mask[places]]])
                best[number] = np.sort(together)[::-1][:FOUND]
            advance(len(places))
    return best


def _alike(every: Floats, begins: Integers) -> Floats:
    """(k,) of each tracklet its best match, of (v, m) similarities of its vectors."""
    return np.maximum.reduceat(every.max(1), begins) if len(begins) else np.zeros(0, np.float32)
