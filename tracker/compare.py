"""Found identities beside known people: who was found where, who was split, who was merged."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from reid.errors import DataError
from tracker.types import Floats

Boxes = dict[int, list[tuple[int, Floats]]]  # frame -> (id, xyxy (4,)) each

MIN_IOU = 0.5


@dataclass(frozen=True)
class Person:
    """One known person and what was found of them.

    Attributes:
        truth: the known number.
        identities: per camera, the identities that covered this person, by how many frames each.
        frames: per camera, frames in which the person is known to be visible.
    """

    truth: int
    identities: Mapping[str, Mapping[int, int]]
    frames: Mapping[str, int]

    def main_identity(self, camera: str) -> int | None:
        """The identity that covered this person longest in a camera; None where none did."""
        counts = self.identities.get(camera)
        return max(counts, key=lambda identity: (counts[identity], -identity)) if counts else None


def read_mot(path: Path) -> Boxes:
    """Read a MOT-Challenge file.

    Raises:
        DataError: a line is not ``frame,id,left,top,width,height,...``.
    """
    boxes: Boxes = defaultdict(list)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            frame, identity, left, top, width, height = (float(value) for value in line.split(",")[:6])
        except ValueError:
            raise DataError(f"{path}: line {number} is not frame,id,left,top,width,height; got {line[:60]!r}") from None
        box = np.array([left, top, left + width, top + height], np.float32)
        boxes[int(frame)].append((int(identity), box))
    return boxes


def compare(truth: Mapping[str, Boxes], found: Mapping[str, Boxes]) -> list[Person]:
    """Match found boxes to known ones frame by frame, each to at most one, by IoU of at least 0.5.

    Args:
        truth, found: boxes by camera.

    Returns:
        One entry per known person, by number.
    """
    identities: dict[int, dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    frames: dict[int, Counter[str]] = defaultdict(Counter)
    for camera, known in truth.items():
        for frame, people in known.items():
            for person, _ in people:
                frames[person][camera] += 1
            for person, identity in _matches(people, found.get(camera, {}).get(frame, [])):
                identities[person][camera][identity] += 1
    return [Person(person, identities[person], frames[person]) for person in sorted(frames)]


def _matches(known: list[tuple[int, Floats]], found: list[tuple[int, Floats]]) -> list[tuple[int, int]]:
    if not found:
        return []
    overlap = iou(np.stack([box for _, box in known]), np.stack([box for _, box in found]))
    rows, columns = linear_sum_assignment(np.where(overlap >= MIN_IOU, -overlap, 0))
    return [
        (known[row][0], found[column][0])
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if overlap[row, column] >= MIN_IOU
    ]


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of boxes (n, 4) and (m, 4), xyxy: (n, m) in 0..1."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a[:, None] + area_b[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)
