"""Average query expansion (Chum et al., ICCV 2007), weighted by similarity (Radenovic et al., TPAMI 2019).

The form and the defaults of fast-reid: the gallery's vectors are expanded as well as the queries', each among all.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from reid.errors import BadInputError
from reid.rerank.neighbours import MEMORY_BYTES, Float32, Floats, joined, nearest, row_blocks


def query_expansion(
    query: Floats,
    gallery: Floats,
    times: int = 1,
    k: int = 5,
    alpha: float = 3.0,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[Float32]:
    """Cosine distances between expanded vectors.

    Args:
        query: (q, d), any norm but 0, used as float32.
        gallery: (g, d).
        times: expansions in a row.
        k: nearest neighbours averaged, the vector itself counted; 1 changes nothing.
        alpha: each is weighted by its cosine similarity to the power of alpha, by 0 where the similarity is negative.
        memory_bytes: the most to use beyond the arguments.

    Returns:
        (b, g) blocks of consecutive queries, 0..2.

    Raises:
        ValueError: shapes that do not fit, or a vector that is zero or not finite.
        BadInputError: an option out of range, or too little memory.
    """
    if times < 1 or k < 1 or alpha < 0:
        raise BadInputError(f"times {times}, k {k}, alpha {alpha}: times and k have to be 1 at least, alpha 0 at least")
    points = joined(query, gallery)
    if not points.any(axis=1).all():
        raise ValueError("features: expected vectors other than zero")
    return _blocks(points, len(query), times, k, alpha, memory_bytes)


def expanded(points: Float32, k: int, alpha: float, memory_bytes: int = MEMORY_BYTES) -> Float32:
    """(n, d) sum of each point's k nearest by cosine similarity, weighted by similarity^alpha; not normalised."""
    units = _unit_rows(points)
    lists, _ = nearest(units, k, memory_bytes, held=points.nbytes)
    n, k = lists.shape
    weights = np.stack([np.einsum("ij,ij->i", units, units[column]) for column in lists.T], axis=1)
    weights = np.maximum(weights, 0) ** np.float32(alpha)
    graph = sparse.csr_array((weights.ravel(), lists.ravel(), np.arange(0, n * k + 1, k)), (n, n))
    return np.asarray(graph @ points)


def _blocks(points: Float32, q: int, times: int, k: int, alpha: float, memory_bytes: int) -> Iterator[Float32]:
    for _ in range(times):
        points = expanded(points, k, alpha, memory_bytes)
    points = _unit_rows(points)
    for rows in row_blocks(np.full(q, 8 * (len(points) - q)), 2 * points.nbytes, memory_bytes):
        yield 1 - points[rows] @ points[q:].T


def _unit_rows(points: Float32) -> Float32:
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))
