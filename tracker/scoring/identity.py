"""IDF1: identities and people matched one to one so that most boxes are under the right identity.

Ristani et al., ECCV 2016, section 2.2. TrackEval solves the same in a square of people + identities; here who is given
nobody just gains nothing, and the table is people x identities.

An identity that is twice in a frame (a user may say that two tracklets of one moment are one person) is on a person
there once at most: the other box is on nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from tracker.scoring.boxes import overlapping
from tracker.scoring.scene import Scene
from tracker.types import Integers


@dataclass(frozen=True)
class Assignment:
    """Which identity is whose.

    Attributes:
        person: (n,) for each tracklet the row of the person that its identity is given to; -1 for none.
        right: boxes under the right identity.
        people, found: boxes of people, and that were found.
    """

    person: Integers
    right: int
    people: int
    found: int

    @property
    def idf1(self) -> float:
        """2 x right / all boxes; 0 where there is none."""
        return 2 * self.right / max(self.people + self.found, 1)

    @property
    def idp(self) -> float:
        """Share of the boxes found that are right."""
        return self.right / max(self.found, 1)

    @property
    def idr(self) -> float:
        """Share of people's boxes that are right."""
        return self.right / max(self.people, 1)


def assign(scenes: Sequence[Scene], people: Integers, numbers: Integers) -> Assignment:
    """Give identities to people.

    Args:
        scenes: at least one.
        people: (p,) all of the scenes', ascending.
        numbers: (n,) identity of each of the run's tracklets.
    """
    identities, column = np.unique(numbers, return_inverse=True)
    counts = np.zeros((len(people), len(identities)), np.int64)
    for scene in scenes:
        for in_people, in_found, overlaps in overlapping(scene.people, scene.found, scene.frames):
            rows, columns = np.nonzero(overlaps >= scene.iou)
            person = np.searchsorted(people, scene.people.id[in_people][rows])
            counts[person, column[scene.found.id[in_found][columns]]] += 1  # once, however often a pair is listed
    owner = np.full(len(identities), -1, np.int64)
    rows, columns = linear_sum_assignment(-counts)
    gain = counts[rows, columns] > 0
    owner[columns[gain]] = rows[gain]
    truth, found = sum(len(scene.people) for scene in scenes), sum(len(scene.found) for scene in scenes)
    return Assignment(owner[column], int(counts[rows, columns].sum()), truth, found)
