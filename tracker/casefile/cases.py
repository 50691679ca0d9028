"""Cases of a library: chosen sightings, the tray, and what was noted about them.

A case is a folder: ``log.jsonl``, of which everything else is a consequence, and ``pictures/``, the chosen sightings'
best crops by their SHA-256. A library's cases lie in its own folder, those of a library at a URL in the user's data
folder. A sighting keeps what the library said of it when it was chosen, and so outlives a change of the library.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from reid.errors import BadInputError, DataError
from tracker.casefile.log import Entry, append, broken, read
from tracker.files import whole_file
from tracker.library.store import Library, is_remote, reading
from tracker.recordings import safe_name

LOG, PICTURES, BUNDLES = "log.jsonl", "pictures", "bundles"
LONGEST_NAME, LONGEST_NOTE = 60, 20_000  # characters
KEPT = (
    "key", "run", "recording", "camera", "identity", "track_id", "start_s", "end_s", "absolute", "length_s", "path",
    "sha256", "photo", "file_start_s", "first_frame", "last_frame", "boxes", "quality", "probability", "crop",
    "model_id",
)  # fmt: skip


@dataclass(frozen=True)
class Sighting:
    """A tracklet that was chosen, or a part of one.

    Attributes:
        number: in its case, from 1; never given again.
        row: what the library said of the tracklet, and ``folder``, its run's.
        begin_s, end_s: of what is meant, on the file's own time line; a photo's are its row's.
        query: what was looked for when it was chosen; "" where nothing was.
        probability: that it is that person, then, 0..1; None where nothing was looked for.
        added: UTC, ISO 8601.
        picture: SHA-256 of its best crop; "" where the library had none.
        note: free text.
    """

    number: int
    row: Mapping[str, Any]
    begin_s: float
    end_s: float
    query: str
    probability: float | None
    added: str
    picture: str
    note: str = ""


@dataclass(frozen=True)
class Case:
    """A case as its log tells it.

    Attributes:
        name: as it was given.
        folder: where it lies; its name stands for the case in addresses.
        note: free text about all of it.
        sightings: the tray, in order of choice.
        removed: those that were taken out.
        log: all entries.
    """

    name: str
    folder: Path
    note: str
    sightings: tuple[Sighting, ...]
    removed: tuple[Sighting, ...]
    log: tuple[Entry, ...]

    def picture(self, sighting: Sighting) -> bytes:
        """A sighting's best crop as JPEG; empty where there is none."""
        path = self.folder / PICTURES / f"{sighting.picture}.jpg"
        return path.read_bytes() if sighting.picture and path.is_file() else b""


def cases_folder(library: str) -> Path:
    """Where a library's cases lie."""
    if not is_remote(library):
        return Path(library) / "cases"
    library = library.rstrip("/")
    name = f"{safe_name(library)[-60:]}-{hashlib.sha256(library.encode()).hexdigest()[:8]}"
    return Path(platformdirs.user_data_dir("reidtrack", appauthor=False)) / "cases" / name


def list_cases(library: str) -> list[Case]:
    """All cases of a library, the one that was changed last first."""
    folders = sorted(path.parent for path in cases_folder(library).glob(f"*/{LOG}"))
    return sorted((_read(path) for path in folders), key=lambda case: case.log[-1]["when"] if case.log else "")[::-1]


def find_case(library: str, name: str) -> Case:
    """A case by its name or its folder's.

    Raises:
        BadInputError: there is none.
    """
    known = list_cases(library)
    for case in known:
        if name in (case.name, case.folder.name):
            return case
    some = ", ".join(case.name for case in known[:5]) or "none"
    raise BadInputError(f"{name}: no such case in {library}; it has {some}")


def new_case(library: str, name: str) -> Case:
    """Begin a case.

    Raises:
        BadInputError: a name that cannot be one, or that is taken.
        RunError: it cannot be written.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInputError(f"{name[:80]!r}: cannot be a case's name; give one of 1 to {LONGEST_NAME} characters")
    folder = cases_folder(library) / safe_name(name).casefold()

    def opened(entries: Sequence[Entry]) -> Entry:
        if entries:
            raise BadInputError(f"{name}: there is a case of this name, {_read(folder).name}; choose another name")
        return {"kind": "opened", "name": name, "library": library}

    append(folder / LOG, opened)
    return _read(folder)


def add(
    case: Case,
    library: Library,
    key: str,
    *,
    query: str = "",
    probability: float | None = None,
    span: tuple[float, float] | None = None,
) -> Sighting:
    """Put a tracklet of the library into the tray. What is there already, over the same span, stays as it is.

    Args:
        case: which.
        library: that holds it.
        key: RUN/RECORDING/NUMBER, as its row has it.
        query, probability: what was looked for, and how probably it is that.
        span: from when to when it is meant, on the file's own time line; None for all of it.

    Raises:
        BadInputError: there is no such tracklet, or a span or probability that cannot be.
        DataError: the library cannot be read, or the case's log was changed by hand.
    """
    if probability is not None and not 0 <= probability <= 1:
        raise BadInputError(f"probability {probability:g}: give a number from 0 to 1")
    row, jpeg = _row(library, key)
    begin_s, end_s = _span(row, span)
    picture = hashlib.sha256(jpeg).hexdigest() if jpeg else ""
    if jpeg:
        with whole_file(case.folder / PICTURES / f"{picture}.jpg") as partial:
            partial.write_bytes(jpeg)

    def added(entries: Sequence[Entry]) -> Entry:
        for one in _fold(case.folder, entries).sightings:
            if (one.row["key"], one.begin_s, one.end_s) == (key, begin_s, end_s):
                raise _ThereAlreadyError(one)
        number = 1 + sum(entry["kind"] == "added" for entry in entries)
        said = {"query": query[:LONGEST_NOTE], "probability": probability, "picture": picture}
        return {"kind": "added", "sighting": number, "row": row, "begin_s": begin_s, "end_s": end_s, **said}

    try:
        return _sighting(append(case.folder / LOG, added))
    except _ThereAlreadyError as there:
        return there.sighting


class _ThereAlreadyError(Exception):
    def __init__(self, sighting: Sighting) -> None:
        super().__init__()
        self.sighting = sighting


def remove(case: Case, number: int) -> None:
    """Take a sighting out of the tray; the log keeps it.

    Raises:
        BadInputError: it is not in it.
    """
    _change(case, "removed", number, within="sightings")


def restore(case: Case, number: int) -> None:
    """Put a sighting that was taken out back into the tray.

    Raises:
        BadInputError: it was not taken out.
    """
    _change(case, "restored", number, within="removed")


def note(case: Case, text: str, number: int | None = None) -> None:
    """Write what is noted about a sighting, or about the case, in place of what was noted before.

    Raises:
        BadInputError: it is too long, or there is no such sighting.
    """
    text = text.replace("\r\n", "\n").strip()
    if len(text) > LONGEST_NOTE:
        raise BadInputError(f"a note of {len(text)} characters: give {LONGEST_NOTE} at most")
    if number is None:
        append(case.folder / LOG, lambda _: {"kind": "noted", "sighting": None, "text": text})
    else:
        _change(case, "noted", number, within="sightings", text=text)


def exported(case: Case, path: Path, seal: str) -> None:
    """Keep that a bundle was made: its path, and the SHA-256 of its manifest."""
    append(case.folder / LOG, lambda _: {"kind": "exported", "path": str(path), "seal": seal})


def fault(case: Case) -> str:
    """What is wrong with a case's log, as one line; "" where nothing is."""
    path = case.folder / LOG
    number = broken(path.read_bytes())
    return "" if number is None else f"{path}: line {number} does not follow from the one before; it was changed"


def _change(case: Case, kind: str, number: int, within: str, **said: Any) -> None:
    def changed(entries: Sequence[Entry]) -> Entry:
        if number not in {one.number for one in getattr(_fold(case.folder, entries), within)}:
            raise BadInputError(f"{case.name}: no sighting {number} there; the page may be old, load it again")
        return {"kind": kind, "sighting": number, **said}

    append(case.folder / LOG, changed)


def _row(library: Library, key: str) -> tuple[dict[str, Any], bytes]:
    place = library.snapshot.find(key)
    if place is None:
        raise BadInputError(f"{key}: no such tracklet in {library.name}; it may have been indexed anew")
    with reading(library.name):
        (row,) = library.snapshot.rows(np.array([place]), [*KEPT, "jpeg"])
    jpeg = bytes(row.pop("jpeg") or b"")
    return row | {"folder": library.meta.runs[row["run"]].path}, jpeg


def _span(row: Mapping[str, Any], span: tuple[float, float] | None) -> tuple[float, float]:
    first = float(row["file_start_s"])
    last = first + float(row["length_s"])
    if span is None:
        return first, last
    begin, end = max(span[0], first), min(span[1], last)
    if not (math.isfinite(span[0]) and math.isfinite(span[1]) and begin <= end):
        raise BadInputError(
            f"{span[0]:g} to {span[1]:g} s: shares no moment with {row['key']}, which lasts from {first:.1f} to"
            f" {last:.1f} s of its file"
        )
    return begin, end


def _read(folder: Path) -> Case:
    return _fold(folder, read(folder / LOG))


def _fold(folder: Path, entries: Sequence[Entry]) -> Case:
    """What a log comes to."""
    case = Case(folder.name, folder, "", (), (), tuple(entries))
    tray, gone = dict[int, Sighting](), dict[int, Sighting]()
    try:
        for entry in entries:
            case = _after(case, entry, tray, gone)
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / LOG}: an entry lacks {error}; put the file back as it was") from None
    return replace(case, sightings=tuple(tray[number] for number in sorted(tray)), removed=tuple(gone.values()))


def _after(case: Case, entry: Entry, tray: dict[int, Sighting], gone: dict[int, Sighting]) -> Case:
    kind, number = entry["kind"], entry.get("sighting")
    if kind == "opened":
        return replace(case, name=entry["name"])
    if kind == "noted" and number is None:
        return replace(case, note=entry["text"])
    if kind == "added":
        tray[entry["sighting"]] = _sighting(entry)
    elif kind == "removed" and number in tray:
        gone[number] = tray.pop(number)
    elif kind == "restored" and number in gone:
        tray[number] = gone.pop(number)
    elif kind == "noted" and number in tray:
        tray[number] = replace(tray[number], note=entry["text"])
    return case


def _sighting(entry: Entry) -> Sighting:
    same = {name: entry[name] for name in ("row", "begin_s", "end_s", "query", "probability", "picture")}
    return Sighting(number=entry["sighting"], added=entry["when"], **same)
