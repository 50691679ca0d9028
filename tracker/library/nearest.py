"""The index of a library's vectors, and the vectors nearest to some by it.

The index is LanceDB's IVF_HNSW_SQ: a graph of neighbours over vectors of one byte a number, made when a library reaches
``INDEXED`` vectors. Searches filter before they look for neighbours. What it finds is only ever a choice of whom to
compare with the full vectors, many times as many as are shown; how many of the true neighbours it misses, `reidtrack
bench library` measures. Below that size, and where a filter leaves few, all are compared.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from tracker.progress import clock
from tracker.types import Floats

INDEXED = 20_000  # vectors from which on there is an index
PARTS = 32  # of the index at most: what is added to it becomes a part of its own, which each search looks into
FEW = 4_000  # tracklets that pass a filter: all are compared, index or none
EFFORT = 100  # neighbours looked at when a vector finds its place in the graph
LONGEST = timedelta(hours=6)  # that making the index may take
TOLD_S = 60.0  # between lines that it goes on


def nearest(table: Any, vectors: Floats, where: str, k: int) -> npt.NDArray[np.uint64]:
    """Row ids of the rows of ``table`` that are nearest to any of some vectors, by its index, without repeats.

    Args:
        table: with a column ``vector`` of unit vectors.
        vectors: (m, d) unit vectors.
        where: condition that rows meet, in SQL; "" for all.
        k: rows for each vector, at least 1.

    Returns:
        In ascending order: which are nearer is for the full vectors to say.
    """
    found = []
    for vector in vectors:
        search = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(k)
        search = search.select(["_distance"]).with_row_id(True)
        if where:
            search = search.where(where, prefilter=True)
        found.append(search.to_arrow()["_rowid"].to_numpy())
    return np.unique(np.concatenate(found))


def has_index(table: Any) -> bool:
    """Whether there is one to find neighbours by."""
    return any("vector" in one.columns for one in table.list_indices())


def wants_index(table: Any) -> bool:
    """Whether a table of vectors should have an index and has none, or one of too many parts."""
    parts = sum(one.num_segments or 1 for one in table.list_indices() if "vector" in one.columns)
    return bool(parts > PARTS or (not parts and table.count_rows() >= INDEXED))


def make_index(table: Any, note: Callable[[str], None] | None = None) -> None:
    """Give a table of vectors its index, and indices of what is filtered by.

    Args:
        table: of vectors.
        note: told that it is being made, and every minute for how long already; LanceDB does not tell what is left.
    """
    from lancedb.index import Bitmap, BTree, HnswSq

    with _told(f"index of {table.count_rows()} vectors", note or _nobody):
        for column in ("camera", "recording"):
            table.create_index(column, config=Bitmap())
        for column in ("start_s", "end_s"):
            table.create_index(column, config=BTree())
        config = HnswSq(distance_type="cosine", ef_construction=EFFORT)
        table.create_index("vector", config=config, wait_timeout=LONGEST)


def _nobody(line: str) -> None:
    pass


@contextlib.contextmanager
def _told(name: str, note: Callable[[str], None]) -> Iterator[None]:
    """Tell that something without progress of its own begins, goes on, and has ended."""
    began, ended = time.monotonic(), threading.Event()

    def go_on() -> None:
        while not ended.wait(TOLD_S):
            note(f"{name}: {clock(time.monotonic() - began)} so far")

    note(f"{name}: begun")
    teller = threading.Thread(target=go_on, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
    note(f"{name}: made in {clock(time.monotonic() - began)}")
