"""From a data set's name and folder to its published scores: the protocol that ``DATASETS`` names for it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reid.datasets import DATASETS, load_dataset
from reid.datasets.splits import Part, choose_part
from reid.datasets.types import Labelled, Protocol, Split, TrackletSet
from reid.errors import BadInputError, DataError
from reid.evaluation.aligned import evaluate_aligned
from reid.evaluation.details import Collector, Details
from reid.evaluation.embedding import BATCH, Embed, Pooling, Report, embed_set
from reid.evaluation.images import Reranker, evaluate_reranked, multi_query_features, query_and_gallery
from reid.evaluation.people import GALLERY_SIZE, Detect, evaluate_search
from reid.evaluation.ranks import evaluate_features
from reid.evaluation.scores import RetrievalScores, average
from reid.evaluation.search import SearchScores
from reid.evaluation.single_shot import REPEATS, evaluate_single_shot
from reid.evaluation.tracklets import MARS_NOTES, mars_query_rows, mars_scores

Floats = npt.NDArray[np.floating]
Features = Callable[[Labelled, str], Floats]
Scores = dict[str, RetrievalScores | SearchScores]

SINGLE_QUERY, MULTI_QUERY, SINGLE_SHOT, SEARCH = "single query", "multi query", "single shot", "search"
NOTES = {
    SINGLE_QUERY: (
        "every query ranks the gallery; identity -1 and the query's identity in its own camera are junk; CMC over all"
        " queries"
    ),
    f"{MULTI_QUERY}, mean": "the mean of all images of the query's identity and camera asks; otherwise as single query",
    f"{MULTI_QUERY}, max": "the element-wise maximum of them asks; otherwise as single query",
    SINGLE_SHOT: (
        "camera A asks, the gallery is one item of each person in camera B, drawn at random; mean over splits and"
        " draws. CMC is these sets' figure; mAP here is the mean of 1 / rank"
    ),
    SEARCH: "average precision over detections, scaled by the share of the person's frames that have a right one",
    **MARS_NOTES,
}


@dataclass(frozen=True)
class Evaluation:
    """What a data set's protocol says of an embedder.

    Attributes:
        protocol: as in ``DATASETS``.
        scores: by variant, the one to report first.
        notes: by variant, what it is, in words.
        details: of the first variant; None unless asked for, and for person search.
        query, gallery: what the details' rows count in: sets of the first split; None where there are no details.
    """

    protocol: Protocol
    scores: Scores
    notes: dict[str, str]
    details: Details | None = None
    query: Labelled | None = None
    gallery: Labelled | None = None


def evaluate_dataset(
    name: str,
    folder: Path,
    embed: Embed,
    report: Report,
    *,
    batch: int = BATCH,
    pooling: Pooling | None = None,
    multi_query: bool = False,
    rerankers: Mapping[str, Reranker] | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
    local: Embed | None = None,
    aligned: int = 0,
    detect: Detect | None = None,
    gallery_size: int = GALLERY_SIZE,
    details: bool = False,
    part: Part = "test",
    held_out: int = 0,
) -> Evaluation:
    """Embed a data set's test part and score it by its own protocol, over all its splits.

    Args:
        name: in ``DATASETS``.
        folder: of the data set.
        embed: RGB uint8 images, of their own sizes, to (n, d) vectors; an ``Embedder`` is one.
        report: called with lines of progress.
        batch: images read and embedded at a time.
        pooling: of a tracklet's frames; None takes ``max`` for MARS, as its official code, and ``mean`` elsewhere.
        multi_query: also score Market-1501's multi query, by mean and by maximum.
        rerankers: by name; each adds a variant to a set scored as Market-1501 is.
        local: images to (n, s, c) stripes, as ``Network.local``; adds a variant for sets of images scored as
            Market-1501 is.
        aligned: how many of each query's first results the local distance re-scores.
        repeats, seed: of single-shot sets' random galleries.
        detect, gallery_size: of person search, as for ``evaluate_search``.
        details: also collect ``Details``.
        part, held_out: which identities, as for ``choose_part``; all but ``test`` for sets of images scored as
            Market-1501 is.

    Raises:
        BadInputError: the name is unknown, or an option does not fit the set's protocol.
        DataError: the folder is absent or malformed, or there is nothing in it to evaluate on.
    """
    protocol = DATASETS[name].protocol if name in DATASETS else "market1501"  # load_dataset refuses an unknown name
    if (multi_query or rerankers or local) and protocol != "market1501":
        raise BadInputError(
            f"{name} is scored by its own protocol, {protocol}: leave out multi query, re-ranking and local distance"
        )
    if part != "test" and protocol != "market1501":
        raise BadInputError(f"{name} is scored by its own protocol, {protocol}, which needs its own test part")
    split = choose_part(name, load_dataset(name, folder), part, held_out)
    if local and isinstance(split.gallery, TrackletSet):
        raise BadInputError(f"{name}: local distance is for images, not for tracklets; leave it out")
    collector = Collector() if details and protocol != "search" else None
    features = _features(embed, report, batch, pooling or ("max" if protocol == "mars" else "mean"))
    scores: Scores
    if protocol == "search":
        if split.search is None:
            raise DataError(f"{folder}: no frames to search in; fetch the test part")
        scores = {SEARCH: evaluate_search(split.search, embed, report, detect, gallery_size)}
    elif protocol == "single_shot":
        others = (load_dataset(name, folder, i) for i in range(1, DATASETS[name].splits))
        scores = {SINGLE_SHOT: _single_shot(chain([split], others), features, report, repeats, seed, collector)}
    elif protocol == "mars":
        rows, gallery = mars_query_rows(split), query_and_gallery(split)[1]
        scores = {**mars_scores(features(gallery, "gallery"), gallery.pid, gallery.camera, rows, collector)}
    else:
        stripes = _features(local, report, batch) if local else None
        scores = _market(split, features, multi_query, rerankers or {}, stripes, aligned, collector)
    notes = {variant: _note(variant) for variant in scores}
    if collector is None:
        return Evaluation(protocol, scores, notes)
    return Evaluation(protocol, scores, notes, collector.details(), *query_and_gallery(split))


def _features(embed: Embed, report: Report, batch: int, pooling: Pooling = "mean") -> Features:
    """``embed_set`` of a set and its name."""

    def features(items: Labelled, part: str) -> Floats:
        return embed_set(items, embed, part, report, batch, pooling)

    return features


def _market(
    split: Split,
    features: Features,
    multi_query: bool,
    rerankers: Mapping[str, Reranker],
    stripes: Features | None,
    aligned: int,
    collector: Collector | None,
) -> Scores:
    """Single query, each multi query, all of them re-ranked, and single query by local distance."""
    query, gallery = query_and_gallery(split)
    asked = {SINGLE_QUERY: features(query, "query")}
    if multi_query:
        for pooling, pooled in multi_query_features(split, features).items():
            asked[f"{MULTI_QUERY}, {pooling}"] = pooled
    labels = gallery.pid, gallery.camera
    vectors = features(gallery, "gallery")
    scores: Scores = {}
    for variant, queries in asked.items():
        watch = collector if variant == SINGLE_QUERY else None
        scores[variant] = evaluate_features(queries, query.pid, query.camera, vectors, *labels, collector=watch)
        for name, reranker in rerankers.items():
            reranked = evaluate_reranked(reranker, queries, query.pid, query.camera, vectors, *labels)
            scores[f"{variant}, {name}"] = reranked
    if stripes:
        asking = asked[SINGLE_QUERY], stripes(query, "query's stripes"), query.pid, query.camera
        scores[f"{SINGLE_QUERY}, local distance"] = evaluate_aligned(
            *asking, vectors, stripes(gallery, "gallery's stripes"), *labels, aligned
        )
    return scores


def _note(variant: str) -> str:
    """What a variant is; re-ranking stands behind a comma."""
    base = max((name for name in NOTES if variant.startswith(name)), key=len)
    added = variant.removeprefix(base).removeprefix(", ")
    return f"{NOTES[base]}; re-ranked by {added}, identity -1 left out first" if added else NOTES[base]


def _single_shot(
    splits: Iterable[Split],
    features: Features,
    report: Report,
    repeats: int,
    seed: int,
    collector: Collector | None,
) -> RetrievalScores:
    """Mean over splits; details of the first."""
    runs: list[RetrievalScores] = []
    for number, split in enumerate(splits):
        query, gallery = query_and_gallery(split)
        asked, vectors = features(query, f"split {number}, query"), features(gallery, f"split {number}, gallery")
        runs.append(
            evaluate_single_shot(
                asked, query.pid, vectors, gallery.pid, repeats, (seed, number), None if number else collector
            )
        )
        report(f"split {number}: R1 {runs[-1].rank(1):.2%}")
    return average(runs) if len(runs) > 1 else runs[0]
