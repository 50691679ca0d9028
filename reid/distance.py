"""Distances between feature vectors."""

import torch
from torch import Tensor


def pairwise_distance(features: Tensor) -> Tensor:
    """Euclidean distances within a batch, float32 or wider.

    The Gram form, clamped before the root: sqrt(max(d^2, 1e-12)), whose gradient is 0 and not NaN where two features
    coincide (torchreid, fast-reid and the BoT baseline agree on this form).

    Args:
        features: (n, d) floating point; half precisions are raised to float32 first, also under autocast.

    Returns:
        (n, n), symmetric, not below 1e-6.
    """
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    with torch.autocast(features.device.type, enabled=False):
        squares = features.square().sum(1)
        squared = squares[:, None] + squares[None, :] - 2 * features @ features.T
        return squared.clamp(min=1e-12).sqrt()
