"""Tables for people to read on a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tracker.store import Sighting


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, two spaces apart.

    >>> print(table(["a", "b"], [["1", "x"], ["23", "y"]]))
    a   b
    1   x
    23  y
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = (zip(row, widths, strict=True) for row in (header, *rows))
    return "\n".join("  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines)


def identity_table(lines: Sequence[Sighting], *, absolute: bool) -> str:
    """One row per identity: who, where, when, how sure."""
    if not lines:
        return "no people found"
    rows = [
        [
            str(line.identity),
            ", ".join(line.cameras),
            str(line.tracklets),
            *_when(line, absolute=absolute),
            f"{line.probability:.2f}" if line.tracklets > 1 else "-",
        ]
        for line in lines
    ]
    several = sum(len(line.cameras) > 1 for line in lines)
    summary = f"{len(lines)} identities, {several} of them seen by several cameras"
    return table(["identity", "cameras", "tracklets", "first", "last", "in view", "sure"], rows) + f"\n{summary}"


def _when(line: Sighting, *, absolute: bool) -> tuple[str, str, str]:
    """First, last and in view: times for who is on video, photos for others."""
    count = f"{len(line.photos)} photo{'s' if len(line.photos) > 1 else ''}"
    if line.photos and len(line.photos) == line.tracklets:
        return line.photos[0], line.photos[-1], count
    view = f"{line.duration_s:.1f} s" + (f", {count}" if line.photos else "")
    return moment(line.first_s, absolute=absolute), moment(line.last_s, absolute=absolute), view


def moment(seconds: float, *, absolute: bool) -> str:
    """A time on the recordings' clock.

    >>> moment(75.25, absolute=False), moment(60, absolute=True)
    ('1:15.2', '1970-01-01 00:01:00')
    """
    if absolute:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    minutes, rest = divmod(max(seconds, 0), 60)
    return f"{int(minutes)}:{rest:04.1f}"
