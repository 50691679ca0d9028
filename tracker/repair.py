"""Repair of one recording's tracklets before they are linked: one that passes from one person to another is divided.

Where people cross, a tracker may hand a track over to the wrong one. Its pictures before that moment then resemble
those after it as little as two strangers' do. Linking joins parts again that were divided wrongly; nothing later
divides what was joined wrongly.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from reid.centre import camera_means, centred
from reid.pool import DEFAULT_POOLING, POOLINGS
from tracker.types import Embeddings, Floats, Tracklet, TrackletKey

IMPROBABLE = 0.03  # that both sides of a moment are one person, where a tracklet is divided
LEAST_CROPS = 2  # on either side: one picture may be of anything


def divide(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, probability: Callable[[float], float]
) -> tuple[list[Tracklet], Floats]:
    """Divide one recording's tracklets where they pass from person to person, and pool what remains together.

    The first part keeps its tracklet's number; the others get the numbers after the recording's highest, in order of
    time. It depends on nothing outside the recording, so that adding another renames nobody.

    Args:
        tracklets: n, all that the recording has.
        embeddings: theirs.
        probability: from the cosine similarity of two pooled, centred sets of crops to the probability of one person.

    Returns:
        At least n tracklets, and their vectors (at least n, d), pooled by the crops' quality.
    """
    if embeddings.keys != tuple(tracklet.key for tracklet in tracklets):
        raise ValueError("embeddings: expected those of the same tracklets in the same order")
    whole = embeddings.each()
    qualities = [np.array([crop.quality for crop in tracklet.crops], np.float32) for tracklet in tracklets]
    if not tracklets:
        return [], embeddings.vectors
    pooled = np.stack([_pool(vectors, quality) for vectors, quality in zip(whole, qualities, strict=True)])
    mean = camera_means(pooled, np.zeros(len(pooled)))[0]
    parts, pooled_parts = [], []
    for tracklet, vectors, quality in zip(tracklets, whole, qualities, strict=True):
        bounds = [0, *moments(centred(vectors, mean), quality, probability), len(vectors)]
        for first, (start, end) in enumerate(itertools.pairwise(bounds)):
            parts.append((first > 0, _part(tracklet, start, end)))
            pooled_parts.append(_pool(vectors[start:end], quality[start:end]))
    return _numbered(parts), np.stack(pooled_parts)


def moments(vectors: Floats, quality: Floats, probability: Callable[[float], float]) -> list[int]:
    """Rows at which a track passes to another person, ascending.

    Of all stretches of the track, the one is taken whose pictures resemble the rest's least; where it is improbable
    that they are of one person, the track is cut at its ends, and what lies before, in and after it is looked at in the
    same way. (Circular binary segmentation: Olshen et al., Biostatistics 2004. Single cuts alone would not see a track
    that comes back to its first person.)

    Args:
        vectors: (k, d) unit vectors of its crops in order of time, centred.
        quality: (k,) not negative.
        probability: see ``divide``.
    """
    count = len(vectors)
    if count < 2 * LEAST_CROPS:
        return []
    start, end, similarity = _strangest(vectors, quality)
    if probability(similarity) >= IMPROBABLE:
        return []
    bounds = sorted({0, start, end, count})
    inner = [
        low + row
        for low, high in itertools.pairwise(bounds)
        for row in moments(vectors[low:high], quality[low:high], probability)
    ]
    return sorted([*bounds[1:-1], *inner])


def _strangest(vectors: Floats, quality: Floats) -> tuple[int, int, float]:
    """The stretch (start, end) least like the rest, and the cosine of their sums, weighted by quality."""
    count = len(vectors)
    weighted = vectors * (quality / max(float(quality.max()), 1e-6) + 1e-3)[:, None]
    before = np.concatenate([np.zeros_like(weighted[:1]), np.cumsum(weighted, 0)])
    start, end = np.triu_indices(count + 1, LEAST_CROPS)
    whole = (end - start) > count - LEAST_CROPS
    short = ((start > 0) & (start < LEAST_CROPS)) | ((end < count) & (end > count - LEAST_CROPS))
    start, end = start[~(whole | short)], end[~(whole | short)]
    inside = before[end] - before[start]
    outside = before[-1] - inside
    norms = np.linalg.norm(inside, axis=1) * np.linalg.norm(outside, axis=1)
    similarity = (inside * outside).sum(1) / np.maximum(norms, 1e-9)
    least = int(similarity.argmin())
    return int(start[least]), int(end[least]), float(similarity[least])


def _part(tracklet: Tracklet, start: int, end: int) -> Tracklet:
    """The boxes around crops ``start`` to ``end``, divided half way between neighbouring crops."""
    index = [crop.index for crop in tracklet.crops]
    low = (index[start - 1] + index[start]) / 2 if start else -np.inf
    high = (index[end - 1] + index[end]) / 2 if end < len(index) else np.inf
    boxes = (tracklet.index > low) & (tracklet.index <= high)
    return replace(
        tracklet,
        index=tracklet.index[boxes],
        time_s=tracklet.time_s[boxes],
        xyxy=tracklet.xyxy[boxes],
        score=tracklet.score[boxes],
        crops=tracklet.crops[start:end],
    )


def _numbered(parts: Sequence[tuple[bool, Tracklet]]) -> list[Tracklet]:
    highest = max(tracklet.key.track_id for _, tracklet in parts)
    new = sorted((tracklet.start_s, row) for row, (later, tracklet) in enumerate(parts) if later)
    numbers = {row: highest + place for place, (_, row) in enumerate(new, 1)}
    return [
        replace(tracklet, key=TrackletKey(tracklet.key.recording, numbers.get(row, tracklet.key.track_id)))
        for row, (_, tracklet) in enumerate(parts)
    ]


def _pool(vectors: Floats, quality: Floats) -> Floats:
    return np.asarray(POOLINGS[DEFAULT_POOLING](vectors, quality), np.float32)
