"""TriHard, the batch-hard triplet loss (Hermans et al., arXiv:1703.07737; equation 4 of the MSML paper)."""

from torch import Tensor
from torch.nn import functional

from reid.distance import pairwise_distance


def trihard(
    features: Tensor,
    logits: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    soft: bool = False,
    normalize: bool = False,
) -> Tensor:
    """Mean over anchors of (hardest positive - hardest negative + margin)+, Euclidean distances.

    Anchors without a positive (other than themselves) or without a negative are left out of the mean; a batch without
    any valid anchor gives 0 with zero gradient.

    Args:
        features: (n, d).
        logits: unused; losses share one signature.
        labels: (n,) int64.
        margin: the hinge's margin, in distance units.
        soft: use softplus(hardest positive - hardest negative) instead; the margin is then ignored.
        normalize: measure distances between unit vectors.
    """
    if normalize:
        features = functional.normalize(features)
    distances = pairwise_distance(features)
    same = labels[:, None] == labels[None, :]
    positive = same.clone().fill_diagonal_(False)
    valid = positive.any(1) & ~same.all(1)
    if not valid.any():
        return distances.sum() * 0
    hardest_positive = distances.masked_fill(~positive, -float("inf")).amax(1)[valid]
    hardest_negative = distances.masked_fill(same, float("inf")).amin(1)[valid]
    gap = hardest_positive - hardest_negative
    return functional.softplus(gap).mean() if soft else functional.relu(gap + margin).mean()
