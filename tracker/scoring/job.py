"""A finished run scored against the truth, from the two folders to all figures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reid.datasets.types import DISTRACTOR, JUNK
from reid.errors import DataError
from reid.evaluation.scores import RetrievalScores
from tracker.scoring.agreement import pair_counts
from tracker.scoring.attribution import Attribution, attribute
from tracker.scoring.found import (
    FoundTracklets,
    read_detections,
    read_found,
    read_tracklet_table,
    recordings_of,
    scored_frames,
)
from tracker.scoring.metrics import TrackingScores, idf1_of_several_cameras, score_tracking
from tracker.scoring.retrieval import Labels, OpenSet, identify, label_tracklets, retrieve
from tracker.scoring.scene import IOU, Scene, prepare
from tracker.scoring.truth import describe_frames, find_truth, read_truth
from tracker.store import Run, tracks_name
from tracker.types import Integers, Recording

ALL = "all"


@dataclass(frozen=True)
class Joins:
    """How well pairs of tracklets that show people were joined: shares, None where there is no such pair.

    Attributes:
        precision: of the pairs in one identity, those that show one person.
        recall: of the pairs that show one person, those in one identity.
    """

    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class RunScores:
    """All figures of a run.

    Attributes:
        frames: that were scored, by recording.
        identities: scores of what the user gets, by recording, and of all recordings as one under ``ALL``.
        tracklets: the same with each tracklet as an identity of its own: before linking.
        idf1_several: IDF1 without identities seen by one camera only; None where there is one camera.
        labels: who the tracklets show.
        confusion: (p, i) matched boxes of ``labels.people`` under each identity of ``numbers``.
        numbers: (i,) identities.
        joins: of the linking.
        retrieval: MARS scores of the tracklets; None where nobody has tracklets in two cameras.
        open_set: identification of people who may not be enrolled; None where nobody can be searched for.
        attribution: where identity score was lost.
    """

    frames: dict[str, range]
    identities: dict[str, TrackingScores]
    tracklets: dict[str, TrackingScores]
    idf1_several: float | None
    labels: Labels
    confusion: Integers
    numbers: Integers
    joins: Joins
    retrieval: RetrievalScores | None
    open_set: OpenSet | None
    attribution: Attribution

    def figures(self) -> dict[str, Any]:
        """Everything as JSON has it."""
        pid, several = self.labels.pid, self.open_set
        return {
            "frames": {name: [frames.start, frames.stop - 1, frames.step] for name, frames in self.frames.items()},
            "identities": {name: asdict(scores) for name, scores in self.identities.items()},
            "tracklets": {name: asdict(scores) for name, scores in self.tracklets.items()},
            "idf1_identities_of_several_cameras": self.idf1_several,
            "tracklets_by_truth": {
                "of_people": int((pid > DISTRACTOR).sum()),
                "of_nobody": int((pid == DISTRACTOR).sum()),
                "not_scored": int((pid == JUNK).sum()),
                "purity": self.labels.purity,
            },
            "joins": asdict(self.joins),
            "retrieval": self.retrieval and {**self.retrieval.figures(), "queries": self.retrieval.queries},
            "open_set": several
            and {
                "searches_for_enrolled": several.enrolled,
                "searches_for_strangers": several.strangers,
                "first": several.first,
                "rates": [
                    {"false_alarm_rate": share, "false_alarms": alarms, "identified": identified}
                    for share, alarms, identified in several.rates
                ],
            },
            "attribution": {
                **asdict(self.attribution),
                "detection": self.attribution.detection,
                "association": self.attribution.association,
            },
        }


def score_run(
    run: Run,
    folder: Path,
    report: Callable[[str], None],
    *,
    frames: range | None = None,
    iou: float = IOU,
    min_area: float = 0.0,
) -> RunScores:
    """Score a run against the truth.

    Args:
        run: finished.
        folder: of the truth; see ``tracker.scoring.truth``.
        report: called with a line for each thing that the user should know.
        frames: that were labelled; None infers them, recording by recording, and reports what it inferred.
        iou: least overlap of a found box with the person it found, above 0 to 1.
        min_area: found boxes smaller than this are left out, people smaller than this are ignored; square pixels.

    Raises:
        DataError: the truth is absent, malformed, empty or of other recordings.
        RunError: the run's files are absent or do not fit each other.
    """
    tracklets = read_tracklet_table(run)
    recordings = recordings_of(run)
    known = _known(recordings, find_truth(folder), folder, report)
    scenes = []
    for recording, path in known:
        truth = read_truth(path)
        labelled = frames or truth.frames
        if labelled is None:
            raise DataError(f"{path}: has no line; say by --frames which frames were labelled, or remove it")
        if frames is None:
            report(f"{recording.name}: truth on {describe_frames(labelled)}")
        found = read_found(run, recording, recordings, tracklets)
        detected, looked_at = read_detections(run, recording) or (None, None)
        scored, notes = scored_frames(run, recording, found, labelled, looked_at)
        for note in notes:
            report(note)
        scenes.append(prepare(recording.name, truth, found, scored, detected=detected, iou=iou, min_area=min_area))
    if not any(len(scene.people) for scene in scenes):
        raise DataError(f"{folder}: nobody is labelled in the frames to score; check --frames and --min-area")
    if any(scene.detected is None for scene in scenes):
        report("the run's stages/ holds no detections any more: untracked people count as missed by detection")
    return score_scenes(scenes, [recording.camera for recording, _ in known], tracklets)


def _known(
    recordings: Sequence[Recording], paths: dict[str, Path], folder: Path, report: Callable[[str], None]
) -> list[tuple[Recording, Path]]:
    """Recordings that have truth, in order of their names; what is left out is reported."""
    known, names = [], set()
    for recording in sorted(recordings, key=lambda recording: recording.name):
        alone = sum(other.camera == recording.camera for other in recordings) == 1
        fitting = (recording.name, Path(tracks_name(recording, recordings)).stem, *([recording.camera] * alone))
        name = next((name for name in fitting if name in paths), None)
        if name is not None:
            known.append((recording, paths[name]))
            names.add(name)
    if not known:
        raise DataError(
            f"{folder}: has truth of {', '.join(paths)}, but the run is of"
            f" {', '.join(recording.name for recording in recordings)}; name the files like the recordings"
        )
    without = sorted({recording.name for recording in recordings} - {recording.name for recording, _ in known})
    if without:
        report(f"not scored, as {folder} has no truth of them: {', '.join(without)}")
    if set(paths) - names:
        report(f"truth of no recording in this run: {', '.join(sorted(set(paths) - names))}")
    return known


def score_scenes(scenes: Sequence[Scene], cameras: Sequence[str], tracklets: FoundTracklets) -> RunScores:
    """All figures of recordings that are ready to be scored.

    Args:
        scenes: at least one, with a person in one of them.
        cameras: of each scene.
        tracklets: the run's, whose rows the scenes' found boxes have for ids.
    """
    identity, own = tracklets.identity, np.arange(len(tracklets))
    labels = label_tracklets(scenes, len(tracklets))
    camera = np.unique(np.array(tracklets.camera, str), return_inverse=True)[1].astype(np.int64)
    numbers, column = np.unique(identity, return_inverse=True)
    confusion = np.zeros((len(labels.people), len(numbers)), np.int64)
    vectors = tracklets.centred()
    np.add.at(confusion.T, column, labels.counts)
    return RunScores(
        frames={scene.name: scene.frames for scene in scenes},
        identities=_by_recording(scenes, identity),
        tracklets=_by_recording(scenes, own),
        idf1_several=idf1_of_several_cameras(scenes, identity, cameras),
        labels=labels,
        confusion=confusion,
        numbers=numbers,
        joins=score_joins(labels.pid, identity),
        retrieval=retrieve(vectors, labels, camera),
        open_set=identify(vectors, labels, camera),
        attribution=attribute(scenes, tracklets),
    )


def _by_recording(scenes: Sequence[Scene], numbers: Integers) -> dict[str, TrackingScores]:
    scores = {scene.name: score_tracking([scene], numbers) for scene in scenes}
    return scores | {ALL: score_tracking(scenes, numbers)}


def score_joins(pid: Integers, identity: Integers) -> Joins:
    """Pairs of tracklets that show people, joined and not.

    >>> score_joins(np.array([1, 1, 2, 0]), np.array([7, 7, 7, 7]))
    Joins(precision=0.3333333333333333, recall=1.0)
    """
    shown = pid > DISTRACTOR
    right, found, there = pair_counts(identity[shown], pid[shown])
    return Joins(right / found if found else None, right / there if there else None)
