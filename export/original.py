"""Somebody else's network, opened for import, whatever it was made with."""

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from reid.foreign import Preprocessing
from reid.graphs import Floats, Run

TRIED = 3  # images that show whether vectors depend on what else is in the batch


@dataclass(frozen=True)
class Original:
    """What an import needs to know of a network.

    Attributes:
        said: what messages call it.
        name: what the embedder's card calls its backbone.
        source: what it came from, in words that travel in the embedder.
        digest: hexadecimal SHA-256 of the file of its weights.
        network: as an ONNX graph, images (n, 3, *size) float32 to (n, dim) or (n, dim, 1, 1).
        run: the original itself, (n, 3, *size) float32 to a vector for each: what an embedder of it must equal.
        preprocessing: what it wants.
        size: (height, width) that it works at.
        dim: length of its vectors.
        parameters: numbers that it has learned; those of batch normalisation count.
        remedy: how whoever made it makes it anew.
    """

    said: str
    name: str
    source: str
    digest: str
    network: ModelProto
    run: Run
    preprocessing: Preprocessing
    size: tuple[int, int]
    dim: int
    parameters: int
    remedy: str

    def noise(self, count: int) -> Floats:
        """(count, 3, *size) float32 images of noise, always the same, as they reach the network."""
        return noise(self.preprocessing, self.size, count)


def noise(preprocessing: Preprocessing, size: tuple[int, int], count: int) -> Floats:
    """As ``Original.noise``, of one that is not opened yet."""
    crops = np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)
    return preprocessing(list(crops), size)


def one_by_one(run: Run, images: Floats) -> Floats:
    """(n, d) what a network gives for each image where no other is in its batch."""
    return np.concatenate([run(images[i : i + 1]) for i in range(len(images))]).reshape(len(images), -1)


def independent(run: Run, images: Floats) -> bool:
    """Whether a network gives an image the same vector whatever else is in the batch."""
    together, alone = run(images).reshape(len(images), -1), one_by_one(run, images)
    scale = np.abs(alone).max()
    return bool(np.allclose(together, alone, rtol=1e-3, atol=1e-4 * scale))
