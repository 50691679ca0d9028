"""Found identities beside known people: who was found where, who was split, who was merged."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tracker.scoring.boxes import Boxes
from tracker.scoring.scene import IOU, matches_of


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
        for person in known.id.tolist():
            frames[person][camera] += 1
        there = found.get(camera, Boxes.empty())
        last = max([0, *known.frame.tolist()])
        rows, columns = matches_of(known, there, range(last + 1), IOU)
        for person, identity in zip(known.id[rows].tolist(), there.id[columns].tolist(), strict=True):
            identities[person][camera][identity] += 1
    return [Person(person, identities[person], frames[person]) for person in sorted(frames)]
