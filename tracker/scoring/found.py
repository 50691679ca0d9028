"""What a finished run found, read from the files that the README documents; only the detections come from its stages.

The MOT files hold identities, not tracklets. Two tracklets of one identity never share a moment in one camera, so an
identity and a frame name the tracklet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracker.errors import RunError
from tracker.scoring.boxes import Boxes, read_mot_lines
from tracker.stages import DetectionLog, detections_path
from tracker.store import Run, tracks_name
from tracker.types import Floats, Integers, Recording, Times, TrackletKey


@dataclass(frozen=True)
class FoundTracklets:
    """A run's n tracklets, row by row.

    Attributes:
        keys: their names.
        camera: of each.
        identity: (n,) int64.
        first_frame, last_frame: (n,) int64.
        start_s, end_s: (n,) float64.
        vectors: (n, d) float32 of unit norm.
    """

    keys: tuple[TrackletKey, ...]
    camera: tuple[str, ...]
    identity: Integers
    first_frame: Integers
    last_frame: Integers
    start_s: Times
    end_s: Times
    vectors: Floats

    def __len__(self) -> int:
        return len(self.keys)


def read_tracklet_table(run: Run) -> FoundTracklets:
    """The LanceDB table of a run as arrays."""
    table = run.tracklets()
    column = table["vector"].combine_chunks()
    vectors = np.asarray(column.flatten().to_numpy(), np.float32).reshape(len(table), column.type.list_size)
    values = {name: table[name].to_pylist() for name in table.column_names if name != "vector"}
    return FoundTracklets(
        keys=tuple(map(TrackletKey, values["recording"], values["track_id"])),
        camera=tuple(values["camera"]),
        identity=np.array(values["identity"], np.int64),
        first_frame=np.array(values["first_frame"], np.int64),
        last_frame=np.array(values["last_frame"], np.int64),
        start_s=np.array(values["start_s"], np.float64),
        end_s=np.array(values["end_s"], np.float64),
        vectors=vectors,
    )


def recordings_of(run: Run) -> list[Recording]:
    """The recordings that ``run.json`` lists."""
    return [
        Recording(entry["name"], entry["camera"], Path(entry["path"]), entry["sha256"], entry["start_s"])
        for entry in run.manifest["recordings"]
    ]


def read_found(run: Run, recording: Recording, recordings: Sequence[Recording], tracklets: FoundTracklets) -> Boxes:
    """Boxes of one recording; their ids are rows of ``tracklets``.

    Raises:
        RunError: the recording's MOT file is absent or does not fit the tracklets.
        DataError: a line of it is malformed.
    """
    path = run.path / tracks_name(recording, recordings)
    if not path.is_file():
        raise RunError(f"{path}: absent; give the `reidtrack run` command again")
    boxes = read_mot_lines(path).boxes
    rows = np.full(len(boxes), -1, np.int64)
    of_recording = np.array([key.recording == recording.name for key in tracklets.keys], bool)
    for identity in np.unique(tracklets.identity[of_recording]):
        members = np.flatnonzero(of_recording & (tracklets.identity == identity))
        members = members[np.argsort(tracklets.first_frame[members])]
        lines = np.flatnonzero(boxes.id == identity)
        place = np.searchsorted(tracklets.first_frame[members], boxes.frame[lines], "right") - 1
        member = members[np.maximum(place, 0)]
        fits = (place >= 0) & (boxes.frame[lines] <= tracklets.last_frame[member])
        rows[lines] = np.where(fits, member, -1)
    if (rows < 0).any():
        raise RunError(f"{path}: does not fit the run's tracklets; give the `reidtrack run` command again")
    return Boxes(boxes.frame, rows, boxes.xyxy)


def read_detections(run: Run, recording: Recording, frames: range) -> Boxes | None:
    """All that the detector found in ``frames``, ids 0; None where the run's stages are gone."""
    path = detections_path(run.path, recording.content, run.manifest["detector"])
    if not path.is_file():
        return None
    kept = DetectionLog(path)
    found = [(frame, detections) for frame in frames if (detections := kept.get(frame)) is not None]
    numbers = np.repeat([frame for frame, _ in found], [len(detections) for _, detections in found])
    corners = np.concatenate([np.zeros((0, 4)), *(detections.xyxy for _, detections in found)])
    return Boxes.sorted(numbers, np.zeros(len(numbers)), corners)


def scored_frames(run: Run, recording: Recording, found: Boxes, labelled: range) -> tuple[range, list[str]]:
    """Those of the labelled frames that the recording has, and warnings.

    Args:
        run: with the facts of its recordings.
        recording: of the run.
        found: its boxes.
        labelled: frames; they may go on after the recording's end.
    """
    entry: dict[str, Any] = next(entry for entry in run.manifest["recordings"] if entry["name"] == recording.name)
    facts = entry.get("video")
    if not facts:
        return labelled, []
    length = facts["frames"] + facts["lost"]
    frames = range(labelled.start, min(labelled.stop, length + 1), labelled.step)
    notes = []
    if len(frames) < len(labelled):
        notes.append(f"{recording.name}: has {length} frames; the truth of later ones is not scored")
    step = int(np.gcd.reduce(np.diff(np.unique(found.frame)))) or 1
    unseen = sum((frame - int(found.frame[0])) % step != 0 for frame in frames) if len(found) else 0
    if unseen and facts["sampled"] < facts["frames"]:
        notes.append(
            f"warning: {recording.name}: the run looked at {facts['sampled']} of {facts['frames']} frames; {unseen} of"
            f" the {len(frames)} that are scored are not among them, and people there count as missed; --frames"
            " chooses others"
        )
    return frames, notes
