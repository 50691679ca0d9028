"""The files between stages, one per recording and stage, named by a digest of everything they depend on.

A file that exists and verifies is not made again: that gives resume, incremental runs and distribution. All are Apache
Arrow or Parquet, so any data frame library opens them.

- ``detections-*.arrow``: boxes per frame, appended as they are found; survives an interruption with what it holds.
- ``tracklets-*.parquet``: one row per tracklet, its crops as JPEG; times are the file's own.
- ``embeddings-*.parquet``: one unit vector per picture of a tracklet.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracker.errors import RunError
from tracker.files import digest, whole_file, writing
from tracker.types import Crop, Detections, Embeddings, Floats, Tracklet, TrackletKey

_DETECTIONS = pa.schema([("index", pa.int64()), ("xyxy", pa.list_(pa.float32())), ("score", pa.list_(pa.float32()))])
_TRACKLETS = pa.schema(
    [
        ("track_id", pa.int64()),
        ("index", pa.list_(pa.int64())),
        ("time_s", pa.list_(pa.float64())),
        ("xyxy", pa.list_(pa.float32())),
        ("score", pa.list_(pa.float32())),
        ("crop_index", pa.list_(pa.int64())),
        ("crop_quality", pa.list_(pa.float32())),
        ("crop_jpeg", pa.list_(pa.binary())),
    ]
)
_JPEGS = "crop_jpeg"
_FACTS = b"reidtrack"
_ROW_GROUP = 64


STAGES = "stages"  # their folder in a run
# Raise one when its stage's result changes for the same inputs: old files are then made again, and all that follow.
DETECTIONS_VERSION = 1
TRACKLETS_VERSION = 2


def detections_digest(content: str, detector: str) -> str:
    """What the detections of a recording depend on: its content's hash and the detector's id."""
    return digest(DETECTIONS_VERSION, content, detector)


def detections_path(out: Path, content: str, detector: str) -> Path:
    """A recording's detection log in the run directory ``out``."""
    return out / STAGES / f"detections-{content[:8]}-{detections_digest(content, detector)}.arrow"


@dataclass(frozen=True)
class TrackingFacts:
    """What tracking one recording learnt about it.

    Attributes:
        frames: decoded.
        sampled: looked at.
        lost: frames that could not be decoded.
        tracklets: found.
        width, height: of the upright picture, pixels; 0 for an album, whose photos differ.
        rate: average frames a second; 0 where unknown.
        codec: of the video; "photos" for an album.
        start_s, end_s: times of the first and last frame on the file's own clock.
        seconds: that the work took.
        damaged: names of an album's photos that could not be decoded.
    """

    frames: int
    sampled: int
    lost: int
    tracklets: int
    width: int
    height: int
    rate: float
    codec: str
    start_s: float
    end_s: float
    seconds: float
    damaged: tuple[str, ...] = ()


class DetectionLog:
    """Detections of one recording, kept as they are made, so that no detection is ever paid for twice.

    Opening reads what earlier, interrupted runs left, all up to the first damage. What this run adds goes to a file of
    its own beside theirs (``x.arrow``, ``x.1.arrow``, ...), so that nothing that is kept is ever written to again.

    Args:
        path: of the first file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[int, Detections] = {}
        part = 0
        while path.exists():
            for batch in _readable_batches(path):
                for row in batch.to_pylist():
                    xyxy = np.array(row["xyxy"], np.float32).reshape(-1, 4)
                    self._known[row["index"]] = Detections(xyxy, np.array(row["score"], np.float32))
            part += 1
            path = self.path.with_suffix(f".{part}{self.path.suffix}")
        self._part = path
        self._sink: Any = None
        self._writer: Any = None

    def get(self, index: int) -> Detections | None:
        """Detections of a frame, if an earlier run found them; each can be taken once."""
        return self._known.pop(index, None)

    def frames(self) -> list[int]:
        """Frames that earlier runs looked at, ascending, but for those already taken."""
        return sorted(self._known)

    def append(self, indices: Sequence[int], detections: Sequence[Detections]) -> None:
        """Record the frames just looked at; they are on the disk when this returns.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        rows = [
            {"index": index, "xyxy": found.xyxy.ravel(), "score": found.score}
            for index, found in zip(indices, detections, strict=True)
        ]
        with writing(self._part):
            if self._writer is None:
                self._part.parent.mkdir(parents=True, exist_ok=True)
                self._sink = pa.OSFile(str(self._part), "wb")
                self._writer = pa.ipc.new_stream(self._sink, _DETECTIONS)
            self._writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=_DETECTIONS))
            self._sink.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
                self._sink.close()


def _readable_batches(path: Path) -> Iterator[Any]:
    with contextlib.suppress(pa.ArrowException, OSError), pa.OSFile(str(path)) as source:
        yield from pa.ipc.open_stream(source)


class TrackletWriter:
    """Writes a recording's tracklets as they close; the file appears when all is well.

    Use as a context manager and call ``finish`` with the facts before leaving it.

    Attributes:
        count: tracklets added.
    """

    def __init__(self, path: Path) -> None:
        self._whole = whole_file(path)
        self._rows: list[dict[str, Any]] = []
        self.count = 0
        self._writer = pq.ParquetWriter(
            self._whole.__enter__(), _TRACKLETS, compression="zstd", write_page_checksum=True
        )

    def add(self, tracklets: Sequence[Tracklet]) -> None:
        """Add closed tracklets, times on the file's own clock."""
        self._rows.extend(_to_row(tracklet) for tracklet in tracklets)
        self.count += len(tracklets)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=_TRACKLETS))
            self._rows = []

    def finish(self, facts: TrackingFacts) -> None:
        """Store the recording's facts; the file is complete."""
        self._flush()
        self._writer.add_key_value_metadata({_FACTS: json.dumps(asdict(facts)).encode()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        except OSError as full:
            kind, error, trace = type(full), full, full.__traceback__
        self._whole.__exit__(kind, error, trace)


def _to_row(tracklet: Tracklet) -> dict[str, Any]:
    return {
        "track_id": tracklet.key.track_id,
        "index": tracklet.index,
        "time_s": tracklet.time_s,
        "xyxy": tracklet.xyxy.ravel(),
        "score": tracklet.score,
        "crop_index": [crop.index for crop in tracklet.crops],
        "crop_quality": [crop.quality for crop in tracklet.crops],
        "crop_jpeg": [crop.jpeg for crop in tracklet.crops],
    }


def tracking_facts(path: Path) -> TrackingFacts | None:
    """The facts of a finished tracklets file; None where there is no such file or any of it is damaged."""
    with (
        contextlib.suppress(OSError, pa.ArrowException, KeyError, TypeError, ValueError),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        stored = json.loads(file.metadata.metadata[_FACTS])
        facts = TrackingFacts(**stored | {"damaged": tuple(stored.get("damaged", ()))})
        rows = sum(len(group) for group in _row_groups(file, _TRACKLETS.names))
        return facts if rows == facts.tracklets else None
    return None


def read_tracklets(
    path: Path, recording: str, camera: str, offset_s: float = 0.0, *, jpegs: bool = True
) -> Iterator[Tracklet]:
    """Tracklets of one recording, in the order in which they closed, one row group in memory at a time.

    Args:
        path: a finished tracklets file.
        recording, camera: names they get.
        offset_s: added to their times.
        jpegs: False leaves those of their crops unread and empty; see ``read_jpegs``.

    Raises:
        RunError: the file is absent or damaged.
    """
    columns = [name for name in _TRACKLETS.names if jpegs or name != _JPEGS]
    with _damage_told(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in _row_groups(file, columns):
            for row in group.to_pylist():
                yield _from_row(row, recording, camera, offset_s)


def read_jpegs(path: Path, places: Set[int]) -> dict[int, bytes]:
    """JPEGs of some crops of a tracklets file, one row group in memory at a time.

    Args:
        path: a finished tracklets file.
        places: of the crops among all of the file's, in the order of ``read_tracklets``, from 0.

    Raises:
        RunError: the file is absent or damaged.
    """
    wanted, first = np.array(sorted(places), np.int64), 0
    found: dict[int, bytes] = {}
    with _damage_told(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in _row_groups(file, [_JPEGS]):
            jpegs = group[_JPEGS].combine_chunks().flatten()
            here = wanted[(wanted >= first) & (wanted < first + len(jpegs))]
            found |= dict(zip(here.tolist(), jpegs.take(pa.array(here - first)).to_pylist(), strict=True))
            first += len(jpegs)
    return found


def _row_groups(file: Any, columns: Sequence[str]) -> Iterator[Any]:
    """One in memory at a time: batches of a whole file are read ahead, all of it."""
    return (file.read_row_group(number, columns=columns) for number in range(file.num_row_groups))


@contextlib.contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        raise RunError(f"{path}: absent or damaged; remove it and run the same command again") from None


def _from_row(row: dict[str, Any], recording: str, camera: str, offset_s: float) -> Tracklet:
    jpegs = row.get(_JPEGS, [b""] * len(row["crop_index"]))
    crops = [Crop(*crop) for crop in zip(row["crop_index"], row["crop_quality"], jpegs, strict=True)]
    return Tracklet(
        TrackletKey(recording, row["track_id"]),
        camera,
        np.array(row["index"], np.int64),
        np.array(row["time_s"], np.float64) + offset_s,
        np.array(row["xyxy"], np.float32).reshape(-1, 4),
        np.array(row["score"], np.float32),
        tuple(crops),
    )


def write_embeddings(path: Path, track_ids: Sequence[int], crops: Sequence[Floats], dim: int) -> None:
    """Store the unit vectors (k, dim) of every tracklet's crops, in half precision: a row a crop."""
    rows = np.repeat(np.array(track_ids, np.int64), [len(vectors) for vectors in crops])
    flat = np.concatenate([np.zeros((0, dim), np.float32), *crops]).astype(np.float16)
    column = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel(), pa.float16()), dim)
    table = pa.table({"track_id": pa.array(rows), "vector": column})
    with whole_file(path) as partial:
        pq.write_table(table, partial, write_page_checksum=True)


def read_embeddings(path: Path, recording: str, model_id: str) -> Embeddings | None:
    """The vectors of one recording; None where the file is absent or damaged."""
    with contextlib.suppress(OSError, pa.ArrowException, AttributeError, KeyError, ValueError):
        table = pq.read_table(path, page_checksum_verification=True)
        column = table["vector"].combine_chunks()
        vectors = column.flatten().to_numpy().reshape(len(table), column.type.list_size)
        track_ids = table["track_id"].to_numpy()
        starts = np.flatnonzero(np.diff(track_ids, prepend=-1))
        counts = np.diff(np.append(starts, len(track_ids)))
        keys = tuple(TrackletKey(recording, track_id) for track_id in track_ids[starts].tolist())
        return Embeddings(keys, counts.astype(np.int64), vectors.astype(np.float32), model_id)
    return None
