"""How fast a library is searched, how many of the true neighbours are found, and how much memory that takes.

Queries are the library's own tracklets, drawn at random and left out of their own results, as with `--track`. They go
through ``tracker.library.searching.search`` one after the other in one process, which has opened the library once.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracker.bench.linking import peak_bytes
from tracker.bench.recall import Query, recalls
from tracker.library.examples import Example
from tracker.library.filters import Filters, passing
from tracker.library.searching import check_not_empty, search
from tracker.library.snapshot import Snapshot
from tracker.library.store import Library, reading
from tracker.progress import Advance, Progress
from tracker.types import Times

SEVERAL = 3  # examples of a person
WIDE, NARROW = 0.1, 0.001  # shares of the tracklets that the spans of time, and the selective filters, leave
WARM = 3  # searches of a kind that are not counted
TOP = 10  # identities that a search is asked for

KINDS = {
    "plain": "one example, no filter",
    "camera": "one camera",
    "time": f"a span of time that {WIDE:.0%} of the tracklets fall into",
    "selective": f"one camera and a span of time: {NARROW:.1%} of the tracklets",
    "examples": f"{SEVERAL} examples, no filter",
    "not": "one example and one counter-example, no filter",
}


@dataclass(frozen=True)
class Speed:
    """Searches of one kind.

    Attributes:
        kind: a key of ``KINDS``.
        searches: how many were counted.
        share: of the library's tracklets that passed, on average.
        p50_ms, p95_ms: that they took.
        cpu_ms: of all the process's threads, on average.
        recall: see ``recalls``; None where not measured.
    """

    kind: str
    searches: int
    share: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    recall: float | None


@dataclass(frozen=True)
class LibraryScores:
    """A library's speed, recall and memory.

    Attributes:
        tracklets, vectors, dim: how many, and how long.
        indexed: whether there is an index.
        open_s: from opening to when searches can begin.
        rows: one a kind.
        warm_bytes, end_bytes: memory of the process before what is counted and after it; None where not told.
        peak_bytes: the most at any time.
        load: processes that wanted the cores of the machine, on average over the last minute; None where not told.
    """

    tracklets: int
    vectors: int
    dim: int
    indexed: bool
    open_s: float
    rows: Sequence[Speed]
    warm_bytes: int | None
    end_bytes: int | None
    peak_bytes: int | None
    load: float | None


def bench_library(name: str, queries: int, recalled: int, progress: Progress, seed: int = 0) -> LibraryScores:
    """Measure a library; it is not changed.

    Args:
        name: path or URL.
        queries: searches of each kind.
        recalled: of them, those whose true neighbours are looked up; 0 for none.
        progress: shows it.
        seed: of the queries.

    Raises:
        BadInputError: it is empty.
        DataError: it is none, or cannot be read.
    """
    began = time.perf_counter()
    library = Library.open(name)
    check_not_empty(library)
    snapshot = library.snapshot
    opened = time.perf_counter() - began
    rng = np.random.default_rng(seed)
    with reading(name):
        asked = {kind: [_query(library, kind, rng) for _ in range(queries + WARM)] for kind in KINDS}
    for kind in KINDS:
        _timed(library, asked[kind][:WARM])
    warm, times = resident_bytes(), {}
    with progress.stage("searching", queries * len(KINDS), "searches") as advance:
        for kind in KINDS:
            times[kind] = _timed(library, asked[kind][WARM:], advance)
    memory = warm, resident_bytes(), peak_bytes()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    chosen = {kind: asked[kind][WARM : WARM + recalled] for kind in KINDS}
    share = recalls(library, [query for kind in KINDS for query in chosen[kind]], TOP, progress)
    parts = np.split(share, np.cumsum([len(chosen[kind]) for kind in KINDS])[:-1])
    rows = [
        _speed(library, kind, asked[kind][WARM:], times[kind], part) for kind, part in zip(KINDS, parts, strict=True)
    ]
    size = (len(snapshot), library.vectors.count_rows(), library.meta.dim, snapshot.indexed)
    return LibraryScores(*size, opened, rows, *memory, load)


def _query(library: Library, kind: str, rng: np.random.Generator) -> Query:
    snapshot = library.snapshot
    place = int(rng.integers(len(snapshot)))
    places = [place]
    if kind == "examples":
        own = np.setdiff1d(snapshot.members(snapshot.who[[place]]), [place])
        places += rng.permutation(own)[: SEVERAL - 1].tolist()
    others = [int(rng.integers(len(snapshot)))] if kind == "not" else []
    filters = _filters(library, place, kind)
    examples, apart = (tuple(_example(snapshot, one) for one in some) for some in (places, others))
    return Query(examples, apart, filters)


def _example(snapshot: Snapshot, place: int) -> Example:
    (key,) = snapshot.keys(np.array([place]))
    return Example(key, snapshot.vectors_of(np.array([place]))[0], float(snapshot.quality[place]), key)


def _filters(library: Library, place: int, kind: str) -> Filters:
    """That the tracklet at a place passes."""
    if kind not in ("camera", "time", "selective"):
        return Filters()
    snapshot = library.snapshot
    (row,) = snapshot.rows(np.array([place]), ["camera", "start_s", "absolute"])
    camera = Filters(cameras=[row["camera"]] if kind != "time" else [])
    if kind == "camera":
        return camera
    mask = snapshot.passing([*camera.conditions(), (("absolute",), "=", row["absolute"])])
    starts = np.sort(snapshot.column("start_s")[mask])
    count = int((WIDE if kind == "time" else NARROW) * len(snapshot))
    begin, end = _span(starts, row["start_s"], count)
    return Filters(camera.cameras, (), (begin, row["absolute"]), (end, row["absolute"]))


def _span(starts: Times, at: float, count: int) -> tuple[float, float]:
    """Around a moment, a span of time with about so many of some sorted moments.

    >>> _span(np.arange(10.0), 4.0, 4)
    (2.0, 6.0)
    """
    place = int(np.searchsorted(starts, at))
    begin, end = max(place - count // 2, 0), min(place + count // 2, len(starts) - 1)
    return float(starts[begin]), float(starts[end])


def _quiet(count: int) -> None:
    pass


def _timed(library: Library, queries: Sequence[Query], advance: Advance = _quiet) -> list[tuple[float, float]]:
    """Seconds that each search took, and of all the process's threads."""
    times = []
    for query in queries:
        began, used = time.perf_counter(), time.process_time()
        search(library, query.examples, query.others, query.filters, TOP)
        times.append((time.perf_counter() - began, time.process_time() - used))
        advance(1)
    return times


def _speed(
    library: Library, kind: str, queries: Sequence[Query], times: list[tuple[float, float]], recall: Times
) -> Speed:
    wall, cpu = 1000 * np.array(times).T
    share = np.mean([passing(library, query.filters).mean() for query in queries])
    p50, p95 = np.percentile(wall, [50, 95]).tolist()
    found = float(recall.mean()) if len(recall) else None
    return Speed(kind, len(queries), float(share), p50, p95, float(cpu.mean()), found)


def resident_bytes() -> int | None:
    """Of memory that this process holds now; None where the system does not tell."""
    told = Path("/proc/self/statm")
    if not told.exists():
        return None
    return int(told.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
