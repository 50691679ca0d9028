"""Who is where in the frames of a recording, from the run's own ``tracks/``."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from tracker.errors import RunError
from tracker.manifest import recording_of
from tracker.store import Run, tracks_name
from tracker.types import Floats, Integers

_COLUMNS = ["frame", "identity", "left", "top", "width", "height", "score"]


@dataclass(frozen=True)
class Boxes:
    """All boxes of a recording, in order of frames.

    Attributes:
        frame: (n,) from 1.
        identity: (n,).
        ltwh: (n, 4) pixels of the upright picture.
    """

    frame: Integers
    identity: Integers
    ltwh: Floats

    def between(self, first: int, last: int) -> range:
        """Rows of the frames ``first`` to ``last``."""
        begin, end = np.searchsorted(self.frame, [first, last + 1])
        return range(int(begin), int(end))


def boxes_of(run: Run, name: str) -> Boxes:
    """The boxes of a run's recording.

    Raises:
        RunError: the run has lost them.
    """
    recordings = [recording_of(entry) for entry in run.manifest["recordings"] if "video" in entry]
    (recording,) = (one for one in recordings if one.name == name)
    path = run.path / tracks_name(recording, recordings)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, pa.ArrowException):
        raise RunError(f"{path}: absent or damaged; link the run again with `reidtrack link {run.path}`") from None


@functools.lru_cache(maxsize=16)
def _read(path: Path, stamp: int) -> Boxes:
    if not path.stat().st_size:
        return Boxes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    names = [*_COLUMNS, *"xyz"]
    table = pa.csv.read_csv(
        path,
        pa.csv.ReadOptions(column_names=names),
        convert_options=pa.csv.ConvertOptions(include_columns=_COLUMNS[:6]),
    )
    numbers = {name: table[name].to_numpy() for name in _COLUMNS[:6]}
    ltwh = np.stack([numbers[name] for name in _COLUMNS[2:6]], 1).astype(np.float32)
    return Boxes(numbers["frame"].astype(np.int64), numbers["identity"].astype(np.int64), ltwh)


def named(boxes: Boxes, rows: range, sightings: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Boxes with the tracklets that they are of.

    Args:
        boxes: of a recording.
        rows: of them.
        sightings: the recording's tracklets, as the library has them.

    Returns:
        ``[frame, left, top, width, height, identity, tracklet]`` each; the tracklet's number is 0 where the library
        has none of this identity at this frame, since the run was linked again.
    """
    own: dict[int, list[tuple[int, int, int]]] = {}
    for one in sightings:
        own.setdefault(one["identity"], []).append((one["first_frame"], one["last_frame"], one["track_id"]))
    found = []
    for row in rows:
        frame, identity = int(boxes.frame[row]), int(boxes.identity[row])
        there = (number for first, last, number in own.get(identity, ()) if first <= frame <= last)
        found.append([frame, *(round(float(side), 1) for side in boxes.ltwh[row]), identity, next(there, 0)])
    return found
