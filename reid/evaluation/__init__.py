"""Evaluation by the published protocols.

``evaluate_dataset`` is the whole way from a data set's name to its scores. Below it, one idea a file:

============== ========================================================================================
scores.py      from the ranks of a query's matches to AP, INP and CMC; means over queries and over runs
ranks.py       from distances to those ranks: the Market-1501 rule of junk and distractors
blocks.py      cosine distances of a large gallery, a block of queries at a time
details.py     on the way: each query's nearest, and histograms of distances
embedding.py   images and tracklets to vectors
images.py      single query, multi query, re-ranked
aligned.py     single query with the first results by AlignedReID's local distance
single_shot.py two cameras, one random gallery image a person (CUHK03's old protocol, VIPeR, iLIDS-VID)
tracklets.py   MARS, as its official code and as others read it
search.py      person search (CUHK-SYSU): the rule
people.py      person search: detecting and embedding, each frame once
protocols.py   which data set is scored how
============== ========================================================================================

Features of your own go to ``evaluate_features``, distances to ``score_ranking`` or, block by block, ``score_blocks``.
"""

from reid.evaluation.aligned import evaluate_aligned
from reid.evaluation.blocks import MEMORY_BYTES, cosine_blocks
from reid.evaluation.details import Collector, Details
from reid.evaluation.embedding import embed_images, embed_set, embed_tracklets
from reid.evaluation.images import (
    evaluate_reranked,
    evaluate_split,
    multi_query_features,
    multi_query_images,
    pool_queries,
)
from reid.evaluation.people import evaluate_search
from reid.evaluation.protocols import Evaluation, evaluate_dataset
from reid.evaluation.ranks import evaluate_features, score_blocks, score_ranking
from reid.evaluation.scores import RetrievalScores, average
from reid.evaluation.search import SearchScores, score_detections, score_search
from reid.evaluation.single_shot import evaluate_single_shot
from reid.evaluation.tracklets import MARS_NOTES, mars_query_rows, mars_scores

__all__ = [
    "MARS_NOTES",
    "MEMORY_BYTES",
    "Collector",
    "Details",
    "Evaluation",
    "RetrievalScores",
    "SearchScores",
    "average",
    "cosine_blocks",
    "embed_images",
    "embed_set",
    "embed_tracklets",
    "evaluate_aligned",
    "evaluate_dataset",
    "evaluate_features",
    "evaluate_reranked",
    "evaluate_search",
    "evaluate_single_shot",
    "evaluate_split",
    "mars_query_rows",
    "mars_scores",
    "multi_query_features",
    "multi_query_images",
    "pool_queries",
    "score_blocks",
    "score_detections",
    "score_ranking",
    "score_search",
]
