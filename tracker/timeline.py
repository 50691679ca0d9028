"""Who was where, when, as bars on a time axis: the geometry; the page draws it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tracker.types import Tracklet

BAR_PX, GAP_PX = 16, 6  # height of a bar, and the gap between two cameras' lanes
_MIN_BAR_PERCENT = 0.6  # a moment in a day-long run must still be seen and hit with a pointer
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True)
class Axis:
    """The time axis that all timelines of a page share; seconds since the epoch if ``absolute``."""

    start_s: float
    end_s: float
    absolute: bool

    @property
    def days(self) -> list[str]:
        """The run's first and last day, UTC; one if they are the same."""
        return sorted({f"{_utc(time_s):%Y-%m-%d}" for time_s in (self.start_s, self.end_s)})

    def percent(self, time_s: float) -> float:
        """How far along the axis a moment lies, 0..100."""
        return 100 * (time_s - self.start_s) / (self.end_s - self.start_s)

    def clock(self, time_s: float) -> str:
        """A moment to a tenth of a second, with its day where the run has several."""
        if not self.absolute:
            return duration(time_s)
        moment = _utc(round(time_s, 1))
        text = f"{moment:%H:%M:%S}.{round(moment.microsecond / 1e5)}"
        return text if len(self.days) == 1 else f"{moment:%Y-%m-%d} {text}"

    def when(self, tracklet: Tracklet) -> str:
        """When a tracklet begins and ends, or which photo it is in."""
        return tracklet.photo or f"{self.clock(tracklet.start_s)} to {self.clock(tracklet.end_s)}"

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Round moments, some ``most`` of them: where they lie in percent, and what to write there."""
        least = (self.end_s - self.start_s) / most
        step = next((step for step in _STEPS_S if step >= least), 86400 * math.ceil(least / 86400))
        first, last = math.ceil(self.start_s / step - 1e-9), math.floor(self.end_s / step + 1e-9)
        return [(self.percent(n * step), self._tick(n * step, step)) for n in range(first, last + 1)]

    def _tick(self, time_s: float, step: float) -> str:
        if step < 1:
            return self.clock(time_s)
        if not self.absolute:
            return duration(time_s, decimals=0)
        day = "%m-%d" if len(self.days) > 1 else ""
        hour = "" if step >= 86400 else "%H:%M" if step >= 60 else "%H:%M:%S"
        return _utc(time_s).strftime(f"{day} {hour}".strip())


@dataclass(frozen=True)
class Bar:
    """One tracklet on a timeline: ``x`` and ``width`` in percent of the axis, ``y`` in pixels from the top."""

    person: int
    x: float
    width: float
    y: int
    label: str


@dataclass(frozen=True)
class Lane:
    """One camera of a timeline, as many bars deep as people were seen by it at once; pixels."""

    camera: str
    height: int
    bars: tuple[Bar, ...]


def lanes_of(axis: Axis, cameras: Sequence[str], seen: Iterable[tuple[int, Tracklet]]) -> tuple[Lane, ...]:
    """One lane per camera; bars that would overlap are put below each other."""
    lanes: list[Lane] = []
    ordered = sorted(seen, key=lambda pair: pair[1].start_s)
    for camera in cameras:
        top = sum(lane.height for lane in lanes)
        ends: list[float] = []  # where the last bar of each row of this lane ends, percent
        bars = []
        for person, tracklet in (pair for pair in ordered if pair[1].camera == camera):
            x = axis.percent(tracklet.start_s)
            width = max(axis.percent(tracklet.end_s) - x, _MIN_BAR_PERCENT)
            x = min(x, 100 - width)
            row = next((row for row, end in enumerate(ends) if end <= x), len(ends))
            ends[row : row + 1] = [x + width]
            label = f"{camera}, {axis.when(tracklet)} ({tracklet.key})"
            bars.append(Bar(person, x, width, top + row * BAR_PX, label))
        lanes.append(Lane(camera, max(len(ends), 1) * BAR_PX + GAP_PX, tuple(bars)))
    return tuple(lanes)


def duration(seconds: float, decimals: int = 1) -> str:
    """Seconds as m:ss.s, or h:mm:ss.s from an hour on.

    >>> duration(75.25), duration(59.96), duration(3725, decimals=0)
    ('1:15.2', '1:00.0', '1:02:05')
    """
    minutes, rest = divmod(round(abs(seconds), decimals), 60)
    hours, minutes = divmod(int(minutes), 60)
    sign = "-" if seconds < 0 else ""
    hours_minutes = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{hours_minutes}:{rest:0{decimals + 3 if decimals else 2}.{decimals}f}"


def _utc(time_s: float) -> datetime:
    return datetime.fromtimestamp(time_s, UTC)
