"""The page of a run: one self-contained file saying who was seen where, who is one person, how sure, and why."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from tracker.files import whole_file
from tracker.store import seconds_between
from tracker.timeline import BAR_PX, GAP_PX, Axis, Lane, duration, lanes_of
from tracker.types import Crop, Identity, Link, Recording, Rival, Tracklet, TrackletKey

_THUMBNAIL_PX = 160  # longest side of a picture on the page
_JPEG_QUALITY = 80
_CROPS_PER_CAMERA = 3
_CROPS_PER_PERSON = 12
_LINKS_PICTURED = 12  # the weakest ones; the others are listed without pictures
_RIVALS_PICTURED = 0.05  # from which probability on
_OVERVIEW_PEOPLE = 40  # more colours than that tell nobody apart


@dataclass(frozen=True)
class _Picture:
    """A crop on the page: ``jpeg`` in base64, or "" where the page already holds it in the element ``id``."""

    id: str
    alt: str
    jpeg: str


_Side = tuple[Tracklet, _Picture | None]


@dataclass(frozen=True)
class _Person:
    """One row of the page.

    Attributes:
        crops: (camera, pictures, how many more crops there are) for each camera, in order of first appearance.
        evidence: the links, weakest first, each with two sides: a tracklet, and its picture unless there are too many.
        rivals: the rivals, likeliest first, each with two sides likewise, pictured where they are likely enough.
    """

    identity: Identity
    tracklets: tuple[Tracklet, ...]
    crops: tuple[tuple[str, list[_Picture], int], ...]
    lanes: tuple[Lane, ...]
    evidence: tuple[tuple[Link, list[_Side]], ...]
    rivals: tuple[tuple[Rival, list[_Side]], ...]

    @property
    def cameras(self) -> list[str]:
        """In order of first appearance."""
        return [camera for camera, _, _ in self.crops]

    @property
    def filmed(self) -> list[Tracklet]:
        """Those of the tracklets that are not photos."""
        return [tracklet for tracklet in self.tracklets if not tracklet.photo]

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
    filmed = [t for t in tracklets if not t.photo]  # photos have no place on a time axis
    times = [r.start_s for r in recordings if not r.photos] + [s for t in filmed for s in (t.start_s, t.end_s)] or [0.0]
    axis = Axis(min(times), max(max(times), min(times) + 1), absolute)
    by_key = {tracklet.key: tracklet for tracklet in tracklets}
    people = [_person(identity, by_key, axis) for identity in identities]
    people.sort(key=lambda person: (-len(person.cameras), person.identity.id))
    cameras = _cameras(recordings, tracklets)
    text = _template(axis).render(
        title=title,
        recordings=recordings,
        cameras=cameras,
        tracklets=tracklets,
        people=people,
        tracklets_on=Counter(tracklet.key.recording for tracklet in tracklets),
        people_on=Counter(name for one in identities for name in {key.recording for key in one.members}),
        **_overview(people, _cameras([r for r in recordings if not r.photos], filmed), axis),
        axis=axis,
        facts=facts,
        warnings=warnings,
        gap=GAP_PX,
        bar=BAR_PX,
    )
    with whole_file(path) as partial:
        partial.write_bytes(text.encode("utf-8", "replace"))  # a path may hold bytes that are no character


def sureness(probability: float, decimals: int = 0) -> str:
    """A probability in percent that is never rounded to a certainty it does not have.

    >>> sureness(0.934), sureness(0.9999), sureness(0.0001, decimals=1), sureness(1.0)
    ('93%', '>99%', '<0.1%', '100%')
    """
    step = 10.0**-decimals
    bounded = min(max(100 * probability, step if probability > 0 else 0), 100 - step if probability < 1 else 100)
    sign = "" if abs(bounded - 100 * probability) < step / 2 else ">" if probability > 0.5 else "<"
    return f"{sign}{bounded:.{decimals}f}%"


def _between(sides: Sequence[_Side]) -> str:
    """How long two tracklets are apart in time, or together; nothing where one is a photo, which has no clock."""
    if any(tracklet.photo for tracklet, _ in sides):
        return ""
    seconds = seconds_between(sides[0][0], sides[1][0])
    return f"{duration(seconds)} apart" if seconds > 0 else f"{duration(-seconds)} together"


def _overview(people: Sequence[_Person], cameras: Sequence[str], axis: Axis) -> dict[str, object]:
    """Everybody on one timeline; where they are too many, those seen by several cameras; else nobody."""
    shown = people if len(people) <= _OVERVIEW_PEOPLE else [person for person in people if len(person.cameras) > 1]
    shown = shown if len(shown) <= _OVERVIEW_PEOPLE else []
    colours = {number: rank for rank, number in enumerate(sorted(person.identity.id for person in shown))}
    seen = [(person.identity.id, tracklet) for person in shown for tracklet in person.filmed]
    return {"colours": colours, "overview": lanes_of(axis, cameras, seen) if shown else ()}


def _cameras(recordings: Sequence[Recording], tracklets: Sequence[Tracklet]) -> list[str]:
    return list(dict.fromkeys([r.camera for r in recordings] + [t.camera for t in tracklets]))


def _template(axis: Axis) -> Template:
    environment = Environment(loader=PackageLoader("tracker"), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(clock=axis.clock, when=axis.when, duration=duration, sureness=sureness, between=_between)
    return environment.get_template("report.html.j2")


def _person(identity: Identity, by_key: Mapping[TrackletKey, Tracklet], axis: Axis) -> _Person:
    absent = [str(key) for key in identity.members if key not in by_key]
    if absent:
        raise ValueError(f"identity {identity.id} names tracklets that were not given: {', '.join(absent)}")
    tracklets = tuple(by_key[key] for key in identity.members)
    album = _Album(identity.id, axis)
    crops = album.best(tracklets)
    filmed = [tracklet for tracklet in tracklets if not tracklet.photo]
    lanes = lanes_of(axis, _cameras((), filmed), [(identity.id, tracklet) for tracklet in filmed])
    evidence = []
    for rank, link in enumerate(sorted(identity.links, key=lambda link: link.probability)):
        left, right = link.pictures or (None, None)
        shown = ((by_key[link.left], left), (by_key[link.right], right))
        evidence.append(
            (link, [(side, album.cover(side, index) if rank < _LINKS_PICTURED else None) for side, index in shown])
        )
    rivals = []
    for rival in identity.rivals:
        sides = [by_key[key] for key in (rival.left, rival.right)]
        pictured = rival.probability >= _RIVALS_PICTURED
        rivals.append((rival, [(side, album.cover(side) if pictured else None) for side in sides]))
    return _Person(identity, tracklets, crops, lanes, tuple(evidence), tuple(rivals))


class _Album:
    """One person's pictures, each of which the page holds once."""

    def __init__(self, person: int, axis: Axis) -> None:
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

    def cover(self, tracklet: Tracklet, index: int | None = None) -> _Picture:
        """A tracklet's crop of frame ``index``; its best where that is None."""
        best = max(tracklet.crops, key=lambda crop: crop.quality)
        return self._picture(tracklet, next((crop for crop in tracklet.crops if crop.index == index), best))

    def _picture(self, tracklet: Tracklet, crop: Crop) -> _Picture:
        row = min(int(np.searchsorted(tracklet.index, crop.index)), len(tracklet.index) - 1)
        moment = tracklet.photo or self._axis.clock(float(tracklet.time_s[row]))
        alt = f"Person {self._person}, {tracklet.camera}, {moment}"
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
