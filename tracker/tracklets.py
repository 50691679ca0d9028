"""From tracks to tracklets: gathering boxes, keeping each person's best pictures, throwing the rest away.

Memory is bounded by the people in view: a track that is not seen for a while is closed, its pictures are encoded, and
its owner is handed it.
"""

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from reid.evaluation.search import overlap
from reid.images import FULL_HEIGHT, resize_crop, sharpness
from tracker.types import Crop, Detections, Floats, Frame, Image, Tracklet, TrackletKey, Tracks

CROPS = 32  # pictures kept of a tracklet
SPACING_S = 0.4  # of time that one picture stands for, at least: neighbours in time hardly differ
MIN_BOXES = 3  # shorter tracks are noise
MAX_HEIGHT = 256  # pixels of a kept picture: as many as embedders look at
JPEG_QUALITY = 95

EDGE_PIXELS = 2.0  # a box this near to the picture's edge is cut by it
EDGE_FACTOR = 0.4
RIVAL_SCORE = 0.3  # weaker boxes are too often ghosts to count as someone

LOOK_BACK_S = 1.0  # before a track begins: about as long as trackers take to be sure
FOLLOW_IOU = 0.3  # of one person's boxes in neighbouring frames, at least
SAME_BOX_IOU = 0.7  # of a detection and the track that took it, or took its twin


def geometric_quality(detections: Detections, others: Detections, shape: tuple[int, int]) -> Floats:
    """How well each box shows a whole person, before looking at pixels.

    The product of detection confidence, size (height up to 128 pixels), a factor for boxes cut by the picture's edge
    and the square of the share of the box that no other box covers.

    Args:
        detections: n boxes to judge.
        others: all boxes of the frame, the judged ones included.
        shape: (height, width) of the picture.

    Returns:
        (n,) float32 in 0..1.
    """
    boxes = detections.xyxy
    x1, y1, x2, y2 = boxes.T
    height, width = shape
    size = np.clip((y2 - y1) / FULL_HEIGHT, 0, 1)
    cut = (x1 < EDGE_PIXELS) | (y1 < EDGE_PIXELS) | (x2 > width - EDGE_PIXELS) | (y2 > height - EDGE_PIXELS)
    rivals = others.xyxy[others.score >= RIVAL_SCORE]
    free = 1 - _largest_cover(boxes, rivals)
    quality = detections.score * size * np.where(cut, EDGE_FACTOR, 1) * free**2
    return np.asarray(quality, np.float32)


def _largest_cover(boxes: Floats, rivals: Floats) -> Floats:
    """(n,) largest share of each box that one rival covers; the box itself among the rivals does not count."""
    if not len(boxes) or not len(rivals):
        return np.zeros(len(boxes), np.float32)
    low = np.maximum(boxes[:, None, :2], rivals[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], rivals[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 1e-6, None).prod(1)
    shared[(boxes[:, None] == rivals[None]).all(2)] = 0
    return np.asarray(shared.max(1) / area, np.float32)


@dataclass
class _Candidate:
    index: int
    time_s: float
    quality: float
    image: Image


@dataclass
class BestCrops:
    """Pictures of one person, spread over the whole track: the best of each stretch of time, at most ``limit``.

    Stretches are ``SPACING_S`` long; where a track outgrows ``limit`` of them, they double. A track that passes from
    one person to another therefore has pictures of both, wherever the better ones are.
    """

    limit: int = CROPS
    kept: dict[int, _Candidate] = field(default_factory=dict)  # by stretch
    _start_s: float | None = None
    _length_s: float = SPACING_S

    def offer(self, frame: Frame, box: Floats, quality: float) -> None:
        """Consider the picture inside ``box``, (4,) pixels, whose geometric quality is ``quality``."""
        stretch = self._stretch(frame.time_s)
        rival = self.kept.get(stretch)
        bar = rival.quality if rival else -1.0
        if bar >= quality:
            return  # sharpness is at most 1: it cannot win, whatever its pixels
        x1, y1, x2, y2 = np.clip(box.round().astype(int), 0, None)
        view = frame.image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        if view.size == 0:
            return
        quality *= sharpness(np.asarray(cv2.cvtColor(view, cv2.COLOR_BGR2GRAY), np.uint8))
        if quality > bar:
            self.kept[stretch] = _Candidate(frame.index, frame.time_s, quality, _bounded(view))

    def _stretch(self, time_s: float) -> int:
        """Number of the stretch that holds a time; makes stretches longer until there are few enough."""
        self._start_s = time_s if self._start_s is None else self._start_s
        while (stretch := max(int((time_s - self._start_s) / self._length_s), 0)) >= self.limit:
            self._length_s *= 2
            kept, self.kept = self.kept, {}
            for number, candidate in kept.items():
                rival = self.kept.get(number // 2)
                if rival is None or candidate.quality > rival.quality:
                    self.kept[number // 2] = candidate
        return stretch

    def encode(self) -> tuple[Crop, ...]:
        """The kept pictures as JPEG, in order of time."""
        return tuple(
            Crop(candidate.index, candidate.quality, encode_jpeg(candidate.image))
            for candidate in sorted(self.kept.values(), key=lambda candidate: candidate.index)
        )


def _bounded(view: Image) -> Image:
    height, width = view.shape[:2]
    if height <= MAX_HEIGHT:
        return view.copy()
    return resize_crop(view, (MAX_HEIGHT, max(round(width * MAX_HEIGHT / height), 1)))


def encode_jpeg(image: Image) -> bytes:
    """(h, w, 3) BGR uint8 to JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


@dataclass
class Unclaimed:
    """Detections of the last moments that no track took, for tracks that begin later.

    Trackers report a person once they are sure of them, some frames after the first detection; those first ones are
    the person's too.
    """

    frames: deque[tuple[int, float, Detections]] = field(default_factory=deque)

    def remember(self, frame: Frame, tracks: Tracks, detections: Detections) -> None:
        """Keep what this frame's tracks left, and forget what is too long ago."""
        taken = overlap(detections.xyxy, tracks.detections.xyxy).max(1, initial=0) >= SAME_BOX_IOU
        free = ~taken & (detections.score >= RIVAL_SCORE)
        self.frames.append((frame.index, frame.time_s, Detections(detections.xyxy[free], detections.score[free])))
        while self.frames[0][1] < frame.time_s - LOOK_BACK_S:
            self.frames.popleft()

    def claim(self, box: Floats) -> list[tuple[int, float, Floats, float]]:
        """Take the detections that lead up to ``box``, (4,) of the present frame: frame by frame, the latest first.

        Returns:
            (index, time, box, score) each, in order of time; none after a frame without one that overlaps enough.
        """
        found = []
        for place in range(len(self.frames) - 1, -1, -1):
            index, time_s, free = self.frames[place]
            overlaps = overlap(free.xyxy, box[None])[:, 0]
            if not len(free) or overlaps.max() < FOLLOW_IOU:
                break
            row = int(overlaps.argmax())
            box = free.xyxy[row]
            found.append((index, time_s, box, float(free.score[row])))
            rest = np.arange(len(free)) != row
            self.frames[place] = (index, time_s, Detections(free.xyxy[rest], free.score[rest]))
        return found[::-1]


@dataclass
class _Open:
    """A track still followed; boxes wait as plain rows until it closes."""

    key: TrackletKey
    crops: BestCrops
    index: list[int] = field(default_factory=list)
    time_s: list[float] = field(default_factory=list)
    boxes: list[Floats] = field(default_factory=list)
    score: list[float] = field(default_factory=list)

    def append(self, index: int, time_s: float, box: Floats, score: float) -> None:
        """Add a box that is later than all others."""
        self.index.append(index)
        self.time_s.append(time_s)
        self.boxes.append(box)
        self.score.append(score)


class Collector:
    """Gathers one recording's tracks into tracklets.

    Args:
        recording: its name; tracklets are numbered from 1 in order of appearance.
        camera: copied into tracklets.
        close_after_s: a track not seen for this long is closed; at least the tracker's own memory.
        crops: best pictures kept of each.
    """

    def __init__(self, recording: str, camera: str, close_after_s: float, crops: int = CROPS) -> None:
        self.recording, self.camera = recording, camera
        self.close_after_s, self.crops = close_after_s, crops
        self._open: dict[int, _Open] = {}
        self._unclaimed = Unclaimed()
        self._seen = 0

    def add(self, frame: Frame, tracks: Tracks, detections: Detections) -> list[Tracklet]:
        """Take one frame's tracks and all its detections; returns the tracklets that closed."""
        closed = self._close(before_s=frame.time_s - self.close_after_s)  # first: a tracker may bridge a gap in time
        height, width = frame.image.shape[:2]
        quality = geometric_quality(tracks.detections, detections, (height, width))
        for row, track_id in enumerate(tracks.track_id.tolist()):
            box = tracks.detections.xyxy[row]
            if track_id not in self._open:
                self._seen += 1
                self._open[track_id] = _Open(TrackletKey(self.recording, self._seen), BestCrops(self.crops))
                for earlier in self._unclaimed.claim(box):
                    self._open[track_id].append(*earlier)
            track = self._open[track_id]
            track.append(frame.index, frame.time_s, box, float(tracks.detections.score[row]))
            track.crops.offer(frame, box, float(quality[row]))
        self._unclaimed.remember(frame, tracks, detections)
        return closed

    def finish(self) -> list[Tracklet]:
        """Close all that is still open."""
        return self._close(before_s=float("inf"))

    def _close(self, before_s: float) -> list[Tracklet]:
        over = [track_id for track_id, track in self._open.items() if track.time_s[-1] < before_s]
        closed = (self._open.pop(track_id) for track_id in over)
        return [self._tracklet(track) for track in closed if len(track.index) >= MIN_BOXES and track.crops.kept]

    def _tracklet(self, track: _Open) -> Tracklet:
        return Tracklet(
            track.key,
            self.camera,
            np.array(track.index, np.int64),
            np.array(track.time_s, np.float64),
            np.array(track.boxes, np.float32),
            np.array(track.score, np.float32),
            track.crops.encode(),
        )
