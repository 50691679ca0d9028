"""Angular loss (Wang et al., arXiv:1708.01682; equation 4 of the pyramid loss paper)."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from reid.losses.pairs import nothing, pair_masks, valid_anchors, vectors


def angular(features: Tensor, labels: Tensor, angle: float = 45.0, form: Literal["lse", "hinge"] = "lse") -> Tensor:
    """Keep the angle at a negative n, over the edge from anchor a to positive p, below a bound.

    Always on unit vectors; c = (a + p) / 2, t = tan(angle).

    - ``hinge``: (|a - p|^2 - 4 t^2 |n - c|^2)+, the mean over triplets.
    - ``lse``: log(1 + sum over n of exp(4 t^2 (a + p).n - 2 (1 + t^2) a.p)), the mean over ordered positive pairs. The
      exponent is the hinge's argument on unit vectors without its constant 2 - 6 t^2.

    Args:
        features: (n, d).
        labels: (n,) int64.
        angle: in degrees, below 60. 40..45 suit ``lse`` (Wang et al.), 25..35 the hinge, best 28.54 (the pyramid
            paper).
        form: which of the two.
    """
    positive, negative = pair_masks(labels)
    valid = valid_anchors(positive, negative)
    if not valid.any():
        return nothing(features)
    unit = vectors(features, normalize=True)
    products = unit @ unit.T
    anchor, mate = (positive & valid[:, None]).nonzero().unbind(1)
    to_pair = products[anchor] + products[mate]  # (pairs, n): (a + p).n
    cosine = products[anchor, mate][:, None]
    square = math.tan(math.radians(angle)) ** 2
    if form == "lse":
        terms = 4 * square * to_pair - 2 * (1 + square) * cosine
        return functional.softplus(terms.masked_fill(~negative[anchor], -torch.inf).logsumexp(1)).mean()
    lengths = products.diagonal()
    ends = (lengths[anchor] + lengths[mate])[:, None]
    to_centre = lengths + (ends + 2 * cosine) / 4 - to_pair
    return functional.relu(ends - 2 * cosine - 4 * square * to_centre)[negative[anchor]].mean()
