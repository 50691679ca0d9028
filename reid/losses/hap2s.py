"""HAP2S, the hard-aware point-to-set loss (Yu et al., ECCV 2018, arXiv:1807.11206)."""

from typing import Literal

from torch import Tensor

from reid.distance import pairwise_distance
from reid.errors import BadInputError
from reid.losses.pairs import anchor_rows, hinge, nothing, set_distance, vectors


def hap2s(
    features: Tensor,
    labels: Tensor,
    form: Literal["exponential", "polynomial"] = "exponential",
    sigma: float = 0.5,
    alpha: float = 10.0,
    margin: float = 0.2,
    soft: bool = False,
    normalize: bool = True,
) -> Tensor:
    """Mean over anchors of (distance to the set of positives - distance to the set of negatives + margin)+.

    The distance d(a, S) to a set is the weighted mean of the distances to its members, harder ones weighing more:
    exp(d / sigma) or (d + 1)^alpha for a positive, exp(-d / sigma) or (d + 1)^(-2 alpha) for a negative. A small sigma
    or a large alpha is TriHard, a large sigma the plain mean; the exponential form with sigma 1 is soft TriHard.

    Args:
        features: (n, d).
        labels: (n,) int64.
        form: of the weights.
        sigma: of the exponential form, above 0.
        alpha: of the polynomial form, at least 0.
        margin: the hinge's margin, in distance units.
        soft: use softplus of the difference instead; the margin is then ignored.
        normalize: measure distances between unit vectors.

    Raises:
        BadInputError: a sigma that is not above 0.
    """
    if sigma <= 0:
        raise BadInputError(f"hap2s: sigma is {sigma}; choose one above 0")
    distances, positive, negative = anchor_rows(pairwise_distance(vectors(features, normalize)), labels)
    if not len(distances):
        return nothing(features)
    # Logarithms of the weights: the published ports divide sums of exponentials, which large distances overflow.
    exponential = form == "exponential"
    farther = distances / sigma if exponential else alpha * distances.log1p()
    nearer = -distances / sigma if exponential else -2 * alpha * distances.log1p()
    return hinge(set_distance(distances, positive, farther) - set_distance(distances, negative, nearer), margin, soft)
