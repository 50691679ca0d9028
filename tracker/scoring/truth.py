"""What is known of recordings: a folder with a MOT-Challenge file for each recording or camera.

::

    <name>.txt          frame,id,left,top,width,height[,confidence[,...]]; the same id is the same person everywhere
    <name>_ignore.txt   the same, ids without meaning: boxes that are neither right nor wrong to find, such as one that
                        a detector drew around two people, or someone who cannot be told
    <name>/gt/gt.txt    MOT-Challenge's own layout; the seqinfo.ini beside gt tells the number of frames

What was found is first matched to people; what is left over is ignored where it overlaps an ignored box by as much as
a person has to be overlapped to be found. A smaller box within an ignored one is not: where each of several people may
be found, each needs an ignored box.

Lines with confidence 0 are not to be considered, as in MOT-Challenge. A negative id in the file itself is an ignored
box. Files with classes (nine columns) are taken as TrackEval takes MOT16 and MOT17: people are of class 1, and what was
found on a distractor (people on vehicles, dummies, reflections) is left out.
"""

import configparser
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid.errors import BadInputError, DataError
from tracker.scoring.boxes import Boxes, read_mot_lines

IGNORE = "_ignore"
PERSON = 1
DISTRACTORS = (2, 7, 8, 12)  # on a vehicle, static person, distractor, reflection: MOT16's and MOT17's classes


@dataclass(frozen=True)
class Truth:
    """What is known of one recording.

    Attributes:
        people: boxes of people; ids are theirs in all recordings.
        ignored: boxes that are neither right nor wrong.
        others: boxes that are no people to be found but take part in matching before people do (MOT16, MOT17); ids
            are not theirs: 1 for distractors, on which nothing found counts, else 0.
        frames: that were labelled, as far as the files tell; None where they have no line.
    """

    people: Boxes
    ignored: Boxes
    others: Boxes
    frames: range | None


def find_truth(folder: Path) -> dict[str, Path]:
    """Truth files by name.

    Raises:
        DataError: the folder is absent or has none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --truth takes one with a MOT-Challenge file per camera")
    flat = (path for path in folder.glob("*.txt") if not path.stem.endswith(IGNORE))
    files = {path.stem: path for path in sorted(flat)}
    files |= {path.parents[1].name: path for path in sorted(folder.glob("*/gt/gt.txt"))}
    if not files:
        raise DataError(f"{folder}: no NAME.txt and no NAME/gt/gt.txt in it; --truth takes MOT-Challenge files")
    return files


def read_truth(path: Path) -> Truth:
    """Read one recording's truth, with what is beside it.

    Raises:
        DataError: a file cannot be read or is malformed.
    """
    lines = read_mot_lines(path)
    named = lines.boxes.id >= 0
    person, distractor = lines.counted & named, np.zeros(len(named), bool)
    others = np.zeros(len(named), bool)
    if lines.kind is not None:
        person &= lines.kind == PERSON
        distractor = np.isin(lines.kind, DISTRACTORS)
        others = ~person
    marked = Boxes(lines.boxes.frame, distractor.astype(np.int64), lines.boxes.xyxy)
    ignored = lines.boxes.take(lines.counted & ~named)
    beside = path.with_name(f"{path.stem}{IGNORE}.txt")
    if beside.is_file():
        ignored = ignored.joined(read_mot_lines(beside, once=False).boxes)
    length = _sequence_length(path.parents[1] / "seqinfo.ini") if path.parent.name == "gt" else None
    frames = infer_frames(np.concatenate([lines.boxes.frame, ignored.frame]).tolist(), length)
    return Truth(lines.boxes.take(person), ignored, marked.take(others), frames)


def _sequence_length(path: Path) -> int | None:
    if not path.is_file():
        return None
    parser = configparser.ConfigParser()
    try:
        parser.read(path, encoding="utf-8")
        return parser.getint("Sequence", "seqLength")
    except (configparser.Error, ValueError, UnicodeDecodeError):
        raise DataError(f"{path}: has no seqLength under [Sequence]; correct or remove it") from None


def infer_frames(present: list[int], length: int | None = None) -> range | None:
    """Frames that were labelled: those with a line, and those between them at their common step.

    A frame without a line has nobody in it as long as it is on that grid.

    Args:
        present: frame numbers with a line, in any order, repeated or not.
        length: of the sequence, where it is known: the grid then reaches from frame 1 to it.

    >>> infer_frames([1, 6, 16]), infer_frames([3, 4], length=9), infer_frames([])
    (range(1, 17, 5), range(1, 10), None)
    """
    numbers = np.unique(np.array(present, np.int64))
    if not len(numbers):
        return range(1, length + 1) if length else None
    step = int(np.gcd.reduce(np.diff(numbers))) or 1
    first, last = int(numbers[0]), int(numbers[-1])
    if length is not None:
        first, last = 1 + (first - 1) % step, max(length, last)
    return range(first, last + 1, step)


def parse_frames(text: str) -> range:
    """``first:last`` or ``first:last:step``, both ends included.

    Raises:
        BadInputError: it is neither.

    >>> parse_frames("1:2496:5")
    range(1, 2497, 5)
    """
    if not re.fullmatch(r"\d{1,12}:\d{1,12}(:\d{1,12})?", text):
        raise BadInputError(f"--frames {text!r}; write first:last:step, such as 1:2496:5")
    first, last, step = (*map(int, text.split(":")), 1)[:3]
    if not step or last < first:
        raise BadInputError(f"--frames {text!r} has no frame in it; write first:last:step, such as 1:2496:5")
    return range(first, last + 1, step)


def describe_frames(frames: range) -> str:
    """In words.

    >>> describe_frames(range(1, 2497, 5)), describe_frames(range(1, 101))
    ('one frame in 5, 1 to 2496', 'every frame, 1 to 100')
    """
    rhythm = "every frame" if frames.step == 1 else f"one frame in {frames.step}"
    return f"{rhythm}, {frames[0]} to {frames[-1]}"
