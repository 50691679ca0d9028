"""Who there is in a library, filtered, ordered and paged, over what searches hold in memory.

Nothing is held twice: columns are those of ``tracker.library.snapshot``, and what a page shows of a tracklet is read
from the library's table when it is shown.
"""

import functools
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tracker.library.filters import Filters
from tracker.library.searching import SHOWN
from tracker.library.store import Library, reading
from tracker.recordings import natural_order
from tracker.types import Integers

Row = dict[str, Any]
Doubles = np.typing.NDArray[np.float64]
Mask = np.typing.NDArray[np.bool_]

KEPT = 4  # recordings whose tracklets stay at hand, for the player that goes through one

ORDERS = {  # key of a person, largest first; what the page calls it
    "seen": "longest in view",
    "last": "last seen",
    "first": "first seen",
    "cameras": "most cameras",
    "unsure": "least sure",
}


class Place(NamedTuple):
    """Where a page of people ended: the value that it is ordered by, and the person's own name."""

    value: float
    run: str
    identity: int


@dataclass(frozen=True)
class Person:
    """An identity of a run, as far as it passes a filter.

    Attributes:
        run, identity: its name.
        cameras: that saw it, in order of first sight.
        sightings: how many tracklets.
        first_s, last_s: beginning and end; seconds since the epoch where ``absolute``.
        seconds: in view.
        best: the row of the tracklet of its best picture, with the probability that all are one person.
        photos: how many of the tracklets are on photos.
        place: in the order that was asked for.
    """

    run: str
    identity: int
    cameras: tuple[str, ...]
    sightings: int
    first_s: float
    last_s: float
    absolute: bool
    seconds: float
    best: Row
    photos: int
    place: Place


class Catalogue:
    """All tracklets of a library at one moment, named by their places in its snapshot.

    Every method raises DataError where the library cannot be read.

    Args:
        library: whose.
    """

    def __init__(self, library: Library) -> None:
        self._library, self._snapshot = library, library.snapshot
        pa.default_memory_pool().release_unused()  # what reading took: 150 MB for a million tracklets
        self._on: OrderedDict[tuple[str, str], list[Row]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._snapshot)

    @property
    def people(self) -> int:
        """How many identities there are."""
        return len(self._snapshot.first) - 1

    def names(self, kind: str) -> list[str]:
        """All cameras or recordings, in natural order of names."""
        return natural_order(self._snapshot.names(kind))

    @property
    def absolute(self) -> bool:
        """Whether any tracklet's times are clock times."""
        return bool(self._column("absolute").any())

    def rows(self, places: Sequence[int] | Integers) -> list[Row]:
        """Tracklets as the library's table has them, without pictures."""
        with reading(self._library.name):
            return self._snapshot.rows(np.asarray(places, np.int64), SHOWN)

    def find(self, run: str, recording: str, track_id: int) -> int | None:
        """The place of a tracklet; None where there is none."""
        begin, end = self._of_run(run)
        if begin == end:
            return None
        same = begin + np.flatnonzero(self._column("track_id")[begin:end] == track_id)
        keys = self._snapshot.keys(same)  # one of each recording of the run
        wanted = f"{run}/{recording}/{track_id}"
        return int(same[keys.index(wanted)]) if wanted in keys else None

    def row(self, run: str, recording: str, track_id: int) -> Row | None:
        """A tracklet; None where there is none."""
        place = self.find(run, recording, track_id)
        return None if place is None else self.rows([place])[0]

    def members(self, run: str, identity: int) -> list[Row]:
        """An identity's tracklets in order of time; none where there is no such identity."""
        begin, end = self._of_run(run)
        numbers = self._snapshot.identity[begin:end]
        left, right = (begin + int(np.searchsorted(numbers, identity, side)) for side in ("left", "right"))
        return _in_time(self.rows(range(left, right)))

    def on(self, run: str, recording: str) -> Sequence[Row]:
        """The tracklets of a recording, in order of time."""
        found = self._on.get((run, recording))
        if found is None:
            begin, end = self._of_run(run)
            there = self._snapshot.passing([(("recording",), "in", (recording,))])[begin:end]
            found = self._on[run, recording] = _in_time(self.rows(begin + np.flatnonzero(there)))
            while len(self._on) > KEPT:
                self._on.popitem(last=False)
        return found

    @functools.cached_property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many tracklets each recording has, by run and recording."""
        with reading(self._library.name):
            table = self._library.tracklets.search().select(["run", "recording"]).limit(max(len(self), 1)).to_arrow()
        counted = table.group_by(["run", "recording"]).aggregate([([], "count_all")]).to_pylist()
        return Counter({(one["run"], one["recording"]): one["count_all"] for one in counted})

    def jpeg(self, place: int) -> bytes:
        """A tracklet's best picture."""
        with reading(self._library.name):
            (found,) = self._snapshot.rows(np.array([place]), ["jpeg"])
            return bytes(found["jpeg"])

    def passing(self, filters: Filters, runs: Sequence[str] = ()) -> Mask:
        """(n,) whether each tracklet passes, and is of some runs; no runs are all."""
        with reading(self._library.name):
            mask = self._snapshot.passing(filters.conditions())
        if runs:
            mask &= np.isin(self._snapshot.runs, runs)[self._snapshot.run]
        return mask

    def counted(self, mask: Mask) -> tuple[int, int]:
        """How many people and how many tracklets there are among those that pass."""
        return len(self._snapshot.people(mask)), int(mask.sum())

    def page(
        self, mask: Mask, order: str = "seen", count: int = 60, after: Place | None = None
    ) -> tuple[int, list[Person]]:
        """People with a tracklet that passes: how many there are, and those that follow a place.

        Args:
            mask: from ``passing``.
            order: in ``ORDERS``.
            count: of people, at most.
            after: the last person of the page before; None begins.
        """
        places = np.flatnonzero(mask)
        if not len(places):
            return 0, []
        snapshot = self._snapshot
        starts = np.flatnonzero(np.diff(snapshot.who[places], prepend=-1))
        values, heads = self._values(order, places, starts), places[starts]
        ranked = np.lexsort((heads, -values))
        if after is not None:
            run, run_of = bisect_left(snapshot.runs, after.run), snapshot.run[heads]
            later = (run_of > run) | ((run_of == run) & (snapshot.identity[heads] > after.identity))
            ranked = ranked[((values < after.value) | ((values == after.value) & later))[ranked]]
        ends = np.append(starts[1:], len(places))
        shown = [(places[starts[one] : ends[one]], float(values[one])) for one in ranked[:count]]
        best = self.rows([int(own[snapshot.quality[own].argmax()]) for own, _ in shown])
        return len(starts), [self._person(own, row, value) for (own, value), row in zip(shown, best, strict=True)]

    def _values(self, order: str, places: Integers, starts: Integers) -> Doubles:
        if order == "last":
            values = np.maximum.reduceat(self._column("end_s")[places], starts)
        elif order == "first":
            values = -np.minimum.reduceat(self._column("start_s")[places], starts)
        elif order == "cameras":
            who, cameras = self._snapshot.who[places], len(self._snapshot.names("camera"))
            pairs = np.unique(who * cameras + self._cameras[places])
            values = np.bincount(pairs // cameras, minlength=self.people)[who[starts]]
        elif order == "unsure":
            values = -self._column("probability")[places[starts]]
        else:
            values = np.add.reduceat(self._column("length_s")[places], starts)
        return np.asarray(values, np.float64)

    def _person(self, places: Integers, best: Row, value: float) -> Person:
        begins = self._column("start_s")[places]
        cameras = dict.fromkeys(self._cameras[places[np.argsort(begins, kind="stable")]].tolist())
        names = self._snapshot.names("camera")
        return Person(
            best["run"],
            best["identity"],
            tuple(names[code] for code in cameras),
            len(places),
            float(begins.min()),
            float(self._column("end_s")[places].max()),
            best["absolute"],
            float(self._column("length_s")[places].sum()),
            best,
            int(self._photos[places].sum()),
            Place(value, best["run"], best["identity"]),
        )

    def _of_run(self, run: str) -> tuple[int, int]:
        """Where a run's tracklets begin and end; nowhere where the library holds no such run."""
        code = bisect_left(self._snapshot.runs, run)
        if self._snapshot.runs[code : code + 1] != [run]:
            return 0, 0
        begin, end = np.searchsorted(self._snapshot.run, [code, code + 1])
        return int(begin), int(end)

    def _column(self, name: str) -> np.typing.NDArray[Any]:
        with reading(self._library.name):
            return self._snapshot.column(name)

    @functools.cached_property
    def _cameras(self) -> Integers:
        """(n,) of each tracklet, which of the cameras' names it has."""
        codes = np.zeros(len(self), np.int64)
        for code, name in enumerate(self._snapshot.names("camera")):
            codes[self._snapshot.passing([(("camera",), "in", (name,))])] = code
        return codes

    @functools.cached_property
    def _photos(self) -> Mask:
        """(n,) which tracklets are on photos."""
        mask = np.zeros(len(self), bool)
        with reading(self._library.name):
            query = self._library.tracklets.search().where("photo != ''").select(["key"])
            keys = query.limit(max(len(self), 1)).to_arrow()["key"].to_pylist()
        mask[self._snapshot.find_all(keys)] = True
        return mask


def _in_time(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["start_s"], row["key"]))
