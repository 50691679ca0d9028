"""Small worlds with known people: scenes in memory, and finished runs on disk by the code that writes real ones."""

import numpy as np

from tracker.manifest import FORMAT, write_manifest
from tracker.outputs import Found, write_results
from tracker.scoring.boxes import Boxes
from tracker.scoring.found import FoundTracklets
from tracker.scoring.scene import Scene
from tracker.stages import DetectionLog, detections_path
from tracker.types import Crop, Detections, Identity, Recording, Tracklet, TrackletKey

SIZE = (10, 20)


def boxes(*rows):
    """Boxes of 10 x 20 pixels from (frame, id, left) or (frame, id, left, top)."""
    corners = [(left, *(rest or [0])) for _, _, left, *rest in rows]
    return Boxes.sorted(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [(left, top, left + SIZE[0], top + SIZE[1]) for left, top in corners],
    )


def scene(people, found, *, name="a", frames=None, left_out=None, detected=None, iou=0.5):
    """A scene of boxes; every frame up to the last is labelled."""
    last = max([0, *people.frame.tolist(), *found.frame.tolist()])
    empty = Boxes.empty()
    return Scene(name, frames or range(1, last + 1), people, found, left_out or empty, detected, iou)


def table(identity, *, recording=None, spans=None, vectors=None):
    """A table of tracklets: row by row their identity, recording, (start, end) in seconds and vector."""
    count = len(identity)
    recording = recording or ["a"] * count
    start, end = np.array(spans if spans else [(0.0, 1.0)] * count).reshape(-1, 2).T
    return FoundTracklets(
        tuple(TrackletKey(name, row + 1) for row, name in enumerate(recording)),
        tuple(recording),
        np.array(identity, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        start,
        end,
        np.eye(max(count, 1), dtype=np.float32)[:count] if vectors is None else np.array(vectors, np.float32),
        np.zeros(count, bool),
    )


def write_run(out, tracks, *, identity, cameras=None, rate=10.0, frames=20, detections=None, vectors=None):
    """A finished run directory.

    Args:
        out: the folder.
        tracks: {recording: {track number: {frame: xyxy}}}.
        identity: {(recording, track number): identity}.
        cameras: {recording: camera}; the recording's name where it is absent.
        detections: {recording: {frame: [xyxy]}} to keep a log of; None keeps none.
        vectors: {(recording, track number): vector}; None gives each identity an axis.
    """
    cameras = cameras or {}
    recordings = [Recording(name, cameras.get(name, name), out / f"{name}.mp4", name * 64) for name in tracks]
    found = [
        _tracklet(recording, number, path, rate)
        for recording in recordings
        for number, path in tracks[recording.name].items()
    ]
    people = sorted(set(identity.values()))
    axes = np.eye(max(len(people), 2), dtype=np.float32)
    rows = [axes[people.index(identity[one.key])] if vectors is None else vectors[one.key] for one in found]
    members = {number: [one.key for one in found if identity[one.key] == number] for number in people}
    out.mkdir(parents=True, exist_ok=True)
    unit = np.array(rows, np.float32).reshape(len(rows), -1) if rows else np.zeros((0, 2), np.float32)
    identities = [Identity(number, tuple(keys), ()) for number, keys in members.items()]
    write_results(out, Found(recordings, found, unit, identities, "model"))
    video = {"frames": frames, "sampled": frames, "lost": 0}
    entries = [
        {"name": r.name, "camera": r.camera, "path": str(r.path), "sha256": r.content, "start_s": 0.0, "video": video}
        for r in recordings
    ]
    write_manifest(out, {"format": FORMAT, "status": "complete", "detector": "det", "recordings": entries})
    for recording in recordings if detections is not None else ():
        with DetectionLog(detections_path(out, recording.content, "det")) as file:
            for frame, there in detections[recording.name].items():
                file.append(
                    [frame], [Detections(np.array(there, np.float32).reshape(-1, 4), np.ones(len(there), np.float32))]
                )
    return out


def _tracklet(recording, number, path, rate):
    index = np.array(sorted(path), np.int64)
    return Tracklet(
        TrackletKey(recording.name, number),
        recording.camera,
        index,
        (index - 1) / rate,
        np.array([path[frame] for frame in sorted(path)], np.float32),
        np.ones(len(index), np.float32),
        (Crop(int(index[0]), 0.5, b"jpeg"),),
    )


def write_truth(folder, people, suffix=""):
    """``<name>.txt`` for each recording of {recording: {person: {frame: xyxy}}}."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, paths in people.items():
        lines = [
            f"{frame},{person},{left},{top},{right - left},{bottom - top},1,-1,-1,-1\n"
            for person, path in paths.items()
            for frame, (left, top, right, bottom) in path.items()
        ]
        (folder / f"{name}{suffix}.txt").write_text("".join(lines))
    return folder


def standing(left, frames, top=0):
    """Somebody who does not move: {frame: xyxy}."""
    return dict.fromkeys(frames, (left, top, left + SIZE[0], top + SIZE[1]))
