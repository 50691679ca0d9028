"""TriHard on AlignedReID's local distance (Zhang et al., arXiv:1711.08184)."""

from torch import Tensor
from torch.nn import functional

from reid.align import local_distance_pairs
from reid.distance import pairwise_distance
from reid.losses.pairs import hardest_indices, hinge, nothing, vectors


def aligned(features: Tensor, labels: Tensor, local: Tensor, margin: float = 0.3, normalize: bool = False) -> Tensor:
    """Mean over anchors of (local distance to the positive - local distance to the negative + margin)+.

    The pairs are the hardest by the global features' Euclidean distance, which get no gradient from this: add
    ``trihard`` for them.

    Args:
        features: (n, d) global features.
        labels: (n,) int64.
        local: (n, s, c), one vector for each of s stripes, head first.
        margin: in units of the local distance, which is below 2s - 1; 0.5 in the paper, 0.3 in its reimplementation.
        normalize: scale global features and every stripe's vector to unit length; the reimplementation's better run
            does not.
    """
    anchor, positive, negative = hardest_indices(pairwise_distance(vectors(features, normalize)), labels)
    local = vectors(local)
    if not len(anchor):
        return nothing(features) + nothing(local)
    if normalize:
        local = functional.normalize(local, dim=2)
    to_positive, to_negative = (local_distance_pairs(local[anchor], local[other]) for other in (positive, negative))
    return hinge(to_positive - to_negative, margin)
