"""One recording from file to tracklets: decode, detect, follow, collect, in three threads and bounded memory."""

import contextlib
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tracker.album import people, read_photos
from tracker.associate import REMEMBER_S, TRACKERS, Tracker
from tracker.detect import Detector
from tracker.errors import VideoError
from tracker.progress import Advance
from tracker.stages import DetectionLog, TrackingFacts, TrackletWriter
from tracker.tracklets import Collector
from tracker.types import Detections, Frame, Tracklet
from tracker.video import VideoReader, read_ahead

AHEAD_BYTES = 200_000_000  # of decoded pictures waiting, at most
AHEAD_PHOTOS = 2


@dataclass(frozen=True)
class TrackingJob:
    """What to do with one recording.

    Attributes:
        recording: its name.
        path: the video, or an album's folder.
        log: the detections file, extended or made.
        out: the tracklets file, made.
        tracker: a name in ``TRACKERS``.
        fps: frames a second to look at; None for all.
        photos: names of an album's photos; neither tracker nor fps concerns them.
    """

    recording: str
    path: Path
    log: Path
    out: Path
    tracker: str
    fps: float | None
    photos: tuple[str, ...] = ()


def track_recording(job: TrackingJob, detector: Detector, advance: Advance) -> TrackingFacts:
    """Find and follow the people of one recording.

    A decoding thread reads ahead and a following thread works on the batch before while this thread detects.

    Args:
        job: input and output files.
        detector: shared by all recordings; it keeps no state between calls.
        advance: called with the number of frames just looked at.

    Raises:
        VideoError: the recording cannot be read.
        RunError: the output cannot be written; detections made so far are kept in the log.
    """
    return _look_through(job, detector, advance) if job.photos else _follow(job, detector, advance)


def _look_through(job: TrackingJob, detector: Detector, advance: Advance) -> TrackingFacts:
    began = time.monotonic()
    seen: list[int] = []
    with (
        DetectionLog(job.log) as log,
        TrackletWriter(job.out) as writer,
        contextlib.closing(read_ahead(read_photos(job.path, job.photos), AHEAD_PHOTOS)) as frames,
    ):
        for frame in frames:
            (found,) = detections_of([frame], log, detector)  # one by one: a batch is of one size
            writer.add(people(frame, found, job.recording, writer.count))
            seen.append(frame.index)
            advance(1)
        if not seen:
            raise VideoError(f"{job.path}: none of its {len(job.photos)} photos can be decoded; copy them again")
        unseen = sorted(set(range(1, len(job.photos) + 1)) - set(seen))
        facts = TrackingFacts(
            frames=len(seen),
            sampled=len(seen),
            lost=len(unseen),
            tracklets=writer.count,
            width=0,
            height=0,
            rate=0.0,
            codec="photos",
            start_s=float(seen[0]),
            end_s=float(seen[-1]),
            seconds=round(time.monotonic() - began, 3),
            damaged=tuple(job.photos[number - 1] for number in unseen),
        )
        writer.finish(facts)
    return facts


def _follow(job: TrackingJob, detector: Detector, advance: Advance) -> TrackingFacts:
    began = time.monotonic()
    first = last = None
    sampled = 0
    with (
        VideoReader(job.path, fps=job.fps) as video,
        DetectionLog(job.log) as log,
        TrackletWriter(job.out) as writer,
        ThreadPoolExecutor(1, thread_name_prefix="follow") as pool,
    ):
        info = video.info
        rate = min(job.fps or info.rate or 25, info.rate or 25)
        follower = _Follower(TRACKERS[job.tracker](rate), Collector(job.recording, "", REMEMBER_S * 1.5 + 2 / rate))
        ahead = int(max(4, min(64, AHEAD_BYTES / max(info.width * info.height * 3, 1))))
        with contextlib.closing(read_ahead(iter(video), ahead)) as frames:
            before: Future[list[Tracklet]] | None = None
            for batch in batches(frames, detector.batch):
                detections = detections_of(batch, log, detector)
                if before is not None:
                    writer.add(before.result())
                before = pool.submit(follower.follow, batch, detections)
                first = first or batch[0]
                last = batch[-1]
                sampled += len(batch)
                advance(len(batch))
        if before is not None:
            writer.add(before.result())
        writer.add(follower.collector.finish())
        height, width = last.image.shape[:2] if last else (info.height, info.width)
        facts = TrackingFacts(
            frames=video.decoded,
            sampled=sampled,
            lost=video.lost,
            tracklets=writer.count,
            width=width,
            height=height,
            rate=info.rate,
            codec=info.codec,
            start_s=first.time_s if first else 0.0,
            end_s=last.time_s if last else 0.0,
            seconds=round(time.monotonic() - began, 3),
        )
        writer.finish(facts)
    return facts


@dataclass
class _Follower:
    tracker: Tracker
    collector: Collector

    def follow(self, frames: list[Frame], detections: list[Detections]) -> list[Tracklet]:
        """Advance tracker and collector; returns the tracklets that closed."""
        closed = []
        for frame, found in zip(frames, detections, strict=True):
            tracks = self.tracker.update(found, frame.image)
            closed += self.collector.add(frame, tracks, found)
        return closed


def batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    """Frames in lists of ``size``, the last one shorter."""
    while batch := list(itertools.islice(frames, size)):
        yield batch


def detections_of(batch: list[Frame], log: DetectionLog, detector: Detector) -> list[Detections]:
    """Each frame's detections: from the log where an earlier run made them, else from the detector."""
    found = {frame.index: log.get(frame.index) for frame in batch}
    new = [frame for frame in batch if found[frame.index] is None]
    if new:
        made = detector([frame.image for frame in new])
        log.append([frame.index for frame in new], made)
        found.update((frame.index, detections) for frame, detections in zip(new, made, strict=True))
    return [found[frame.index] or Detections.empty() for frame in batch]
