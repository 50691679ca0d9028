"""Tracklets and their crops' vectors, kept together while they are divided, dropped and joined; what looks say."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from reid.calibration import Curve
from reid.centre import camera_means, centred
from reid.pool import DEFAULT_POOLING, POOLINGS
from tracker.types import Embeddings, Floats, Tracklet

IMPROBABLE = 0.03  # that a division or a join is wrong, as far as the evidence tells


def expect_same(tracklets: Sequence[Tracklet], embeddings: Embeddings) -> None:
    """Raise ValueError unless the embeddings are those of the tracklets, in their order."""
    if embeddings.keys != tuple(tracklet.key for tracklet in tracklets):
        raise ValueError("embeddings: expected those of the same tracklets in the same order")


def qualities(tracklet: Tracklet) -> Floats:
    """(k,) of its crops."""
    return np.array([crop.quality for crop in tracklet.crops], np.float32)


def pool(vectors: Floats, quality: Floats) -> Floats:
    """(d,) unit vector of (k, d), by the default pooling."""
    return np.asarray(POOLINGS[DEFAULT_POOLING](vectors, quality), np.float32)


def pooled(tracklets: Sequence[Tracklet], embeddings: Embeddings) -> Floats:
    """(n, d) unit vectors, one a tracklet."""
    rows = [pool(each, qualities(one)) for one, each in zip(tracklets, embeddings.each(), strict=True)]
    return np.stack(rows) if rows else np.zeros((0, embeddings.vectors.shape[1]), np.float32)


def room(vectors: Floats) -> Floats:
    """(d,) what all people look like to the recording's camera, of (n, d) pooled vectors, n at least 1."""
    return np.asarray(camera_means(vectors, np.zeros(len(vectors)))[0], np.float32)


def centred_pooled(tracklets: Sequence[Tracklet], embeddings: Embeddings) -> Floats:
    """As ``pooled``, without what the recording's camera has part in; n at least 1."""
    vectors = pooled(tracklets, embeddings)
    return np.asarray(centred(vectors, room(vectors)), np.float32)


def with_vectors(embeddings: Embeddings, tracklets: Sequence[Tracklet], vectors: Iterable[Floats]) -> Embeddings:
    """The embeddings of other tracklets by the same model: (k, d) each."""
    each = list(vectors)
    return replace(
        embeddings,
        keys=tuple(tracklet.key for tracklet in tracklets),
        counts=np.array([len(tracklet.crops) for tracklet in tracklets], np.int64),
        vectors=np.concatenate([embeddings.vectors[:0], *each]),
    )


def keep(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, rows: Iterable[int]
) -> tuple[list[Tracklet], Embeddings]:
    """The tracklets at ``rows`` and their vectors."""
    each, chosen = embeddings.each(), list(rows)
    kept = [tracklets[row] for row in chosen]
    return kept, with_vectors(embeddings, kept, (each[row] for row in chosen))


def sure() -> float:
    """Log-odds at which the other case is ``IMPROBABLE``."""
    return math.log(1 - IMPROBABLE) - math.log(IMPROBABLE)


def looks(alike: npt.ArrayLike, share: npt.ArrayLike, curve: Curve) -> npt.NDArray[np.float64]:
    """Log-likelihood ratio of one person against two, by looks.

    The curve is that of two normal distributions of equal width s: of strangers' similarities about 0, of one person's
    about m, so that its slope is m / s² and its intercept -m² / 2s². Where pictures show a share of their person
    (``tracker.linking.evidence``), one person's similarities are about that share of m.

    Args:
        alike: any shape, cosine similarities of centred vectors.
        share: the same shape, product of both sides' reliabilities, above 0 to 1.
        curve: of good pictures.
    """
    part = np.asarray(share, np.float64)
    return np.asarray(part * (curve.slope * np.asarray(alike, np.float64) + curve.intercept * part))
