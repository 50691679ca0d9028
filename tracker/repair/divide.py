"""Division: a tracklet that passes from one person to another becomes one for each.

Where people cross, a tracker may hand a track over to the wrong one. Its pictures before that moment then resemble
those after it as little as two strangers' do; poor pictures resemble each other less without meaning it
(``tracker.linking.evidence``). Joining and linking put parts together again that were divided wrongly; nothing later
divides what was joined wrongly.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reid.calibration import Curve
from reid.centre import centred
from tracker.linking.evidence import reliability
from tracker.repair.vectors import expect_same, looks, pooled, qualities, room, sure, with_vectors
from tracker.types import Embeddings, Floats, Integers, Tracklet, TrackletKey

LEAST_CROPS = 2  # on either side: one picture may be of anything


def divide(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, curve: Curve, seconds: float
) -> tuple[list[Tracklet], Embeddings]:
    """Divide one recording's tracklets where they pass from person to person.

    The first part keeps its tracklet's number; the others get the numbers after the recording's highest, in order of
    time.

    Args:
        tracklets: n, all that the recording has.
        embeddings: theirs.
        curve: from cosine similarities of pooled, centred sets of crops to the probability of one person.
        seconds: of the recording; not used.

    Returns:
        At least n tracklets, and their embeddings.
    """
    expect_same(tracklets, embeddings)
    if not tracklets:
        return [], embeddings
    mean = room(pooled(tracklets, embeddings))
    parts, vectors = [], []
    for tracklet, own in zip(tracklets, embeddings.each(), strict=True):
        cuts = moments(centred(own, mean), qualities(tracklet), curve)
        for first, (start, end) in enumerate(itertools.pairwise([0, *cuts, len(own)])):
            parts.append((first > 0, _part(tracklet, start, end)))
            vectors.append(own[start:end])
    numbered = _numbered(parts)
    return numbered, with_vectors(embeddings, numbered, vectors)


def moments(vectors: Floats, quality: Floats, curve: Curve) -> list[int]:
    """Rows at which a track passes to another person, ascending.

    Of all stretches of the track, the one is taken that speaks most against one person with the rest; where it is
    improbable that they are, the track is cut at its ends, and what lies before, in and after it is looked at in the
    same way. (Circular binary segmentation: Olshen et al., Biostatistics 2004. Single cuts alone would not see a track
    that comes back to its first person.)

    Args:
        vectors: (k, d) unit vectors of its crops in order of time, centred.
        quality: (k,) not negative.
        curve: see ``divide``.
    """
    count = len(vectors)
    if count < 2 * LEAST_CROPS:
        return []
    start, end, evidence = _strangest(vectors, quality, curve)
    if evidence >= -sure():
        return []
    bounds = sorted({0, start, end, count})
    inner = [
        low + row
        for low, high in itertools.pairwise(bounds)
        for row in moments(vectors[low:high], quality[low:high], curve)
    ]
    return sorted([*bounds[1:-1], *inner])


def _strangest(vectors: Floats, quality: Floats, curve: Curve) -> tuple[int, int, float]:
    """The stretch (start, end) with the least evidence of one person with the rest, and that log-likelihood ratio.

    It is of the cosine between their sums, weighted by quality. Of many stretches, one looks strange by chance, so the
    logarithm of their number speaks for one person; those that begin and end at neighbouring crops are nearly the same,
    and about as many differ as there are crops.
    """
    count = len(vectors)
    weighted = vectors * (quality / max(float(quality.max()), 1e-6) + 1e-3)[:, None]
    start, end = np.triu_indices(count + 1, LEAST_CROPS)
    whole = (end - start) > count - LEAST_CROPS
    short = ((start > 0) & (start < LEAST_CROPS)) | ((end < count) & (end > count - LEAST_CROPS))
    start, end = start[~(whole | short)], end[~(whole | short)]
    (inside, outside), (good, rest) = _in_and_out(weighted, start, end), _in_and_out(quality[:, None], start, end)
    norms = np.linalg.norm(inside, axis=1) * np.linalg.norm(outside, axis=1)
    alike = (inside * outside).sum(1) / np.maximum(norms, 1e-9)
    length = end - start
    shares = reliability(good[:, 0] / length) * reliability(rest[:, 0] / (count - length))
    evidence = looks(alike, shares, curve) + np.log(count)
    least = int(evidence.argmin())
    return int(start[least]), int(end[least]), float(evidence[least])


def _in_and_out(values: Floats, start: Integers, end: Integers) -> tuple[Floats, Floats]:
    """(s, d) sums of (k, d) values over each stretch, and over what is not in it."""
    before = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, 0)])
    inside = before[end] - before[start]
    return inside, before[-1] - inside


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
