"""What linking works on: a run's tracklets and vectors, from the files that its stages left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reid.calibration import Curve
from reid.centre import camera_means, centred
from tracker.errors import RunError
from tracker.repair import divide
from tracker.stages import STAGES, TrackingFacts, read_embeddings, read_tracklets, tracking_facts
from tracker.types import Floats, Recording, Tracklet

PICTURES = 8  # of a tracklet, its best, that results show


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
        tracklets: n, repaired, of all recordings.
        vectors: (n, d) float32 unit vectors, row by row, pooled over each tracklet's pictures.
        model_id: of the embedder that made them.
        curve: what the similarities of two tracklets' centred vectors mean.
    """

    recordings: Sequence[Recording]
    facts: Sequence[TrackingFacts]
    tracklets: Sequence[Tracklet]
    vectors: Floats
    model_id: str
    curve: Curve

    def centred(self) -> Floats:
        """(n, d) unit vectors without what all people look like to the same camera."""
        camera = np.array([tracklet.camera for tracklet in self.tracklets], np.str_)
        return np.asarray(centred(self.vectors, camera_means(self.vectors, camera)), np.float32)


def gather(works: Sequence[Work], model_id: str, curve: Curve) -> Material:
    """Read the tracklets of every recording and repair them.

    Raises:
        RunError: a file is absent or damaged, or they do not belong together.
    """
    facts, tracklets, vectors = [], [], []
    for work in works:
        recording = work.recording
        fact = tracking_facts(work.tracklets)
        part = read_embeddings(work.embeddings, recording.name, model_id)
        own = list(read_tracklets(work.tracklets, recording.name, recording.camera, recording.start_s)) if fact else []
        if fact is None or part is None or part.keys != tuple(tracklet.key for tracklet in own):
            raise RunError(
                f"{work.tracklets.parent}: its files are damaged or disagree; remove this folder and give the run's"
                " command again"
            )
        parts, pooled = divide(own, part, lambda similarity: float(curve.probability(similarity)))
        facts.append(fact)
        tracklets += [tracklet.best(PICTURES) for tracklet in parts]
        vectors.append(pooled)
    return Material([work.recording for work in works], facts, tracklets, np.concatenate(vectors), model_id, curve)


def works_of(out: Path, manifest: Mapping[str, Any]) -> list[Work]:
    """The files of a complete run, as its manifest names them.

    Raises:
        RunError: the manifest is of a version that did not name them.
    """
    try:
        return [
            Work(
                Recording(entry["name"], entry["camera"], Path(entry["path"]), entry["sha256"], entry["start_s"]),
                *(out / STAGES / entry["stages"][stage] for stage in ("detections", "tracklets", "embeddings")),
            )
            for entry in manifest["recordings"]
            if "video" in entry
        ]
    except KeyError:
        raise RunError(f"{out}: made by an older version; give its `reidtrack run` command again") from None


def curve_of(manifest: Mapping[str, Any]) -> Curve:
    """What similarities meant in a complete run."""
    return Curve(manifest["calibration"]["slope"], manifest["calibration"]["intercept"])
