"""Supervised smoothed manifold (Bai, Bai and Tian, CVPR 2017): similarities diffused along a graph of neighbours.

With P the random walk on the graph, Q starts as L and becomes a P Q P' + (1 - a) L at every step. The N x N matrix Q
is not formed: t steps of its row i are t steps of P from i onwards, t steps back, and L in between.

The paper's kernel and constants were not to be had. What stands here is our choice: the graph joins each point with
its k nearest, weighted exp(-|x - y|^2 / (s_x s_y)) where s is a point's distance to its k-th nearest (Zelnik-Manor and
Perona, NIPS 2004); L is the identity, with 1 between points labelled as one person; the defaults did well on a part of
Market-1501.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reid.errors import BadInputError
from reid.rerank.neighbours import (
    MEMORY_BYTES,
    Float32,
    Floats,
    centred,
    joined,
    nearest,
    pair_squares,
    row_blocks,
    squared_distances,
    squared_norms,
)

UNLABELLED = -1
_ENTRY = 8  # bytes of an entry of a sparse row: float32 and int32


def smoothed_manifold(
    query: Floats,
    gallery: Floats,
    k: int = 10,
    alpha: float = 0.9,
    steps: int = 10,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[Float32]:
    """``supervised_manifold`` without a label."""
    labels = np.full(len(query) + len(gallery), UNLABELLED)
    return supervised_manifold(query, gallery, labels, k, alpha, steps, memory_bytes)


def supervised_manifold(
    query: Floats,
    gallery: Floats,
    labels: npt.NDArray[np.int64],
    k: int = 10,
    alpha: float = 0.9,
    steps: int = 10,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[Float32]:
    """Distances by similarity along the manifold, for a ranking only.

    Args:
        query: (q, d), used as float32. Not normalised here: unit vectors are usual.
        gallery: (g, d); images that are no candidates, such as a training set, may stand at its end.
        labels: (q + g,) identity of each, ``UNLABELLED`` where it is not known.
        k: neighbours in the graph, the point itself counted.
        alpha: weight of the neighbours against L, 0..1 without 1.
        steps: of the iteration; it converges as alpha^steps, but the ranking changes little after these.
        memory_bytes: the most to use beyond the arguments.

    Returns:
        (b, g) blocks of consecutive queries: 1 - Q / the row's largest Q in the gallery, 0..1. Points that the walk
        does not reach follow with 1..2, by their Euclidean distance.

    Raises:
        ValueError: shapes that do not fit, or a value that is not finite.
        BadInputError: an option out of range, or too little memory.
    """
    if k < 2 or not 0 <= alpha < 1 or steps < 1:
        raise BadInputError(
            f"k {k}, alpha {alpha}, steps {steps}: k is 2 at least, alpha within 0..1, steps 1 at least"
        )
    points = joined(query, gallery)
    if labels.shape != (len(points),):
        raise ValueError(f"expected labels ({len(points)},), got {labels.shape}")
    return _blocks(points, len(query), label_matrix(labels), k, alpha, steps, memory_bytes)


def label_matrix(labels: npt.NDArray[np.int64]) -> sparse.csr_array:
    """(n, n) float32 L: 1 on the diagonal and between points of the same label, ``UNLABELLED`` apart.

    >>> label_matrix(np.array([4, -1, 4])).toarray().tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    n = len(labels)
    groups = np.where(labels == UNLABELLED, n + np.arange(n), np.unique(labels, return_inverse=True)[1])
    members = sparse.csr_array((np.ones(n, np.float32), groups, np.arange(n + 1)), (n, 2 * n))
    return (members @ members.T).tocsr()


def affinity(points: Float32, k: int, memory_bytes: int = MEMORY_BYTES) -> sparse.csr_array:
    """(n, n) float32 weights of the graph, symmetric, 1 on the diagonal."""
    lists, _ = nearest(points, k, memory_bytes)
    n, k = lists.shape
    rows, columns = np.repeat(np.arange(n), k), lists.ravel()
    squares = pair_squares(points, points, rows, columns).reshape(n, k)
    scale = np.sqrt(squares[:, -1])
    scale[scale == 0] = 1  # k doubles: all at distance 0
    weights = np.exp(-squares.ravel() / (scale[rows] * scale[columns])).astype(np.float32)
    graph = sparse.csr_array((weights, (rows, columns)), (n, n))
    return graph.maximum(graph.T).tocsr()


def diffuse(
    weights: sparse.csr_array, labels: sparse.csr_array, rows: npt.NDArray[np.integer], alpha: float, steps: int
) -> Floats:
    """Rows of Q after ``steps`` steps from Q = L.

    Args:
        weights: (n, n) W, not negative, no row of zeros; P = W / its row sums.
        labels: (n, n) L.
        rows: (b,) rows of Q.
        alpha: a, 0..1.
        steps: of the iteration.

    Returns:
        (b, n) of W's precision.
    """
    walk = sparse.csr_array(sparse.diags_array(1 / weights.sum(1)) @ weights)
    back = walk.T.tocsr()
    ahead = np.zeros((walk.shape[0], len(rows)), weights.dtype)
    ahead[rows, np.arange(len(rows))] = 1
    reached = [ahead]
    for _ in range(steps):
        reached.append(back @ reached[-1])
    pull = labels.T.tocsr()
    similar = pull @ reached.pop()
    while reached:
        similar = alpha * (walk @ similar) + (1 - alpha) * (pull @ reached.pop())
    return np.asarray(similar.T)


def _blocks(
    points: Float32, q: int, labels: sparse.csr_array, k: int, alpha: float, steps: int, memory_bytes: int
) -> Iterator[Float32]:
    weights = affinity(points, k, memory_bytes)
    points = centred(points)
    gallery, n = points[q:], len(points)
    norms = squared_norms(gallery)
    held = 2 * points.nbytes + _ENTRY * (4 * weights.nnz + 2 * labels.nnz)
    for rows in row_blocks(np.full(q, 4 * n * (steps + 6)), held, memory_bytes):
        similar = diffuse(weights, labels, np.arange(rows.start, rows.stop), alpha, steps)[:, q:]
        block = squared_distances(points[rows], gallery, norms)
        block /= np.maximum(block.max(1, keepdims=True), np.finfo(np.float32).tiny)
        highest = similar.max(1, keepdims=True)
        yield np.where(similar > 0, 1 - similar / np.where(highest > 0, highest, 1), 1 + block)
