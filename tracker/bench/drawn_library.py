"""A library of drawn tracklets, of any size: no pictures, and vectors alike as those of the shipped embedder are.

A run is a day and has its own share of the people, who walk past any of the cameras at any time of it. It is written as
`reidtrack index` writes.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from reid.errors import BadInputError
from tracker.bench.worlds import IN_VIEW, SIGHTINGS, drawn_people, drawn_sightings
from tracker.library.indexing import Rows
from tracker.library.nearest import wants_index
from tracker.library.schema import TRACKLETS_SCHEMA, RunEntry, vectors_schema
from tracker.library.store import Writing, writer
from tracker.progress import Progress
from tracker.types import Floats, Integers

MODEL = "drawn"  # stands where an embedder's id does
RUN = 20_000  # tracklets of a run, at most
FIRST_DAY, DAY = 1_700_000_000.0, 86_400.0  # seconds since the epoch, and of a day
SECOND_VECTOR = 0.03  # share of tracklets that have two
CURVE = (19.0, -6.3)  # slope and intercept that drawn pairs give (``drawn_vectors``)


def draw_library(
    name: str, tracklets: int, people: int, cameras: int, dim: int, progress: Progress, seed: int = 0
) -> None:
    """Make a drawn library with its index. One that is there stays; an index that is missing is made.

    Args:
        name: folder.
        tracklets, people, cameras: how many.
        dim: of the vectors.
        progress: shows it.
        seed: of all draws.

    Raises:
        BadInputError: it holds something else already.
        DataError: it cannot be written.
    """
    with writer(name) as library:
        if library.meta is None:
            _draw(library, tracklets, people, cameras, dim, progress, seed)
        elif (library.meta.model_id, library.meta.dim, _held(library)) != (MODEL, dim, tracklets):
            raise BadInputError(
                f"{name}: holds {_held(library)} tracklets of {library.meta.model_id} ({library.meta.dim} numbers), "
                f"not {tracklets} drawn ones ({dim} numbers); give another --out"
            )
        elif wants_index(library.connection.open_table("vectors")):
            library.commit(library.meta.runs, progress.note)


def _held(library: Writing) -> int:
    assert library.meta is not None, "asked of one that is there"
    return sum(entry.tracklets for entry in library.meta.runs.values())


def _draw(library: Writing, tracklets: int, people: int, cameras: int, dim: int, progress: Progress, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = drawn_people(people, rng, dim)
    library.begin(MODEL, dim)
    runs = {}
    with progress.stage("drawing", tracklets, "tracklets") as advance:
        for day, begin in enumerate(range(0, tracklets, RUN)):
            rows = drawn_run(day, min(RUN, tracklets - begin), vectors, cameras, rng)
            library.add(rows.tracklets, rows.vectors)
            runs[rows.entry.id] = rows.entry
            advance(rows.entry.tracklets)
    library.commit(runs, progress.note)


def drawn_run(day: int, count: int, people: Floats, cameras: int, rng: np.random.Generator) -> Rows:
    """A run's rows.

    Args:
        day: its number, from 0.
        count: tracklets.
        people: (p, d) from ``drawn_people``; a run sees one of them for every ``SIGHTINGS`` tracklets.
        cameras: how many.
        rng: of all draws.
    """
    run, dim = f"{day:016x}", people.shape[1]
    seen = rng.choice(len(people), min(max(count // SIGHTINGS, 1), len(people)), replace=False)
    who = rng.integers(0, len(seen), count)
    camera = [f"camera{number}" for number in rng.integers(0, cameras, count)]
    begin = rng.uniform(0, DAY, count)
    length = 1 + rng.exponential(IN_VIEW - 1, count)
    start, number = FIRST_DAY + day * DAY + begin, np.arange(1, count + 1)
    known: dict[str, Any] = {
        "key": [f"{run}/{name}/{one}" for name, one in zip(camera, number.tolist(), strict=True)],
        **{"recording": camera, "camera": camera, "identity": who + 1, "track_id": number, "length_s": length},
        **{"start_s": start, "end_s": start + length, "file_start_s": begin, "absolute": np.ones(count, bool)},
        **{"first_frame": number, "last_frame": number + 1, "boxes": np.full(count, 2)},
        **{"quality": rng.uniform(0.1, 1, count), "probability": rng.uniform(0.5, 1, count)},
        **{name: [text] * count for name, text in (("run", run), ("model_id", MODEL), ("jpeg", b""))},
        **{name: [""] * count for name in ("path", "sha256", "photo", "crop")},
    }
    columns = {field.name: known.get(field.name, pa.nulls(count, field.type)) for field in TRACKLETS_SCHEMA}
    table = pa.table(columns, schema=TRACKLETS_SCHEMA)
    owner = np.sort(np.concatenate([np.arange(count), np.flatnonzero(rng.random(count) < SECOND_VECTOR)]))
    vectors = _vector_rows(table, owner, drawn_sightings(people, seen[who[owner]], rng))
    entry = RunEntry(run, f"/drawn/{day}", str(day), count, *CURVE, MODEL, cameras, [0.0] * dim)
    return Rows(entry, table, vectors, MODEL, dim)


def _vector_rows(tracklets: pa.Table, owner: Integers, vectors: Floats) -> pa.Table:
    schema = vectors_schema(vectors.shape[1])
    own = tracklets.select([name for name in schema.names if name != "vector"]).take(owner)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return own.append_column("vector", column).cast(schema)
