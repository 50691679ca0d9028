"""What linking works on: a run's tracklets and vectors, from the files that its stages left."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from reid.calibration import Curve
from reid.centre import camera_means, centred
from tracker.errors import RunError
from tracker.manifest import recording_of
from tracker.repair import REPAIRS, repair
from tracker.repair.vectors import pooled
from tracker.stages import STAGES, TrackingFacts, read_embeddings, read_jpegs, read_tracklets, tracking_facts
from tracker.types import Embeddings, Floats, Recording, Tracklet, TrackletKey

PICTURES = 8  # of a tracklet, its best, that results show


class Curves(NamedTuple):
    """What the similarities of a run's tracklets mean.

    Attributes:
        embedders: by the embedder's own calibration. Tracklets are repaired by it, so that they and their numbers
            stay the same whatever is learnt about the site later.
        linking: what linking goes by: the site's where it has one, else the embedder's.
    """

    embedders: Curve
    linking: Curve


@dataclass(frozen=True)
class Work:
    """One recording and the files that its stages make."""

    recording: Recording
    detections: Path
    tracklets: Path
    embeddings: Path


@dataclass(frozen=True)
class Material:
    """All that a run knows before it says who is who.

    Attributes:
        recordings: r.
        facts: (r) of each.
        tracklets: n, repaired, of all recordings, with their best crops alone.
        vectors: (n, d) float32 unit vectors, row by row, pooled over each tracklet's pictures.
        model_id: of the embedder that made them.
        curve: what the similarities of two tracklets' centred vectors mean.
        pictures: (n) of each tracklet's crops the unit vectors, (k, d) float16, in the same order.
    """

    recordings: Sequence[Recording]
    facts: Sequence[TrackingFacts]
    tracklets: Sequence[Tracklet]
    vectors: Floats
    model_id: str
    curve: Curve
    pictures: Sequence[npt.NDArray[np.float16]]

    def centred(self) -> Floats:
        """(n, d) unit vectors without what all people look like to the same camera.

        Those of photos stay as they are: an album may be of many cameras and places, and of so few people in so many
        photos that its mean is theirs.
        """
        camera = np.array([tracklet.camera for tracklet in self.tracklets], np.str_)
        means = camera_means(self.vectors, camera)
        means[[row for row, tracklet in enumerate(self.tracklets) if tracklet.photo]] = 0
        return np.asarray(centred(self.vectors, means), np.float32)

    def without(self, keys: Collection[TrackletKey]) -> Self:
        """The same without some tracklets."""
        rows = [row for row, tracklet in enumerate(self.tracklets) if tracklet.key not in keys]
        return replace(
            self,
            tracklets=[self.tracklets[row] for row in rows],
            vectors=self.vectors[rows],
            pictures=[self.pictures[row] for row in rows],
        )


def gather(works: Sequence[Work], model_id: str, curves: Curves) -> Material:
    """Read the tracklets of every recording and repair them.

    Raises:
        RunError: a file is absent or damaged, or they do not belong together.
    """
    facts, tracklets, vectors, pictures = [], [], [], []
    for work in works:
        fact, own, part = _read(work, model_id)
        repairs = () if work.recording.photos else REPAIRS
        parts, part = repair(own, part, curves.embedders, fact.end_s - fact.start_s, repairs)
        facts.append(fact)
        vectors.append(pooled(parts, part))
        pictures += [
            each[tracklet.best_rows(PICTURES)].astype(np.float16)
            for tracklet, each in zip(parts, part.each(), strict=True)
        ]
        tracklets += _with_jpegs(work.tracklets, own, [tracklet.best(PICTURES) for tracklet in parts])
    recordings = [work.recording for work in works]
    return Material(recordings, facts, tracklets, np.concatenate(vectors), model_id, curves.linking, pictures)


def _read(work: Work, model_id: str) -> tuple[TrackingFacts, list[Tracklet], Embeddings]:
    """One recording's tracklets, without their crops' JPEGs: all of them would not fit in memory."""
    recording = work.recording
    fact = tracking_facts(work.tracklets)
    part = read_embeddings(work.embeddings, recording.name, model_id)
    own = []
    if fact is not None:
        own = list(read_tracklets(work.tracklets, recording.name, recording.camera, recording.start_s, jpegs=False))
    if recording.photos:
        own = [replace(tracklet, photo=recording.photos[tracklet.index[0] - 1]) for tracklet in own]
    if fact is None or part is None or part.keys != tuple(tracklet.key for tracklet in own):
        raise RunError(
            f"{work.tracklets.parent}: its files are damaged or disagree; remove this folder and give the run's"
            " command again"
        )
    return fact, own, part


def _with_jpegs(path: Path, own: Sequence[Tracklet], parts: Sequence[Tracklet]) -> list[Tracklet]:
    """``parts`` with their crops' JPEGs, which repairs of a file's ``own`` tracklets have left to them.

    Repairs pass crops on as they are, so a crop is known by which object it is; its frame may have several.
    """
    place = {id(crop): number for number, crop in enumerate(crop for tracklet in own for crop in tracklet.crops)}
    jpegs = read_jpegs(path, {place[id(crop)] for tracklet in parts for crop in tracklet.crops})
    return [
        replace(part, crops=tuple(replace(crop, jpeg=jpegs[place[id(crop)]]) for crop in part.crops)) for part in parts
    ]


def works_of(out: Path, manifest: Mapping[str, Any]) -> list[Work]:
    """The files of a complete run, as its manifest names them.

    Raises:
        RunError: the manifest is of a version that did not name them.
    """
    try:
        return [
            Work(
                recording_of(entry),
                *(out / STAGES / entry["stages"][stage] for stage in ("detections", "tracklets", "embeddings")),
            )
            for entry in manifest["recordings"]
            if "video" in entry
        ]
    except KeyError:
        raise RunError(f"{out}: made by an older version; give its `reidtrack run` command again") from None


def curve_of(manifest: Mapping[str, Any]) -> Curve:
    """What similarities meant when a complete run was linked."""
    return Curve(manifest["calibration"]["slope"], manifest["calibration"]["intercept"])
