"""The run's own tracklets as a retrieval set: who they show by the truth, MARS scores, open-set identification.

A tracklet shows the person on whom most of its matched boxes are, if that is at least half of them and at least half of
its scored boxes are matched. It is junk if most of its boxes are on ignored boxes, or none is scored (frames without
labels, boxes too small). All others are distractors: nobody's match, but in the gallery.

MARS (Zheng et al., ECCV 2016): one query per person and camera, here the longest tracklet; the gallery is all
tracklets; junk and the query's own person in its own camera are passed over. Only people with tracklets in several
cameras are asked for, so that every query has a match, as in MARS.

Open-set identification is 1:N as in ISO/IEC 19795-1 and NIST's FRVT: the share of searches for an enrolled person that
return this person first and above a threshold (1 - FNIR at rank 1), at a threshold that lets at most a given share of
searches for people who are not enrolled return anybody (FPIR). A person is enrolled with all tracklets of the other
cameras and is as alike as the most alike of them. Each query searches twice: for the second search its own person is
left out. With n such searches, a share of false alarms below 1 / n means none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.datasets.types import DISTRACTOR, JUNK
from reid.evaluation.ranks import evaluate_features
from reid.evaluation.scores import RetrievalScores
from tracker.scoring.scene import Scene, matches
from tracker.types import Floats, Integers

FALSE_ALARMS = (0.01, 0.1)


@dataclass(frozen=True)
class Labels:
    """Who n tracklets show.

    Attributes:
        pid: (n,) 1 + the person's place in ``people``; ``DISTRACTOR`` or ``JUNK``.
        people: (p,) the truth's ids, ascending.
        boxes: (n,) scored boxes.
        counts: (n, p) boxes of each tracklet on each person.
    """

    pid: Integers
    people: Integers
    boxes: Integers
    counts: Integers

    @property
    def purity(self) -> float:
        """Share of all matched boxes that are on their tracklet's main person; 1 where none is matched."""
        matched = int(self.counts.sum())
        return float(self.counts.max(1, initial=0).sum() / matched) if matched else 1.0


@dataclass(frozen=True)
class OpenSet:
    """Identification of people who may not be enrolled.

    Attributes:
        enrolled: searches for an enrolled person.
        strangers: searches for a person who is not.
        first: share of enrolled people who come first, whatever the similarity.
        rates: (share of false alarms allowed, how many they are, share of enrolled people identified) each.
    """

    enrolled: int
    strangers: int
    first: float
    rates: tuple[tuple[float, int, float], ...]


def label_tracklets(scenes: Sequence[Scene], count: int) -> Labels:
    """Say who each of ``count`` tracklets shows, as the module defines it; ties go to the smaller id."""
    people = np.unique(np.concatenate([scene.people.id for scene in scenes]))
    counts = np.zeros((count, len(people)), np.int64)
    boxes, left_out = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for scene in scenes:
        rows, columns = matches(scene)
        np.add.at(counts, (scene.found.id[columns], np.searchsorted(people, scene.people.id[rows])), 1)
        boxes += np.bincount(scene.found.id, minlength=count)
        left_out += np.bincount(scene.left_out.id, minlength=count)
    matched, most = counts.sum(1), counts.max(1, initial=0)
    shown = (most > 0) & (2 * most >= matched) & (2 * matched >= boxes)
    pid = np.full(count, DISTRACTOR, np.int64)
    if len(people):
        pid[shown] = counts[shown].argmax(1) + 1
    pid[(boxes == 0) | (left_out > boxes)] = JUNK
    return Labels(pid, people, boxes, counts)


def choose_queries(labels: Labels, camera: Integers) -> Integers:
    """Rows of the longest tracklet of each person in each camera, ascending; ties go to the first."""
    longest: dict[tuple[int, int], int] = {}
    for row in np.flatnonzero(labels.pid > DISTRACTOR).tolist():
        key = (int(labels.pid[row]), int(camera[row]))
        if key not in longest or labels.boxes[row] > labels.boxes[longest[key]]:
            longest[key] = row
    return np.array(sorted(longest.values()), np.int64)


def retrieve(vectors: Floats, labels: Labels, camera: Integers) -> RetrievalScores | None:
    """MARS scores by the rules of its official code; None where no person has tracklets in two cameras.

    Args:
        vectors: (n, d) of each tracklet; any norm but 0.
        labels: of the n tracklets.
        camera: (n,).
    """
    queries = choose_queries(labels, camera)
    persons, cameras = np.unique(labels.pid[queries], return_counts=True)
    queries = queries[np.isin(labels.pid[queries], persons[cameras > 1])]
    if not len(queries):
        return None
    asked = vectors[queries], labels.pid[queries], camera[queries]
    return evaluate_features(*asked, vectors, labels.pid, camera)


def identify(vectors: Floats, labels: Labels, camera: Integers) -> OpenSet | None:
    """Open-set identification, as the module defines it; None where nobody can be searched for.

    Args:
        vectors: (n, d) unit vectors.
        labels, camera: as for ``retrieve``.
    """
    own, other = [], []
    for query in choose_queries(labels, camera):
        enrolled = (labels.pid > DISTRACTOR) & (camera != camera[query])
        alike = vectors @ vectors[query]
        mine = enrolled & (labels.pid == labels.pid[query])
        own.append(alike[mine].max(initial=-np.inf))
        other.append(alike[enrolled & ~mine].max(initial=-np.inf))
    return identification_rates(np.array(own), np.array(other))


def identification_rates(own: npt.ArrayLike, other: npt.ArrayLike) -> OpenSet | None:
    """Rates from n queries' similarities.

    Args:
        own: (n,) to the query's own person; -inf where that person is not enrolled.
        other: (n,) to the most alike other person; -inf where there is none.

    >>> identification_rates([0.9, 0.8, 0.4], [0.1, 0.5, 0.6]).rates[0]
    (0.01, 0, 0.6666666666666666)
    """
    mine, others = np.asarray(own, np.float64), np.asarray(other, np.float64)
    strangers = np.sort(others[others > -np.inf])[::-1]
    first = (mine > others) & (mine > -np.inf)
    enrolled = int((mine > -np.inf).sum())
    if not enrolled or not len(strangers):
        return None
    rates = []
    for share in FALSE_ALARMS:
        threshold = strangers[int(share * len(strangers) + 1e-9)]  # all above it are the false alarms allowed
        identified = int((first & (mine > threshold)).sum())
        rates.append((share, int((strangers > threshold).sum()), identified / enrolled))
    return OpenSet(enrolled, len(strangers), int(first.sum()) / enrolled, tuple(rates))
