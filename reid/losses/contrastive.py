"""Contrastive loss with a linear hinge (Megvii's re-ID lecture), not the squares of Hadsell et al., CVPR 2006."""

import torch
from torch import Tensor
from torch.nn import functional

from reid.distance import pairwise_distance
from reid.losses.pairs import nothing, vectors


def contrastive(features: Tensor, labels: Tensor, margin: float = 1.0, normalize: bool = True) -> Tensor:
    """Mean over all n(n-1)/2 pairs: the distance of a positive pair, (margin - distance)+ of a negative one.

    Either kind of pair counts without the other: a batch of one identity is pulled together, a batch of n identities
    is pushed apart. Only a batch of one image is without a valid pair.

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: Euclidean distance beyond which a negative pair no longer counts.
        normalize: measure distances between unit vectors.
    """
    if len(labels) < 2:
        return nothing(features)
    i, j = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
    distances = pairwise_distance(vectors(features, normalize))[i, j]
    return torch.where(labels[i] == labels[j], distances, functional.relu(margin - distances)).mean()
