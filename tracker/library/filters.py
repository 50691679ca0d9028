"""Where and when a search looks, as a condition on a library's rows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reid.errors import BadInputError
from tracker.library.snapshot import Condition, Mask
from tracker.library.store import Library, reading
from tracker.library.words import ENOUGH, check_names

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
        upper, lower: names of colours, any of which the upper or the lower clothing shows by ``words.ENOUGH``.
    """

    cameras: Sequence[str] = ()
    recordings: Sequence[str] = ()
    begin: Moment | None = None
    end: Moment | None = None
    min_length_s: float = 0.0
    upper: Sequence[str] = ()
    lower: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_names("--upper", self.upper)
        check_names("--lower", self.lower)
        if not (math.isfinite(self.min_length_s) and self.min_length_s >= 0):
            raise BadInputError(f"--min-length {self.min_length_s:g} is no length; give seconds, 0 or more")
        if self.begin and self.end:
            if self.begin[1] != self.end[1]:
                raise BadInputError("--from and --to: one is a clock time, one is seconds; use one form for both")
            if self.begin[0] > self.end[0]:
                raise BadInputError("--from is later than --to, so that nothing lies between; exchange them")

    def conditions(self) -> list[Condition]:
        """What a tracklet meets to be searched, all of them; none for all tracklets."""
        named = (("camera", self.cameras), ("recording", self.recordings))
        found: list[Condition] = [((column,), "in", tuple(names)) for column, names in named if names]
        found += [(("end_s",), ">=", float(self.begin[0]))] if self.begin else []
        found += [(("start_s",), "<=", float(self.end[0]))] if self.end else []
        found += [(("absolute",), "=", span[1]) for span in [self.begin or self.end] if span]
        found += [(("length_s",), ">=", float(self.min_length_s))] if self.min_length_s else []
        for region, colours in (("upper", self.upper), ("lower", self.lower)):
            if colours:
                found.append((tuple(f"{region}_{colour}" for colour in colours), ">=", ENOUGH))
        return found

    def where(self) -> str:
        """The conditions as SQL; "" for all tracklets.

        >>> Filters(cameras=["gate"], end=(60.0, False)).where()
        "camera IN ('gate') AND start_s <= 60.0 AND absolute = false"
        """
        return sql(self.conditions())


def sql(conditions: Iterable[Condition]) -> str:
    """Conditions, all of which are to be met; "" for none."""
    return " AND ".join(map(_sql, conditions))


def _sql(condition: Condition) -> str:
    columns, operator, value = condition
    if operator == "in":
        said = f"IN ({', '.join(map(quoted, value))})"
    else:
        said = f"{operator} {str(value).lower() if isinstance(value, bool) else repr(value)}"
    parts = [f"{column} {said}" for column in columns]
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"


def quoted(text: str) -> str:
    """A text in SQL.

    >>> quoted("o'clock")
    "'o''clock'"
    """
    return "'" + text.replace("'", "''") + "'"


def passing(library: Library, filters: Filters) -> Mask:
    """(n,) which of a library's tracklets, as its snapshot orders them, a search is about.

    Raises:
        DataError: the library cannot be read.
        BadInputError: it has no such camera or recording, or nothing that passes all filters.
    """
    snapshot = library.snapshot
    for column, asked in (("camera", filters.cameras), ("recording", filters.recordings)):
        known = snapshot.names(column)
        for name in asked:
            if name not in known:
                some = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
                raise BadInputError(f"--{column} {name}: the library has none of this name; it has {some}")
    with reading(library.name):
        mask = snapshot.passing(filters.conditions())
    if not mask.any():
        raise BadInputError(f"{library.name}: nothing passes all of these filters together; take one away")
    return mask
