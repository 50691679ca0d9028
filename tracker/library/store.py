"""Opening a library, and writing to it: one writer at a time, readers never wait, and a change is whole or is not.

LanceDB keeps every version of a table. ``meta`` says which versions of the other tables count and is replaced in one
step when everything else is written, so what an interrupted writer leaves behind is seen by nobody; the next writer
takes it back. Versions that no longer count are kept for a day, for whoever is still reading them.
"""

import contextlib
import functools
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from reid.errors import DataError
from tracker.files import cache_folder
from tracker.library.nearest import make_index, wants_index
from tracker.library.schema import (
    META,
    TRACKLETS,
    TRACKLETS_SCHEMA,
    VECTORS,
    VERSION,
    Meta,
    RunEntry,
    check_version,
    migrate,
    vectors_schema,
)
from tracker.library.snapshot import Snapshot
from tracker.lock import only_writer

KEPT = timedelta(days=1)
Note = Callable[[str], None]
_LOADING = threading.Lock()


@dataclass(frozen=True)
class Library:
    """A library at one moment, for reading; later changes do not show. Many threads may search one at once.

    Attributes:
        name: its path or URL.
        meta: what it is.
        tracklets, vectors: LanceDB tables.
    """

    name: str
    meta: Meta
    tracklets: Any
    vectors: Any

    @classmethod
    def open(cls, name: str) -> Self:
        """Open a library.

        Raises:
            DataError: there is none, it is damaged, or it is of another version.
        """
        with reading(name):
            connection = _connected(name)
            meta = read_meta(connection, name)
            if meta is None:
                raise DataError(f"{name}: no library; make one with `reidtrack index {name} RUN`")
            check_version(name, meta.version)
            tables = {table: connection.open_table(table) for table in (TRACKLETS, VECTORS)}
            tables[TRACKLETS].checkout(meta.tracklets)
            tables[VECTORS].checkout(meta.vectors)
        return cls(name, meta, tables[TRACKLETS], tables[VECTORS])

    @property
    def snapshot(self) -> Snapshot:
        """What searches look at, read when it is first asked for.

        Raises:
            DataError: the library cannot be read.
        """
        with _LOADING:  # once, however many threads ask
            return self._snapshot

    @functools.cached_property
    def _snapshot(self) -> Snapshot:
        with reading(self.name):
            return Snapshot(self.tracklets, self.vectors, self.meta.dim)


@dataclass
class Writing:
    """A library while it is changed; nothing counts before ``commit``.

    Attributes:
        name: its path or URL.
        meta: what it is; None while it is new.
        connection: to LanceDB.
    """

    name: str
    meta: Meta | None
    connection: Any

    def begin(self, model_id: str, dim: int) -> Meta:
        """Make the tables of a new library; of an old one, nothing."""
        if self.meta is None:
            schemas = {TRACKLETS: TRACKLETS_SCHEMA, VECTORS: vectors_schema(dim)}
            for table in table_names(self.connection):
                self.connection.drop_table(table)  # of a first writer who was interrupted
            made = {name: self.connection.create_table(name, schema=schema) for name, schema in schemas.items()}
            self.meta = Meta(VERSION, model_id, dim, made[TRACKLETS].version, made[VECTORS].version, {})
        return self.meta

    def remove(self, run: str) -> None:
        """Take out all rows of a run."""
        for table in (TRACKLETS, VECTORS):
            self.connection.open_table(table).delete(f"run = '{run}'")

    def add(self, tracklets: pa.Table, vectors: pa.Table) -> None:
        """Put in rows."""
        self.connection.open_table(TRACKLETS).add(tracklets)
        self.connection.open_table(VECTORS).add(vectors)

    def commit(self, runs: Mapping[str, RunEntry], note: Note | None = None) -> None:
        """Make what was written count, then gather small files, forget old versions, and see to the index.

        Args:
            runs: that the library then holds.
            note: told when something takes long.
        """
        tables = [self.connection.open_table(table) for table in (TRACKLETS, VECTORS)]
        self._write(runs, tables)
        for table in tables:
            table.optimize(cleanup_older_than=KEPT)
        if wants_index(tables[1]):
            make_index(tables[1], note)
        self._write(runs, tables)

    def _write(self, runs: Mapping[str, RunEntry], tables: list[Any]) -> None:
        assert self.meta is not None, "begin comes first"
        tracklets, vectors = (table.version for table in tables)
        self.meta = replace(self.meta, tracklets=tracklets, vectors=vectors, runs=dict(runs))
        exists = META in table_names(self.connection)
        written = self.connection.create_table(META, self.meta.to_table(), mode="overwrite" if exists else "create")
        written.optimize(cleanup_older_than=KEPT)


@contextlib.contextmanager
def writer(name: str) -> Iterator[Writing]:
    """Open a library for changing it; it need not be there yet.

    Raises:
        DataError: somebody else is writing, it cannot be written, or it is damaged.
    """
    with only_writer(_lock_folder(name), name, DataError), changing(name):
        with reading(name):
            connection = _connected(name)
            meta = read_meta(connection, name)
        if meta is not None and meta.version < VERSION:
            migrate(connection, name, meta.version)
            meta = read_meta(connection, name)
        if meta is not None:
            check_version(name, meta.version)
            _taken_back(connection, name, meta)
        yield Writing(name, meta, connection)


def _taken_back(connection: Any, name: str, meta: Meta) -> None:
    """Make the versions that count the newest ones, whatever an interrupted writer left behind."""
    with reading(name):
        tables = [(connection.open_table(TRACKLETS), meta.tracklets), (connection.open_table(VECTORS), meta.vectors)]
    for table, version in tables:
        if table.version != version:
            table.restore(version)


def read_meta(connection: Any, name: str) -> Meta | None:
    """What a library is; None where there is none.

    Raises:
        DataError: it is of a newer version, or damaged.
    """
    if META not in table_names(connection):
        return None
    (row,) = connection.open_table(META).to_arrow().to_pylist()
    if row["version"] != VERSION:  # the other columns may be others
        check_version(name, max(row["version"], VERSION))
        return Meta(row["version"], "", 0, 0, 0, {})
    return Meta.from_row(row)


def table_names(connection: Any) -> list[str]:
    """Of all its tables."""
    return [str(name) for name in connection.list_tables(limit=100).tables]


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever LanceDB finds wrong while reading into one clear line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{name}: cannot be read as a library ({_first_line(error)}); index its runs in a new one"
        ) from None


@contextlib.contextmanager
def changing(name: str) -> Iterator[None]:
    """The same while writing."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name}: cannot be written ({_first_line(error)}); see that there is space and that you may write there"
        ) from None


def is_remote(name: str) -> bool:
    """Whether a library is at a URL."""
    return "://" in name


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _connected(name: str) -> Any:
    import lancedb

    if not is_remote(name) and not Path(name).is_dir():
        if Path(name).exists():
            raise DataError(f"{name}: is a file, not a library; give a folder or an s3:// URL")
        raise DataError(f"{name}: no library; make one with `reidtrack index {name} RUN`")
    return lancedb.connect(name)


def _lock_folder(name: str) -> Path:
    """Of a library at a URL it is on this machine: writers on several have to agree among themselves."""
    if is_remote(name):
        return cache_folder("libraries", hashlib.sha256(name.rstrip("/").encode()).hexdigest()[:16])
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{name}: is a file, not a library; give a folder or an s3:// URL")
    return folder
