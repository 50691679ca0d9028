"""Boxes of people over the frames of one recording, as arrays, and the MOT-Challenge lines that they are read from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from reid.errors import DataError
from reid.evaluation.search import overlap
from tracker.types import Integers, expect_shape

Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_]

_COLUMNS = ("frame", "id", "left", "top", "width", "height")


@dataclass(frozen=True)
class Boxes:
    """Boxes in order of their frames.

    Attributes:
        frame: (n,) int64 the recording's own frame numbers, ascending.
        id: (n,) int64 whose box it is.
        xyxy: (n, 4) float64 pixels.
    """

    frame: Integers
    id: Integers
    xyxy: Doubles

    def __post_init__(self) -> None:
        expect_shape("id", self.id, (len(self.frame),))
        expect_shape("xyxy", self.xyxy, (len(self.frame), 4))
        if (np.diff(self.frame) < 0).any():
            raise ValueError("frame: expected ascending numbers; use Boxes.sorted")

    def __len__(self) -> int:
        return len(self.frame)

    @staticmethod
    def sorted(frame: npt.ArrayLike, ids: npt.ArrayLike, xyxy: npt.ArrayLike) -> "Boxes":
        """Boxes given in any order; those of one frame keep theirs."""
        frames = np.asarray(frame, np.int64)
        order = np.argsort(frames, kind="stable")
        corners = np.asarray(xyxy, np.float64).reshape(-1, 4)
        return Boxes(frames[order], np.asarray(ids, np.int64)[order], corners[order])

    @staticmethod
    def empty() -> "Boxes":
        """No boxes."""
        return Boxes.sorted([], [], [])

    def take(self, rows: Rows) -> "Boxes":
        """The boxes at ``rows``: a mask, or ascending indices."""
        return Boxes(self.frame[rows], self.id[rows], self.xyxy[rows])

    def joined(self, other: "Boxes") -> "Boxes":
        """These boxes and others."""
        frame, ids = np.concatenate([self.frame, other.frame]), np.concatenate([self.id, other.id])
        return Boxes.sorted(frame, ids, np.concatenate([self.xyxy, other.xyxy]))

    def rows(self, frames: range) -> Iterator[slice]:
        """For each of ``frames``, where its boxes are."""
        numbers = np.asarray(frames)
        starts = np.searchsorted(self.frame, numbers, "left").tolist()
        ends = np.searchsorted(self.frame, numbers, "right").tolist()
        return map(slice, starts, ends)

    def within(self, frames: range) -> npt.NDArray[np.bool_]:
        """(n,) whether each box is in one of ``frames``."""
        return np.isin(self.frame, np.asarray(frames))

    @property
    def area(self) -> Doubles:
        """(n,) square pixels."""
        return np.asarray((self.xyxy[:, 2:] - self.xyxy[:, :2]).prod(1))


@dataclass(frozen=True)
class MotLines:
    """The lines of a MOT-Challenge file.

    Attributes:
        boxes: all of them.
        counted: (n,) bool: the confidence column is absent or not 0, which in ground truth says "to be considered".
        kind: (n,) int64 class of each, as MOT16, MOT17 and MOT20 have it; None where the file has no such column.
    """

    boxes: Boxes
    counted: npt.NDArray[np.bool_]
    kind: Integers | None


def read_mot_lines(path: Path, *, once: bool = True) -> MotLines:
    """Read ``frame,id,left,top,width,height[,confidence[,...]]``.

    Lines of nine columns are those of MOT16 and later: the eighth is the class. In MOT15's ten it is a coordinate.

    Args:
        path: of the file.
        once: nobody may be twice in one frame; negative ids are nobody.

    Raises:
        DataError: the file is absent or cannot be read, or a line is malformed, or has a person twice in one frame.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give a MOT-Challenge file") from None
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read as text; give a MOT-Challenge file") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows = [_parse(path, number, line) for number, line in lines]
    values = np.array([row[:8] for row in rows], np.float64).reshape(-1, 8)
    if once:
        _check_twice(path, values, [number for number, _ in lines])
    corners = np.hstack([values[:, 2:4], values[:, 2:4] + values[:, 4:6]])
    order = np.argsort(values[:, 0], kind="stable")
    boxes = Boxes.sorted(values[:, 0], values[:, 1], corners)
    classes = bool(rows) and all(row[8] == 9 for row in rows)
    return MotLines(boxes, values[order, 6] != 0, values[order, 7].astype(np.int64) if classes else None)


def _parse(path: Path, number: int, line: str) -> list[float]:
    """Eight values of a line, absent ones 1, and how many columns it has."""
    try:
        values = [float(value) for value in line.split(",")]
        frame, identity, _, _, width, height = values[:6]
        fits = frame == int(frame) and identity == int(identity) and min(width, height) >= 0
        if not fits or not all(map(math.isfinite, values[:6])):
            raise ValueError
    except (ValueError, OverflowError):
        raise DataError(f"{path}: line {number} is not {','.join(_COLUMNS)}; got {line[:60]!r}") from None
    return [*[*values, 1.0, 1.0][:8], len(values)]


def _check_twice(path: Path, values: Doubles, numbers: list[int]) -> None:
    seen: set[tuple[float, float]] = set()
    for number, (frame, identity) in zip(numbers, values[:, :2].tolist(), strict=True):
        if identity >= 0 and (frame, identity) in seen:
            raise DataError(f"{path}: line {number}: person {identity:.0f} is twice in frame {frame:.0f}; keep one box")
        seen.add((frame, identity))


def match(overlaps: Doubles, iou: float) -> tuple[Integers, Integers]:
    """Rows and columns of the one-to-one pairs that overlap most in total, each by at least ``iou``.

    Args:
        overlaps: (n, m) intersection over union, or that with something added for pairs that come first.
        iou: least value of a pair.
    """
    weights = np.where(overlaps >= iou, overlaps, 0)
    rows, columns = linear_sum_assignment(-weights)
    enough = weights[rows, columns] > 0
    return rows[enough], columns[enough]


def overlapping(a: Boxes, b: Boxes, frames: range) -> Iterator[tuple[slice, slice, Doubles]]:
    """For each of ``frames`` with boxes of both: where they are, and their (n, m) intersection over union."""
    for in_a, in_b in zip(a.rows(frames), b.rows(frames), strict=True):
        if in_a.start < in_a.stop and in_b.start < in_b.stop:
            yield in_a, in_b, overlap(a.xyxy[in_a], b.xyxy[in_b])
