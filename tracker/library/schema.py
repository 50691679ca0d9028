"""What a library's tables hold, and how those of an earlier version become today's.

``tracklets`` has a row for each tracklet, ``vectors`` one to four for each, with what searches filter by. ``meta`` has
one row: what the library is of, its runs, and the versions of the other two tables that count.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa

from reid.errors import DataError
from tracker.library.words import COLUMNS

VERSION = 2
TRACKLETS, VECTORS, META = "tracklets", "vectors", "meta"

_FILTERED = [
    ("key", pa.string()),  # RUN/RECORDING/NUMBER
    ("run", pa.string()),
    ("recording", pa.string()),
    ("camera", pa.string()),
    ("identity", pa.int64()),  # of its run
    ("start_s", pa.float64()),
    ("end_s", pa.float64()),
    ("absolute", pa.bool_()),  # times are seconds since the epoch
    ("length_s", pa.float64()),
    *((name, pa.float32()) for name in COLUMNS),  # shares of colours; null where they are not known
]
TRACKLETS_SCHEMA = pa.schema(
    [
        *_FILTERED,
        ("track_id", pa.int64()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("photo", pa.string()),
        ("file_start_s", pa.float64()),  # the first box's moment on the file's own time line
        ("first_frame", pa.int64()),
        ("last_frame", pa.int64()),
        ("boxes", pa.int64()),
        ("quality", pa.float64()),
        ("probability", pa.float64()),  # that all tracklets of its identity are one person
        ("crop", pa.string()),  # path of the best one inside the run
        ("jpeg", pa.binary()),
        ("model_id", pa.string()),
    ]
)
FILTERED = [name for name, _ in _FILTERED]


def vectors_schema(dim: int) -> pa.Schema:
    """Of the table ``vectors``, for vectors of ``dim`` numbers."""
    return pa.schema([*_FILTERED, ("quality", pa.float64()), ("vector", pa.list_(pa.float32(), dim))])


@dataclass(frozen=True)
class RunEntry:
    """A run that a library holds.

    Attributes:
        id: 16 hexadecimal digits of what its recordings are and how they were worked on.
        path: its folder when it was added.
        content: digest of all that was taken from it.
        tracklets: how many it has.
        slope, intercept: of the curve that says what similarities to its tracklets mean.
        embedder: file or name of the embedder, as its options say.
        cameras: that filmed it, albums not counted.
        mean: (d) the mean of their mean vectors, which was taken away from its vectors.
    """

    id: str
    path: str
    content: str
    tracklets: int
    slope: float
    intercept: float
    embedder: str
    cameras: int
    mean: Sequence[float]


@dataclass(frozen=True)
class Meta:
    """What a library is.

    Attributes:
        version: of its tables.
        model_id: of the embedder that made its vectors.
        dim: their length.
        tracklets, vectors: the version of either table that counts; later ones were not finished.
        runs: by id.
    """

    version: int
    model_id: str
    dim: int
    tracklets: int
    vectors: int
    runs: Mapping[str, RunEntry]

    def to_table(self) -> pa.Table:
        """As the one row of the table ``meta``."""
        runs = json.dumps([asdict(self.runs[name]) for name in sorted(self.runs)])
        return pa.table(
            {
                "version": [self.version],
                "model_id": [self.model_id],
                "dim": [self.dim],
                "tracklets": [self.tracklets],
                "vectors": [self.vectors],
                "runs": [runs],
            }
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read what ``to_table`` wrote, in today's version."""
        entries = [RunEntry(**entry) for entry in json.loads(row["runs"])]
        runs = {entry.id: entry for entry in entries}
        return cls(row["version"], row["model_id"], row["dim"], row["tracklets"], row["vectors"], runs)


def _with_colours(connection: Any) -> None:
    """Version 1 had no colours: theirs are unknown until their runs are added again."""
    table = connection.open_table(META).to_arrow()
    (row,) = table.to_pylist()
    versions = {}
    for name in (TRACKLETS, VECTORS):
        opened = connection.open_table(name)
        if opened.version != row[name]:
            opened.restore(row[name])
        opened.add_columns([pa.field(column, pa.float32()) for column in COLUMNS])
        versions[name] = opened.version
    updated = pa.Table.from_pylist([row | versions | {"version": 2}], table.schema)
    connection.create_table(META, updated, mode="overwrite")


# From a version to the next: takes the LanceDB connection and changes its tables, ``meta`` last, so that one that was
# interrupted can be done again. The first version has nothing before it.
MIGRATIONS: dict[int, Callable[[Any], None]] = {1: _with_colours}


class OldLibraryError(DataError):
    """A library of an earlier version, which can be brought up to date."""


def check_version(name: str, version: int) -> None:
    """See that a library is of today's version.

    Raises:
        OldLibraryError: ``reidtrack index`` brings it up to date.
        DataError: a newer reidtrack is needed.
    """
    if version > VERSION:
        raise DataError(f"{name}: library version {version}, this reidtrack reads {VERSION}; install a newer reidtrack")
    if version < VERSION:
        raise OldLibraryError(
            f"{name}: library version {version} of {VERSION}; run `reidtrack index {name}` to update it"
        )


def migrate(connection: Any, name: str, version: int) -> None:
    """Bring a library's tables to today's version, one version after the other.

    Raises:
        DataError: there is no way from its version.
    """
    for step in range(version, VERSION):
        if step not in MIGRATIONS:
            raise DataError(f"{name}: library version {step} cannot be updated; make a new one with `reidtrack index`")
        MIGRATIONS[step](connection)
