"""Where and when a search looks, as a condition on a library's rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reid.errors import BadInputError
from tracker.library.store import Library, reading

Moment = tuple[float, bool]  # seconds, and whether they are since the epoch


@dataclass(frozen=True)
class Filters:
    """What tracklets a search is about; by default all.

    Attributes:
        cameras: some of them; none means all.
        recordings: likewise.
        begin, end: a span of time that the tracklet shares a moment with. A clock time leaves out recordings whose
            clocks are unknown, seconds leave out the others.
        min_length_s: of the tracklet.
    """

    cameras: Sequence[str] = ()
    recordings: Sequence[str] = ()
    begin: Moment | None = None
    end: Moment | None = None
    min_length_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_length_s) and self.min_length_s >= 0):
            raise BadInputError(f"--min-length {self.min_length_s:g} is no length; give seconds, 0 or more")
        if self.begin and self.end:
            if self.begin[1] != self.end[1]:
                raise BadInputError("--from and --to: one is a clock time, one is seconds; use one form for both")
            if self.begin[0] > self.end[0]:
                raise BadInputError("--from is later than --to, so that nothing lies between; exchange them")

    def where(self) -> str:
        """As SQL; "" for all.

        >>> Filters(cameras=["gate"], end=(60.0, False)).where()
        "camera IN ('gate') AND start_s <= 60.0 AND absolute = false"
        """
        parts = [
            f"{column} IN ({', '.join(map(quoted, names))})"
            for column, names in (("camera", self.cameras), ("recording", self.recordings))
            if names
        ]
        parts += [f"end_s >= {self.begin[0]!r}"] if self.begin else []
        parts += [f"start_s <= {self.end[0]!r}"] if self.end else []
        parts += [f"absolute = {str(span[1]).lower()}" for span in [self.begin or self.end] if span]
        parts += [f"length_s >= {float(self.min_length_s)!r}"] if self.min_length_s else []
        return " AND ".join(parts)


def quoted(text: str) -> str:
    """A text in SQL.

    >>> quoted("o'clock")
    "'o''clock'"
    """
    return "'" + text.replace("'", "''") + "'"


def check_filters(library: Library, filters: Filters) -> None:
    """See that what a search is about is there.

    Raises:
        DataError: the library cannot be read.
        BadInputError: it has no such camera or recording, or nothing that passes all filters.
    """
    with reading(library.name):
        for column, asked in (("camera", filters.cameras), ("recording", filters.recordings)):
            if not asked:
                continue
            known = set(library.tracklets.search().select([column]).to_arrow()[column].unique().to_pylist())
            for name in asked:
                if name not in known:
                    some = ", ".join(sorted(known)[:8]) + (", ..." if len(known) > 8 else "")
                    raise BadInputError(f"--{column} {name}: the library has none of this name; it has {some}")
        if not library.tracklets.count_rows(filters.where() or None):
            raise BadInputError(f"{library.name}: nothing passes all of these filters together; take one away")
