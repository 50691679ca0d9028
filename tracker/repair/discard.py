"""Discarding: tracklets that show nobody, or somebody a second time.

- **twins** ride on the boxes of a longer tracklet for as long as they last and look like it: an upper body within a
  person's own box. Two people who walk together do not look alike, or do not stay within each other's boxes.
- **still** things never move, from the recording's beginning to its end, and their pictures never change: posters,
  dummies, reflections. People who sit move their heads and arms, and come and go.
- **noise** is a few boxes that no detector was sure of, or a glimpse of somebody whom nobody could recognise by it: a
  sleeve at the picture's edge.

Whoever may be a person stays: what is lost here nothing brings back.
"""

from collections.abc import Sequence

import numpy as np

from reid.calibration import Curve
from tracker.linking.evidence import FULL_QUALITY, reliability
from tracker.repair.join import within
from tracker.repair.vectors import centred_pooled, expect_same, keep, looks, sure
from tracker.types import Embeddings, Floats, Tracklet

INSIDE = 0.8  # of the smaller box, in the frames of a twin
ALWAYS = 0.9  # of a twin's frames

STILL_S = 30.0  # shorter than this nobody can be told from a poster
PRESENT = 0.9  # of the time between the recording's first frame and its last
MOVES = 0.04  # heights between the places of a box's upper corners, 5 % of the frames at either end left out
UNCHANGED = 0.9  # cosine of the pictures of a thing

NOISE_S = 1.0
SURE = 0.5  # score of the best box, from which on it is somebody
GLIMPSE_S = 0.5
GLIMPSE_QUALITY = FULL_QUALITY / 2  # of the best picture, from which on it may be recognised


def discard_twins(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, curve: Curve, seconds: float
) -> tuple[list[Tracklet], Embeddings]:
    """Drop tracklets on people who have a longer one there, as the module says.

    Args:
        tracklets: n, all that the recording has.
        embeddings: theirs.
        curve: of the embedder's tracklets.
        seconds: of the recording, from its first frame to its last.
    """
    expect_same(tracklets, embeddings)
    if not tracklets:
        return [], embeddings
    vectors = centred_pooled(tracklets, embeddings)
    share = reliability([tracklet.quality for tracklet in tracklets])
    order = sorted(range(len(tracklets)), key=lambda row: (-len(tracklets[row].index), tracklets[row].key))
    low = np.stack([(one.start_s, *one.xyxy[:, :2].min(0)) for one in tracklets], 1)  # times, left and upper edges
    high = np.stack([(one.end_s, *one.xyxy[:, 2:].max(0)) for one in tracklets], 1)
    kept = np.zeros(len(tracklets), bool)
    for row in order:
        around = np.flatnonzero(kept & (low <= high[:, row, None]).all(0) & (low[:, row, None] <= high).all(0))
        rides = [k for k in around.tolist() if _rides(tracklets[row], tracklets[k])]
        kept[row] = not (looks(vectors[rides] @ vectors[row], share[rides] * share[row], curve) > sure()).any()
    return keep(tracklets, embeddings, np.flatnonzero(kept).tolist())


def _rides(twin: Tracklet, other: Tracklet) -> bool:
    _, a, b = np.intersect1d(twin.index, other.index, return_indices=True)
    inside = within(twin.xyxy[a], other.xyxy[b]) >= INSIDE
    return bool(inside.sum() >= ALWAYS * len(twin.index))


def discard_still(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, curve: Curve, seconds: float
) -> tuple[list[Tracklet], Embeddings]:
    """Drop things that are no people, as the module says; arguments as for ``discard_twins``."""
    expect_same(tracklets, embeddings)
    least = max(STILL_S, PRESENT * seconds)
    each = embeddings.each()
    rows = range(len(tracklets))
    return keep(tracklets, embeddings, (row for row in rows if not _still(tracklets[row], each[row], least)))


def _still(tracklet: Tracklet, vectors: Floats, least_s: float) -> bool:
    if tracklet.end_s - tracklet.start_s < least_s:
        return False
    low, high = np.percentile(tracklet.xyxy[:, :3], (5, 95), axis=0)  # lower edges go where something is in front
    height = float(np.median(tracklet.xyxy[:, 3] - tracklet.xyxy[:, 1]))
    alike = float((vectors @ vectors.T).min())
    return float((high - low).max()) < MOVES * height and alike > UNCHANGED


def discard_noise(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, curve: Curve, seconds: float
) -> tuple[list[Tracklet], Embeddings]:
    """Drop short tracklets that show nobody for certain, as the module says; arguments as for ``discard_twins``."""
    expect_same(tracklets, embeddings)
    return keep(tracklets, embeddings, (row for row, tracklet in enumerate(tracklets) if not _noise(tracklet)))


def _noise(tracklet: Tracklet) -> bool:
    lasts = tracklet.end_s - tracklet.start_s
    best = max(crop.quality for crop in tracklet.crops)
    return bool((lasts < NOISE_S and tracklet.score.max() < SURE) or (lasts < GLIMPSE_S and best < GLIMPSE_QUALITY))
