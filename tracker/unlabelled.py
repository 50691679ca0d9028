"""Pairs of one person and of two that a run has without labels.

Two tracklets in one frame are two people. Two halves of one tracklet are one person, where repair left it as it was:
one that is divided was of two people, fragments that are joined were chosen by how alike they are, and what is dropped
is nobody. All vectors are centred and pooled as linking's are. Photos tell nothing: each is a tracklet of its own, and
an album has no camera to be centred on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reid.centre import camera_means, centred
from reid.pool import DEFAULT_POOLING, POOLINGS
from tracker.errors import RunError
from tracker.linking.evidence import reliability
from tracker.material import Material, Work
from tracker.stages import read_embeddings, read_tracklets
from tracker.types import Floats, Integers, Tracklet, expect_shape

MOST_PAIRS = 20_000  # in one frame that are looked at, spread over all: more change nothing
SAME_BOX = 0.5  # overlap of boxes from which two tracklets may be one person, detected twice
LEAST_CROPS = 4  # of a tracklet that is halved
APART_S = 2.0  # between the middles of a tracklet's halves: pictures that are close in time are nearly one


@dataclass(frozen=True)
class Pairs:
    """What a site tells without labels.

    Attributes:
        two: (n,) similarities of two tracklets in one frame.
        tracklets: how many there are in these pairs.
        one: (m,) similarities of one tracklet's halves.
        telling: (m,) above 0 to 1, the share of good pictures' similarity that is expected of pictures like these.
    """

    two: Floats
    tracklets: int
    one: Floats
    telling: Floats

    def __post_init__(self) -> None:
        expect_shape("two", self.two, (None,))
        expect_shape("one", self.one, (None,))
        expect_shape("telling", self.telling, (len(self.one),))

    @property
    def spread(self) -> float:
        """Standard deviation of two people's similarities."""
        return float(np.std(self.two, dtype=np.float64))

    @property
    def alike(self) -> float:
        """Mean similarity of one person's halves, as if of good pictures."""
        return float(self.one.sum(dtype=np.float64) / self.telling.sum(dtype=np.float64))


def collect(works: Sequence[Work], material: Material) -> Pairs:
    """The pairs of a run.

    Args:
        works: its files.
        material: what ``gather`` made of them.

    Raises:
        RunError: a file is absent or damaged.
    """
    rows = simultaneous(material.tracklets)
    vectors = material.centred()
    two = np.einsum("nd,nd->n", vectors[rows[:, 0]], vectors[rows[:, 1]])
    cameras = np.array([tracklet.camera for tracklet in material.tracklets], np.str_)
    means = camera_means(material.vectors, cameras)
    repaired = {one.key: (one.index, mean) for one, mean in zip(material.tracklets, means, strict=True)}
    nobody = np.zeros(0, np.int64), np.zeros(0, np.float32)
    found = []
    for work in works:
        recording = work.recording
        embeddings = read_embeddings(work.embeddings, recording.name, material.model_id)
        if embeddings is None:
            raise RunError(f"{work.embeddings}: absent or damaged; give the run's command again")
        own = read_tracklets(work.tracklets, recording.name, recording.camera, recording.start_s, jpegs=False)
        for tracklet, crops in zip(own, embeddings.each(), strict=True):
            index, mean = repaired.get(tracklet.key, nobody)
            if np.array_equal(index, tracklet.index) and not recording.photos:
                found += halves(tracklet, crops, mean)
    one, telling = np.array(found, np.float32).reshape(-1, 2).T
    return Pairs(np.asarray(two, np.float32), len(np.unique(rows)), one, telling)


def simultaneous(tracklets: Sequence[Tracklet]) -> Integers:
    """Rows (n, 2) of tracklets that share a frame of one recording, and not a box."""
    recordings: dict[str, list[int]] = {}
    for row in sorted(range(len(tracklets)), key=lambda row: int(tracklets[row].index[0])):
        if not tracklets[row].photo:
            recordings.setdefault(tracklets[row].key.recording, []).append(row)
    found = [np.zeros((0, 2), np.int64)]
    for rows in recordings.values():
        first = np.array([tracklets[row].index[0] for row in rows])
        for place, row in enumerate(rows):
            stop = int(np.searchsorted(first, tracklets[row].index[-1], "right"))
            others = np.array(rows[place + 1 : stop], np.int64)
            found.append(np.stack([np.full_like(others, row), others], 1))
    pairs = np.concatenate(found)
    if len(pairs) > MOST_PAIRS:
        pairs = pairs[np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(np.int64)]
    return pairs[[_are_two(tracklets[a], tracklets[b]) for a, b in pairs.tolist()]]


def _are_two(a: Tracklet, b: Tracklet) -> bool:
    """Whether they share a frame, and their boxes overlap little in most frames that they share."""
    _, in_a, in_b = np.intersect1d(a.index, b.index, assume_unique=True, return_indices=True)
    if not len(in_a):
        return False
    one, two = a.xyxy[in_a], b.xyxy[in_b]
    low, high = np.maximum(one[:, :2], two[:, :2]), np.minimum(one[:, 2:], two[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (one[:, 2:] - one[:, :2]).prod(1) + (two[:, 2:] - two[:, :2]).prod(1)
    return bool(np.median(shared / np.maximum(areas - shared, 1e-9)) < SAME_BOX)


def halves(tracklet: Tracklet, crops: Floats, mean: Floats) -> list[tuple[float, float]]:
    """Similarity of the first half of a tracklet's pictures to the second, and what part of it quality lets show.

    Args:
        tracklet: with all its pictures.
        crops: (k, d) their unit vectors.
        mean: (d,) its camera's.

    Returns:
        One pair of numbers, or none where there are fewer than 4 pictures or the halves are within 2 seconds.
    """
    middle = len(crops) // 2
    times = np.interp([crop.index for crop in tracklet.crops], tracklet.index, tracklet.time_s)
    if len(crops) < LEAST_CROPS or np.median(times[middle:]) - np.median(times[:middle]) < APART_S:
        return []
    quality = np.array([crop.quality for crop in tracklet.crops], np.float32)
    parts = (slice(None, middle), slice(middle, None))
    first, second = (centred(POOLINGS[DEFAULT_POOLING](crops[part], quality[part]), mean) for part in parts)
    shown = reliability([quality[part].mean() for part in parts])
    return [(float(first @ second), float(shown[0] * shown[1]))]
