"""A library's tracklets in memory, without pictures and vectors: who there is, filtered, ordered and paged at once.

A million tracklets take about 100 MB and a few seconds to load, once for each version of the library.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tracker.library.filters import Filters
from tracker.library.store import Library, reading
from tracker.types import Integers

Doubles = np.typing.NDArray[np.float64]
Mask = np.typing.NDArray[np.bool_]

_NAMES = ("run", "recording", "camera", "photo")
_NUMBERS = (
    "identity", "track_id", "start_s", "end_s", "length_s", "file_start_s", "first_frame", "last_frame", "quality",
    "probability", "absolute",
)  # fmt: skip
_TRACKS = 2**32  # more than a recording has

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
        probability: that all its tracklets are one person.
        best: row of its best picture.
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
    probability: float
    best: int
    photos: int
    place: Place


class Catalogue:
    """All tracklets of a library at one moment, in order of run, identity and time.

    Args:
        library: whose.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(self, library: Library) -> None:
        with reading(library.name):
            table = _read(library)
        self._library = library
        self._row_ids = table["_rowid"].to_numpy()
        encoded = {name: table[name].combine_chunks().dictionary_encode() for name in _NAMES}
        self._names = {name: column.dictionary.to_pylist() for name, column in encoded.items()}
        self._codes = {name: column.indices.to_numpy().astype(np.int64) for name, column in encoded.items()}
        self._numbers = {name: table[name].to_numpy() for name in _NUMBERS}
        self._code = {name: {text: code for code, text in enumerate(names)} for name, names in self._names.items()}
        runs, identities = self._codes["run"], self._numbers["identity"]
        changes = np.ones(len(table), bool)
        changes[1:] = (np.diff(runs) != 0) | (np.diff(identities) != 0)
        self._group = np.cumsum(changes) - 1
        self._first = np.flatnonzero(changes)
        self._keys = self._composed(runs, self._codes["recording"], self._numbers["track_id"])
        self._by_key = np.argsort(self._keys, kind="stable")

    def __len__(self) -> int:
        return len(self._row_ids)

    @property
    def people(self) -> int:
        """How many identities there are."""
        return len(self._first)

    def names(self, kind: str) -> list[str]:
        """All cameras, recordings or runs, in natural order of names."""
        from tracker.recordings import natural_order

        return natural_order(name for name in self._names[kind] if name)

    @property
    def absolute(self) -> bool:
        """Whether any tracklet's times are clock times."""
        return bool(self._numbers["absolute"].any())

    def row(self, number: int) -> dict[str, Any]:
        """A tracklet as the library's table has it, without path and picture."""
        row = {name: self._names[name][int(self._codes[name][number])] for name in _NAMES}
        row |= {name: column[number].item() for name, column in self._numbers.items()}
        return row | {"key": f"{row['run']}/{row['recording']}/{row['track_id']}", "row": number}

    def find(self, run: str, recording: str, track_id: int) -> int | None:
        """The row of a tracklet; None where there is none."""
        codes = self._code["run"].get(run), self._code["recording"].get(recording)
        if codes[0] is None or codes[1] is None or not 0 <= track_id < _TRACKS or not len(self):
            return None
        key = self._composed(np.int64(codes[0]), np.int64(codes[1]), np.int64(track_id))
        place = int(np.searchsorted(self._keys, key, sorter=self._by_key))
        row = int(self._by_key[min(place, len(self) - 1)])
        return row if self._keys[row] == key else None

    def members(self, run: str, identity: int) -> list[dict[str, Any]]:
        """An identity's tracklets in order of time; none where there is no such identity."""
        code = self._code["run"].get(run)
        if code is None:
            return []
        begin, end = np.searchsorted(self._codes["run"], [code, code + 1])
        numbers = self._numbers["identity"][begin:end]
        left, right = (begin + np.searchsorted(numbers, identity, side) for side in ("left", "right"))
        return [self.row(row) for row in range(left, right)]

    def on(self, run: str, recording: str) -> list[dict[str, Any]]:
        """The tracklets of a recording, in order of identity and time."""
        codes = self._code["run"].get(run), self._code["recording"].get(recording)
        if codes[0] is None or codes[1] is None:
            return []
        begin, end = np.searchsorted(self._codes["run"], [codes[0], codes[0] + 1])
        rows = begin + np.flatnonzero(self._codes["recording"][begin:end] == codes[1])
        return [self.row(row) for row in rows.tolist()]

    def counts(self) -> Counter[tuple[str, str]]:
        """How many tracklets each recording has, by run and recording."""
        width = max(len(self._names["recording"]), 1)
        pairs, counts = np.unique(self._codes["run"] * width + self._codes["recording"], return_counts=True)
        names = [(self._names["run"][pair // width], self._names["recording"][pair % width]) for pair in pairs.tolist()]
        return Counter(dict(zip(names, counts.tolist(), strict=True)))

    def jpeg(self, row: int) -> bytes:
        """A tracklet's best picture.

        Raises:
            DataError: the library cannot be read.
        """
        with reading(self._library.name):
            found = self._library.tracklets.take_row_ids([int(self._row_ids[row])]).select(["jpeg"]).to_arrow()
            return bytes(found["jpeg"][0].as_py())

    def passing(self, filters: Filters, runs: Sequence[str] = ()) -> Mask:
        """(n,) whether each tracklet passes, as ``Filters.where`` says it in SQL.

        Raises:
            DataError: the library cannot be read.
        """
        numbers = self._numbers
        mask = np.ones(len(self), bool)
        for name, wanted in (("camera", filters.cameras), ("recording", filters.recordings), ("run", runs)):
            if wanted:
                codes = [self._code[name][text] for text in wanted if text in self._code[name]]
                mask &= np.isin(self._codes[name], codes)
        if filters.upper or filters.lower:  # whose columns are not in memory
            mask &= np.isin(
                self._row_ids, self._row_ids_where(Filters(upper=filters.upper, lower=filters.lower).where())
            )
        if filters.begin:
            mask &= (numbers["end_s"] >= filters.begin[0]) & (numbers["absolute"] == filters.begin[1])
        if filters.end:
            mask &= (numbers["start_s"] <= filters.end[0]) & (numbers["absolute"] == filters.end[1])
        return np.asarray(mask & (numbers["length_s"] >= filters.min_length_s), bool)

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
        rows = np.flatnonzero(mask)
        if not len(rows):
            return 0, []
        starts = np.flatnonzero(np.diff(self._group[rows], prepend=-1))
        values = self._values(order, rows, starts)
        groups = self._group[rows[starts]]
        ranked = np.lexsort((groups, -values))
        if after is not None:
            run, identity = self._code["run"].get(after.run, -1), after.identity
            heads = self._first[groups]
            run_of, number_of = self._codes["run"][heads], self._numbers["identity"][heads]
            later = (run_of > run) | ((run_of == run) & (number_of > identity))
            ranked = ranked[((values < after.value) | ((values == after.value) & later))[ranked]]
        ends = np.append(starts[1:], len(rows))
        shown = [self._person(rows[starts[i] : ends[i]], float(values[i])) for i in ranked[:count]]
        return len(starts), shown

    def _row_ids_where(self, where: str) -> Integers:
        with reading(self._library.name):
            query = self._library.tracklets.search().where(where).select(["quality"]).with_row_id(True)
            return np.asarray(query.limit(max(len(self), 1)).to_arrow()["_rowid"].to_numpy())

    def _values(self, order: str, rows: Integers, starts: Integers) -> Doubles:
        numbers = self._numbers
        if order == "last":
            values = np.maximum.reduceat(numbers["end_s"][rows], starts)
        elif order == "first":
            values = -np.minimum.reduceat(numbers["start_s"][rows], starts)
        elif order == "cameras":
            pairs = np.unique(self._group[rows] * len(self._names["camera"]) + self._codes["camera"][rows])
            counts = np.bincount(pairs // len(self._names["camera"]), minlength=self.people)
            values = counts[self._group[rows[starts]]]
        elif order == "unsure":
            values = -numbers["probability"][rows[starts]]
        else:
            values = np.add.reduceat(numbers["length_s"][rows], starts)
        return np.asarray(values, np.float64)

    def _person(self, rows: Integers, value: float) -> Person:
        numbers, first = self._numbers, int(rows[0])
        run, identity = self._names["run"][int(self._codes["run"][first])], int(numbers["identity"][first])
        cameras = dict.fromkeys(self._codes["camera"][rows].tolist())
        return Person(
            run,
            identity,
            tuple(self._names["camera"][code] for code in cameras),
            len(rows),
            float(numbers["start_s"][rows].min()),
            float(numbers["end_s"][rows].max()),
            bool(numbers["absolute"][first]),
            float(numbers["length_s"][rows].sum()),
            float(numbers["probability"][first]),
            int(rows[numbers["quality"][rows].argmax()]),
            sum(bool(self._names["photo"][code]) for code in self._codes["photo"][rows].tolist()),
            Place(value, run, identity),
        )

    def _composed(self, run: Any, recording: Any, track_id: Any) -> Any:
        return (run * max(len(self._names["recording"]), 1) + recording) * _TRACKS + track_id


def _read(library: Library) -> pa.Table:
    query = library.tracklets.search().select([*_NAMES, *_NUMBERS]).with_row_id(True)
    table = query.limit(max(library.tracklets.count_rows(), 1)).to_arrow()
    return table.sort_by([(name, "ascending") for name in ("run", "identity", "start_s", "recording", "track_id")])
