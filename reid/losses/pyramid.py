"""Pyramid loss, an angular loss with a second negative (equations 5 to 11 of its paper, cleaned of misprints).

A quadruplet is an anchor a, a positive p, a negative n and a negative k of a third identity; t = tan(theta),
s = tan(delta). Beside the angular term of (a, p, n) it bounds the angle at k over the foot of k on the plane through
a, p and n.

The second term falls as |a - n| falls, so it pulls the negative n towards the anchor. ``detach_base`` stops that
gradient and leaves the push on k.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from reid.losses.msml import msml
from reid.losses.pairs import nothing, pair_masks, vectors

Form = Literal["lse", "hinge"]


def pyramid(
    features: Tensor,
    labels: Tensor,
    theta: float = 28.54,
    delta: float = 20.27,
    form: Form = "lse",
    paper: bool = False,
    detach_base: bool = False,
) -> Tensor:
    """Pyramid loss of every quadruplet in the batch; 0 below three identities.

    Always on unit vectors; c = (a + p) / 2.

    - ``hinge`` (equation 7): (|a - p|^2 - 4 t^2 |n - c|^2)+ + (|a - n|^2 - 4 s^2 |k - foot|^2)+, the mean over
      quadruplets. Takes O(N^3 K) time and memory: some 50 MB at P16 x K4, 8 times that at P32 x K4.
    - ``lse`` (equations 10, 11): log(1 + sum over p, n, k of exp g), the mean over anchors, where
      g = 4 t^2 (a + p).n - 2 (1 + t^2) a.p + 4 s^2 (a + n).k - 2 (1 + s^2) a.n
      is the hinges' arguments with the foot at (a + n) / 2, without their constants. O(N^3): g is a part in p and n
      plus a part in n and k, so the sums over p and k are taken apart.

    Args:
        features: (n, d).
        labels: (n,) int64.
        theta, delta: bounds of the two angles in degrees, below 60.
        form: which of the two.
        paper: the paper's shortcuts. In ``lse`` the last term is -2 a.n, as printed, which misses the foot's own
            length; in ``hinge`` the foot is (a + n) / 2 in place of the projection.
        detach_base: no gradient through |a - n| in the second term.
    """
    positive, negative = pair_masks(labels)
    if not positive.any() or len(set(labels.tolist())) < 3:
        return nothing(features)
    unit = vectors(features, normalize=True)
    squares = math.tan(math.radians(theta)) ** 2, math.tan(math.radians(delta)) ** 2
    terms = _lse if form == "lse" else _hinge
    return terms(unit, positive, negative, squares, paper, detach_base)


def pyramid_msml(
    features: Tensor,
    labels: Tensor,
    mu: float = 2.0,
    margin: float = 0.3,
    theta: float = 28.54,
    delta: float = 20.27,
    form: Form = "lse",
    paper: bool = False,
    detach_base: bool = False,
) -> Tensor:
    """Pyramid' of the paper (equation 9): mu times the pyramid loss plus MSML on unit vectors.

    The paper's MSML uses a learned metric and does not give its margin; here it is Euclidean.

    Args:
        features: (n, d).
        labels: (n,) int64.
        mu: weight of the pyramid loss.
        margin: MSML's.
        theta, delta, form, paper, detach_base: as in ``pyramid``.
    """
    return mu * pyramid(features, labels, theta, delta, form, paper, detach_base) + msml(features, labels, margin)


def _lse(
    unit: Tensor, positive: Tensor, negative: Tensor, squares: tuple[float, float], paper: bool, detach_base: bool
) -> Tensor:
    anchors = positive.any(1)
    positive, apart = positive[anchors], negative[anchors]
    products = unit @ unit.T
    own = products[anchors]  # (a, n)
    base = own.detach() if detach_base else own
    t, s = squares
    # Axes are (anchor, n, p), then (anchor, n, k). Every row has something left: an anchor here has a positive, and
    # any two images leave a third identity.
    first = 4 * t * products - 2 * (1 + t) * own[:, None, :]
    first = 4 * t * own + first.masked_fill(~positive[:, None, :], -torch.inf).logsumexp(2)
    second = 4 * s * (own[:, None, :] + products)
    second = second.masked_fill(~(apart[:, None, :] & negative), -torch.inf).logsumexp(2)
    second = second - 2 * (1 if paper else 1 + s) * base
    return functional.softplus((first + second).masked_fill(~apart, -torch.inf).logsumexp(1)).mean()


def _hinge(
    unit: Tensor, positive: Tensor, negative: Tensor, squares: tuple[float, float], paper: bool, detach_base: bool
) -> Tensor:
    anchor, mate = positive.nonzero().unbind(1)
    products = unit @ unit.T
    # Inner products of the edges from a: (pairs, n, k).
    from_anchor = products[anchor]
    edges = products - from_anchor[:, :, None] - from_anchor[:, None, :] + products[anchor, anchor][:, None, None]
    lengths = edges.diagonal(dim1=1, dim2=2)  # (pairs, n): |n - a|^2
    side = unit[mate] - unit[anchor]
    along = side @ unit.T - (side * unit[anchor]).sum(1, keepdim=True)  # (pairs, n): (p - a).(n - a)
    squared_side = side.square().sum(1, keepdim=True)
    first = squared_side - 4 * squares[0] * (lengths - along + squared_side / 4)
    to_midpoint = lengths[:, None, :] - edges + lengths[:, :, None] / 4
    height = to_midpoint if paper else _height(edges, along, squared_side)
    base = lengths.detach() if detach_base else lengths
    second = base[:, :, None] - 4 * squares[1] * height
    apart = negative[anchor]
    quadruplets = apart[:, :, None] & apart[:, None, :] & negative
    return (functional.relu(first)[:, :, None] + functional.relu(second))[quadruplets].mean()


def _height(edges: Tensor, along: Tensor, squared_side: Tensor) -> Tensor:
    """Squared distance (pairs, n, k) of k from the plane through a, p and n, by Gram-Schmidt on p - a, then n - a.

    Where p is at a, or n on the line through both, the plane is what is left: a line, or a point. Its direction, and
    with it the gradient, is rounding error where unit vectors are closer than about 1e-3 in float32 (5e-8 in float64),
    so closer counts as there.
    """
    tiny = 10 * torch.finfo(edges.dtype).eps
    flat = squared_side <= tiny
    along = (along / squared_side.masked_fill(flat, 1).sqrt()).masked_fill(flat, 0)
    rest = edges - along[:, :, None] * along[:, None, :]  # inner products of what is left across the line
    across = rest.diagonal(dim1=1, dim2=2)
    thin = (across <= tiny)[:, :, None]
    foot = rest.square() / across[:, :, None].masked_fill(thin, 1)
    return across[:, None, :] - foot.masked_fill(thin, 0)
