"""Mutual learning of several networks on the same batch: of class scores (Zhang et al., arXiv:1706.00384) and of
distances (metric mutual learning, Zhang et al., arXiv:1711.08184).

Every network minimises its own half, the others' outputs being constants.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from reid.distance import pairwise_distance
from reid.losses.pairs import nothing, vectors


def mutual_kl(logits: Tensor, peer_logits: Sequence[Tensor]) -> Tensor:
    """Mean over peers and images of KL(peer || own), the divergence from a peer's class probabilities to one's own.

    The mean over images, not the sum: implementations differ in this by the size of the batch.

    Args:
        logits: (n, C).
        peer_logits: the other networks' (n, C); constants here. No peers give 0.
    """
    own = vectors(logits).log_softmax(1)
    terms = [
        functional.kl_div(own, vectors(peer).detach().log_softmax(1), reduction="batchmean", log_target=True)
        for peer in peer_logits
    ]
    return torch.stack(terms).mean() if terms else nothing(logits)


def mutual_metric(features: Tensor, peer_features: Sequence[Tensor], normalize: bool = False) -> Tensor:
    """Mean over peers and the n^2 entries of (M - peer's M)^2, M the Euclidean distances within the batch.

    For two networks the published loss is L_M = mean([ZG(M1) - M2]^2 + [M1 - ZG(M2)]^2), where ZG stops the gradient.
    Its value is twice this one, but its first summand has no gradient for the first network: minimising L_M is
    minimising this by either network, with the same gradient 2 (M1 - M2) / n^2 of the distances.

    Args:
        features: (n, d).
        peer_features: the other networks' (n, any); constants here. No peers give 0.
        normalize: measure distances between unit vectors.
    """
    own = pairwise_distance(vectors(features, normalize))
    terms = [(own - pairwise_distance(vectors(peer, normalize)).detach()).square().mean() for peer in peer_features]
    return torch.stack(terms).mean() if terms else nothing(features)
