"""The run directory: what a run wrote, and reading it back.

See the README for every file's format. ``Run`` is the way in for programs; ``samples/`` shows it.
"""

import csv
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from tracker.errors import RunError
from tracker.files import whole_file
from tracker.lock import writer_of
from tracker.manifest import MANIFEST, read_manifest
from tracker.recordings import safe_name
from tracker.types import Floats, Identity, Link, Recording, Tracklet, TrackletKey

TABLE = "tracklets"
CSV_COLUMNS = ("identity", "cameras", "tracklets", "first_s", "last_s", "duration_s", "probability")


@dataclass(frozen=True)
class Sighting:
    """An identity as a line: what ``identities.csv`` holds.

    Attributes:
        identity: its number.
        cameras: that saw it, in order of first sight.
        tracklets: how many.
        first_s, last_s: beginning and end, seconds (since the epoch where clocks are known); of somebody who is on
            photos only, the first and last photo's number in its album.
        duration_s: time in view: the total of its tracklets' durations.
        probability: that all its tracklets are one person.
        photos: names of those that show the person, in order.
    """

    identity: int
    cameras: tuple[str, ...]
    tracklets: int
    first_s: float
    last_s: float
    duration_s: float
    probability: float
    photos: tuple[str, ...] = ()


def sightings(identities: Sequence[Identity], tracklets: Mapping[TrackletKey, Tracklet]) -> list[Sighting]:
    """One line per identity."""
    lines = []
    for identity in identities:
        members = [tracklets[key] for key in identity.members]
        filmed = [member for member in members if not member.photo] or members
        lines.append(
            Sighting(
                identity.id,
                tuple(dict.fromkeys(member.camera for member in members)),
                len(members),
                min(member.start_s for member in filmed),
                max(member.end_s for member in filmed),
                sum(member.end_s - member.start_s for member in members),
                identity.probability,
                tuple(member.photo for member in members if member.photo),
            )
        )
    return lines


def write_csv(path: Path, lines: Sequence[Sighting]) -> None:
    """Write ``identities.csv``; cameras are joined by semicolons."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for line in lines:
            times = (f"{value:.3f}" for value in (line.first_s, line.last_s, line.duration_s))
            writer.writerow((line.identity, ";".join(line.cameras), line.tracklets, *times, f"{line.probability:.4f}"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people and programs."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def identities_json(identities: Sequence[Identity], tracklets: Mapping[TrackletKey, Tracklet]) -> list[dict[str, Any]]:
    """What ``identities.json`` holds: members with their times, links with their evidence, rivals."""
    content = []
    for identity, line in zip(identities, sightings(identities, tracklets), strict=True):
        members = [tracklets[key] for key in identity.members]
        content.append(
            {
                "identity": identity.id,
                "probability": round(identity.probability, 4),
                "cameras": list(line.cameras),
                "first_s": round(line.first_s, 3),
                "last_s": round(line.last_s, 3),
                "duration_s": round(line.duration_s, 3),
                "tracklets": [
                    {
                        "tracklet": str(member.key),
                        "camera": member.camera,
                        **({"photo": member.photo} if member.photo else {}),
                        "start_s": round(member.start_s, 3),
                        "end_s": round(member.end_s, 3),
                        "first_frame": int(member.index[0]),
                        "last_frame": int(member.index[-1]),
                        "boxes": len(member.index),
                        "quality": round(member.quality, 4),
                        "crops": [crop_name(member, crop.index) for crop in member.crops],
                    }
                    for member in members
                ],
                "links": [
                    {
                        "tracklets": [str(link.left), str(link.right)],
                        "probability": round(link.probability, 4),
                        "given": link.given,
                        "average_distance": round(link.distance, 4),
                        "nearest_distance": round(link.nearest, 4),
                        "crops": _crops_of(link, tracklets),
                        "between_s": _between_s(tracklets[link.left], tracklets[link.right]),
                        "usual_s": [round(seconds, 1) for seconds in link.usual_s or ()],
                    }
                    for link in identity.links
                ],
                "rivals": [
                    {
                        "identity": rival.identity,
                        "tracklets": [str(rival.left), str(rival.right)],
                        "probability": round(rival.probability, 4),
                        "against": rival.against,
                    }
                    for rival in identity.rivals
                ],
            }
        )
    return content


def _crops_of(link: Link, tracklets: Mapping[TrackletKey, Tracklet]) -> list[str]:
    """Paths of the two crops that look most alike, where they are known."""
    sides = zip((link.left, link.right), link.pictures or (), strict=False)
    return [crop_name(tracklets[key], index) for key, index in sides]


def _between_s(one: Tracklet, other: Tracklet) -> float | None:
    return None if one.photo or other.photo else round(seconds_between(one, other), 3)


def seconds_between(one: Tracklet, other: Tracklet) -> float:
    """From the end of the earlier to the start of the later; negative by how long they share."""
    return max(one.start_s, other.start_s) - min(one.end_s, other.end_s)


def crop_name(tracklet: Tracklet, index: int) -> str:
    """Path of a best crop inside the run directory."""
    return f"crops/{tracklet.key.recording}/{tracklet.key.track_id:05d}_{index:07d}.jpg"


def write_crops(out: Path, tracklets: Iterable[Tracklet]) -> None:
    """Write every kept picture as JPEG, under ``crop_name``."""
    for tracklet in tracklets:
        for crop in tracklet.crops:
            with whole_file(out / crop_name(tracklet, crop.index)) as partial:
                partial.write_bytes(crop.jpeg)


def tracks_name(recording: Recording, recordings: Sequence[Recording]) -> str:
    """A recording's MOT file inside the run: its camera's name, with the recording's where that is another's too.

    Names differ in more than upper and lower case, which some systems' files do not tell apart.
    """

    def short(one: Recording) -> str:
        return safe_name(one.camera)

    def long(one: Recording) -> str:
        return f"{short(one)}_{one.name}"

    others = [name(one) for one in recordings if one.name != recording.name for name in (short, long)]
    taken = short(recording).casefold() in {name.casefold() for name in others}
    return f"tracks/{long(recording) if taken else short(recording)}.txt"


def write_mot(path: Path, tracklets: Sequence[Tracklet], identity: Mapping[TrackletKey, int]) -> None:
    """Write one recording's boxes as MOT-Challenge lines: frame,id,left,top,width,height,confidence,-1,-1,-1.

    Frames are the source's own, from 1; ids are global identities; pixels count from 0. Boxes of one identity in one
    frame are in order of the tracklets.
    """
    if tracklets:
        ids = np.concatenate([np.full(len(tracklet.index), identity[tracklet.key]) for tracklet in tracklets])
        frames = np.concatenate([tracklet.index for tracklet in tracklets])
        boxes = np.concatenate([tracklet.xyxy for tracklet in tracklets])
        scores = np.concatenate([tracklet.score for tracklet in tracklets])
    else:
        ids = frames = np.zeros(0, np.int64)
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    order = np.lexsort((ids, frames))
    with whole_file(path) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        for row in order:
            left, top, right, bottom = boxes[row]
            file.write(
                f"{frames[row]},{ids[row]},{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f},"
                f"{scores[row]:.4f},-1,-1,-1\n"
            )


def write_photo_numbers(path: Path, photos: Sequence[str]) -> None:
    """Write which file is which frame of an album's MOT lines."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("frame", "photo"))
        writer.writerows(enumerate(photos, 1))


def write_table(
    out: Path, tracklets: Sequence[Tracklet], vectors: Floats, identity: Mapping[TrackletKey, int], model_id: str
) -> None:
    """Write the LanceDB table ``tracklets``: one row per tracklet, vectors (n, d) row by row.

    An earlier one is removed first: a table that is written over keeps what it held before on the disk.
    """
    import lancedb

    rows = {
        "tracklet": [str(tracklet.key) for tracklet in tracklets],
        "recording": [tracklet.key.recording for tracklet in tracklets],
        "camera": [tracklet.camera for tracklet in tracklets],
        "track_id": [tracklet.key.track_id for tracklet in tracklets],
        "identity": [identity[tracklet.key] for tracklet in tracklets],
        "start_s": [tracklet.start_s for tracklet in tracklets],
        "end_s": [tracklet.end_s for tracklet in tracklets],
        "boxes": [len(tracklet.index) for tracklet in tracklets],
        "first_frame": [int(tracklet.index[0]) for tracklet in tracklets],
        "last_frame": [int(tracklet.index[-1]) for tracklet in tracklets],
        "mean_height": [float(np.diff(tracklet.xyxy[:, [1, 3]]).mean()) for tracklet in tracklets],
        "mean_score": [float(tracklet.score.mean()) for tracklet in tracklets],
        "quality": [tracklet.quality for tracklet in tracklets],
        "model_id": [model_id] * len(tracklets),
    }
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1])
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    kinds = [str, str, str, int, int, float, float, int, int, int, float, float, float, str]
    arrays = [pa.array(values, types[kind]) for values, kind in zip(rows.values(), kinds, strict=True)]
    table = pa.table([*arrays, column], names=[*rows, "vector"])
    try:
        if (out / f"{TABLE}.lance").exists():
            shutil.rmtree(out / f"{TABLE}.lance")
        lancedb.connect(str(out)).create_table(TABLE, table)
    except (OSError, RuntimeError) as error:  # lance reports a full or read-only disk as RuntimeError
        raise RunError(
            f"{out / TABLE}.lance: cannot be written ({str(error).splitlines()[0]}); free disk space"
        ) from None


@dataclass(frozen=True)
class Run:
    """A finished run, opened for reading.

    Attributes:
        path: the run directory.
        manifest: the content of ``run.json``.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a run directory.

        Raises:
            RunError: it is no run directory, or the run was not finished, or is being written.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        if manifest is None:
            raise RunError(f"{folder}: not a run directory (no {MANIFEST} in it); make one with `reidtrack run`")
        if manifest.get("status") != "complete":
            if who := writer_of(folder):
                raise RunError(f"{folder}: {who} is writing to it; wait until that has ended")
            raise RunError(f"{folder}: this run was not finished; give its `reidtrack run` command again to finish it")
        return cls(folder, manifest)

    def identities(self) -> list[dict[str, Any]]:
        """The content of ``identities.json``."""
        content: list[dict[str, Any]] = json.loads((self.path / "identities.json").read_text(encoding="utf-8"))
        return content

    def tracklets(self) -> pa.Table:
        """The LanceDB table as an Arrow table, one row per tracklet; ``vector`` is (d,) float32.

        Raises:
            RunError: it is absent or damaged.
        """
        import lancedb

        try:
            return lancedb.connect(str(self.path)).open_table(TABLE).to_arrow()
        except (ValueError, RuntimeError, OSError):  # lance reports a damaged table as any of these
            raise RunError(
                f"{self.path / TABLE}.lance: absent or damaged; give the `reidtrack run` command again"
            ) from None


def by_recording(tracklets: Iterable[Tracklet]) -> dict[str, list[Tracklet]]:
    """Tracklets grouped by their recording's name."""
    groups: dict[str, list[Tracklet]] = defaultdict(list)
    for tracklet in tracklets:
        groups[tracklet.key.recording].append(tracklet)
    return groups
