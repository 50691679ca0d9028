"""Lifted structured loss (Song et al., arXiv:1511.06452) and its generalisation (Hermans et al., arXiv:1703.07737)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from reid.distance import pairwise_distance
from reid.losses.pairs import anchor_rows, nothing, vectors


def lifted(
    features: Tensor,
    labels: Tensor,
    margin: float = 1.0,
    form: Literal["pairs", "generalized"] = "pairs",
    normalize: bool = False,
) -> Tensor:
    """Every negative against every positive at once, through LSE, the logarithm of a sum of exponentials.

    D are Euclidean distances, m is the margin.

    - ``pairs`` (Song et al.): mean over positive pairs (i, j) of half the square of
      (D_ij + LSE over i's and j's negatives of (m - D))+.
    - ``generalized`` (Hermans et al.): mean over anchors of (LSE over positives of D + LSE over negatives of (m - D))+.

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: in distance units.
        form: which of the two.
        normalize: measure distances between unit vectors; neither paper does.
    """
    distances, positive, negative = anchor_rows(pairwise_distance(vectors(features, normalize)), labels)
    if not len(distances):
        return nothing(features)
    pushes = (margin - distances).masked_fill(~negative, -torch.inf).logsumexp(1)
    if form == "generalized":
        pulls = distances.masked_fill(~positive, -torch.inf).logsumexp(1)
        return functional.relu(pulls + pushes).mean()
    # With a negative in the batch, both images of a positive pair are valid anchors: the columns shrink as the rows.
    kept = positive.any(0)
    i, j = positive[:, kept].nonzero().unbind(1)
    return functional.relu(distances[:, kept][i, j] + torch.logaddexp(pushes[i], pushes[j])).square().mean() / 2
