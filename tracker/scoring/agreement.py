"""How well groups of tracklets agree with the people they show.

Pairwise precision, recall and F1 are those of clustering (Manning et al., Introduction to Information Retrieval, 2008,
section 16.3). IDF1 is Ristani et al.'s (ECCV 2016) where every box is found: people and groups are matched one to one,
and it is the share of boxes in their person's group. It equals IDP and IDR.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from tracker.types import Integers


class PairScores(NamedTuple):
    """Of pairs of tracklets, 0..1: F1; of those in one group, how many are one person; of one person's, how many met.

    Where there is no pair of the kind that precision or recall asks about, it is 1.
    """

    f1: float
    precision: float
    recall: float


def pair_scores(groups: npt.ArrayLike, people: npt.ArrayLike) -> PairScores:
    """Pairwise scores of (n,) groups' numbers against (n,) people's.

    >>> pair_scores([1, 1, 1, 2], [5, 5, 6, 6])
    PairScores(f1=0.4, precision=0.3333333333333333, recall=0.5)
    """
    right, joined, one = pair_counts(groups, people)
    precision, recall = right / joined if joined else 1.0, right / one if one else 1.0
    return PairScores(2 * right / (joined + one) if joined + one else 1.0, precision, recall)


def pair_counts(groups: npt.ArrayLike, people: npt.ArrayLike) -> tuple[int, int, int]:
    """How many pairs are in one group and one person, in one group, and one person.

    >>> pair_counts([1, 1, 1, 2], [5, 5, 6, 6])
    (1, 3, 2)
    """
    found, known = _numbered(groups), _numbered(people)
    if found.shape != known.shape or found.ndim != 1:
        raise ValueError(f"expected groups and people (n,), got {found.shape} and {known.shape}")
    both = np.unique(np.stack([found, known]), axis=1, return_counts=True)[1]
    return _pairs(both), _pairs(np.bincount(found)), _pairs(np.bincount(known))


def idf1(groups: npt.ArrayLike, people: npt.ArrayLike, boxes: npt.ArrayLike) -> float:
    """Share of boxes in the group that is matched to their person, 0..1.

    Args:
        groups, people: (n,) numbers of each tracklet's group and person.
        boxes: (n,) how many each tracklet has, one at least.

    >>> idf1([1, 1, 1, 2], [5, 5, 6, 6], [1, 1, 1, 7])
    0.9
    """
    found, known, counts = _numbered(groups), _numbered(people), np.asarray(boxes, np.float64)
    shared = np.zeros((known.max(initial=-1) + 1, found.max(initial=-1) + 1))
    np.add.at(shared, (known, found), counts)
    rows, columns = linear_sum_assignment(-shared)
    return float(shared[rows, columns].sum() / counts.sum())


def _numbered(values: npt.ArrayLike) -> Integers:
    """The same, from 0 without gaps."""
    array = np.asarray(values)
    return np.unique(array, return_inverse=True)[1].reshape(array.shape)


def _pairs(sizes: Integers) -> int:
    return int((sizes * (sizes - 1) // 2).sum())
