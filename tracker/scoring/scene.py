"""One recording ready to be scored: its people and what was found, without what is neither right nor wrong.

What is left out, in this order:

1. frames that were not labelled;
2. found boxes smaller than a least area; people smaller than it are ignored;
3. found boxes on a distractor, where the truth has classes, matched as TrackEval's MOT-Challenge preprocessing does;
4. found boxes left over once people are matched that overlap an ignored box.

Frames with nobody in them count: what is found there is wrong.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracker.scoring.boxes import Boxes, match, overlapping
from tracker.scoring.truth import Truth
from tracker.types import Integers

Mask = npt.NDArray[np.bool_]

IOU = 0.5


@dataclass(frozen=True)
class Scene:
    """One recording ready to be scored.

    Attributes:
        name: of the recording.
        frames: that are scored.
        people: the truth; ids are theirs in all recordings.
        found: what is scored; ids are rows of the run's table of tracklets.
        left_out: found boxes on ignored boxes or distractors.
        detected: all that the detector found in these frames, tracked or not; None where that is not known.
        iou: least overlap of a found box with the person it found.
    """

    name: str
    frames: range
    people: Boxes
    found: Boxes
    left_out: Boxes
    detected: Boxes | None
    iou: float


def prepare(
    name: str,
    truth: Truth,
    found: Boxes,
    frames: range,
    *,
    detected: Boxes | None = None,
    iou: float = IOU,
    min_area: float = 0.0,
) -> Scene:
    """Leave out what the module says.

    Args:
        name: of the recording.
        truth: of the recording.
        found: all boxes that were found; no id twice in a frame.
        frames: that were labelled.
        detected: all that the detector found.
        iou: least overlap of a found box with the person it found, above 0 to 1.
        min_area: square pixels.
    """
    people = truth.people.take(truth.people.within(frames))
    large = people.area >= min_area
    found = found.take(found.within(frames) & (found.area >= min_area))
    if detected is not None:
        detected = detected.take(detected.within(frames) & (detected.area >= min_area))
    dropped = _on_distractors(people, truth.others, found, frames, iou)
    kept, left_out = found.take(~dropped), found.take(dropped)
    ignored = truth.ignored.joined(people.take(~large))
    people = people.take(large)
    dropped = _on_ignored(people, ignored, kept, frames, iou)
    left_out = left_out.joined(kept.take(dropped))
    return Scene(name, frames, people, kept.take(~dropped), left_out, detected, iou)


def _on_distractors(people: Boxes, others: Boxes, found: Boxes, frames: range, iou: float) -> Mask:
    """(n,) found boxes whose best match, people and others together, is a distractor."""
    dropped = np.zeros(len(found), bool)
    if not len(others):
        return dropped
    nobody = Boxes(people.frame, np.zeros(len(people), np.int64), people.xyxy)
    known = nobody.joined(others)
    for in_known, in_found, overlaps in overlapping(known, found, frames):
        rows, columns = match(overlaps, iou)
        dropped[in_found][columns] = known.id[in_known][rows] == 1
    return dropped


def _on_ignored(people: Boxes, ignored: Boxes, found: Boxes, frames: range, iou: float) -> Mask:
    """(n,) found boxes that are on nobody and overlap an ignored box."""
    dropped = np.zeros(len(found), bool)
    for _, in_found, overlaps in overlapping(ignored, found, frames):
        dropped[in_found] = (overlaps >= iou).any(0)
    _, matched = matches_of(people, found, frames, iou)
    dropped[matched] = False
    return dropped


def matches(scene: Scene) -> tuple[Integers, Integers]:
    """Rows of people and of found boxes that were matched one to one, frame by frame, by greatest total overlap."""
    return matches_of(scene.people, scene.found, scene.frames, scene.iou)


def matches_of(people: Boxes, found: Boxes, frames: range, iou: float) -> tuple[Integers, Integers]:
    """As ``matches``, of any boxes."""
    left, right = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for in_people, in_found, overlaps in overlapping(people, found, frames):
        rows, columns = match(overlaps, iou)
        left.append(rows + in_people.start)
        right.append(columns + in_found.start)
    return np.concatenate(left), np.concatenate(right)
