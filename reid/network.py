"""Crops to vectors straight from a training checkpoint, in PyTorch: what evaluation uses before anything is exported.

The application runs exported files instead (``reid.embed``).
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reid.images import Image, resize_crop
from reid.model import load_model

Floats = npt.NDArray[np.float32]


class Network:
    """A checkpoint with an ``Embedder``'s call.

    Args:
        checkpoint: what ``reidtrack train`` wrote.
        device: a torch device.

    Attributes:
        model_id: backbone and the first 12 hexadecimal digits of the checkpoint's SHA-256.
        size: (height, width) that crops are resized to.
        dim: length of the vectors.

    Raises:
        ModelError: the checkpoint is absent or none.
    """

    def __init__(self, checkpoint: Path, device: str = "cpu") -> None:
        self.model = load_model(checkpoint).to(device)
        self.device, self.size, self.dim = device, self.model.size, self.model.dim
        with checkpoint.open("rb") as file:
            self.model_id = f"{self.model.config['backbone']}-{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"

    def __call__(self, crops: Sequence[Image], batch: int = 64) -> Floats:
        """RGB uint8 crops (h, w, 3), of any sizes, to (n, dim) float32 of unit norm."""
        return self._run(self.model, crops, batch)

    def local(self, crops: Sequence[Image], batch: int = 64) -> Floats:
        """Crops to (n, s, c) stripes for AlignedReID's local distance.

        Raises:
            ModelError: the network was trained without a local branch.
        """
        return self._run(self.model.local, crops, batch)

    def _run(self, call: Callable[[Tensor], Tensor], crops: Sequence[Image], batch: int) -> Floats:
        parts = []
        with torch.inference_mode():
            for start in range(0, len(crops), batch):
                images = np.stack([resize_crop(crop, self.size) for crop in crops[start : start + batch]])
                parts.append(call(torch.from_numpy(images).to(self.device)).float().cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)
