"""What was done in a case: one JSON line each, to which lines are only ever added.

Every line holds the SHA-256 of the line before it, so that a line that is changed, left out or put between shows.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reid.errors import DataError
from tracker.files import whole_file
from tracker.manifest import now

Entry = dict[str, Any]
FIRST = "0" * 64  # what the first line has in place of the one before
_WAIT_S = 20.0


def append(path: Path, make: Callable[[Sequence[Entry]], Entry]) -> Entry:
    """Add one line; the file is whole at every moment.

    Args:
        path: of the log; made where there is none.
        make: given all entries, the new one, without ``number``, ``when`` and ``previous``. What it raises is raised,
            and nothing is added.

    Returns:
        The entry as it is kept.

    Raises:
        DataError: somebody else has been writing for too long, or the log does not hold together.
        RunError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_suffix(".lock"), timeout=_WAIT_S):
            before = path.read_bytes() if path.is_file() else b""
            entries = parse(before)
            if (fault := broken(before)) is not None:
                raise DataError(f"{path}: line {fault} was changed by hand; put the file back as it was, or remove it")
            place = {"number": len(entries) + 1, "when": now()}
            entry = {**place, **make(entries), "previous": _last(before)}
            line = json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace")  # half a character is no text
            with whole_file(path) as partial, partial.open("wb") as file:
                file.write(before + line + b"\n")
                file.flush()
                os.fsync(file.fileno())
    except Timeout:
        raise DataError(f"{path}: somebody else is writing to this case; try again") from None
    return entry


def read(path: Path) -> list[Entry]:
    """All entries, in order; none where there is no log. Lines that are no entries are passed over."""
    return parse(path.read_bytes()) if path.is_file() else []


def parse(content: bytes) -> list[Entry]:
    """The entries of a log's bytes."""
    entries = []
    for line in content.splitlines():
        try:
            entry = json.loads(line)
            if isinstance(entry, dict) and {"number", "when", "kind"} <= entry.keys():
                entries.append(entry)
        except ValueError:
            continue
    return entries


def broken(content: bytes) -> int | None:
    """Number of the first line, from 1, that does not follow from the one before it; None where all do."""
    previous = FIRST
    for number, line in enumerate(content.splitlines(), 1):
        try:
            entry = json.loads(line)
            if (entry["previous"], entry["number"]) != (previous, number):
                return number
        except (ValueError, KeyError, TypeError):
            return number
        previous = hashlib.sha256(line).hexdigest()
    return None


def _last(content: bytes) -> str:
    lines = content.splitlines()
    return hashlib.sha256(lines[-1]).hexdigest() if lines else FIRST
