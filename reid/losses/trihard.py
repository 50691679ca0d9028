"""TriHard, the batch-hard triplet loss (Hermans et al., arXiv:1703.07737; equation 4 of the MSML paper), and its
adaptively weighted form (Ristani and Tomasi, arXiv:1803.10859; soft TriHard in Megvii's re-ID lecture).
"""

from torch import Tensor

from reid.distance import pairwise_distance
from reid.losses.pairs import anchor_rows, hardest, hinge, nothing, set_distance, vectors


def trihard(
    features: Tensor, labels: Tensor, margin: float = 0.3, soft: bool = False, normalize: bool = True
) -> Tensor:
    """Mean over anchors of (hardest positive - hardest negative + margin)+, Euclidean distances.

    Anchors without a positive (other than themselves) or without a negative are left out of the mean.

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: the hinge's margin, in distance units.
        soft: use softplus(hardest positive - hardest negative) instead; the margin is then ignored.
        normalize: measure distances between unit vectors, as the MSML paper does; the bag of tricks does not.
    """
    positive, negative = hardest(pairwise_distance(vectors(features, normalize)), labels)
    if not len(positive):
        return nothing(features)
    return hinge(positive - negative, margin, soft)


def soft_trihard(
    features: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    soft: bool = False,
    detach: bool = False,
    normalize: bool = True,
) -> Tensor:
    """TriHard with means in place of extremes: positives weigh softmax(distance), negatives softmax(-distance).

    Args:
        features: (n, d).
        labels: (n,) int64.
        margin: the hinge's margin, in distance units.
        soft: use softplus of the difference instead, as AGW does; the margin is then ignored.
        detach: keep the gradient out of the weights; neither the lecture nor AGW does.
        normalize: measure distances between unit vectors; AGW does not.
    """
    distances, positive, negative = anchor_rows(pairwise_distance(vectors(features, normalize)), labels)
    if not len(distances):
        return nothing(features)
    # AGW and fast-reid multiply by 0/1 masks instead of masking with -inf. An image is then its own positive; and of
    # the negatives' exponents the masked zeros are the greatest, so that at distances of 14 and more the sum of weights
    # vanishes beside the 1e-6 in the denominator: a single negative at 20 counts as one at 0.04.
    farther = set_distance(distances, positive, distances, detach)
    nearer = set_distance(distances, negative, -distances, detach)
    return hinge(farther - nearer, margin, soft)
