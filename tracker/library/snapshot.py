"""What searches look at of every tracklet, in memory: no pictures, and vectors only of libraries without an index.

A million tracklets take about 150 MB and a second or two to read, once for each version of the library. Conditions,
counts of people and what belongs to an identity are then answered without reading the tables, from as many threads as
like: nothing here changes once it is read, but for columns that are read when they are first asked for.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracker.library.nearest import has_index
from tracker.linking.evidence import reliability
from tracker.types import Floats, Integers

Mask = npt.NDArray[np.bool_]
Condition = tuple[tuple[str, ...], str, Any]  # columns of which any is meant; "in", "=", ">=" or "<="; with what

_TEXTS = ("run", "recording", "camera")
_NUMBERS = ("identity", "start_s", "end_s", "absolute", "length_s", "quality")


class Snapshot:
    """A library's tracklets in order of run and identity; an identity's, and a tracklet's vectors, are side by side.

    Args:
        tracklets, vectors: LanceDB tables, checked out at versions that belong together.
        dim: of the vectors.

    Attributes:
        runs: ids, in order.
        run: (n,) int32 of each tracklet, its place in ``runs``.
        identity: (n,) int64 number within its run.
        quality: (n,) float64, 0..1.
        reliable: (n,) float32, see ``reliability``.
        who: (n,) int64 of each tracklet, which of the p identities of all runs it is of.
        first: (p + 1,) where each identity's tracklets begin.
        first_vector: (n + 1,) where each tracklet's vectors begin.
        indexed: whether there is an index to find neighbours by; where not, all vectors are in memory.
    """

    def __init__(self, tracklets: Any, vectors: Any, dim: int) -> None:
        self._tables, self._dim, self._lock = (tracklets, vectors), dim, threading.Lock()
        table = _read(tracklets, ["key", *_TEXTS, *_NUMBERS])
        runs, names = _encoded(table["run"])
        identity = table["identity"].to_numpy()
        self._order = np.lexsort((identity, runs))
        self.runs, self.run, self.identity = names, runs[self._order], identity[self._order]
        self._keys = pc.take(table["key"].combine_chunks(), pa.array(self._order))
        self._row_ids = table["_rowid"].to_numpy()[self._order]
        self._columns: dict[str, npt.NDArray[Any]] = {
            name: table[name].to_numpy()[self._order] for name in _NUMBERS if name != "identity"
        }
        self._texts = {name: self._text(table[name]) for name in ("camera", "recording")}
        self.quality = self._columns["quality"]
        self.reliable = reliability(self.quality)
        starts = np.ones(len(identity), bool)
        starts[1:] = (np.diff(self.run) != 0) | (np.diff(self.identity) != 0)
        self.who: Integers = np.cumsum(starts) - 1
        self.first = np.append(np.flatnonzero(starts), len(identity))
        self._read_vectors(vectors)

    def __len__(self) -> int:
        return len(self._row_ids)

    def _read_vectors(self, vectors: Any) -> None:
        self.indexed = has_index(vectors)
        table = _read(vectors, ["key"] if self.indexed else ["key", "vector"])
        owner = pc.index_in(table["key"].combine_chunks(), self._keys).to_numpy(zero_copy_only=False)
        order = np.argsort(owner, kind="stable")
        self._vector_ids = table["_rowid"].to_numpy()[order]
        self._by_id = np.argsort(self._vector_ids)
        self.first_vector = np.searchsorted(owner[order], np.arange(len(self) + 1))
        self._vectors = None if self.indexed else stacked(table["vector"], self._dim)[order]

    def _text(self, column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
        codes, names = _encoded(column)
        return codes[self._order], names

    def names(self, column: str) -> list[str]:
        """All that there are in ``camera`` or ``recording``, sorted."""
        return self._texts[column][1]

    def passing(self, conditions: Sequence[Condition]) -> Mask:
        """(n,) which tracklets meet all of some conditions."""
        mask = np.ones(len(self), bool)
        for columns, operator, value in conditions:
            mask &= np.logical_or.reduce([self._meeting(column, operator, value) for column in columns])
        return mask

    def _meeting(self, column: str, operator: str, value: Any) -> Mask:
        if operator == "in":
            codes, names = self._texts[column]
            return np.isin(names, value)[codes] if len(codes) else np.zeros(0, bool)
        compare = {"=": np.equal, ">=": np.greater_equal, "<=": np.less_equal}[operator]
        return np.asarray(compare(self.column(column), value), bool)

    def column(self, name: str) -> npt.NDArray[Any]:
        """(n,) one of the tracklets' columns of numbers; those that are not known are NaN."""
        with self._lock:
            if name not in self._columns:
                self._columns[name] = _read(self._tables[0], [name])[name].to_numpy()[self._order]
            return self._columns[name]

    def find(self, key: str) -> int | None:
        """The place of a tracklet; None where there is none."""
        place = pc.index(self._keys, key).as_py()
        return None if place < 0 else int(place)

    def find_all(self, keys: Sequence[str]) -> Integers:
        """(k,) the places of some tracklets; -1 where there is none."""
        found = pc.index_in(pa.array(keys, pa.string()), self._keys)
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)

    def keys(self, places: Integers) -> list[str]:
        """Of tracklets."""
        return [str(key) for key in self._keys.take(pa.array(places)).to_pylist()]

    def people(self, mask: Mask) -> Integers:
        """How many tracklets each identity has among some, for those that have any."""
        counts = np.bincount(self.who[mask])
        return np.asarray(counts[counts > 0], np.int64)

    def vectors_of(self, places: Integers) -> tuple[Floats, Integers]:
        """The vectors of some tracklets: (v, d), and (k,) where each tracklet's begin.

        Raises:
            what LanceDB does where the table cannot be read.
        """
        rows, begins = _expanded(self.first_vector, places)
        if self._vectors is not None:
            return self._vectors[rows], begins
        return self._fetched(rows), begins

    def _fetched(self, rows: Integers) -> Floats:
        if not len(rows):
            return np.zeros((0, self._dim), np.float32)
        wanted = np.sort(self._vector_ids[rows])
        taken = self._tables[1].take_row_ids(wanted.tolist()).select(["vector"]).with_row_id().to_arrow()
        found, order = taken["_rowid"].to_numpy(), np.searchsorted(wanted, self._vector_ids[rows])
        vectors = stacked(taken["vector"], self._dim)
        return np.asarray(vectors[np.argsort(found)][order], np.float32)

    def tracklets_of(self, vector_ids: npt.NDArray[np.uint64]) -> Integers:
        """The places of the tracklets that some rows of ``vectors`` belong to, in order, without repeats."""
        rows = self._by_id[np.searchsorted(self._vector_ids, vector_ids, sorter=self._by_id)]
        return np.unique(np.searchsorted(self.first_vector, rows, "right") - 1)

    def members(self, who: Integers) -> Integers:
        """The places of all tracklets of some identities."""
        return _expanded(self.first, who)[0]

    def rows(self, places: Integers, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Some tracklets as the table has them, in the order asked for."""
        if not len(places):
            return []
        ids = self._row_ids[places]
        taken = self._tables[0].take_row_ids(ids.tolist()).select(list(columns)).with_row_id().to_arrow()
        found = {row.pop("_rowid"): row for row in taken.to_pylist()}
        return [found[number] for number in ids.tolist()]


def stacked(column: pa.ChunkedArray, dim: int) -> Floats:
    """A column of vectors as (n, dim) float32."""
    return np.asarray(column.combine_chunks().flatten(), np.float32).reshape(-1, dim)


def _read(table: Any, columns: Sequence[str]) -> pa.Table:
    """Some columns and ``_rowid`` of all rows, in the order in which they are kept."""
    return table.search().select(list(columns)).with_row_id(True).limit(max(table.count_rows(), 1)).to_arrow()


def _encoded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
    """A column of texts as (n,) places in the sorted names."""
    coded = column.combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.zeros(max(len(names), 1), np.int32)
    place[order] = np.arange(len(names))
    return place[coded.indices.to_numpy()], [names[code] for code in order]


def _expanded(first: Integers, groups: Integers) -> tuple[Integers, Integers]:
    """All rows of some groups, group by group, and where in the result each group begins.

    >>> [part.tolist() for part in _expanded(np.array([0, 2, 3, 6]), np.array([0, 2]))]
    [[0, 1, 3, 4, 5], [0, 2]]
    """
    counts = first[groups + 1] - first[groups]
    begins = np.cumsum(counts) - counts
    return np.repeat(first[groups] - begins, counts) + np.arange(counts.sum()), begins
