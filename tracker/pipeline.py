"""The main job, straight through: recordings in, a run directory out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reid.calibration import Calibration
from reid.embed import Embedder
from reid.errors import BadInputError, ModelError
from reid.runtime import resolve_device
from tracker.conclusion import conclude
from tracker.detect import YoloDetector, detector_id
from tracker.embed import EmbeddingJob, embed_recordings
from tracker.errors import VideoError
from tracker.files import digest, sha256
from tracker.linking import NOTHING
from tracker.manifest import FORMAT, check_claim, known_contents, now, package_versions, write_manifest
from tracker.material import Work, gather
from tracker.options import RunOptions
from tracker.progress import Progress, Timings
from tracker.recordings import names_for
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
        failed: one message per recording that could not be read.
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
        RunError: the output cannot be written.
        ModelError: a model is absent or is not one.
    """
    timings = Timings()

    with timings.measure("opening"):
        recordings, failed = _open_recordings(options, progress)
        device = resolve_device(options.device)
        embedder = Embedder(options.embedder, options.device)
        calibration = _calibration(embedder)
        detector = detector_id(options.detector)
        works = [_work(recording, options, detector, embedder.model_id) for recording in recordings]
        manifest = _manifest(options, works)
        write_manifest(options.out, manifest)
    with timings.measure("tracking"):
        works, broken = _track(works, options, device, progress)
        failed += broken
    with timings.measure("embedding"):
        _embed(works, embedder, progress)
        material = gather(works, embedder.model_id, calibration.tracklets)
    manifest |= {
        "detector": detector,
        "device": device,
        "timings_s": timings.seconds,
        "recordings": _recording_entries(works, material.facts),
        "failed": failed,
    }
    lines = conclude(options.out, material, manifest, NOTHING, progress)
    return RunResult(options.out, tuple(lines), tuple(failed), tuple(manifest["warnings"]), options.absolute)


def _calibration(embedder: Embedder) -> Calibration:
    if embedder.calibration is None:
        raise ModelError(
            f"{embedder.path}: carries no calibration, so its similarities mean nothing here; export it again with"
            " `reidtrack export --calibrate market1501=FOLDER`"
        )
    return embedder.calibration


def _open_recordings(options: RunOptions, progress: Progress) -> tuple[list[Recording], list[str]]:
    """Open every file and take its content's hash; files that are no recordings are told and left out."""
    recordings: list[Recording] = []
    failed: list[str] = []
    known = known_contents(options.out)
    names = names_for(options.videos)
    for number, path in enumerate(options.videos):
        try:
            VideoReader(path).close()
            stat = path.stat()
            key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
            content = known.get(key) or sha256(path)
        except VideoError as error:
            failed.append(str(error))
            continue
        except OSError as error:
            failed.append(f"{path}: cannot be read ({error.strerror}); check the file and its permissions")
            continue
        same = next((other for other in recordings if other.content == content), None)
        if same:
            raise BadInputError(f"{path} and {same.path} are the same recording; give it once")
        camera = options.cameras[number] if options.cameras else names[number]
        start_s = options.starts[number] if options.starts else 0.0
        recordings.append(Recording(names[number], camera, path, content, start_s))
    if not recordings:
        raise VideoError(
            failed[0] if len(failed) == 1 else f"none of {len(failed)} recordings can be read: {failed[0]}"
        )
    check_claim(options.out, [recording.content for recording in recordings])
    for message in failed:
        progress.note(f"error: {message}")
    cameras = [recording.camera for recording in recordings]
    if not options.starts and len(set(cameras)) < len(cameras):
        progress.note("warning: several recordings of one camera all start at 0; give --start-times to tell them apart")
    return recordings, failed


def _work(recording: Recording, options: RunOptions, detector: str, embedder_id: str) -> Work:
    content = recording.content
    tracklets = digest(TRACKLETS_VERSION, detections_digest(content, detector), options.tracker, options.fps, CROPS)
    embeddings = digest(tracklets, embedder_id)
    folder = options.out / STAGES
    return Work(
        recording,
        detections_path(options.out, content, detector),
        folder / f"tracklets-{content[:8]}-{tracklets}.parquet",
        folder / f"embeddings-{content[:8]}-{embeddings}.parquet",
    )


def _manifest(options: RunOptions, works: Sequence[Work]) -> dict[str, Any]:
    asked = asdict(options) | {"videos": [str(path) for path in options.videos], "out": str(options.out)}
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
        stat = recording.path.stat()
        entries.append(
            {
                "name": recording.name,
                "camera": recording.camera,
                "path": str(recording.path.resolve()),
                "sha256": recording.content,
                "bytes": stat.st_size,
                "modified_ns": stat.st_mtime_ns,
                "start_s": recording.start_s,
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
                work.recording.name, work.recording.path, work.detections, work.tracklets, options.tracker, options.fps
            )
            name = f"tracking {work.recording.name} ({number} of {len(todo)})"
            try:
                with progress.stage(name, _expected_frames(job), "frames") as advance:
                    track_recording(job, detector, advance)
            except VideoError as error:
                failed[work.recording.name] = str(error)
                progress.note(f"error: {error}")
    if len(failed) == len(works):
        raise VideoError(next(iter(failed.values())))
    return [work for work in works if work.recording.name not in failed], list(failed.values())


def _expected_frames(job: TrackingJob) -> int:
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
