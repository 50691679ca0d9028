"""What crosses each boundary between stages: frozen records with arrays inside, validated once on construction."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Image = npt.NDArray[np.uint8]


def expect_shape(name: str, array: npt.NDArray[np.generic], shape: tuple[int | None, ...]) -> None:
    """Raise ValueError, naming both shapes, unless ``array`` has ``shape`` (None fits any length)."""
    fits = len(array.shape) == len(shape) and all(s in (None, a) for a, s in zip(array.shape, shape, strict=True))
    if not fits:
        wanted = ", ".join("n" if s is None else str(s) for s in shape)
        raise ValueError(f"{name}: expected shape ({wanted}), got {array.shape}")


class TrackletKey(NamedTuple):
    """A tracklet's name for life: its recording and its number there, from 1."""

    recording: str
    track_id: int

    def __str__(self) -> str:
        return f"{self.recording}/{self.track_id}"


@dataclass(frozen=True)
class Recording:
    """One video file of one camera, or an album: a folder of photos.

    Attributes:
        name: unique in a run; names files and tracklets.
        camera: what it was filmed with; several recordings may share a camera.
        path: the file or folder.
        content: SHA-256 of the file, or of the album's names and contents, hexadecimal.
        start_s: added to the file's own time line; seconds since the epoch where the clock is known.
        photos: of an album: names of its files, photo number 1 first; empty for video.
        size, modified_ns: the file's, in bytes and nanoseconds, from before its content was read.
    """

    name: str
    camera: str
    path: Path
    content: str
    start_s: float = 0.0
    photos: tuple[str, ...] = ()
    size: int = 0
    modified_ns: int = 0


@dataclass(frozen=True)
class Frame:
    """One picture of a recording.

    Attributes:
        index: the source's own frame number, 1-based, counting frames that could not be decoded or were not sampled.
        time_s: presentation time plus the recording's ``start_s``.
        image: (h, w, 3) uint8 BGR, upright.
    """

    index: int
    time_s: float
    image: Image


@dataclass(frozen=True)
class Detections:
    """People found in one frame: xyxy (n, 4) float32 pixels within the picture, score (n,) float32 in 0..1."""

    xyxy: Floats
    score: Floats

    def __post_init__(self) -> None:
        expect_shape("xyxy", self.xyxy, (None, 4))
        expect_shape("score", self.score, (len(self.xyxy),))

    def __len__(self) -> int:
        return len(self.score)

    @staticmethod
    def empty() -> "Detections":
        """No people."""
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Tracks:
    """Detections of one frame that belong to a track: track_id (n,) int64 and the detections, row by row."""

    track_id: Integers
    detections: Detections

    def __post_init__(self) -> None:
        expect_shape("track_id", self.track_id, (len(self.detections),))


@dataclass(frozen=True)
class Crop:
    """One picture of a tracked person, kept because it is the best of its stretch of time.

    Attributes:
        index: frame number as in ``Frame``.
        quality: 0..1; see ``tracker.tracklets``.
        jpeg: encoded picture, the box's own pixels.
    """

    index: int
    quality: float
    jpeg: bytes


@dataclass(frozen=True)
class Tracklet:
    """One person followed without a break through one recording.

    Attributes:
        key: its name.
        camera: of its recording.
        index: (t,) int64 frame numbers, ascending.
        time_s: (t,) float64 times of those frames.
        xyxy: (t, 4) float32 boxes in pixels.
        score: (t,) float32 detection confidences.
        crops: pictures, in order of time; at least one.
        photo: name of the photo that it is in; empty for video.
    """

    key: TrackletKey
    camera: str
    index: Integers
    time_s: Times
    xyxy: Floats
    score: Floats
    crops: tuple[Crop, ...]
    photo: str = ""

    def __post_init__(self) -> None:
        length = len(self.index)
        expect_shape("index", self.index, (length,))
        expect_shape("time_s", self.time_s, (length,))
        expect_shape("xyxy", self.xyxy, (length, 4))
        expect_shape("score", self.score, (length,))
        if length == 0 or not self.crops:
            raise ValueError(f"tracklet {self.key} has {length} boxes and {len(self.crops)} crops; needs one of each")

    def best(self, count: int) -> "Tracklet":
        """The same with its ``count`` best crops alone, in order of time."""
        return replace(self, crops=tuple(self.crops[row] for row in self.best_rows(count)))

    def best_rows(self, count: int) -> list[int]:
        """Which of its crops those are."""
        return sorted(sorted(range(len(self.crops)), key=lambda row: -self.crops[row].quality)[:count])

    @property
    def start_s(self) -> float:
        """Time of the first box."""
        return float(self.time_s[0])

    @property
    def end_s(self) -> float:
        """Time of the last box."""
        return float(self.time_s[-1])

    @property
    def quality(self) -> float:
        """Mean quality of the kept crops, 0..1."""
        return float(np.mean([crop.quality for crop in self.crops]))


@dataclass(frozen=True)
class Embeddings:
    """One unit vector a crop, tracklet by tracklet.

    Attributes:
        keys: n tracklets.
        counts: (n,) int64, how many crops each has, at least one.
        vectors: (m, d) float32, the crops in order of time, one tracklet's after the other's.
        model_id: of the embedder that made them.
    """

    keys: tuple[TrackletKey, ...]
    counts: Integers
    vectors: Floats
    model_id: str

    def __post_init__(self) -> None:
        expect_shape("counts", self.counts, (len(self.keys),))
        expect_shape("vectors", self.vectors, (int(self.counts.sum()), None))
        if (self.counts < 1).any():
            raise ValueError("counts: expected at least one crop of each tracklet")
        norms = np.linalg.norm(self.vectors, axis=1)
        if not np.allclose(norms, 1, atol=1e-2):  # stored in half precision
            raise ValueError(f"vectors: expected unit norms, got {norms.min():.3f} to {norms.max():.3f}")

    def each(self) -> list[Floats]:
        """(k, d) vectors of every tracklet's crops."""
        return np.split(self.vectors, np.cumsum(self.counts)[:-1]) if self.keys else []


@dataclass(frozen=True)
class Link:
    """One merge of the linking: why two groups of tracklets were called the same person.

    Attributes:
        left, right: a member of each group, the pair nearest to each other.
        distance: average cosine distance between the groups, 0..2, at which they merged; vectors centred on cameras.
        nearest: cosine distance of the pair ``left``, ``right``.
        probability: that the groups are one person, 0..1, among as many as there seemed to be, at most 1,000; see
            ``tracker.linking``.
        given: it was known beforehand: the user said so, or an earlier linking is kept.
        usual_s: how long all but the quickest and slowest twentieth take from the earlier one's camera to the later
            one's, by this run's sure links; None where those are too few.
        pictures: frame numbers of a crop of either, the pair that looks most alike; None where nobody has looked.
    """

    left: TrackletKey
    right: TrackletKey
    distance: float
    nearest: float
    probability: float
    given: bool = False
    usual_s: tuple[float, float] | None = None
    pictures: tuple[int, int] | None = None


@dataclass(frozen=True)
class Rival:
    """Another identity that might be the same person, and was not joined.

    Attributes:
        identity: its number.
        probability: that both are one person by their looks alone, among as many as there are, at most 1,000, 0..1.
        left, right: a tracklet of each, the pair that looks most alike.
        against: what speaks against besides, in words; "" where looks alone did not suffice.
    """

    identity: int
    probability: float
    left: TrackletKey
    right: TrackletKey
    against: str = ""


@dataclass(frozen=True)
class Identity:
    """One person.

    Attributes:
        id: from 1, in order of first appearance.
        members: tracklets in order of time.
        links: the merges that joined them, in order; one fewer than members.
        rivals: who else it might be, likeliest first.
    """

    id: int
    members: tuple[TrackletKey, ...]
    links: tuple[Link, ...]
    rivals: tuple[Rival, ...] = ()

    @property
    def probability(self) -> float:
        """How sure it is that all members are one person: its weakest link's probability; 1 for a single tracklet."""
        return min((link.probability for link in self.links), default=1.0)
