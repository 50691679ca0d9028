"""One recording from file to tracklets: decode, detect, follow, collect, in three threads and bounded memory."""

import contextlib
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tracker.associate import REMEMBER_S, TRACKERS, Tracker
from tracker.detect import Detector
from tracker.progress import Advance
from tracker.stages import DetectionLog, TrackingFacts, TrackletWriter
from tracker.tracklets import Collector
from tracker.types import Detections, Frame, Tracklet
from tracker.video import VideoReader, read_ahead

AHEAD_BYTES = 200_000_000  # of decoded pictures waiting, at most


@dataclass(frozen=True)
class TrackingJob:
    """What to do with one recording.

    Attributes:
        recording: its name.
        path: the video.
        log: the detections file, extended or made.
        out: the tracklets file, made.
        tracker: a name in ``TRACKERS``.
        fps: frames a second to look at; None for all.
    """

    recording: str
    path: Path
    log: Path
    out: Path
    tracker: str
    fps: float | None


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
                detections = _detections(batch, log, detector)
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


def _detections(batch: list[Frame], log: DetectionLog, detector: Detector) -> list[Detections]:
    """Each frame's detections: from the log where an earlier run made them, else from the detector."""
    found = {frame.index: log.get(frame.index) for frame in batch}
    new = [frame for frame in batch if found[frame.index] is None]
    if new:
        made = detector([frame.image for frame in new])
        log.append([frame.index for frame in new], made)
        found.update((frame.index, detections) for frame, detections in zip(new, made, strict=True))
    return [found[frame.index] or Detections.empty() for frame in batch]
