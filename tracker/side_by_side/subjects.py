"""What a comparison is asked about: a crop, a folder of one person's crops, or a run's tracklet or identity.

A crop that is still in its run's own ``crops`` folder has a camera: it is taken for the picture of its tracklet.
"""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from reid.errors import BadInputError, DataError
from tracker.errors import RunError
from tracker.manifest import MANIFEST
from tracker.material import works_of
from tracker.recordings import is_photo, natural_order
from tracker.relinking.corrections import parse_key
from tracker.store import Run
from tracker.types import TrackletKey


@dataclass(frozen=True)
class Pictures:
    """Image files: one crop, or a folder of one person's.

    Attributes:
        name: as the user wrote it.
        files: at least one, in natural order.
    """

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Members:
    """Tracklets of one person in a finished run.

    Attributes:
        name: as the user wrote it.
        run: opened.
        keys: one tracklet's, or all of an identity's.
        frame: of the one picture of its tracklet that is meant; 0 means all pictures.
    """

    name: str
    run: Run
    keys: tuple[TrackletKey, ...]
    frame: int = 0


def find(name: str) -> Pictures | Members:
    """What the user means: a path that exists, RUN/RECORDING/NUMBER, or RUN#IDENTITY.

    Raises:
        BadInputError: a run without saying whom, or a tracklet or identity that the run does not have.
        DataError: nothing of this name, or a folder without pictures.
        RunError: not a finished run.
    """
    path = Path(name)
    if path.is_file():
        return _crop_of_run(name, path) or Pictures(name, (path,))
    if (path / MANIFEST).is_file():
        raise BadInputError(f"{name}: a run of many people; name a tracklet, {name}/gate/12, or an identity, {name}#3")
    if path.is_dir():
        return _folder(name, path)
    folder, mark, number = name.rpartition("#")
    if mark and re.fullmatch("[0-9]+", number) and Path(folder).is_dir():
        return _identity(name, Run.open(folder), int(number))
    if re.fullmatch("[0-9]+", path.name) and len(path.parts) > 1 and path.parents[1].is_dir():
        return _tracklet(name, Run.open(path.parents[1]), TrackletKey(path.parent.name, int(path.name)))
    raise DataError(f"{name}: no such picture, folder or tracklet; give a crop, a folder of crops, or RUN/gate/12")


def _crop_of_run(name: str, path: Path) -> Members | None:
    """The picture of a tracklet that a file is, so that its camera is known; None where it is none, or that is lost."""
    place = re.fullmatch(r"([0-9]+)_([0-9]+)\.jpg", path.name)
    folder = path.absolute().parent.parent.parent
    if not place or path.absolute().parts[-3] != "crops" or not (folder / MANIFEST).is_file():
        return None
    key = TrackletKey(path.absolute().parent.name, int(place[1]))
    with contextlib.suppress(RunError):
        run = Run.open(folder)
        if any(key in keys for keys in _members(run).values()) and has_stages(run):
            return Members(name, run, (key,), int(place[2]))
    return None


def _folder(name: str, path: Path) -> Pictures:
    files = natural_order(file.name for file in path.iterdir() if file.is_file() and is_photo(file.name))
    if not files:
        raise DataError(f"{name}: no pictures in this folder; give a folder of one person's crops")
    return Pictures(name, tuple(path / file for file in files))


def _members(run: Run) -> dict[int, tuple[TrackletKey, ...]]:
    return {
        int(entry["identity"]): tuple(parse_key(one["tracklet"]) for one in entry["tracklets"])
        for entry in run.identities()
    }


def _identity(name: str, run: Run, number: int) -> Members:
    known = _members(run)
    if number not in known:
        raise BadInputError(f"{name}: no identity {number} in {run.path}; `identities.csv` there lists them")
    return Members(name, run, known[number])


def _tracklet(name: str, run: Run, key: TrackletKey) -> Members:
    known = {one for keys in _members(run).values() for one in keys}
    recordings = sorted({one.recording for one in known})
    if key.recording not in recordings:
        there = ", ".join(recordings) or "none"
        raise BadInputError(f"{name}: {run.path} has no recording {key.recording!r} with people; it has {there}")
    if key not in known:
        raise BadInputError(f"{name}: no such tracklet; identities.json and the report of {run.path} name them all")
    return Members(name, run, (key,))


def has_stages(run: Run) -> bool:
    """Whether a run still has what its stages made."""
    works = works_of(run.path, run.manifest)
    return all(path.is_file() for work in works for path in (work.tracklets, work.embeddings))
