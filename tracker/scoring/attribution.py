"""Where identity score was lost: IDF1 across cameras after replacing one stage after the other by the truth.

From the last stage to the first, each on top of those before:

1. **broken tracks** (association): tracklets of one person in one recording that follow each other within the time that
   the tracker bridges (``REMEMBER_S``) are one track, and where one of them had the right identity all have it. What
   stays apart for longer is left to linking, by design.
2. **linking**: every tracklet has the identity of the person on whom most of its matched boxes are.
3. **impure tracklets**: every matched box has the identity of the person it is on.
4. **untracked** (association): people that the detector found and no track took are found. Boxes on nobody stay.
5. **detection**: the rest: people whom the detector missed, and boxes on nobody.

IDF1 = 2 IDTP / (people's boxes + found boxes). Steps 1 to 3 only move boxes between identities, step 4 adds boxes that
are right, so no step lowers the score, and the losses and the score add up to 1 exactly. What a step gains depends on
the order; this one gives each stage what is lost although everything behind it is perfect. Matched boxes are one to one
in each frame, those under the right identity first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracker.associate import REMEMBER_S
from tracker.scoring.boxes import match, overlapping
from tracker.scoring.found import FoundTracklets
from tracker.scoring.identity import assign
from tracker.scoring.scene import Scene, matches_of
from tracker.types import Integers

_FIRST = 1000.0  # added to the overlap of pairs that come first; more than all overlaps of a frame together


@dataclass(frozen=True)
class Attribution:
    """An identity score and what is missing to 1; all add up to 1.

    Attributes:
        idf1: what the run has.
        broken: lost by tracks that the association broke.
        linking: lost by joining the wrong tracklets or not joining the right ones.
        impure: lost by tracklets that show several people.
        untracked: lost by detections of people that are in no track; None where the run's detections are not kept, and
            then a part of ``missed``.
        missed: lost by people that were not detected.
        false: lost by boxes on nobody.
    """

    idf1: float
    broken: float
    linking: float
    impure: float
    untracked: float | None
    missed: float
    false: float

    @property
    def detection(self) -> float:
        """Lost by detection."""
        return self.missed + self.false

    @property
    def association(self) -> float:
        """Lost by association within a camera, impure tracklets not included."""
        return self.broken + (self.untracked or 0.0)

    def losses(self) -> dict[str, float]:
        """The parts by name, in the module's order; untracked only where it is known."""
        untracked = {} if self.untracked is None else {"untracked detections": self.untracked}
        return {
            "broken tracks": self.broken,
            "linking": self.linking,
            "impure tracklets": self.impure,
            **untracked,
            "missed people": self.missed,
            "boxes on nobody": self.false,
        }


def attribute(scenes: Sequence[Scene], tracklets: FoundTracklets) -> Attribution:
    """Replace stage after stage by the truth, as the module says.

    Args:
        scenes: at least one, with a person in one of them.
        tracklets: the run's, whose rows the scenes' found boxes have for ids.
    """
    people = np.unique(np.concatenate([scene.people.id for scene in scenes]))
    right = assign(scenes, people, tracklets.identity).person
    pairs = [_matches(scene, people, right[scene.found.id]) for scene in scenes]
    counts = np.zeros((len(tracklets), len(people)), np.int64)
    for scene, (rows, columns) in zip(scenes, pairs, strict=True):
        np.add.at(counts, (scene.found.id[columns], np.searchsorted(people, scene.people.id[rows])), 1)
    most, label = counts.max(1, initial=0), counts.argmax(1)
    assigned = np.where(right >= 0, counts[np.arange(len(right)), right], 0)
    mended = np.where(_mended(tracklets, label, right, most > 0), most, assigned)
    steps = [int(step.sum()) for step in (assigned, mended, most, counts)]
    known = all(scene.detected is not None for scene in scenes)
    extra = sum(_untracked(scene, rows) for scene, (rows, _) in zip(scenes, pairs, strict=True)) if known else 0

    truth, found = sum(len(scene.people) for scene in scenes), sum(len(scene.found) for scene in scenes)
    has, whole, linked, matched = (2 * step / (truth + found) for step in steps)
    total = truth + found + extra
    complete = 2 * (steps[-1] + extra) / total
    return Attribution(
        idf1=has,
        broken=whole - has,
        linking=linked - whole,
        impure=matched - linked,
        untracked=complete - matched if known else None,
        missed=(truth - steps[-1] - extra) / total,
        false=(found - steps[-1]) / total,
    )


def _matches(scene: Scene, people: Integers, right: Integers) -> tuple[Integers, Integers]:
    """Rows of people and found boxes, one to one; pairs under the right identity (``right`` of each box) come first."""
    left, columns_of = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for in_people, in_found, overlaps in overlapping(scene.people, scene.found, scene.frames):
        person = np.searchsorted(people, scene.people.id[in_people])
        first = (person[:, None] == right[in_found][None, :]) & (overlaps >= scene.iou)
        rows, columns = match(overlaps + _FIRST * first, scene.iou)
        left.append(rows + in_people.start)
        columns_of.append(columns + in_found.start)
    return np.concatenate(left), np.concatenate(columns_of)


def _mended(
    tracklets: FoundTracklets, label: Integers, right: Integers, matched: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """(n,) whether a tracklet's track, broken or not, has a part under the right identity."""
    mended = np.zeros(len(tracklets), bool)
    order = sorted(
        np.flatnonzero(matched).tolist(),
        key=lambda row: (tracklets.keys[row].recording, int(label[row]), float(tracklets.start_s[row])),
    )
    track: list[int] = []
    end = 0.0
    for row in order:
        same = track and (
            tracklets.keys[row].recording == tracklets.keys[track[-1]].recording and label[row] == label[track[-1]]
        )
        if not same or tracklets.start_s[row] - end > REMEMBER_S:
            track, end = [], float(tracklets.end_s[row])
        track.append(row)
        end = max(end, float(tracklets.end_s[row]))
        if (right[track] == label[track]).any():
            mended[track] = True
    return mended


def _untracked(scene: Scene, matched: Integers) -> int:
    """People's boxes that no found box has but a detection does."""
    assert scene.detected is not None
    missed = np.ones(len(scene.people), bool)
    missed[matched] = False
    tracked = np.zeros(len(scene.detected), bool)
    for _, in_detected, overlaps in overlapping(scene.found.joined(scene.left_out), scene.detected, scene.frames):
        _, columns = match(overlaps, 0.95)  # a track's boxes are the detector's own, but for rounding
        tracked[in_detected][columns] = True
    rows, _ = matches_of(scene.people.take(missed), scene.detected.take(~tracked), scene.frames, scene.iou)
    return len(rows)
