"""From distances to the ranks of each query's matches, by the Market-1501 protocol (Zheng et al., ICCV 2015).

Every query ranks the whole gallery. Junk is passed over as though it were not there: identity -1, and the query's own
identity in the query's own camera. Identity 0, the distractors, stays as nobody's match. Equal distances keep the
gallery's order.

The gallery is not sorted: the rank of a match is one more than the number of gallery items before it, and a query has
few matches.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from reid.datasets.types import DISTRACTOR, JUNK
from reid.evaluation.blocks import MEMORY_BYTES, cosine_blocks
from reid.evaluation.details import Collector
from reid.evaluation.scores import RetrievalScores, score_ranks, summarise

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

_FEW = 64  # matches up to which counting each takes less time than ordering one query's distances


def score_ranking(
    distances: Floats,
    query_pid: Integers,
    query_camera: Integers,
    gallery_pid: Integers,
    gallery_camera: Integers,
    collector: Collector | None = None,
) -> RetrievalScores:
    """Scores of a distance matrix.

    Args:
        distances: (q, g), smaller is more alike; any floating type, any scale.
        query_pid, query_camera: (q,).
        gallery_pid, gallery_camera: (g,).
        collector: gathers ``Details`` on the way.

    Raises:
        ValueError: shapes that do not fit, or NaN among the distances.
        DataError: no query has a match.

    >>> pid, camera = np.array([7, 7, -1, 0, 7, 3, 7, 0]), np.array([1, 2, 3, 4, 3, 2, 1, 2])
    >>> distances = np.array([[0.1, 0.4, 0.05, 0.2, 0.6, 0.3, 0.7, 0.65]])
    >>> scores = score_ranking(distances, np.array([7]), np.array([1]), pid, camera)
    >>> round(scores.mean_ap, 4), scores.cmc[:4]
    (0.4167, (0.0, 0.0, 1.0, 1.0))
    """
    return score_blocks([distances], query_pid, query_camera, gallery_pid, gallery_camera, collector)


def score_blocks(
    blocks: Iterable[Floats],
    query_pid: Integers,
    query_camera: Integers,
    gallery_pid: Integers,
    gallery_camera: Integers,
    collector: Collector | None = None,
) -> RetrievalScores:
    """Scores of a distance matrix that comes in blocks of consecutive query rows, as re-ranking makes them.

    One block is held at a time; beside it memory is about 40 bytes for each gallery item.

    Args:
        blocks: (b, g) each, q rows in all.
        query_pid, query_camera, gallery_pid, gallery_camera, collector: as for ``score_ranking``.

    Raises:
        ValueError: as for ``score_ranking``.
        DataError: no query has a match.
    """
    _check_labels("query", query_pid, query_camera)
    _check_labels("gallery", gallery_pid, gallery_camera)
    gallery = _Gallery(gallery_pid, gallery_camera)
    scores = np.full((len(query_pid), 4), np.nan)
    done = 0
    for block in blocks:
        if block.ndim != 2 or block.shape[1] != len(gallery_pid) or done + len(block) > len(query_pid):
            raise ValueError(
                f"expected distances ({len(query_pid) - done}, {len(gallery_pid)}) or a part of them, got {block.shape}"
            )
        for i in range(len(block)):
            scores[done + i] = _score_query(block[i], query_pid[done + i], query_camera[done + i], gallery, collector)
        done += len(block)
        del block  # so that the next can take its place in memory
    if done != len(query_pid):
        raise ValueError(f"expected distances of {len(query_pid)} queries, got {done}")
    return summarise(scores)


def evaluate_features(
    query_features: Floats,
    query_pid: Integers,
    query_camera: Integers,
    gallery_features: Floats,
    gallery_pid: Integers,
    gallery_camera: Integers,
    memory_bytes: int = MEMORY_BYTES,
    collector: Collector | None = None,
) -> RetrievalScores:
    """Scores of features by cosine distance, in bounded memory and the precision of the features, at least float32.

    Beside the features, memory is ``memory_bytes`` for distances, the queries and the features of 8,192 gallery items
    once more, and about 50 bytes for each gallery item: 350 MB for a gallery of a million with 512-d features.

    Args:
        query_features: (q, d); any norm but 0.
        query_pid, query_camera: (q,).
        gallery_features: (g, d); any norm but 0.
        gallery_pid, gallery_camera: (g,).
        memory_bytes: for distances; it changes no score.
        collector: gathers ``Details`` on the way.

    Raises:
        ValueError: shapes that do not fit, or a feature that is zero or not finite.
        DataError: no query has a match.
    """
    if len(query_features) != len(query_pid) or len(gallery_features) != len(gallery_pid):
        raise ValueError(
            f"expected features of {len(query_pid)} queries and {len(gallery_pid)} gallery items,"
            f" got {len(query_features)} and {len(gallery_features)}"
        )
    blocks = cosine_blocks(query_features, gallery_features, memory_bytes)
    return score_blocks(blocks, query_pid, query_camera, gallery_pid, gallery_camera, collector)


class _Gallery:
    """Gallery labels, and which rows an identity has."""

    def __init__(self, pid: Integers, camera: Integers) -> None:
        self.camera = camera
        self._order = np.argsort(pid, kind="stable")
        self._sorted = pid[self._order]
        self.junk = self.rows(JUNK)

    def rows(self, pid: int) -> Integers:
        """Rows of one identity, ascending."""
        first, last = (np.searchsorted(self._sorted, pid, side) for side in ("left", "right"))
        return self._order[first:last]


def _score_query(
    distances: Floats, pid: int, camera: int, gallery: _Gallery, collector: Collector | None
) -> tuple[float, ...]:
    """``score_ranks`` of one query, (g,) distances; NaN where it has no match."""
    if np.isnan(distances).any():
        raise ValueError("distances: expected numbers, got NaN")
    own = gallery.rows(pid) if pid not in (JUNK, DISTRACTOR) else np.empty(0, np.int64)
    near = gallery.camera[own] == camera
    matches = own[~near]
    kept = distances.copy()
    kept[gallery.junk] = kept[own[near]] = np.nan  # neither before nor level with anything
    if collector:
        collector.add(kept, gallery.camera != camera, matches)
    return score_ranks(_ranks(kept, matches)) if len(matches) else (np.nan,) * 4


def _ranks(row: Floats, matches: Integers) -> Integers:
    """Ranks of the matches, from 1, ascending."""
    if len(matches) <= _FEW:
        before = [np.count_nonzero(row < row[j]) + np.count_nonzero(row[:j] == row[j]) for j in matches]
        return np.sort(np.array(before, np.int64)) + 1
    ordered = np.sort(row)  # values alone, NaN last
    ranks = np.searchsorted(ordered, row[matches], "left") + 1
    level = np.searchsorted(ordered, row[matches], "right") - ranks
    for i in np.flatnonzero(level):
        ranks[i] += np.count_nonzero(row[: matches[i]] == row[matches[i]])
    return np.sort(ranks)


def _check_labels(name: str, pid: Integers, camera: Integers) -> None:
    if pid.ndim != 1 or pid.shape != camera.shape:
        raise ValueError(f"expected {name} pid and camera (n,), got {pid.shape} and {camera.shape}")
