"""The main job, straight through: recordings in, a run directory out."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reid.calibration import Calibration, Curve
from reid.embed import Embedder, calibration_of
from reid.runtime import resolve_device
from tracker import site
from tracker.album import MIN_SCORE, damaged_message
from tracker.conclusion import conclude
from tracker.detect import YoloDetector, detector_id
from tracker.embed import EmbeddingJob, embed_recordings
from tracker.errors import VideoError
from tracker.files import digest
from tracker.linking.agglomeration import MIN_PROBABILITY
from tracker.lock import only_writer
from tracker.manifest import FORMAT, Manifest, now, package_versions, read_manifest, write_manifest
from tracker.material import Curves, Work, gather
from tracker.opening import open_recordings
from tracker.options import RunOptions
from tracker.progress import Progress, Timings
from tracker.relinking import prepare
from tracker.relinking.corrections import read_corrections
from tracker.relinking.earlier import former
from tracker.stages import (
    STAGES,
    TRACKLETS_VERSION,
    TrackingFacts,
    detections_digest,
    detections_path,
    read_embeddings,
    tracking_facts,
)
from tracker.store import Sighting
from tracker.track import TrackingJob, track_recording
from tracker.tracklets import CROPS
from tracker.types import Recording
from tracker.video import VideoReader


@dataclass(frozen=True)
class RunResult:
    """What a run found.

    Attributes:
        out: the run directory.
        sightings: one line per identity.
        failed: one message per recording or photo that could not be read.
        warnings: one message per recording that was damaged.
        absolute: whether times are seconds since the epoch.
    """

    out: Path
    sightings: tuple[Sighting, ...]
    failed: tuple[str, ...]
    warnings: tuple[str, ...]
    absolute: bool


def run(options: RunOptions, progress: Progress) -> RunResult:
    """Do the main job: who is on these recordings, and who is the same person from camera to camera.

    Every stage's output that exists and verifies is used as it is, so the same call after an interruption continues,
    and adding a recording computes only what depends on it.

    Raises:
        BadInputError: options that cannot be meant, or ``out`` holds another run.
        VideoError: not one recording can be read.
        RunError: the output cannot be written, or somebody else is writing it.
        ModelError: a model is absent or is not one.
    """
    timings = Timings()
    with contextlib.ExitStack() as alone:
        with timings.measure("opening"):
            recordings, failed = open_recordings(options, progress)
            alone.enter_context(only_writer(options.out, options.out))
            device = resolve_device(options.device)
            embedder = Embedder(options.embedder, options.device)
            calibration = calibration_of(embedder)
            detector = detector_id(options.detector)
            works = [_work(recording, options, detector, embedder.model_id) for recording in recordings]
            fitted = site.read(options.out, embedder.model_id)
            past = read_manifest(options.out)
            manifest = _manifest(options, works, past) | {"former": former(options.out, past)}
            write_manifest(options.out, manifest)
        with timings.measure("tracking"):
            works, broken = _track(works, options, device, progress)
            failed += broken
        with timings.measure("embedding"):
            _embed(works, embedder, progress)
            own = _curve(calibration, works)
            curves = Curves(own, fitted or own)
            material = gather(works, embedder.model_id, curves)
        manifest |= {
            "detector": detector,
            "device": device,
            "timings_s": timings.seconds,
            "recordings": _recording_entries(works, material.facts),
            "failed": failed,
            **site.told(own),
        }
        plan = prepare(works, material, manifest, read_corrections(options.out, progress.note), progress.note)
        lines = conclude(options.out, plan.material, manifest, plan.known, progress)
        return RunResult(options.out, tuple(lines), tuple(failed), tuple(manifest["warnings"]), options.absolute)


def _curve(calibration: Calibration, works: Sequence[Work]) -> Curve:
    """What similarities mean: those of tracklets, or of single crops where there are photos and nothing else."""
    return calibration.crops if all(work.recording.photos for work in works) else calibration.tracklets


def _work(recording: Recording, options: RunOptions, detector: str, embedder_id: str) -> Work:
    content = recording.content
    following = (MIN_SCORE,) if recording.photos else (options.tracker, options.fps, CROPS)
    tracklets = digest(TRACKLETS_VERSION, detections_digest(content, detector), *following)
    embeddings = digest(tracklets, embedder_id)
    folder = options.out / STAGES
    return Work(
        recording,
        detections_path(options.out, content, detector),
        folder / f"tracklets-{content[:8]}-{tracklets}.parquet",
        folder / f"embeddings-{content[:8]}-{embeddings}.parquet",
    )


def _manifest(options: RunOptions, works: Sequence[Work], past: Manifest | None) -> Manifest:
    own = past["options"].get("min_probability", MIN_PROBABILITY) if past else MIN_PROBABILITY
    asked = asdict(options) | {
        "videos": [str(path) for path in options.videos],
        "images": [str(path) for path in options.images],
        "out": str(options.out),
        "min_probability": own if options.min_probability is None else options.min_probability,
    }
    return {
        "format": FORMAT,
        "status": "incomplete",
        "started": now(),
        "versions": package_versions(),
        "options": asked,
        "recordings": _recording_entries(works, [None] * len(works)),
    }


def _recording_entries(works: Sequence[Work], facts: Sequence[TrackingFacts | None]) -> list[dict[str, Any]]:
    entries = []
    for work, fact in zip(works, facts, strict=True):
        recording = work.recording
        entries.append(
            {
                "name": recording.name,
                "camera": recording.camera,
                "path": str(recording.path.resolve()),
                "sha256": recording.content,
                "bytes": recording.size,
                "modified_ns": recording.modified_ns,
                "start_s": recording.start_s,
                **({"photos": list(recording.photos)} if recording.photos else {}),
                "stages": {
                    "detections": work.detections.name,
                    "tracklets": work.tracklets.name,
                    "embeddings": work.embeddings.name,
                },
                **({"video": asdict(fact)} if fact else {}),
            }
        )
    return entries


def _track(works: Sequence[Work], options: RunOptions, device: str, progress: Progress) -> tuple[list[Work], list[str]]:
    """Make the tracklets files that are missing; recordings that turn out unreadable are told and left out."""
    todo = [work for work in works if tracking_facts(work.tracklets) is None]
    failed: dict[str, str] = {}
    if todo:
        if len(todo) < len(works):
            progress.note(f"{len(works) - len(todo)} of {len(works)} recordings are done already")
        detector = YoloDetector(options.detector, device)
        for number, work in enumerate(todo, 1):
            job = TrackingJob(
                work.recording.name,
                work.recording.path,
                work.detections,
                work.tracklets,
                options.tracker,
                options.fps,
                work.recording.photos,
            )
            name = f"tracking {work.recording.name} ({number} of {len(todo)})"
            try:
                with progress.stage(name, _expected_frames(job), "photos" if job.photos else "frames") as advance:
                    track_recording(job, detector, advance)
            except VideoError as error:
                failed[work.recording.name] = str(error)
                progress.note(f"error: {error}")
    if len(failed) == len(works):
        raise VideoError(next(iter(failed.values())))
    done = [work for work in works if work.recording.name not in failed]
    damaged = _damaged_photos(done)
    for message in damaged:
        progress.note(f"error: {message}")
    return done, [*failed.values(), *damaged]


def _damaged_photos(works: Sequence[Work]) -> list[str]:
    """One message for each photo that was found to be none, in this run or in an earlier one."""
    return [
        damaged_message(work.recording.path / name)
        for work in works
        if work.recording.photos and (facts := tracking_facts(work.tracklets))
        for name in facts.damaged
    ]


def _expected_frames(job: TrackingJob) -> int:
    if job.photos:
        return len(job.photos)
    with VideoReader(job.path) as video:
        info = video.info
    if job.fps and info.rate > job.fps:
        return round(info.frames * job.fps / info.rate)
    return info.frames


def _embed(works: Sequence[Work], embedder: Embedder, progress: Progress) -> None:
    """Make the embeddings files that are missing."""
    todo = [
        EmbeddingJob(work.recording.name, work.tracklets, work.embeddings)
        for work in works
        if read_embeddings(work.embeddings, work.recording.name, embedder.model_id) is None
    ]
    if todo:
        total = sum(facts.tracklets for job in todo if (facts := tracking_facts(job.tracklets)))
        with progress.stage("embedding", total, "tracklets") as advance:
            embed_recordings(todo, embedder, advance)
