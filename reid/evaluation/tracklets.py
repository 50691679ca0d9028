"""MARS (Zheng et al., ECCV 2016) by its official code, and by the two readings of it that other code bases score.

The rows of ``tracks_test_info.mat`` are tracklets; ``query_IDX.mat`` names the rows that are queries.
"""

import numpy as np
import numpy.typing as npt

from reid.datasets.types import JUNK, Split, TrackletSet
from reid.errors import DataError
from reid.evaluation.details import Collector
from reid.evaluation.images import query_and_gallery
from reid.evaluation.ranks import evaluate_features
from reid.evaluation.scores import RetrievalScores

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

MARS_NOTES = {
    "official": (
        "gallery of all test tracklets, the queries among them; identity -1 and the query's identity in its own camera"
        " are junk, which takes out the query itself; every query has a match. Papers before about 2018 print the"
        " trapezoid mAP of this."
    ),
    "queries left out": (
        "torchreid's gallery: without the query tracklets and identity -1. Queries whose only matches were other"
        " queries have none left; torchreid skips them and divides mAP and CMC by the rest, as here mAP does. CMC here"
        " is over all queries; cmc_valid is torchreid's."
    ),
    "junk left out": "AP3D's gallery: queries and gallery together without identity -1. The same scores as official.",
}


def mars_scores(
    features: Floats, pid: Integers, camera: Integers, query_rows: Integers, collector: Collector | None = None
) -> dict[str, RetrievalScores]:
    """Scores of all test tracklets by each variant in ``MARS_NOTES``, the one to report first.

    Args:
        features: (t, d) one of each row of the test table; any norm but 0.
        pid, camera: (t,).
        query_rows: (q,) rows that are queries, from 0.
        collector: gathers ``Details`` of the official variant; its gallery rows are the table's.

    Raises:
        DataError: no query has a match.
    """
    galleries = {
        "official": np.arange(len(pid)),
        "queries left out": np.setdiff1d(np.flatnonzero(pid != JUNK), query_rows),
        "junk left out": np.flatnonzero(pid != JUNK),
    }
    scores = {}
    for name, rows in galleries.items():
        scores[name] = evaluate_features(
            features[query_rows],
            pid[query_rows],
            camera[query_rows],
            features[rows],
            pid[rows],
            camera[rows],
            collector=collector if name == "official" else None,
        )
    return scores


def mars_query_rows(split: Split) -> Integers:
    """(q,) gallery rows that a split's queries are, found by their first frames.

    Raises:
        DataError: there is no query or gallery of tracklets, or a query is not in the gallery.
    """
    query, gallery = query_and_gallery(split)
    if not (isinstance(query, TrackletSet) and isinstance(gallery, TrackletSet)):
        raise DataError("MARS is scored on tracklets, but this data set has images")
    rows = {frames[0]: row for row, frames in enumerate(gallery.frames)}
    missing = [frames[0] for frames in query.frames if frames[0] not in rows]
    if missing:
        raise DataError(
            f"{missing[0]}: {len(missing)} query tracklets are not in the gallery, which in MARS holds every test"
            " tracklet; fetch the set's info folder again"
        )
    return np.array([rows[frames[0]] for frames in query.frames], np.int64)
