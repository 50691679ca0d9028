"""Quadruplet loss (Chen et al., CVPR 2017, arXiv:1704.01719; equation 2 of the MSML paper)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid.distance import pairwise_distance
from reid.losses.pairs import hardest, hinge, nothing, pair_masks, triplet_gaps, valid_anchors, vectors


def quadruplet(
    features: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    margin2: float = 0.2,
    mining: Literal["all", "hard", "absolute"] = "hard",
    normalize: bool = True,
) -> Tensor:
    """Triplet loss plus the mean of (positive pair - negative pair of two other identities + margin2)+.

    Distances are Euclidean. With fewer than three identities in the batch the second term is 0.

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: of the triplet term.
        margin2: of the second term; the paper wants it smaller than the first.
        mining: "all" is the mean over every triplet and every quadruplet of the batch. "hard" takes every anchor's
            farthest positive, its nearest negative and the nearest pair of two other identities. "absolute" replaces
            the second term by (hardest positive - margin2)+ + (margin + margin2 - hardest negative)+, the variant
            that Megvii's re-ID lecture ends on; it needs two identities only.
        normalize: measure distances between unit vectors.
    """
    distances = pairwise_distance(vectors(features, normalize))
    positive, negative = pair_masks(labels)
    if not positive.any() or not negative.any():
        return nothing(features)
    if mining == "absolute":
        extreme = hardest(distances, labels)
        bounds = hinge(extreme.positive, -margin2) + hinge(-extreme.negative, margin + margin2)
        return hinge(extreme.positive - extreme.negative, margin) + bounds
    return _both_terms(distances, labels, margin, margin2, mining)


class AdaptiveQuadruplet(nn.Module):
    """Quadruplet loss on a learned metric whose margins follow the batch: margin-based online hard negative mining.

    A margin is w (mu_n - mu_p), the difference of the means of g squared over the batch's negative and its positive
    pairs. While the two overlap, few tuples violate a small margin; as they part, the margin grows and what
    still violates it is hard. Hence the mean over all tuples by default: the margins do the mining.

    g(i, j), 0..1, is the first of two softmax outputs of a linear layer over |f_i - f_j|. On the concatenated pair, the
    other input in use, a single layer's score is u.f_i + v.f_j + b: which of two images is nearer to f_i would not
    depend on f_i, and g(i, j) would differ from g(j, i).

    Args:
        identities: of the training set; not used.
        dim: length of the features.
        w1: of the triplet term's margin.
        w2: of the second term's margin.
        clamp: no margin below 0; the means may be in the wrong order early in training.
        detach: no gradient through the margins. The loss could otherwise lower itself by drawing mu_n and mu_p
            together, and does: g becomes the same for all pairs.
        learned: False takes the squared Euclidean distance in place of g squared.
        mining: "all" tuples or the "hard" ones of every anchor, as in ``quadruplet``.
        normalize: compare unit vectors; the published network does not, its linear layer finds the scale.
    """

    def __init__(
        self,
        identities: int,
        dim: int,
        w1: float = 1.0,
        w2: float = 0.5,
        clamp: bool = True,
        detach: bool = True,
        learned: bool = True,
        mining: Literal["all", "hard"] = "all",
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.w1, self.w2 = w1, w2
        self.clamp, self.detach, self.mining, self.normalize = clamp, detach, mining, normalize
        self.metric = nn.Linear(dim, 2) if learned else None

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            features: (n, dim).
            labels: (n,) int64.
        """
        positive, negative = pair_masks(labels)
        if not positive.any() or not negative.any():
            return nothing(features)
        squared = self._squared(vectors(features, self.normalize))
        gap = squared[negative].mean() - squared[positive].mean()
        if self.detach:
            gap = gap.detach()
        if self.clamp:
            gap = functional.relu(gap)
        return _both_terms(squared, labels, self.w1 * gap, self.w2 * gap, self.mining)

    def _squared(self, features: Tensor) -> Tensor:
        """(n, n), symmetric: the squared metric, 0 of an image to itself."""
        if self.metric is None:
            return pairwise_distance(features).square()
        i, j = torch.triu_indices(len(features), len(features), 1, device=features.device)
        weight, bias = self.metric.weight.to(features.dtype), self.metric.bias.to(features.dtype)
        with torch.autocast(features.device.type, enabled=False):
            scores = functional.linear((features[i] - features[j]).abs(), weight, bias)
            upper = features.new_zeros(len(features), len(features)).index_put((i, j), scores.softmax(1)[:, 0].square())
        return upper + upper.T


def _both_terms(
    distances: Tensor, labels: Tensor, margin: float | Tensor, margin2: float | Tensor, mining: str
) -> Tensor:
    """The loss of a batch that has a positive and a negative pair."""
    identities, owner = torch.unique(labels, return_inverse=True)
    i, j = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
    apart = owner[i] != owner[j]
    negatives = distances[i, j][apart]
    every = torch.arange(len(identities), device=labels.device)[:, None]
    foreign = (owner[i[apart]] != every) & (owner[j[apart]] != every)  # (identities, negative pairs): has no part in it
    if mining == "all":
        positives = [distances[i, j][~apart & (owner[i] == identity)] for identity in every]
        second = _mean_hinge(positives, [negatives[others] for others in foreign], margin2)
        return hinge(triplet_gaps(distances, labels), margin) + second
    farthest, nearest = hardest(distances, labels)
    first = hinge(farthest - nearest, margin)
    if len(identities) < 3:
        return first
    nearest_foreign = negatives.expand_as(foreign).masked_fill(~foreign, float("inf")).amin(1)
    anchors = valid_anchors(*pair_masks(labels))
    return first + hinge(farthest - nearest_foreign[owner[anchors]], margin2)


def _mean_hinge(positives: list[Tensor], negatives: list[Tensor], margin: float | Tensor) -> Tensor:
    """Mean over the quadruplets of all identities, 0 of none; one identity at a time, for there are many."""
    total = negatives[0].new_zeros(())
    for ours, others in zip(positives, negatives, strict=True):
        total = total + functional.relu(ours[:, None] - others + margin).sum()
    return total / max(1, sum(len(ours) * len(others) for ours, others in zip(positives, negatives, strict=True)))
