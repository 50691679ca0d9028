"""Triplet losses without hard mining (equation 1 of the MSML paper) and with the improved loss's positive term."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from reid.distance import pairwise_distance
from reid.losses.pairs import anchor_rows, hardest, hinge, nothing, pair_masks, triplet_gaps, vectors


def triplet(
    features: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    mining: Literal["all", "random"] = "all",
    normalize: bool = True,
) -> Tensor:
    """Mean over triplets of (distance to the positive - distance to the negative + margin)+, Euclidean distances.

    The mean is over all triplets, satisfied ones included; pytorch-metric-learning's default leaves those out.

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: the hinge's margin, in distance units.
        mining: "all" triplets of the batch, or one "random" triplet for every anchor that has any, drawn with torch's
            global generator of the features' device.
        normalize: measure distances between unit vectors.
    """
    distances = pairwise_distance(vectors(features, normalize))
    gaps = triplet_gaps(distances, labels) if mining == "all" else _random_gaps(distances, labels)
    return hinge(gaps, margin) if len(gaps) else nothing(features)


def improved_triplet(
    features: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    beta: float = 0.1,
    weight: float = 1.0,
    mining: Literal["hard", "all"] = "hard",
    normalize: bool = True,
) -> Tensor:
    """Triplet loss plus weight times the mean of (distance of a positive pair - beta)+.

    The second term keeps an identity compact where the order of distances already holds. The form is that of Megvii's
    lecture, with Euclidean distances. Cheng et al. (CVPR 2016) have squared ones, and their beta is what is called
    weight here (0.002); beta is their margin of 0.01.

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: of the triplet term.
        beta: distance up to which a positive pair is left alone.
        weight: of the second term.
        mining: "hard" pairs of every anchor, as in TriHard, in both terms; or "all" triplets and all positive pairs.
        normalize: measure distances between unit vectors.
    """
    distances = pairwise_distance(vectors(features, normalize))
    if mining == "hard":
        positives, negatives = hardest(distances, labels)
        gaps = positives - negatives
    else:
        gaps = triplet_gaps(distances, labels)
        positives = distances[pair_masks(labels)[0]]
    if not len(gaps):
        return nothing(features)
    return hinge(gaps, margin) + weight * functional.relu(positives - beta).mean()


def _random_gaps(distances: Tensor, labels: Tensor) -> Tensor:
    distances, positive, negative = anchor_rows(distances, labels)
    if not len(distances):  # multinomial of no rows is an error
        return distances.new_zeros(0)
    chosen = [distances.gather(1, torch.multinomial(mask.float(), 1))[:, 0] for mask in (positive, negative)]
    return chosen[0] - chosen[1]
