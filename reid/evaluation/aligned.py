"""Single query re-scored by AlignedReID's local distance (Zhang et al., arXiv:1711.08184): each query's first results.

Global and local distance are added, as the usual reimplementation does; the paper ranks by the global one alone.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from reid.datasets.types import JUNK
from reid.evaluation.blocks import cosine_blocks
from reid.evaluation.embedding import unit
from reid.evaluation.ranks import score_blocks
from reid.evaluation.scores import RetrievalScores
from reid.rerank.top import rescore_top

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]


def evaluate_aligned(
    query_features: Floats,
    query_stripes: Floats,
    query_pid: Integers,
    query_camera: Integers,
    gallery_features: Floats,
    gallery_stripes: Floats,
    gallery_pid: Integers,
    gallery_camera: Integers,
    first: int,
) -> RetrievalScores:
    """Scores when each query's first results are ordered by global plus local distance, both Euclidean at heart.

    Args:
        query_features, gallery_features: (q, d) and (g, d); any norm but 0.
        query_stripes, gallery_stripes: (q, s, c) and (g, s, c), one vector a stripe.
        query_pid, query_camera, gallery_pid, gallery_camera: (q,), (g,).
        first: results that are re-scored, at least 1; identity -1 takes no place among them.

    Raises:
        BadInputError: ``first`` below 1.
        DataError: no query has a match.
        ValueError: shapes that do not fit, or a feature that is zero or not finite.
    """
    import torch

    from reid.align import local_distance_pairs

    kept = np.flatnonzero(gallery_pid != JUNK)
    asked, stored = torch.from_numpy(query_stripes), torch.from_numpy(gallery_stripes[kept])

    def local(query: int, gallery: npt.NDArray[np.intp]) -> Floats:
        return np.asarray(local_distance_pairs(asked[query][None], stored[torch.from_numpy(gallery)]).numpy())

    blocks = rescore_top(_euclidean(query_features, gallery_features[kept]), local, first)
    return score_blocks(blocks, query_pid, query_camera, gallery_pid[kept], gallery_camera[kept])


def _euclidean(query: Floats, gallery: Floats) -> Iterator[Floats]:
    """Distances of unit vectors, block by block."""
    for block in cosine_blocks(unit(query), unit(gallery)):
        yield np.sqrt(np.maximum(2 * block, 0))
