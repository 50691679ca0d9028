"""What a finished run found, read from the files that the README documents; only the detections come from its stages.

The MOT files hold identities, not tracklets. Two tracklets of one identity seldom share a moment in one camera, so an
identity and a frame name the tracklet; where a correction joined two of one moment, ``_share`` tells them apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from reid.centre import camera_means, centred
from tracker.errors import RunError
from tracker.manifest import recording_of
from tracker.scoring.boxes import Boxes, read_mot_lines
from tracker.stages import DetectionLog, detections_path
from tracker.store import Run, tracks_name
from tracker.types import Floats, Integers, Recording, Times, TrackletKey

_SURE = 1e9  # more than all corners of a frame are apart


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
        photo: (n,) bool: of an album.
    """

    keys: tuple[TrackletKey, ...]
    camera: tuple[str, ...]
    identity: Integers
    first_frame: Integers
    last_frame: Integers
    start_s: Times
    end_s: Times
    vectors: Floats
    photo: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keys)

    def centred(self) -> Floats:
        """(n, d) as linking compares them: see ``tracker.material.Material.centred``."""
        means = camera_means(self.vectors, np.array(self.camera, np.str_))
        means[self.photo] = 0
        return np.asarray(centred(self.vectors, means), np.float32)


def read_tracklet_table(run: Run) -> FoundTracklets:
    """The LanceDB table of a run as arrays."""
    table = run.tracklets()
    column = table["vector"].combine_chunks()
    vectors = np.asarray(column.flatten().to_numpy(), np.float32).reshape(len(table), column.type.list_size)
    values = {name: table[name].to_pylist() for name in table.column_names if name != "vector"}
    albums = [recording.name for recording in recordings_of(run) if recording.photos]
    return FoundTracklets(
        keys=tuple(map(TrackletKey, values["recording"], values["track_id"])),
        camera=tuple(values["camera"]),
        identity=np.array(values["identity"], np.int64),
        first_frame=np.array(values["first_frame"], np.int64),
        last_frame=np.array(values["last_frame"], np.int64),
        start_s=np.array(values["start_s"], np.float64),
        end_s=np.array(values["end_s"], np.float64),
        vectors=vectors,
        photo=np.isin(np.array(values["recording"], np.str_), albums),
    )


def recordings_of(run: Run) -> list[Recording]:
    """The recordings that ``run.json`` lists."""
    return [recording_of(entry) for entry in run.manifest["recordings"]]


def read_found(run: Run, recording: Recording, recordings: Sequence[Recording], tracklets: FoundTracklets) -> Boxes:
    """Boxes of one recording; their ids are rows of ``tracklets``.

    Raises:
        RunError: the recording's MOT file is absent or does not fit the tracklets.
        DataError: a line of it is malformed.
    """
    path = run.path / tracks_name(recording, recordings)
    if not path.is_file():
        raise RunError(f"{path}: absent; give the `reidtrack run` command again")
    boxes = read_mot_lines(path, once=False).boxes
    rows = np.full(len(boxes), -1, np.int64)
    of_recording = np.array([key.recording == recording.name for key in tracklets.keys], bool)
    for identity in np.unique(tracklets.identity[of_recording]):
        members = np.flatnonzero(of_recording & (tracklets.identity == identity))
        lines = np.flatnonzero(boxes.id == identity)
        place = _share(boxes.take(lines), tracklets.first_frame[members], tracklets.last_frame[members])
        rows[lines] = np.where(place >= 0, members[place], -1)
    if (rows < 0).any():
        raise RunError(f"{path}: does not fit the run's tracklets; give the `reidtrack run` command again")
    return Boxes(boxes.frame, rows, boxes.xyxy)


def _share(boxes: Boxes, first: Integers, last: Integers) -> Integers:
    """(n,) for each box of one identity the place of its tracklet; -1 where none fits.

    Of several in a frame each tracklet has one, in the order of the table, as ``write_mot`` has them. Where fewer are
    there than tracklets that may be, those that begin or end with this frame are, and of the others those whose last
    boxes were nearest.

    Args:
        boxes: n.
        first, last: (m,) frames of the identity's tracklets.
    """
    place = np.full(len(boxes), -1, np.int64)
    order = np.argsort(first, kind="stable")
    if (first[order][1:] > last[order][:-1]).all():
        before = np.searchsorted(first[order], boxes.frame, "right") - 1
        fits = (before >= 0) & (boxes.frame <= last[order][np.maximum(before, 0)])
        return np.where(fits, order[np.maximum(before, 0)], -1)
    corners = np.full((len(first), 4), np.nan)
    frames, starts = np.unique(boxes.frame, return_index=True)
    for frame, lines in zip(frames, np.split(np.arange(len(boxes)), starts[1:]), strict=False):
        may = np.flatnonzero((first <= frame) & (frame <= last))
        if len(may) > len(lines):
            cost = np.nan_to_num(np.abs(corners[may][:, None] - boxes.xyxy[lines][None]).sum(2))
            must = (first[may] == frame) | (last[may] == frame)
            may = may[linear_sum_assignment(cost - _SURE * must[:, None])[0]]
        if len(may) == len(lines):
            place[lines] = may
            corners[may] = boxes.xyxy[lines]
    return place


def read_detections(run: Run, recording: Recording) -> tuple[Boxes, Integers] | None:
    """All that the detector found, ids 0, and the frames that it looked at; None where the run's stages are gone.

    Earlier runs of this folder may have looked at more frames than this one.
    """
    path = detections_path(run.path, recording.content, run.manifest["detector"])
    if not path.is_file():
        return None
    kept = DetectionLog(path)
    frames = kept.frames()
    found = [detections for frame in frames if (detections := kept.get(frame)) is not None]
    numbers = np.repeat(np.array(frames, np.int64), [len(detections) for detections in found])
    corners = np.concatenate([np.zeros((0, 4)), *(detections.xyxy for detections in found)])
    return Boxes.sorted(numbers, np.zeros(len(numbers)), corners), np.array(frames, np.int64)


def scored_frames(
    run: Run, recording: Recording, found: Boxes, labelled: range, looked_at: Integers | None = None
) -> tuple[range, list[str]]:
    """Those of the labelled frames that the recording has, and warnings.

    Args:
        run: with the facts of its recordings.
        recording: of the run.
        found: its boxes.
        labelled: frames; they may go on after the recording's end.
        looked_at: by the detector, as far as that is known.
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
    if facts["sampled"] < facts["frames"]:
        exact = looked_at is not None and len(looked_at) == facts["sampled"]
        looked = looked_at if exact else _sampled(found, length)
        unseen = None if looked is None else int((~np.isin(np.asarray(frames), looked)).sum())
        which = "some" if unseen is None else str(unseen)
        if unseen != 0:
            notes.append(
                f"warning: {recording.name}: the run looked at {facts['sampled']} of {facts['frames']} frames; {which}"
                f" of the {len(frames)} that are scored {'may not be' if unseen is None else 'are not'} among them, and"
                " people there count as missed; --frames chooses others"
            )
    return frames, notes


def _sampled(found: Boxes, length: int) -> Integers | None:
    """Frames at the common step of those with boxes; None where that tells nothing."""
    step = int(np.gcd.reduce(np.diff(np.unique(found.frame))))
    return np.arange(1 + (found.frame[0] - 1) % step, length + 1, step) if step > 1 else None
