"""Trackers side by side: the same detections through each, scored as HOTA, IDF1 and MOTA, and what follows them.

What is scored of a tracker is what it reports, frame by frame, its numbers being identities. Behind it the application
first claims the detections that led up to a track (``tracker.tracklets``), and then repairs tracklets
(``tracker.repair``): each step is measured alone, on top of the tracklets as they were collected, and all together.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from reid.calibration import Curve
from reid.embed import Embedder
from tracker.associate import DEFAULT_TRACKER, REMEMBER_S, TRACKERS, Tracker, UltralyticsTracker
from tracker.bench.clips import Clip, Stage, detect_clip
from tracker.detect import Detector
from tracker.embed import decode_crop
from tracker.repair import REPAIRS, repair
from tracker.scoring.boxes import Boxes
from tracker.scoring.metrics import TrackingScores, score_tracking
from tracker.scoring.scene import prepare
from tracker.tracklets import Collector
from tracker.types import Embeddings, Floats, Integers, Tracklet, Tracks

PUBLISHED: dict[str, Callable[[float], Tracker]] = {
    f"{name}, as published": partial(UltralyticsTracker, name, published=True) for name in TRACKERS
}
COLLECTED = "tracklets"
REPAIRED = "tracklets, repaired"


@dataclass(frozen=True)
class TrackerRow:
    """A row of the table.

    Attributes:
        clip: its name.
        what: a tracker, or a step behind one.
        scores: on this clip.
        ms: milliseconds a frame that the tracker took; None for the steps behind it.
    """

    clip: str
    what: str
    scores: TrackingScores
    ms: float | None = None


@dataclass
class _Following:
    """A tracker at work, and what it has reported."""

    tracker: Tracker
    number: list[Integers] = field(default_factory=list)
    frame: list[Integers] = field(default_factory=list)
    xyxy: list[Floats] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, index: int, tracks: Tracks) -> None:
        """Keep what was reported of a frame."""
        self.number.append(tracks.track_id)
        self.frame.append(np.full(len(tracks.track_id), index, np.int64))
        self.xyxy.append(tracks.detections.xyxy)


def bench_trackers(
    clips: Sequence[Clip],
    detector: Detector,
    embedder: Embedder,
    curve: Curve,
    out: Path,
    stage: Stage,
    default: str = DEFAULT_TRACKER,
) -> list[TrackerRow]:
    """Measure all trackers, with the application's settings and as published, and the steps behind one of them.

    Args:
        clips: at least one.
        detector: whose boxes all trackers get.
        embedder: for the repairs.
        curve: of its tracklets.
        out: folder that keeps the detections.
        stage: see ``tracker.bench.clips.detect_clip``.
        default: the tracker whose tracklets are collected and repaired.
    """
    return [row for clip in clips for row in _bench_clip(clip, detector, embedder, curve, out, stage, default)]


def _bench_clip(
    clip: Clip, detector: Detector, embedder: Embedder, curve: Curve, out: Path, stage: Stage, default: str
) -> list[TrackerRow]:
    making: Mapping[str, Callable[[float], Tracker]] = {**TRACKERS, **PUBLISHED}
    following = {name: _Following(make(clip.rate)) for name, make in making.items()}
    collector = Collector(clip.name, clip.name, REMEMBER_S * 1.5 + 2 / clip.rate)
    tracklets: list[Tracklet] = []
    seen = 0
    for frame, detections in detect_clip(clip, detector, out, stage):
        for name, one in following.items():
            began = time.perf_counter()
            tracks = one.tracker.update(detections, frame.image)
            one.seconds += time.perf_counter() - began
            one.add(frame.index, tracks)
            if name == default:
                tracklets += collector.add(frame, tracks, detections)
        seen = frame.index
    tracklets += collector.finish()
    rows = []
    for name, one in following.items():
        found = np.concatenate(one.frame), np.concatenate(one.number), np.concatenate(one.xyxy)
        rows.append(TrackerRow(clip.name, name, score(clip, *found, seen), one.seconds * 1000 / max(seen, 1)))
    return rows + _steps(clip, tracklets, embedder, curve, seen, default)


def _steps(
    clip: Clip, tracklets: Sequence[Tracklet], embedder: Embedder, curve: Curve, seen: int, default: str
) -> list[TrackerRow]:
    embeddings = embed(tracklets, embedder)
    alone = {f"{COLLECTED}, {name}": (name,) for name in REPAIRS}
    rows = []
    for what, repairs in {COLLECTED: (), **alone, REPAIRED: tuple(REPAIRS)}.items():
        whole, _ = repair(tracklets, embeddings, curve, (seen - 1) / clip.rate, repairs)
        frames, numbers, xyxy = boxes_of(whole)
        rows.append(TrackerRow(clip.name, f"{default}, {what}", score(clip, frames, numbers, xyxy, seen)))
    return rows


def embed(tracklets: Sequence[Tracklet], embedder: Embedder) -> Embeddings:
    """Vectors of the tracklets' crops."""
    each = [embedder([decode_crop(crop) for crop in tracklet.crops]) for tracklet in tracklets]
    counts = np.array([len(vectors) for vectors in each], np.int64)
    vectors = np.concatenate([np.zeros((0, embedder.dim), np.float32), *each])
    return Embeddings(tuple(tracklet.key for tracklet in tracklets), counts, vectors, embedder.model_id)


def boxes_of(tracklets: Sequence[Tracklet]) -> tuple[Integers, Integers, Floats]:
    """Frames (n,), the tracklets' rows (n,) and boxes (n, 4) of all tracklets."""
    rows = np.repeat(np.arange(len(tracklets)), [len(tracklet.index) for tracklet in tracklets])
    frames = np.concatenate([np.zeros(0, np.int64), *(tracklet.index for tracklet in tracklets)])
    xyxy = np.concatenate([np.zeros((0, 4), np.float32), *(tracklet.xyxy for tracklet in tracklets)])
    return frames, rows.astype(np.int64), xyxy


def score(clip: Clip, frames: Integers, numbers: Integers, xyxy: Floats, seen: int) -> TrackingScores:
    """Scores of boxes against a clip's truth.

    Args:
        clip: that was followed.
        frames: (n,) of the boxes.
        numbers: (n,) who each is said to be.
        xyxy: (n, 4).
        seen: last frame of the clip; truth of later ones is left out.
    """
    known = clip.truth.frames
    assert known is not None  # open_clip has seen to it
    names, rows = np.unique(numbers, return_inverse=True)
    labelled = range(known.start, min(known.stop, seen + 1), known.step)
    scene = prepare(clip.name, clip.truth, Boxes.sorted(frames, rows, xyxy), labelled)
    return score_tracking([scene], np.arange(len(names)))
