"""A search's sightings cut out of their recordings, each with its moment's name: ``01_gate_22-05-31.mp4``."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reid.errors import BadInputError
from tracker.casefile.cases import Sighting
from tracker.casefile.moments import write_moment
from tracker.errors import RunError, VideoError
from tracker.progress import Progress
from tracker.recordings import safe_name


def check_folder(folder: Path) -> None:
    """See that clips may be put there: a folder that is new or empty, so that nothing is written over.

    Raises:
        BadInputError: it is not.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"--clip {folder}: is a file; give a new or empty folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise BadInputError(f"--clip {folder}: is not empty; give a new or empty folder, so that nothing is lost")


def check_margin(margin_s: float) -> None:
    """Raise BadInputError where no time is meant."""
    if not (math.isfinite(margin_s) and margin_s >= 0):
        raise BadInputError(f"--clip-margin {margin_s:g} is no length; give seconds, 0 or more")


def cut(
    folder: Path, rows: Sequence[Mapping[str, Any]], runs: Mapping[str, str], margin_s: float, progress: Progress
) -> list[str]:
    """Write every sighting's clip, with its person's box drawn, and a still picture; of a photo the picture alone.

    Args:
        folder: new or empty; made.
        rows: sightings as ``searching.SHOWN`` has them, in the order in which they are numbered.
        runs: folder of each run, by its id.
        margin_s: shown before and after each.
        progress: shown while it works; also says where no box could be drawn.

    Returns:
        A line for each that could not be cut, because its recording is not there or not as it was.

    Raises:
        RunError: a file cannot be written; those before it stay.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--clip {folder}: cannot be made ({error.strerror}); choose another folder") from None
    failed = []
    with progress.stage("clips", len(rows), "clips") as advance:
        for row, name in zip(rows, names(rows), strict=True):
            begin_s = row["file_start_s"]
            whole = dict(row) | {"folder": runs[row["run"]]}
            sighting = Sighting(0, whole, begin_s, begin_s + row["length_s"], "", None, "", "")
            try:
                for note in write_moment(sighting, folder / f"{name}.mp4", folder / f"{name}.jpg", margin_s):
                    progress.note(f"{name}: {note}")
            except VideoError as error:
                failed.append(f"{name}: {error}")
                progress.note(f"error: {failed[-1]}")
            advance(1)
    return failed


def names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What sightings' files are called: number, camera, and when it began, or the photo.

    >>> row = {"camera": "gate 3", "start_s": 75.2, "absolute": False, "photo": ""}
    >>> names([row, row | {"photo": "IMG_1.jpg"}])
    ['01_gate_3_00-01-15', '02_gate_3_IMG_1']
    """
    digits = max(len(str(len(rows))), 2)
    return [f"{number:0{digits}}_{safe_name(row['camera'])}_{_when(row)}" for number, row in enumerate(rows, 1)]


def _when(row: Mapping[str, Any]) -> str:
    if row["photo"]:
        return safe_name(Path(row["photo"]).stem)
    if row["absolute"]:
        return datetime.fromtimestamp(row["start_s"], UTC).strftime("%H-%M-%S")
    minutes, seconds = divmod(int(max(row["start_s"], 0)), 60)
    return f"{minutes // 60:02}-{minutes % 60:02}-{seconds:02}"
