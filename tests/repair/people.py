"""People for repairs: vectors that tell them apart, and tracklets that walk."""

import numpy as np

from reid.calibration import Curve
from tracker.types import Crop, Embeddings, Tracklet, TrackletKey

DIM = 256
CURVE = Curve(22.0, -7.7)
RATE = 10.0
SECONDS = 60.0  # of their recording
HEIGHT, WIDTH = 100.0, 40.0


def person(seed, count, spread=0.4):
    """(count, d) unit vectors of one person: any two people are nearly at right angles."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=DIM) / np.sqrt(DIM) + spread * rng.normal(size=(count, DIM)) / np.sqrt(DIM)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def following(*people):
    """Vectors of a track over several people: (seed, crops) each."""
    return np.concatenate([person(seed, count) for seed, count in people])


def walk(number, start, end, at=(100.0, 50.0), speed=(0.0, 0.0), height=HEIGHT, score=0.9, quality=0.8, crops=3):
    """A tracklet from ``start`` to ``end`` seconds, whose box's upper left corner is at ``at`` at time 0."""
    index = np.arange(round(start * RATE), round(end * RATE) + 1) + 1
    time = (index - 1) / RATE
    corner = np.array(at) + time[:, None] * np.array(speed)
    xyxy = np.hstack([corner, corner + np.array([WIDTH * height / HEIGHT, height])]).astype(np.float32)
    rows = np.unique(np.linspace(0, len(index) - 1, crops).round().astype(int))
    pictures = tuple(Crop(int(index[row]), quality, bytes([number, row % 256])) for row in rows)
    return Tracklet(
        TrackletKey("gate", number), "gate", index, time, xyxy, np.full(len(index), score, np.float32), pictures
    )


def embeddings(tracklets, vectors):
    """``vectors``: those of all crops, or for each tracklet a person's seed."""
    counts = np.array([len(one.crops) for one in tracklets], np.int64)
    if not isinstance(vectors, np.ndarray):
        each = [person(seed, count) for seed, count in zip(vectors, counts, strict=True)]
        vectors = np.concatenate([np.zeros((0, DIM), np.float32), *each])
    return Embeddings(tuple(one.key for one in tracklets), counts, vectors, "m")


def nobody():
    return Embeddings((), np.zeros(0, np.int64), np.zeros((0, DIM), np.float32), "m")
