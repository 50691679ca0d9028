"""Circle loss (Sun et al., arXiv:2002.10857, equations 6 and 7), the pairwise form that fast-reid uses."""

import torch
from torch import Tensor
from torch.nn import functional

from reid.losses.pairs import anchor_rows, nothing, vectors


def circle(features: Tensor, labels: Tensor, margin: float = 0.25, gamma: float = 128.0) -> Tensor:
    """Mean over anchors of softplus(LSE_p(-gamma w_p (s_p - 1 + m)) + LSE_n(gamma w_n (s_n - m))).

    s is the cosine of a pair, w_p = (1 + m - s_p)+ and w_n = (s_n + m)+ say how far it is from its optimum. The
    weights are constants to the gradient, as in the paper; the value's derivative is therefore not this gradient.

    Args:
        features: (n, d), scaled to unit length here.
        labels: (n,) int64.
        margin: m in 0..1.
        gamma: scale, > 0; the paper's values for person re-identification are 0.25 and 128.
    """
    unit = vectors(features, normalize=True)
    cosine, positive, negative = anchor_rows(unit @ unit.T, labels)
    if not len(cosine):
        return nothing(features)
    weights = cosine.detach()
    pull = -gamma * functional.relu(1 + margin - weights) * (cosine - 1 + margin)
    push = gamma * functional.relu(weights + margin) * (cosine - margin)
    pulls = pull.masked_fill(~positive, -torch.inf).logsumexp(1)
    pushes = push.masked_fill(~negative, -torch.inf).logsumexp(1)
    return functional.softplus(pulls + pushes).mean()
