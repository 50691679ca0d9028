"""Every query ranks the gallery: Market-1501 and all sets scored like it, of images or of tracklets."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from reid.datasets.types import JUNK, ImageSet, Labelled, Split
from reid.errors import DataError
from reid.evaluation.blocks import MEMORY_BYTES
from reid.evaluation.details import Collector
from reid.evaluation.embedding import BATCH, Embed, Pooling, Report, check_pooling, embed_set, unit
from reid.evaluation.ranks import evaluate_features, score_blocks
from reid.evaluation.scores import RetrievalScores

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Reranker = Callable[[Floats, Floats], Iterator[Floats]]


def query_and_gallery(split: Split) -> tuple[Labelled, Labelled]:
    """Both parts of a split, or DataError where it only trains."""
    if split.query is None or split.gallery is None:
        raise DataError("this data set has no query and gallery images to evaluate on; choose another or fetch them")
    return split.query, split.gallery


def evaluate_split(
    split: Split,
    embed: Embed,
    report: Report,
    batch: int = BATCH,
    pooling: Pooling = "mean",
    collector: Collector | None = None,
) -> RetrievalScores:
    """Embed a split's query and gallery and score them, single query.

    Args:
        split: with query and gallery.
        embed: RGB uint8 images, of their own sizes, to (n, d) vectors; an ``Embedder`` is one.
        report: called with a line of progress about ten times a set.
        batch: images read and embedded at a time.
        pooling: of tracklets, as for ``embed_tracklets``.
        collector: gathers ``Details`` on the way.

    Raises:
        DataError: the split has no query or gallery, an image cannot be read, or no query has a match.
    """
    query, gallery = query_and_gallery(split)
    query_features = embed_set(query, embed, "query", report, batch, pooling)
    gallery_features = embed_set(gallery, embed, "gallery", report, batch, pooling)
    return evaluate_features(
        query_features,
        query.pid,
        query.camera,
        gallery_features,
        gallery.pid,
        gallery.camera,
        MEMORY_BYTES,
        collector,
    )


def evaluate_reranked(
    reranker: Reranker,
    query_features: Floats,
    query_pid: Integers,
    query_camera: Integers,
    gallery_features: Floats,
    gallery_pid: Integers,
    gallery_camera: Integers,
    collector: Collector | None = None,
) -> RetrievalScores:
    """Scores after re-ranking the whole gallery, distractors included and identity -1 left out, as published.

    Args:
        reranker: unit vectors (q, d) and (g, d) to blocks of distances (b, g), q rows in all; one of ``RERANKERS``.
        query_features, query_pid, query_camera, gallery_features, gallery_pid, gallery_camera: as for
            ``evaluate_features``.
        collector: gathers ``Details``; its gallery rows count without those of identity -1.

    Raises:
        DataError: no query has a match.
    """
    kept = gallery_pid != JUNK
    blocks = reranker(unit(query_features), unit(gallery_features[kept]))
    return score_blocks(blocks, query_pid, query_camera, gallery_pid[kept], gallery_camera[kept], collector)


def multi_query_images(multi_query: ImageSet, query: Labelled) -> ImageSet:
    """Those images of Market-1501's ``gt_bbox`` that share identity and camera with a query."""
    wanted = set(zip(query.pid.tolist(), query.camera.tolist(), strict=True))
    pairs = zip(multi_query.pid.tolist(), multi_query.camera.tolist(), strict=True)
    return multi_query.take(np.array([pair in wanted for pair in pairs], bool))


def pool_queries(
    features: Floats,
    pid: Integers,
    camera: Integers,
    query_pid: Integers,
    query_camera: Integers,
    pooling: Pooling = "mean",
) -> npt.NDArray[np.float32]:
    """Multi-query features: all images of the query's identity in the query's camera, pooled.

    Args:
        features: (n, d) of the images to pool, as they leave the network.
        pid, camera: (n,).
        query_pid, query_camera: (q,).
        pooling: ``mean`` or ``max`` over the images, then L2 normalisation.

    Returns:
        (q, d) float32 unit vectors.

    Raises:
        BadInputError: the pooling is unknown.
        DataError: a query has no image.
    """
    check_pooling(pooling)
    rows: dict[tuple[int, int], list[int]] = {}
    for i, pair in enumerate(zip(pid.tolist(), camera.tolist(), strict=True)):
        rows.setdefault(pair, []).append(i)
    queries = list(zip(query_pid.tolist(), query_camera.tolist(), strict=True))
    missing = [pair for pair in queries if pair not in rows]
    if missing:
        raise DataError(
            f"multi query: {len(missing)} of {len(queries)} queries have no image, the first of identity"
            f" {missing[0][0]} in camera {missing[0][1]}; fetch the set's gt_bbox folder again"
        )
    pool = np.max if pooling == "max" else np.mean
    return unit(np.stack([pool(features[rows[pair]], axis=0) for pair in queries]))


def multi_query_features(split: Split, features: Callable[[ImageSet, str], Floats]) -> dict[Pooling, Floats]:
    """Mean and max query features from a split's multi-query images, each image embedded once.

    Args:
        split: with query and multi_query.
        features: images, and what to call them in lines of progress, to (n, d) vectors.

    Raises:
        DataError: the split has no such images, or not of every query.
    """
    query, _ = query_and_gallery(split)
    if split.multi_query is None:
        raise DataError("this data set has no multi-query images; Market-1501 keeps them in gt_bbox")
    images = multi_query_images(split.multi_query, query)
    vectors = features(images, "multi query")
    poolings: tuple[Pooling, Pooling] = ("mean", "max")
    return {p: pool_queries(vectors, images.pid, images.camera, query.pid, query.camera, p) for p in poolings}
