"""Exact nearest neighbours from blocks of rows, never the whole matrix of distances.

The distances of a block come from one float32 matrix product, which is quick but wrong in the last digits: enough to
swap neighbours that are almost equally far, and a swap at the end of a list changes what re-ranking makes of it. So the
product only proposes. Neighbours that lie closer to each other than its error bound are measured again in float64, and
the lists are those of a stable sort of the exact distances.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from reid.errors import BadInputError

Floats = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Positions = npt.NDArray[np.integer]
Exact = Callable[[Positions, Positions], Floats]

MEMORY_BYTES = 2**31
_SCRATCH_BYTES = 2**25  # the pairs measured at a time, a block's candidates
_PAIR_NUMBERS = 2**19
_BLOCK = 256  # rows; a block of them stays in the processor's cache, and larger ones are no quicker
_CHUNKS = 8  # for each neighbour wanted; more of them give fewer needless candidates


def joined(query: Floats, gallery: Floats) -> Float32:
    """(q + g, d) float32, queries first.

    Raises:
        ValueError: shapes that do not fit, nothing on one side, or a value that is not finite.
    """
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(f"expected query (q, d) and gallery (g, d), got {query.shape} and {gallery.shape}")
    if not (len(query) and len(gallery) and query.shape[1]):
        raise ValueError(f"expected vectors on both sides, got {query.shape} and {gallery.shape}")
    points = np.empty((len(query) + len(gallery), query.shape[1]), np.float32)
    points[: len(query)], points[len(query) :] = query, gallery
    if not np.isfinite(squared_norms(points)).all():
        raise ValueError("features: expected finite numbers")
    return points


def nearest(
    points: Float32, k: int, memory_bytes: int = MEMORY_BYTES, held: int = 0
) -> tuple[npt.NDArray[np.int32], Float32]:
    """The k nearest of every point among all points, and how far its farthest is.

    Args:
        points: (n, d).
        k: length of the lists, the point itself counted; n where there are fewer points.
        memory_bytes: the most to use, ``points`` included.
        held: bytes of it that others have in use.

    Returns:
        (n, k) indices, nearest first, equally far ones by index: a point opens its own list unless an earlier one is
        its double. And (n,) the largest squared distance, to float32's precision.

    Raises:
        BadInputError: it does not fit into ``memory_bytes``.
    """
    (n, d), k = points.shape, min(k, len(points))
    found, farthest = np.empty((n, k), np.int32), np.empty(n, np.float32)
    moved = centred(points)
    norms = squared_norms(moved)
    slack = product_slack(d, norms + norms.max())
    held += 2 * points.nbytes + found.nbytes + 5 * farthest.nbytes
    for rows in row_blocks(np.full(n, 6 * n + 64 * k * _CHUNKS + 8 * d), held, memory_bytes):
        block = squared_distances(moved[rows], moved, norms)
        farthest[rows] = block.max(1)
        found[rows] = exactly_smallest(block, k, slack[rows], partial(pair_squares, points[rows], points))
    return found, farthest


def centred(points: Float32) -> Float32:
    """(n, d) the points moved so that their mean is near 0.

    Distances stay, and a product's rounding is then small beside the largest of them however far from 0 all points
    are. Coordinates are rounded, which ``product_slack`` allows for.
    """
    return np.asarray(points - points.mean(0, dtype=np.float64).astype(np.float32))


def squared_norms(points: Float32) -> Float32:
    """(n,) squared lengths."""
    return np.asarray(np.einsum("ij,ij->i", points, points))


def squared_distances(some: Float32, points: Float32, norms: Float32) -> Float32:
    """(b, n) squared Euclidean distances by a matrix product; the error is at most half of ``product_slack``.

    Args:
        some: (b, d), moved as ``points``.
        points: (n, d), ``centred``.
        norms: (n,) ``squared_norms`` of ``points``.
    """
    block: Float32 = (-2 * some) @ points.T
    block += norms
    block += squared_norms(some)[:, None]
    np.maximum(block, 0, out=block)
    return block


def product_slack(d: int, squares: Float32) -> Float64:
    """Distances from ``squared_distances`` that differ by more are in the right order.

    Twice the bound on a product's rounding whatever the order of its d terms (Higham, Accuracy and Stability of
    Numerical Algorithms, section 3.1), with |x|^2 + |y|^2 <= ``squares``, and some more for what is rounded around it.
    """
    return np.finfo(np.float32).eps * (d + 16) * squares.astype(np.float64)


def pair_squares(some: Float32, points: Float32, rows: Positions, columns: Positions) -> Float64:
    """(m,) squared Euclidean distances of some[rows] to points[columns], exact to float64's rounding."""
    squares = np.empty(len(rows))
    step = max(1, _PAIR_NUMBERS // some.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = some[rows[part]].astype(np.float64)
        difference -= points[columns[part]]
        squares[part] = np.einsum("ij,ij->i", difference, difference)
    return squares


def smallest(block: Floats, k: int) -> npt.NDArray[np.intp]:
    """(b, k) columns of each row's k smallest, as a stable sort orders them: ``argsort(kind="stable")[:, :k]``.

    >>> smallest(np.array([[3.0, 1.0, 2.0, 1.0]]), 3)
    array([[1, 3, 2]])
    """
    rows, columns = _candidates(block, _upper_bound(block, k))
    return _first(k, rows, columns, block[rows, columns])


def exactly_smallest(block: Float32, k: int, slack: Float64, exact: Exact) -> npt.NDArray[np.intp]:
    """``smallest`` by the exact values that a block's values approximate.

    Args:
        block: (b, n).
        k: columns to find in each row.
        slack: (b,) values of the row that differ by more are in the right order.
        exact: rows (m,) and columns (m,) of the block to their exact values.
    """
    rows, columns = _candidates(block, _upper_bound(block, k) + slack)
    values = block[rows, columns].astype(np.float64)
    order = np.lexsort((values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    close = (rows[1:] == rows[:-1]) & (values[1:] - values[:-1] <= slack[rows[1:]])
    unsure = np.append(close, False) | np.append(False, close)
    values[unsure] = exact(rows[unsure], columns[unsure])
    return _first(k, rows, columns, values)


def row_blocks(costs: npt.NDArray[np.integer], held: int, memory_bytes: int) -> Iterator[slice]:
    """Consecutive blocks of rows that fit into memory.

    Args:
        costs: (n,) bytes that each row takes while its block is worked on.
        held: bytes taken whatever the block.
        memory_bytes: of all.

    Raises:
        BadInputError: one row is too much.
    """
    check_memory(held + int(costs.max(initial=0)), memory_bytes)
    room = memory_bytes - held - _SCRATCH_BYTES
    ends = np.cumsum(costs)
    start = 0
    while start < len(costs):
        spent = int(ends[start - 1]) if start else 0
        stop = min(int(np.searchsorted(ends, spent + room, side="right")), start + _BLOCK)
        yield slice(start, stop)
        start = stop


def check_memory(needed: int, memory_bytes: int) -> None:
    """Raise BadInputError where ``needed`` bytes and those of small things are more than may be used."""
    needed += _SCRATCH_BYTES
    if needed > memory_bytes:
        raise BadInputError(
            f"re-ranking these vectors takes at least {-(-needed // 2**20)} MiB, but memory_bytes allows "
            f"{memory_bytes // 2**20}; allow more, or re-rank the first results only"
        )


def _upper_bound(block: Floats, k: int) -> Floats:
    """(b,) not below the k-th smallest of each row and hardly above it.

    The k-th smallest of the minima of chunks: a pass over the block and a selection among few, where selecting among
    all would take ten times as long.
    """
    n, chunks = block.shape[1], _CHUNKS * k
    if n < 2 * chunks:
        return np.partition(block, k - 1, axis=1)[:, k - 1]
    whole = n // chunks * chunks
    # Neighbouring columns fall into different chunks: images of one person tend to stand together.
    minima = block[:, :whole].reshape(len(block), -1, chunks).min(1)
    return np.partition(minima, k - 1, axis=1)[:, k - 1]


def _candidates(block: Floats, bound: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows (ascending) and columns of the values up to each row's bound."""
    flat = np.flatnonzero(block <= bound.astype(block.dtype)[:, None])
    rows, columns = np.divmod(flat, block.shape[1])
    return rows, columns


def _first(k: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], values: Floats) -> npt.NDArray[np.intp]:
    """(b, k) each row's first columns by value, then by column; every row has k candidates at least."""
    order = np.lexsort((columns, values, rows))
    starts = np.searchsorted(rows, np.arange(rows[-1] + 1))
    return np.asarray(columns[order[starts[:, None] + np.arange(k)]])
