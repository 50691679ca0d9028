"""What the metric losses share: who pairs with whom in a batch."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Hardest(NamedTuple):
    """Of every valid anchor, (v,): the farthest positive's and the nearest negative's distance."""

    positive: Tensor
    negative: Tensor


def vectors(features: Tensor, normalize: bool = False) -> Tensor:
    """(n, d) features, half precisions raised to float32, scaled to unit length if asked."""
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    return functional.normalize(features) if normalize else features


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(n, n) bool masks of positive pairs, an image and itself left out, and of negative pairs."""
    same = labels[:, None] == labels[None, :]
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def valid_anchors(positive: Tensor, negative: Tensor) -> Tensor:
    """(n,) bool: images with at least one positive and at least one negative."""
    return positive.any(1) & negative.any(1)


def hardest(distances: Tensor, labels: Tensor) -> Hardest:
    """The hardest pairs of (n, n) distances for every valid anchor; both (v,), v possibly 0."""
    positive, negative = pair_masks(labels)
    valid = valid_anchors(positive, negative)
    if not valid.any():  # amax of no rows is an error
        return Hardest(distances.new_zeros(0), distances.new_zeros(0))
    return Hardest(
        distances.masked_fill(~positive, -float("inf"))[valid].amax(1),
        distances.masked_fill(~negative, float("inf"))[valid].amin(1),
    )


def nothing(features: Tensor) -> Tensor:
    """A zero that is still connected to ``features``, for a batch without a valid pair."""
    return (vectors(features) * 0).sum()


def hinge(gap: Tensor, margin: float | Tensor, soft: bool = False) -> Tensor:
    """Mean of (gap + margin)+, or of softplus(gap), in which the margin has no part."""
    return functional.softplus(gap).mean() if soft else functional.relu(gap + margin).mean()


def anchor_rows(distances: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(v, n) distances, positive mask and negative mask of the valid anchors, v possibly 0."""
    positive, negative = pair_masks(labels)
    valid = valid_anchors(positive, negative)
    return distances[valid], positive[valid], negative[valid]


def triplet_gaps(distances: Tensor, labels: Tensor) -> Tensor:
    """Distance to the positive less distance to the negative for every triplet of the batch, (t,), t possibly 0."""
    positive, negative = pair_masks(labels)
    anchor, other = positive.nonzero(as_tuple=True)
    return (distances[anchor, other][:, None] - distances[anchor])[negative[anchor]]


def set_distance(distances: Tensor, members: Tensor, scores: Tensor, detach: bool = False) -> Tensor:
    """Distance of every row to the set of its members: their mean, weighted by the softmax of their scores.

    Args:
        distances: (v, n).
        members: (v, n) bool, at least one a row.
        scores: (v, n), logarithms of the weights up to a constant a row.
        detach: keep the gradient out of the weights.

    Returns:
        (v,).
    """
    weights = scores.masked_fill(~members, -float("inf")).softmax(1)
    return ((weights.detach() if detach else weights) * distances).sum(1)


def hardest_indices(distances: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices, (v,) each, of the valid anchors, their farthest positives and their nearest negatives; v possibly 0."""
    rows, positive, negative = anchor_rows(distances, labels)
    anchor = valid_anchors(*pair_masks(labels)).nonzero()[:, 0]
    if not len(anchor):  # argmax of no rows is an error
        return anchor, anchor, anchor
    farthest = rows.masked_fill(~positive, -float("inf")).argmax(1)
    return anchor, farthest, rows.masked_fill(~negative, float("inf")).argmin(1)
