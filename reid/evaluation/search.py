"""Person search scored as CUHK-SYSU is (Xiao et al., CVPR 2017), by the rule of SeqNet's evaluation.

In each gallery frame that shows the person sought, detections are taken from the most alike down, and the first that
overlaps the true box enough is the one right answer; all other detections of all frames are wrong answers. Average
precision over the pooled list is multiplied by the share of those frames that have a right answer, so that a missed
person costs. There is no rule about cameras; the query's own frame is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Boxes = Floats | Integers
Bools = npt.NDArray[np.bool_]

TOP = (1, 5, 10)


@dataclass(frozen=True)
class SearchScores:
    """How well people are found in whole frames; all scores 0..1.

    Attributes:
        mean_ap: mean over queries of average precision x share of the person's frames with a right answer.
        top: share of queries with a right answer among the best 1, 5 and 10 detections.
        detection_recall: share of all annotated people that are detected.
        detection_ap: average precision of detection x ``detection_recall``.
        queries: number of queries.
        gallery_size: frames in each query's gallery.
    """

    mean_ap: float
    top: tuple[float, ...]
    detection_recall: float
    detection_ap: float
    queries: int
    gallery_size: int

    def figures(self) -> dict[str, float]:
        """The figures that papers print, by their usual names."""
        return {
            "mAP": self.mean_ap,
            **{f"top-{k}": share for k, share in zip(TOP, self.top, strict=True)},
            "detection recall": self.detection_recall,
            "detection AP": self.detection_ap,
        }


def score_search(similarity: Floats, boxes: Floats, frame: Integers, truths: Mapping[int, Boxes]) -> tuple[float, int]:
    """Score of one query.

    Args:
        similarity: (n,) of each detection in the gallery's frames to the query.
        boxes: (n, 4) left, top, right, bottom of the detections, pixels.
        frame: (n,) the frame that each detection is in.
        truths: frame to the (4,) box of the person sought, for every gallery frame that shows them; at least one.

    Returns:
        Average precision scaled by recall, and the rank of the first right answer in the pooled list, from 1; 0 where
        there is none.

    Raises:
        ValueError: no frame shows the person.
    """
    if not truths:
        raise ValueError("truths: expected at least one frame that shows the person sought")
    right = np.zeros(len(similarity), np.bool_)
    for number, truth in truths.items():
        rows = np.flatnonzero(frame == number)
        rows = rows[np.argsort(-similarity[rows], kind="stable")]
        enough = rows[overlap(boxes[rows], truth[None])[:, 0] >= overlap_needed(truth)]
        right[enough[:1]] = True
    if not right.any():
        return 0.0, 0
    ranking = right[np.argsort(-similarity, kind="stable")]
    return average_precision(right, similarity) * float(right.sum()) / len(truths), int(np.argmax(ranking)) + 1


def overlap_needed(truth: Boxes) -> float:
    """Overlap that a detection of a (4,) box needs: one half, less for small people.

    >>> overlap_needed(np.array([0, 0, 20, 40])), round(overlap_needed(np.array([0, 0, 10, 20])), 4)
    (0.5, 0.3333)
    """
    width, height = float(truth[2] - truth[0]), float(truth[3] - truth[1])
    return min(0.5, width * height / ((width + 10) * (height + 10)))


def overlap(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4); 0 where both are empty."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2, dtype=np.float64)
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def average_precision(right: Bools, score: Floats) -> float:
    """Step average precision of a list as scikit-learn defines it: equal scores share one precision.

    Args:
        right: (n,), at least one True.
        score: (n,), higher is better.
    """
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=np.inf))  # of each run of equal scores
    hits = np.cumsum(right[order])[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1])


def matched(truth: Boxes, boxes: Boxes) -> Bools:
    """(n,) detections that are each the best for a true box, and it for them, with an overlap of one half or more.

    Args:
        truth: (m, 4).
        boxes: (n, 4).
    """
    if not len(truth) or not len(boxes):
        return np.zeros(len(boxes), np.bool_)
    overlaps = overlap(truth, boxes)
    best, detection = overlaps.argmax(0), np.arange(len(boxes))
    return np.asarray((overlaps[best, detection] >= 0.5) & (overlaps.argmax(1)[best] == detection))


def score_detections(right: Bools, score: Floats, people: int) -> tuple[float, float]:
    """Recall and average precision x recall of all detections; ``people`` is the number of annotated ones."""
    if not right.any():
        return 0.0, 0.0
    recall = float(right.sum()) / people
    return recall, average_precision(right, score) * recall
