"""Aligned distance between images cut into horizontal stripes (AlignedReID, Zhang et al., arXiv:1711.08184).

Stripes are matched in order, head to feet, along the cheapest path through the matrix of their distances, so that a
person who fills another part of the crop still matches. The widespread reimplementation's numpy path for one pair of
images is wrong: it returns the sum of the matrix's first column.
"""

import torch
from torch import Tensor


def stripe_distances(f: Tensor, g: Tensor) -> Tensor:
    """tanh(|f_i - g_j| / 2), the paper's (e^x - 1) / (e^x + 1), of every stripe of f with every stripe of g.

    Args:
        f: (..., s, c) floating point; half precisions are raised to float32.
        g: (..., t, c), the leading dimensions broadcast.

    Returns:
        (..., s, t), 0..1. Where two stripes coincide the gradient is 0.
    """
    if f.dtype in (torch.float16, torch.bfloat16):
        f, g = f.float(), g.float()
    # Not by inner products: these lose the small distances, which decide here.
    return torch.tanh(torch.cdist(f, g, compute_mode="donot_use_mm_for_euclid_dist") / 2)


def shortest_path(costs: Tensor) -> Tensor:
    """Cost of the cheapest path from the first to the last cell, each step one cell right or down, both ends counted.

    Args:
        costs: (..., s, t).

    Returns:
        (...).

    >>> float(shortest_path(torch.tensor([[0.1, 0.6, 0.9], [0.2, 0.3, 0.8], [0.7, 0.4, 0.1]], dtype=torch.float64)))
    1.1
    """
    first, *rows = costs.unbind(-2)
    total = first.cumsum(-1)
    for row in rows:
        # A path enters the row at some column and runs right from there.
        run = row.cumsum(-1)
        total = (total - (run - row)).cummin(-1).values + run
    return total[..., -1]


def local_distance(f: Tensor, g: Tensor, unaligned: bool = False) -> Tensor:
    """Aligned distance of every image of f to every image of g.

    Args:
        f: (n, s, c) one vector a stripe.
        g: (m, s, c).
        unaligned: match each stripe with the one at the same height instead.

    Returns:
        (n, m), between 0 and 2s - 1, or s unaligned. Takes n m s^2 numbers of memory.
    """
    (n, s, c), m = f.shape, len(g)
    costs = stripe_distances(f.reshape(n * s, c), g.reshape(m * s, c)).reshape(n, s, m, s).transpose(1, 2)
    return _total(costs, unaligned)


def local_distance_pairs(f: Tensor, g: Tensor, unaligned: bool = False) -> Tensor:
    """Aligned distance of image i of f to image i of g, or of one image to many: ``f[:1]`` against (M, s, c).

    To sort the first M of a ranking anew, from numpy arrays: ``local_distance_pairs(torch.from_numpy(query)[None],
    torch.from_numpy(gallery[first])).numpy()``.

    Args:
        f, g: (n, s, c), the leading dimensions broadcast.
        unaligned: as in ``local_distance``.

    Returns:
        (n,).
    """
    return _total(stripe_distances(f, g), unaligned)


def _total(costs: Tensor, unaligned: bool) -> Tensor:
    return costs.diagonal(dim1=-2, dim2=-1).sum(-1) if unaligned else shortest_path(costs)
