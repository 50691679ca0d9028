"""The page of a run: one self-contained file saying who was seen where, who is one person, how sure, and why."""

import base64
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from tracker.files import whole_file
from tracker.types import Crop, Identity, Link, Recording, Tracklet, TrackletKey

_THUMBNAIL_PX = 160  # longest side of a picture on the page
_JPEG_QUALITY = 80
_CROPS_PER_CAMERA = 3
_CROPS_PER_PERSON = 12
_LINKS_PICTURED = 12  # the weakest ones; the others are listed without pictures
_OVERVIEW_PEOPLE = 40  # more colours than that tell nobody apart
_BAR_PX, _GAP_PX = 16, 6  # height of a bar, and the gap between two cameras' lanes
_MIN_BAR_PERCENT = 0.6  # a moment in a day-long run must still be seen and hit with a pointer
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True)
class _Axis:
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
class _Bar:
    """One tracklet on a timeline: ``x`` and ``width`` in percent of the axis, ``y`` in pixels from the top."""

    person: int
    x: float
    width: float
    y: int
    label: str


@dataclass(frozen=True)
class _Lane:
    """One camera of a timeline, as many bars deep as people were seen by it at once; pixels."""

    camera: str
    height: int
    bars: tuple[_Bar, ...]


@dataclass(frozen=True)
class _Picture:
    """A crop on the page: ``jpeg`` in base64, or "" where the page already holds it in the element ``id``."""

    id: str
    alt: str
    jpeg: str


@dataclass(frozen=True)
class _Person:
    """One row of the page.

    Attributes:
        crops: (camera, pictures, how many more crops there are) for each camera, in order of first appearance.
        evidence: the links, weakest first, each with two sides: a tracklet, and its picture unless there are too many.
    """

    identity: Identity
    tracklets: tuple[Tracklet, ...]
    crops: tuple[tuple[str, list[_Picture], int], ...]
    lanes: tuple[_Lane, ...]
    evidence: tuple[tuple[Link, list[tuple[Tracklet, _Picture | None]]], ...]

    @property
    def cameras(self) -> list[str]:
        """In order of first appearance."""
        return [camera for camera, _, _ in self.crops]

    @property
    def seconds(self) -> float:
        """Time on camera: the sum over the tracklets."""
        return sum(tracklet.end_s - tracklet.start_s for tracklet in self.tracklets)


def write_report(
    path: Path,
    title: str,
    recordings: Sequence[Recording],
    tracklets: Sequence[Tracklet],
    identities: Sequence[Identity],
    facts: Mapping[str, str],
    warnings: Sequence[str] = (),
    absolute: bool = False,
) -> None:
    """Write the page of a run: one HTML file that loads nothing, with the people seen by most cameras first.

    Args:
        path: the file; it appears complete or not at all.
        title: the page's heading.
        recordings: all recordings of the run, also those nobody was seen on.
        tracklets: at least those the identities name.
        identities: the people.
        facts: label and value of how the run was made (detector, model, threshold, versions, date).
        warnings: lines shown above everything else, such as damaged recordings.
        absolute: times are seconds since the epoch, shown as UTC, rather than seconds from the recordings' start.

    Raises:
        ValueError: an identity names a tracklet that is not given.
        RunError: the file cannot be written.
    """
    times = [r.start_s for r in recordings] + [s for t in tracklets for s in (t.start_s, t.end_s)] or [0.0]
    axis = _Axis(min(times), max(max(times), min(times) + 1), absolute)
    by_key = {tracklet.key: tracklet for tracklet in tracklets}
    people = [_person(identity, by_key, axis) for identity in identities]
    people.sort(key=lambda person: (-len(person.cameras), person.identity.id))
    cameras = list(dict.fromkeys([r.camera for r in recordings] + [t.camera for t in tracklets]))
    text = _template(axis).render(
        title=title,
        recordings=recordings,
        cameras=cameras,
        tracklets=tracklets,
        people=people,
        tracklets_on=Counter(tracklet.key.recording for tracklet in tracklets),
        people_on=Counter(name for one in identities for name in {key.recording for key in one.members}),
        **_overview(people, cameras, axis),
        axis=axis,
        facts=facts,
        warnings=warnings,
        gap=_GAP_PX,
        bar=_BAR_PX,
    )
    with whole_file(path) as partial:
        partial.write_bytes(text.encode("utf-8", "replace"))  # a path may hold bytes that are no character


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


def sureness(probability: float, decimals: int = 0) -> str:
    """A probability in percent that is never rounded to a certainty it does not have.

    >>> sureness(0.934), sureness(0.9999), sureness(0.0001, decimals=1), sureness(1.0)
    ('93%', '>99%', '<0.1%', '100%')
    """
    step = 10.0**-decimals
    bounded = min(max(100 * probability, step if probability > 0 else 0), 100 - step if probability < 1 else 100)
    sign = "" if abs(bounded - 100 * probability) < step / 2 else ">" if probability > 0.5 else "<"
    return f"{sign}{bounded:.{decimals}f}%"


def _utc(time_s: float) -> datetime:
    return datetime.fromtimestamp(time_s, UTC)


def _overview(people: Sequence[_Person], cameras: Sequence[str], axis: _Axis) -> dict[str, object]:
    """Everybody on one timeline; where they are too many, those seen by several cameras; else nobody."""
    shown = people if len(people) <= _OVERVIEW_PEOPLE else [person for person in people if len(person.cameras) > 1]
    shown = shown if len(shown) <= _OVERVIEW_PEOPLE else []
    colours = {number: rank for rank, number in enumerate(sorted(person.identity.id for person in shown))}
    seen = [(person.identity.id, tracklet) for person in shown for tracklet in person.tracklets]
    return {"colours": colours, "overview": _lanes(axis, cameras, seen) if shown else ()}


def _template(axis: _Axis) -> Template:
    environment = Environment(loader=PackageLoader("tracker"), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(clock=axis.clock, duration=duration, sureness=sureness)
    return environment.get_template("report.html.j2")


def _lanes(axis: _Axis, cameras: Sequence[str], seen: Iterable[tuple[int, Tracklet]]) -> tuple[_Lane, ...]:
    """One lane per camera; bars that would overlap are put below each other."""
    lanes: list[_Lane] = []
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
            times = f"{axis.clock(tracklet.start_s)} to {axis.clock(tracklet.end_s)}"
            bars.append(_Bar(person, x, width, top + row * _BAR_PX, f"{camera}, {times} ({tracklet.key})"))
        lanes.append(_Lane(camera, max(len(ends), 1) * _BAR_PX + _GAP_PX, tuple(bars)))
    return tuple(lanes)


def _person(identity: Identity, by_key: Mapping[TrackletKey, Tracklet], axis: _Axis) -> _Person:
    absent = [str(key) for key in identity.members if key not in by_key]
    if absent:
        raise ValueError(f"identity {identity.id} names tracklets that were not given: {', '.join(absent)}")
    tracklets = tuple(by_key[key] for key in identity.members)
    album = _Album(identity.id, axis)
    crops = album.best(tracklets)
    lanes = _lanes(axis, [camera for camera, _, _ in crops], [(identity.id, tracklet) for tracklet in tracklets])
    evidence = []
    for rank, link in enumerate(sorted(identity.links, key=lambda link: link.probability)):
        sides = [by_key[key] for key in (link.left, link.right)]
        evidence.append((link, [(side, album.cover(side) if rank < _LINKS_PICTURED else None) for side in sides]))
    return _Person(identity, tracklets, crops, lanes, tuple(evidence))


class _Album:
    """One person's pictures, each of which the page holds once."""

    def __init__(self, person: int, axis: _Axis) -> None:
        self._person = person
        self._axis = axis
        self._placed: dict[tuple[TrackletKey, int], str] = {}  # element of each crop that the page has by now

    def best(self, tracklets: Sequence[Tracklet]) -> tuple[tuple[str, list[_Picture], int], ...]:
        """Each camera's best crops, best first; every camera gets its first before any gets its second."""
        found: dict[str, list[tuple[Tracklet, Crop]]] = {}
        for tracklet in tracklets:
            found.setdefault(tracklet.camera, []).extend((tracklet, crop) for crop in tracklet.crops)
        for pairs in found.values():
            pairs.sort(key=lambda pair: -pair[1].quality)
        chosen: dict[str, list[_Picture]] = {camera: [] for camera in found}
        turns = [(rank, camera) for rank in range(_CROPS_PER_CAMERA) for camera in found if rank < len(found[camera])]
        for rank, camera in turns[:_CROPS_PER_PERSON]:
            chosen[camera].append(self._picture(*found[camera][rank]))
        return tuple((camera, chosen[camera], len(found[camera]) - len(chosen[camera])) for camera in found)

    def cover(self, tracklet: Tracklet) -> _Picture:
        """A tracklet's best crop."""
        return self._picture(tracklet, max(tracklet.crops, key=lambda crop: crop.quality))

    def _picture(self, tracklet: Tracklet, crop: Crop) -> _Picture:
        row = min(int(np.searchsorted(tracklet.index, crop.index)), len(tracklet.index) - 1)
        alt = f"Person {self._person}, {tracklet.camera}, {self._axis.clock(float(tracklet.time_s[row]))}"
        known = (tracklet.key, crop.index) in self._placed
        name = self._placed.setdefault((tracklet.key, crop.index), f"crop-{self._person}-{len(self._placed) + 1}")
        return _Picture(name, alt, "" if known else _thumbnail(crop.jpeg))


def _thumbnail(jpeg: bytes) -> str:
    """The picture in base64, re-encoded to bound the page's size; a grey one where it cannot be decoded."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        image = np.full((_THUMBNAIL_PX, _THUMBNAIL_PX // 2, 3), 128, np.uint8)
    scale = min(_THUMBNAIL_PX / max(image.shape[:2]), 1.0)
    width, height = (max(round(side * scale), 1) for side in image.shape[1::-1])
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return base64.b64encode(encoded.tobytes()).decode()
