"""Two cameras, one gallery image a person: the protocol of CUHK03's first years, VIPeR, CUHK01, PRID2011, iLIDS-VID.

Every image of camera A queries a gallery that has one image, drawn at random, of each person in camera B; repeated and
averaged. torchreid draws 10 times, open-reid 100; their draws differ from ours and from each other's.

CMC is the figure of these sets. With one match a query, AP is 1 / rank, so that mAP and mINP are the same number.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from reid.errors import BadInputError
from reid.evaluation.blocks import cosine_blocks
from reid.evaluation.details import Collector
from reid.evaluation.ranks import score_ranking
from reid.evaluation.scores import RetrievalScores, average

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

REPEATS = 10


def evaluate_single_shot(
    query_features: Floats,
    query_pid: Integers,
    gallery_features: Floats,
    gallery_pid: Integers,
    repeats: int = REPEATS,
    seed: int | tuple[int, ...] = 0,
    collector: Collector | None = None,
) -> RetrievalScores:
    """Scores over random galleries with one item an identity; the (q, g) distances are held whole.

    Args:
        query_features: (q, d) of camera A; any norm but 0.
        query_pid: (q,) identities; here 0 and -1 are identities like any other.
        gallery_features: (g, d) of camera B; any norm but 0.
        gallery_pid: (g,).
        repeats: galleries drawn; one is enough, and used, where every identity has one item.
        seed: of the draws.
        collector: gathers ``Details`` over the whole of camera B.

    Returns:
        Means over the galleries and their standard deviations. ``queries`` counts each query once.

    Raises:
        BadInputError: repeats below 1.
        ValueError: shapes that do not fit, or a feature that is zero or not finite.
        DataError: no query has a match.
    """
    if repeats < 1:
        raise BadInputError(f"repeats is {repeats}; draw at least 1 gallery")
    labels = np.unique(np.concatenate([query_pid, gallery_pid]), return_inverse=True)[1]
    query, gallery = labels[: len(query_pid)] + 1, labels[len(query_pid) :] + 1
    blocks = cosine_blocks(query_features, gallery_features)
    distances = np.concatenate([np.empty((0, len(gallery)), np.float32), *blocks])
    cameras = np.zeros_like(query), np.ones_like(gallery)
    if collector:
        score_ranking(distances, query, cameras[0], gallery, cameras[1], collector)
    rng = np.random.default_rng(seed)
    runs = []
    for _ in range(repeats if len(np.unique(gallery)) < len(gallery) else 1):
        shuffled = rng.permutation(len(gallery))
        drawn = np.sort(shuffled[np.unique(gallery[shuffled], return_index=True)[1]])
        runs.append(score_ranking(distances[:, drawn], query, cameras[0], gallery[drawn], cameras[1][drawn]))
    return replace(average(runs), queries=runs[0].queries, valid=runs[0].valid)
