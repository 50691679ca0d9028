"""Tracklets of people who are known, walking from camera to camera: of a data set's pictures, or drawn.

Cameras stand on a site and see no place in common. Somebody enters at a random time of a day, and goes from camera to
camera at their own pace, now and then stopping on the way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.datasets import Labelled, TrackletSet
from reid.errors import DataError
from reid.evaluation import embed_images
from reid.evaluation.embedding import Embed, Report
from reid.images import Image, crop_quality
from reid.pool import DEFAULT_POOLING, POOLINGS
from tracker.types import Crop, Floats, Integers, Times, Tracklet, TrackletKey

LEAST_PEOPLE = 2
DAY = 12 * 3600.0  # seconds within which people enter
SITE = 300.0  # metres across
PACE = (1.3, 0.2)  # metres a second: mean and deviation over people
STOPS, STOP = 0.3, 120.0  # share of ways on which somebody stops, and for how many seconds on average
IN_VIEW = 8.0  # seconds that a drawn sighting lasts on average
CAMERAS, NEIGHBOURS = 50, 4  # of a drawn world; from a camera people go on to one of those nearest
SIGHTINGS = 20  # of a person in a drawn world, on average

_MARKET_TIME = re.compile(r"-?\d+_c\d+s(\d+)_(\d+)")  # sequence and frame

# What makes drawn similarities those of the shipped embedder's tracklets (see ``drawn_vectors``).
DIM, DECAY = 256, 0.95
OUTFITS, OUTFIT_SHARE = 150, 0.68
SHOWN_MEAN, SHOWN_SUM = 0.68, 7.0


@dataclass(frozen=True)
class World:
    """Tracklets and who they are.

    Attributes:
        tracklets: n; a recording a camera.
        people: (n,) int64.
        vectors: (n, d) float32 unit vectors, pooled over each tracklet's pictures.
        boxes: (n,) int64 pictures of each.
    """

    tracklets: tuple[Tracklet, ...]
    people: Integers
    vectors: Floats
    boxes: Integers

    def of_people(self, chosen: npt.ArrayLike) -> "World":
        """Those of some people alone."""
        rows = np.flatnonzero(np.isin(self.people, chosen))
        tracklets = tuple(self.tracklets[row] for row in rows)
        return World(tracklets, self.people[rows], self.vectors[rows], self.boxes[rows])

    @property
    def camera(self) -> npt.NDArray[np.str_]:
        """(n,) of each tracklet."""
        return np.array([tracklet.camera for tracklet in self.tracklets], np.str_)


def pictured_world(tracklets: Labelled | None, embed: Embed, name: str, report: Report, seed: int = 0) -> World:
    """Market-1501's tracklets as recordings: a person's in order of sequence and frame, a second a picture.

    Its cameras' clocks are not known, so when they walk is made up. Junk and distractors are left out: whom they show
    is not known.

    Args:
        tracklets: n, of identities from 1, of files named as in Market-1501.
        embed: RGB uint8 images to (n, d) vectors.
        name: stands in the lines of progress.
        report: called with lines of progress.
        seed: of the walks.

    Raises:
        DataError: there are no tracklets or fewer than 2 people, or a picture cannot be read or is named otherwise.
    """
    if not isinstance(tracklets, TrackletSet):
        raise DataError(f"{name}: linking is measured on tracklets, and this data set has none")
    tracklets = tracklets.take(_in_order(tracklets))
    if len(np.unique(tracklets.pid)) < LEAST_PEOPLE:
        raise DataError(f"{name}: linking is measured on at least {LEAST_PEOPLE} people; give another data set")
    quality: list[float] = []

    def both(crops: Sequence[Image]) -> npt.NDArray[np.floating]:
        quality.extend(map(crop_quality, crops))
        return embed(crops)

    vectors = embed_images(tracklets.images(), both, name, report)
    boxes = np.array([len(frames) for frames in tracklets.frames], np.int64)
    cuts = np.cumsum(boxes)[:-1]
    qualities = np.split(np.array(quality), cuts)
    pool = POOLINGS[DEFAULT_POOLING]
    pooled = [pool(own, weights) for own, weights in zip(np.split(vectors, cuts), qualities, strict=True)]
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, SITE, (int(tracklets.camera.max()) + 1, 2))
    start, end = walks(tracklets.pid, places[tracklets.camera], boxes.astype(np.float64), rng)
    return World(
        tuple(map(_tracklet, range(1, len(boxes) + 1), tracklets.camera, start, end, qualities)),
        tracklets.pid,
        np.asarray(pooled, np.float32),
        boxes,
    )


def drawn_world(count: int, seed: int = 0) -> World:
    """So many tracklets of a twentieth as many people, on random walks between neighbouring ones of 50 cameras."""
    rng = np.random.default_rng(seed)
    people = np.sort(rng.integers(1, max(count // SIGHTINGS, 1) + 1, count))
    places = rng.uniform(0, SITE, (CAMERAS, 2))
    near = np.argsort(np.linalg.norm(places[:, None] - places, axis=2), axis=1)[:, 1 : NEIGHBOURS + 1]
    camera, choice = rng.integers(0, CAMERAS, count), rng.integers(0, NEIGHBOURS, count)
    for row in range(1, count):
        if people[row] == people[row - 1]:
            camera[row] = near[camera[row - 1], choice[row]]
    start, end = walks(people, places[camera], 1 + rng.exponential(IN_VIEW - 1, count), rng)
    good = np.ones(1)
    return World(
        tuple(_tracklet(row + 1, int(camera[row]), start[row], end[row], good) for row in range(count)),
        people,
        drawn_vectors(people, rng),
        np.ones(count, np.int64),
    )


def walks(people: Integers, places: Times, lasting: Times, rng: np.random.Generator) -> tuple[Times, Times]:
    """When sightings start and end.

    Args:
        people: (n,) who; one person's sightings are in order and side by side.
        places: (n, 2) metres, of the cameras.
        lasting: (n,) seconds.
        rng: of when they enter, their pace and their stops.

    Returns:
        (n,) seconds each.
    """
    enters = np.diff(people, prepend=people[0] - 1) != 0
    first, which = np.flatnonzero(enters), np.cumsum(enters) - 1
    pace = np.clip(rng.normal(*PACE, len(first)), 0.7, 2.0)[which]
    stop = np.where(rng.random(len(people)) < STOPS, rng.exponential(STOP, len(people)), 1.0)
    way = np.linalg.norm(np.diff(places, axis=0, prepend=places[:1]), axis=1) / pace + stop
    way[first] = 0
    before = np.cumsum(way + lasting) - lasting  # as if all walked one after the other
    start = before - before[first][which] + rng.uniform(0, DAY, len(first))[which]
    return start, start + lasting


def drawn_vectors(people: Integers, rng: np.random.Generator) -> Floats:
    """(n, 256) float32 unit vectors with the similarities of the shipped embedder's tracklets.

    A person is ``OUTFIT_SHARE`` an outfit that others wear too and for the rest their own; a tracklet is a share of its
    person, drawn from a beta distribution, and for the rest its own. All are normal with variances that fall as a
    power of the rank. The constants are chosen to meet the embedder's false-match rates (.1, .01, .001, .0001 of the
    pairs of two people) and true-match rates (.99, .94, .77, .37) at centred similarities of .22, .43, .58 and .72. The
    curve fitted to drawn pairs, which the linking then uses, has about its slope of 19 and intercept of -6.3.
    """
    which = np.unique(people, return_inverse=True)[1]
    return drawn_sightings(drawn_people(int(which.max(initial=-1)) + 1, rng), which, rng)


def drawn_people(count: int, rng: np.random.Generator, dim: int = DIM) -> Floats:
    """(count, dim) float32 unit vectors of people, as ``drawn_vectors`` says."""
    outfit = _normal(OUTFITS, dim, rng)[rng.integers(0, OUTFITS, count)]
    return _unit(OUTFIT_SHARE**0.5 * outfit + (1 - OUTFIT_SHARE) ** 0.5 * _normal(count, dim, rng))


def drawn_sightings(people: Floats, which: Integers, rng: np.random.Generator) -> Floats:
    """(n, dim) float32 unit vectors of tracklets, as ``drawn_vectors`` says, of ``people[which]``."""
    shown = rng.beta(SHOWN_MEAN * SHOWN_SUM, (1 - SHOWN_MEAN) * SHOWN_SUM, (len(which), 1)).astype(np.float32)
    return _unit(np.sqrt(shown) * people[which] + np.sqrt(1 - shown) * _normal(len(which), people.shape[1], rng))


def _normal(count: int, dim: int, rng: np.random.Generator) -> Floats:
    scale = np.asarray(np.arange(1, dim + 1) ** (-DECAY / 2), np.float32)
    return _unit(rng.standard_normal((count, dim), np.float32) * scale)


def _in_order(tracklets: TrackletSet) -> Integers:
    """Rows of known people, person by person in order of sequence and frame."""
    keys = []
    for row in np.flatnonzero(tracklets.pid > 0).tolist():
        path = tracklets.frames[row][0]
        match = _MARKET_TIME.match(path.name)
        if match is None:
            raise DataError(f"{path}: no sequence and frame in its name; expected one like 0002_c1s1_000451_03.jpg")
        keys.append((int(tracklets.pid[row]), int(match[1]), int(match[2]), row))
    return np.array([key[-1] for key in sorted(keys)], np.int64)


def _unit(vectors: npt.NDArray[np.floating]) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _tracklet(number: int, camera: int, start: float, end: float, quality: Times) -> Tracklet:
    name = f"camera{camera}"
    return Tracklet(
        TrackletKey(name, number),
        name,
        np.array([1, 2]),
        np.array([start, end]),
        np.zeros((2, 4), np.float32),
        np.ones(2, np.float32),
        tuple(Crop(1, float(one), b"") for one in quality),
    )
