"""N-pair loss (Sohn, NIPS 2016)."""

import torch
from torch import Tensor
from torch.nn import functional

from reid.losses.pairs import nothing, vectors


def npair(features: Tensor, labels: Tensor, l2: float = 0.02) -> Tensor:
    """N-pair loss of the first two images of every identity in the batch, its anchor and its positive.

    Identities with one image, and third and further images, take no part: use it with K = 2. Vectors are not scaled
    to unit length; ``l2`` keeps them short.

    Args:
        features: (n, d).
        labels: (n,) int64.
        l2: weight of half the mean squared length of anchors and positives.
    """
    same = labels[:, None] == labels[None, :]
    positives = (same.tril(-1).sum(1) == 1).nonzero()[:, 0]  # images with one of their identity before them
    if len(positives) < 2:
        return nothing(features)
    anchors = same[positives].int().argmax(1)  # the first
    features = vectors(features)
    return n_pair(features[anchors], features[positives], l2)


def n_pair(anchors: Tensor, positives: Tensor, l2: float = 0.0) -> Tensor:
    """Mean cross-entropy of every anchor's inner products with all positives, its own being the right one.

    Args:
        anchors, positives: (P, d), one row an identity.
        l2: weight of (|a|^2 + |p|^2) / 2, the mean over identities.
    """
    right = torch.arange(len(anchors), device=anchors.device)
    lengths = (anchors.square() + positives.square()).sum(1).mean() / 2
    return functional.cross_entropy(anchors @ positives.T, right) + l2 * lengths
