"""From tracklets' pictures to vectors, in batches across all recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reid.embed import Embedder
from reid.images import decode_image
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
        images = [decode_crop(crop) for tracklet in batch.tracklets for crop in tracklet.crops]
        counts = [len(tracklet.crops) for tracklet in batch.tracklets]
        parts = np.split(np.asarray(embedder(images)), np.cumsum(counts))
        for number, tracklet, part in zip(batch.jobs, batch.tracklets, parts, strict=False):  # the last part is empty
            ids[number].append(tracklet.key.track_id)
            vectors[number].append(part)
        advance(len(batch.tracklets))
        batch = _Batch()

    unwritten: list[int] = []

    def write() -> None:
        for number in unwritten:
            write_embeddings(jobs[number].out, ids[number], vectors[number], embedder.dim)
            vectors[number] = []
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
