"""Retrieval scores by the Market-1501 protocol (Zheng et al., ICCV 2015).

Every query ranks the whole gallery. Junk is passed over as though it were not there: identity -1, and the query's own
identity in the query's own camera. Identity 0, the distractors, stays as nobody's match. Equal distances keep the
gallery's order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.datasets.types import DISTRACTOR, JUNK, ImageSet, Split
from reid.errors import DataError
from reid.images import Image, read_image

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Report = Callable[[str], None]

MAX_RANK = 50
QUERY_BLOCK = 256


@dataclass(frozen=True)
class RetrievalScores:
    """How well queries find their matches; all scores 0..1.

    Attributes:
        mean_ap: mean average precision over valid queries, AP as the mean of k / r_k over the ranks r_k of the
            matches. The figure of papers since about 2018, and the one to report.
        mean_ap_trapezoid: the same by the trapezoids of the official MATLAB code; never higher, up to 2 points lower.
        mean_inp: mean inverse negative penalty, matches / rank of the last match (Ye et al., arXiv:2001.04193).
        cmc: share of queries whose first match has rank r or better at [r - 1], r up to 50. Over ALL queries, as the
            official code; torchreid and fast-reid divide by the valid ones.
        queries: number of queries.
        valid: queries that have a match in the gallery.
    """

    mean_ap: float
    mean_ap_trapezoid: float
    mean_inp: float
    cmc: tuple[float, ...]
    queries: int
    valid: int

    def rank(self, r: int) -> float:
        """CMC at rank r, 1..50."""
        return self.cmc[r - 1]


def score_ranking(
    distances: Floats, query_pid: Integers, query_camera: Integers, gallery_pid: Integers, gallery_camera: Integers
) -> RetrievalScores:
    """Scores of a distance matrix.

    Args:
        distances: (q, g), smaller is more alike; any floating type, any scale.
        query_pid, query_camera: (q,).
        gallery_pid, gallery_camera: (g,).

    Raises:
        ValueError: shapes that do not fit, or NaN among the distances.
        DataError: no query has a match.

    >>> pid, camera = np.array([7, 7, -1, 0, 7, 3, 7, 0]), np.array([1, 2, 3, 4, 3, 2, 1, 2])
    >>> distances = np.array([[0.1, 0.4, 0.05, 0.2, 0.6, 0.3, 0.7, 0.65]])
    >>> scores = score_ranking(distances, np.array([7]), np.array([1]), pid, camera)
    >>> round(scores.mean_ap, 4), scores.cmc[:4]
    (0.4167, (0.0, 0.0, 1.0, 1.0))
    """
    _check_labels(len(distances), query_pid, query_camera)
    _check_labels(distances.shape[1], gallery_pid, gallery_camera)
    return _summary(_score_queries(distances, query_pid, query_camera, gallery_pid, gallery_camera))


def evaluate_features(
    query_features: Floats,
    query_pid: Integers,
    query_camera: Integers,
    gallery_features: Floats,
    gallery_pid: Integers,
    gallery_camera: Integers,
    block: int = QUERY_BLOCK,
) -> RetrievalScores:
    """Scores of features by cosine distance, ``block`` queries at a time: memory is block x gallery.

    Args:
        query_features: (q, d); any norm but 0.
        query_pid, query_camera: (q,).
        gallery_features: (g, d); any norm but 0.
        gallery_pid, gallery_camera: (g,).
        block: queries ranked at a time, at least 1.

    Raises:
        ValueError: shapes that do not fit, or a feature that is zero or not finite.
        DataError: no query has a match.
    """
    _check_labels(len(query_features), query_pid, query_camera)
    _check_labels(len(gallery_features), gallery_pid, gallery_camera)
    queries, gallery = _unit_rows(query_features), _unit_rows(gallery_features)
    parts = []
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        distances = 1 - queries[rows] @ gallery.T
        parts.append(_score_queries(distances, query_pid[rows], query_camera[rows], gallery_pid, gallery_camera))
    return _summary(np.concatenate([np.empty((0, 4)), *parts]))


def evaluate_dataset(
    split: Split, embed: Callable[[Sequence[Image]], Floats], report: Report, batch: int = 64
) -> RetrievalScores:
    """Embed a data set's query and gallery images and score them.

    Args:
        split: with query and gallery.
        embed: RGB uint8 images, of their own sizes, to (n, d) vectors; an ``Embedder`` is one.
        report: called with a line of progress about ten times a set.
        batch: images read and embedded at a time.

    Raises:
        DataError: the split has no query or gallery, an image cannot be read, or no query has a match.
    """
    query, gallery = split.query, split.gallery
    if query is None or gallery is None:
        raise DataError("this data set has no query and gallery images to evaluate on; choose another or fetch them")
    query_features = embed_images(query, embed, "query", report, batch)
    gallery_features = embed_images(gallery, embed, "gallery", report, batch)
    return evaluate_features(query_features, query.pid, query.camera, gallery_features, gallery.pid, gallery.camera)


def embed_images(
    images: ImageSet, embed: Callable[[Sequence[Image]], Floats], name: str, report: Report, batch: int = 64
) -> Floats:
    """(n, d) features of an image set, read in batches; ``name`` stands in the lines of progress."""
    parts, spoken = [], 0
    for start in range(0, len(images), batch):
        paths = images.paths[start : start + batch]
        parts.append(embed([read_image(path) for path in paths]))
        done = start + len(paths)
        if done * 10 // len(images) > spoken:
            spoken = done * 10 // len(images)
            report(f"{name}: {done} of {len(images)} images")
    if not parts:
        raise DataError(f"the {name} set has no image; is it the right data set?")
    return np.concatenate(parts)


def _score_queries(
    distances: Floats, query_pid: Integers, query_camera: Integers, gallery_pid: Integers, gallery_camera: Integers
) -> npt.NDArray[np.float64]:
    """(q, 4): average precision by steps and by trapezoids, inverse negative penalty, rank of the first match.

    A query without a match has NaN throughout.
    """
    if np.isnan(distances).any():
        raise ValueError("distances: expected numbers, got NaN")
    same = (query_pid[:, None] == gallery_pid[None, :]) & (gallery_pid != DISTRACTOR)
    junk = (gallery_pid == JUNK) | (same & (query_camera[:, None] == gallery_camera[None, :]))
    order = np.argsort(distances, axis=1, kind="stable")
    rows = np.full((len(distances), 4), np.nan)
    for i, ranking in enumerate(order):
        kept = ranking[~junk[i, ranking]]
        ranks = np.flatnonzero(same[i, kept]) + 1
        if len(ranks):
            rows[i] = _score_ranks(ranks)
    return rows


def _score_ranks(ranks: npt.NDArray[np.intp]) -> tuple[float, float, float, float]:
    """Scores of one query from the 1-based ranks of its n matches, ascending."""
    found = np.arange(1, len(ranks) + 1)
    precision = found / ranks
    before = np.where(ranks == 1, 1.0, (found - 1) / np.maximum(ranks - 1, 1))  # the MATLAB code starts from 1
    trapezoid = (precision + before) / 2
    return float(precision.mean()), float(trapezoid.mean()), len(ranks) / float(ranks[-1]), float(ranks[0])


def _summary(rows: npt.NDArray[np.float64]) -> RetrievalScores:
    valid = rows[~np.isnan(rows[:, 3])]
    if not len(valid):
        raise DataError(
            f"none of {len(rows)} queries has a match in the gallery from another camera; check identities and cameras"
        )
    means = valid[:, :3].mean(0)
    first = np.sort(valid[:, 3])
    cmc = np.searchsorted(first, np.arange(1, MAX_RANK + 1), side="right") / len(rows)
    return RetrievalScores(
        mean_ap=float(means[0]),
        mean_ap_trapezoid=float(means[1]),
        mean_inp=float(means[2]),
        cmc=tuple(cmc.tolist()),
        queries=len(rows),
        valid=len(valid),
    )


def _check_labels(length: int, pid: Integers, camera: Integers) -> None:
    if pid.shape != (length,) or camera.shape != (length,):
        raise ValueError(f"expected pid and camera ({length},), got {pid.shape} and {camera.shape}")


def _unit_rows(features: Floats) -> Floats:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ValueError("features: expected finite vectors other than zero")
    return np.asarray(features / norms)
