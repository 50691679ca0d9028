"""Poolings side by side: one embedder, every frame embedded once, and tracklets as they are, short, and damaged."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from reid.attention import learn_attention
from reid.datasets import ImageSet, Split, TrackletSet
from reid.errors import DataError
from reid.evaluation import RetrievalScores, embed_images, evaluate_features, mars_query_rows
from reid.evaluation.embedding import Embed, Report, unit
from reid.images import Image, crop_quality, resize_crop
from reid.pool import POOLINGS, attention_weights

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Rows = list[Integers]  # for each tracklet, the frames that it is pooled from

SHORT = 4  # frames
DAMAGED = 0.25  # of a tracklet's frames
BLUR = 4  # times fewer pixels across
COVERED = 0.6  # of the width

TRACKLETS = {
    "whole": "all frames",
    f"at most {SHORT}": f"{SHORT} frames spread over the tracklet, or all where it has fewer",
    "another person": (
        f"{DAMAGED:.0%} of the frames show another test tracklet's person, from the same camera where there is one"
    ),
    "occluded": f"in {DAMAGED:.0%} of the frames that other person covers {COVERED:.0%} of the width",
    "blurred": f"{DAMAGED:.0%} of the frames have {BLUR} times fewer pixels across and down",
}


@dataclass(frozen=True)
class PoolingRow:
    """Scores of one pooling on one kind of tracklets (a key of ``TRACKLETS``), by MARS' official variant."""

    tracklets: str
    pooling: str
    scores: RetrievalScores


@dataclass(frozen=True)
class Frames:
    """Frames embedded: (n, d) float32 unit vectors, and (n,) qualities of the crops, 0..1."""

    vectors: Floats
    quality: Floats


def bench_pooling(split: Split, embed: Embed, report: Report, seed: int = 0) -> list[PoolingRow]:
    """Score every pooling in ``POOLINGS``, and attention learned from the training part, on all ``TRACKLETS``.

    The quality of a crop is ``reid.images.crop_quality``: what the application knows from detection is not there.
    A damaged tracklet keeps at least one good frame. Memory is one row for each frame.

    Args:
        split: a set of tracklets with training part, and queries among the gallery as in MARS.
        embed: RGB uint8 images, of their own sizes, to (n, d) vectors; any norm but 0.
        report: called with lines of progress.
        seed: of which frames are damaged and by whom, and of the attention's training.

    Returns:
        A row for each kind of tracklets and pooling, poolings side by side.

    Raises:
        DataError: images instead of tracklets, queries that are not in the gallery, too few identities, or an image
            that cannot be read.
    """
    query, train, gallery = mars_query_rows(split), split.train, split.gallery
    if not (isinstance(train, TrackletSet) and isinstance(gallery, TrackletSet)):
        raise DataError("poolings are compared on tracklets, but this data set has images")
    learned = _embedded(train.images(), embed, "training", report)
    kernel = learn_attention(learned.vectors, rows_of(train), train.pid, train.camera, report, seed)
    frames, kinds = embed_kinds(gallery, embed, report, seed)

    def attention(vectors: Floats, weights: Floats) -> Floats:
        return POOLINGS["quality"](vectors, attention_weights(vectors, kernel))

    found = []
    for kind, rows in kinds.items():
        for name, pool in {**POOLINGS, "attention": attention}.items():
            pooled = np.stack([pool(frames.vectors[own], frames.quality[own]) for own in rows])
            asked = pooled[query], gallery.pid[query], gallery.camera[query]
            scores = evaluate_features(*asked, pooled, gallery.pid, gallery.camera)
            found.append(PoolingRow(kind, name, scores))
            report(f"{kind}, {name}: mAP {scores.mean_ap:.2%}, R1 {scores.rank(1):.2%}")
    return found


def embed_kinds(gallery: TrackletSet, embed: Embed, report: Report, seed: int) -> tuple[Frames, dict[str, Rows]]:
    """Frames of the gallery, damaged ones behind the others, and for each of ``TRACKLETS`` what is pooled."""
    images = gallery.images()
    rows = rows_of(gallery)
    rng = np.random.default_rng(seed)
    hit = damaged_frames(rows, rng)
    others = _others(images, hit, rng)
    strangers = (images.read(int(i)) for i in others)
    parts = [
        _embedded(images, embed, "test", report),
        _embedded(images.take(hit), embed, "occluded", report, lambda image: occluded(image, next(strangers))),
        _embedded(images.take(hit), embed, "blurred", report, blurred),
    ]
    frames = Frames(np.concatenate([p.vectors for p in parts]), np.concatenate([p.quality for p in parts]))
    instead = (others, len(images) + np.arange(len(hit)), len(images) + len(hit) + np.arange(len(hit)))
    damaged = [_replaced(rows, hit, by) for by in instead]
    return frames, dict(zip(TRACKLETS, [rows, [spread(own) for own in rows], *damaged], strict=True))


def rows_of(tracklets: TrackletSet) -> Rows:
    """The rows of ``images()`` that each tracklet's frames are."""
    return np.split(np.arange(len(tracklets.images())), np.cumsum([len(own) for own in tracklets.frames])[:-1])


def spread(rows: Integers) -> Integers:
    """At most ``SHORT`` of a tracklet's frames, from the first to the last."""
    return np.asarray(rows[np.unique(np.linspace(0, len(rows) - 1, SHORT).round().astype(np.int64))], np.int64)


def damaged_frames(rows: Sequence[Integers], rng: np.random.Generator) -> Integers:
    """Ascending rows of the frames to damage: ``DAMAGED`` of each tracklet, never all of it.

    Fractions are settled at random: one frame of 2 in every second tracklet.
    """
    count = [min(int(len(own) * DAMAGED + rng.random()), len(own) - 1) for own in rows]
    drawn = [rng.choice(own, k, replace=False) for own, k in zip(rows, count, strict=True)]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def occluded(image: Image, other: Image) -> Image:
    """The image with ``other`` standing before its left part."""
    height, width = image.shape[:2]
    covered = image.copy()
    until = round(width * COVERED)
    covered[:, :until] = resize_crop(other, (height, width))[:, :until]
    return covered


def blurred(image: Image) -> Image:
    """The image as a camera of a quarter of the pixels across would have seen it."""
    height, width = image.shape[:2]
    small = resize_crop(image, (max(height // BLUR, 1), max(width // BLUR, 1)))
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _embedded(
    images: ImageSet, embed: Embed, name: str, report: Report, change: Callable[[Image], Image] | None = None
) -> Frames:
    """Vectors and qualities of images, each read once, changed if so asked, and embedded."""
    quality: list[float] = []

    def both(crops: Sequence[Image]) -> Floats:
        shown = [change(crop) for crop in crops] if change else crops
        quality.extend(map(crop_quality, shown))
        return embed(shown)

    return Frames(unit(embed_images(images, both, name, report)), np.array(quality))


def _others(images: ImageSet, hit: Integers, rng: np.random.Generator) -> Integers:
    """For each of the rows ``hit``, a row of another identity, of the same camera where there is one."""

    def candidates() -> Iterator[Integers]:
        for row in hit:
            foreign = images.pid != images.pid[row]
            near = np.flatnonzero(foreign & (images.camera == images.camera[row]))
            yield near if len(near) else np.flatnonzero(foreign)

    return np.array([rng.choice(rows) for rows in candidates()], np.int64)


def _replaced(rows: Sequence[Integers], hit: Integers, by: Integers) -> Rows:
    """The tracklets' rows, with the ascending ``hit`` replaced."""
    table = np.arange(max(int(own.max()) for own in rows) + 1)
    table[hit] = by
    return [table[own] for own in rows]
