"""Margin sample mining loss (Xiao et al., arXiv:1710.00478, equation 5)."""

from torch import Tensor

from reid.distance import pairwise_distance
from reid.losses.pairs import hinge, nothing, pair_masks, vectors


def msml(
    features: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    soft: bool = False,
    squared: bool = False,
    normalize: bool = True,
) -> Tensor:
    """(hardest positive - hardest negative + margin)+ of the whole batch, Euclidean distances.

    One positive and one negative pair train at a time, whichever identities they are of: the loss asks for one
    threshold that separates all positive from all negative pairs, which is what linking tracklets needs. TriHard
    asks for the right order around every anchor only.

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: 0.3 in the paper; 0.6 in its co-author's code (keras_reid), 0.1 with squared distances in PaddleClas.
        soft: use softplus(hardest positive - hardest negative) instead; the margin is then ignored.
        squared: compare squared distances.
        normalize: measure distances between unit vectors, as the paper does.
    """
    distances = pairwise_distance(vectors(features, normalize))
    positive, negative = pair_masks(labels)
    if not positive.any() or not negative.any():
        return nothing(features)
    farthest, nearest = distances[positive].amax(), distances[negative].amin()
    gap = farthest.square() - nearest.square() if squared else farthest - nearest
    return hinge(gap, margin, soft)
