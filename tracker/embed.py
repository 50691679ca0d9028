"""From tracklets' pictures to one vector each, in batches across all recordings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reid.embed import Embedder
from reid.images import decode_image
from reid.pool import DEFAULT_POOLING, POOLINGS
from tracker.errors import RunError
from tracker.progress import Advance
from tracker.stages import read_tracklets, write_embeddings
from tracker.types import Crop, Floats, Image, Tracklet

CROPS_A_CALL = 64


@dataclass(frozen=True)
class EmbeddingJob:
    """One recording's tracklets file to read and embeddings file to make."""

    recording: str
    tracklets: Path
    out: Path


@dataclass
class _Batch:
    """Tracklets whose crops wait to be embedded together, whatever recording they come from."""

    tracklets: list[Tracklet] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)
    crops: int = 0


def decode_crop(crop: Crop) -> Image:
    """A kept picture as (h, w, 3) uint8 RGB."""
    image = decode_image(np.frombuffer(crop.jpeg, np.uint8))
    if image is None:
        raise RunError(f"crop of frame {crop.index}: damaged; remove the run's stages folder and run again")
    return image


def embed_recordings(jobs: Sequence[EmbeddingJob], embedder: Embedder, advance: Advance) -> None:
    """Make the embeddings file of every job; each is written as soon as its last tracklet is done.

    Args:
        jobs: what to embed.
        embedder: turns pictures into unit vectors.
        advance: called with the number of tracklets just done.
    """
    ids: list[list[int]] = [[] for _ in jobs]
    vectors: list[list[Floats]] = [[] for _ in jobs]
    batch = _Batch()

    def flush() -> None:
        nonlocal batch
        for number, tracklet, vector in zip(batch.jobs, batch.tracklets, _pooled(batch, embedder), strict=True):
            ids[number].append(tracklet.key.track_id)
            vectors[number].append(vector)
        advance(len(batch.tracklets))
        batch = _Batch()

    unwritten: list[int] = []

    def write() -> None:
        for number in unwritten:
            stacked = np.stack(vectors[number]) if vectors[number] else np.zeros((0, embedder.dim), np.float32)
            write_embeddings(jobs[number].out, ids[number], stacked)
        unwritten.clear()

    for number, job in enumerate(jobs):
        for tracklet in read_tracklets(job.tracklets, job.recording, ""):
            batch.tracklets.append(tracklet)
            batch.jobs.append(number)
            batch.crops += len(tracklet.crops)
            if batch.crops >= CROPS_A_CALL:
                flush()
                write()
        unwritten.append(number)
    flush()
    write()


def _pooled(batch: _Batch, embedder: Embedder) -> Iterable[Floats]:
    images = [decode_crop(crop) for tracklet in batch.tracklets for crop in tracklet.crops]
    rows = iter(embedder(images))
    for tracklet in batch.tracklets:
        frames = np.stack([next(rows) for _ in tracklet.crops])
        weights = np.array([crop.quality for crop in tracklet.crops], np.float32)
        yield POOLINGS[DEFAULT_POOLING](frames, weights)
