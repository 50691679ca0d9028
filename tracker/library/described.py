"""Who wears what: identities by the colours of their clothes alone, and those colours beside a picture.

What is said here are shares of pixels (``words``), not probabilities: nobody is recognised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from reid.errors import BadInputError
from tracker.library.filters import Filters, passing
from tracker.library.searching import SHOWN, check_not_empty
from tracker.library.snapshot import Snapshot
from tracker.library.store import Library, reading
from tracker.types import Integers

Doubles = np.typing.NDArray[np.float64]


@dataclass(frozen=True)
class Wearing:
    """A tracklet in clothes as described.

    Attributes:
        row: its row in the library, without the picture.
        share: of its pixels that are called so, 0..1: of several names of a region the greatest, of two regions the
            smaller.
    """

    row: Mapping[str, Any]
    share: float


@dataclass(frozen=True)
class Dressed:
    """An identity of a run in clothes as described.

    Attributes:
        run: its id.
        identity: its number.
        share: the mean of its tracklets', better pictures counting for more.
        tracklets: its own that pass the filters, in order of time.
    """

    run: str
    identity: int
    share: float
    tracklets: Sequence[Wearing]


def by_words(library: Library, filters: Filters, top: int = 10) -> list[Dressed]:
    """Who in a library is dressed as described, the greatest shares first.

    Args:
        library: where.
        filters: with ``upper`` or ``lower``.
        top: identities, at most.

    Raises:
        BadInputError: nothing is described, or nothing passes.
        DataError: the library cannot be read.
    """
    if not (filters.upper or filters.lower):
        raise BadInputError("nothing is described; give colours by --upper or --lower")
    if top < 1:
        raise BadInputError(f"--top {top}: give a count from 1 on")
    check_not_empty(library)
    places, snapshot = np.flatnonzero(passing(library, filters)), library.snapshot
    with reading(library.name):
        shares = _shares(snapshot, places, filters)
        who, begins = np.unique(snapshot.who[places], return_index=True)
        weight = snapshot.reliable[places].astype(np.float64)
        means = np.add.reduceat(weight * shares, begins) / np.add.reduceat(weight, begins)
        best = np.argsort(-means, kind="stable")[:top]
        own = [slice(*ends) for ends in zip(begins[best], np.append(begins, len(places))[best + 1], strict=True)]
        rows = iter(snapshot.rows(np.concatenate([places[group] for group in own]), SHOWN))
    dressed = []
    for group, first, share in zip(own, snapshot.first[who[best]], means[best].tolist(), strict=True):
        found = [Wearing(next(rows), value) for value in shares[group].tolist()]
        found.sort(key=lambda one: (one.row["start_s"], one.row["key"]))
        dressed.append(Dressed(snapshot.runs[snapshot.run[first]], int(snapshot.identity[first]), share, found))
    return dressed


def shares_of(library: Library, keys: Sequence[str], filters: Filters) -> dict[str, float]:
    """By tracklet the share of its clothes' pixels that are called as the filters say, 0..1; see ``Wearing``."""
    if not keys:
        return {}
    with reading(library.name):
        shares = _shares(library.snapshot, library.snapshot.find_all(keys), filters)
    return dict(zip(keys, shares.tolist(), strict=True))


def colourless(library: Library, filters: Filters) -> int:
    """How many tracklets pass all other filters, but come from before colours were kept."""
    snapshot = library.snapshot
    with reading(library.name):
        others = snapshot.passing(replace(filters, upper=(), lower=()).conditions())
        return int(np.count_nonzero(others & np.isnan(snapshot.column("upper_black"))))


def _shares(snapshot: Snapshot, places: Integers, filters: Filters) -> Doubles:
    """(n,) of some tracklets."""
    regions = [
        reduce(np.maximum, [snapshot.column(f"{region}_{name}")[places] for name in names])
        for region, names in (("upper", filters.upper), ("lower", filters.lower))
        if names
    ]
    return np.asarray(reduce(np.minimum, regions), np.float64)
