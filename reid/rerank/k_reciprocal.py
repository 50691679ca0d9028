"""Re-ranking with k-reciprocal encoding (Zhong et al., CVPR 2017), by the authors' Python code and in little memory.

As that code does, and other than the paper: lists count the point itself, a neighbour's set joins when MORE than two
thirds of it are shared, and encodings sum to 1. Squared Euclidean distances are divided by each row's maximum. Ties
go by index, where the code leaves them to an unstable sort.

The code keeps several N x N matrices for N = queries + gallery. Here a row of the encoding V has about k1 entries and
is kept as such; the Jaccard distance is formed for the queries' rows alone, from V's columns.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from reid.errors import BadInputError
from reid.rerank.neighbours import (
    MEMORY_BYTES,
    Exact,
    Float32,
    Floats,
    Positions,
    centred,
    check_memory,
    joined,
    nearest,
    pair_squares,
    row_blocks,
    squared_distances,
    squared_norms,
)

_ENTRY = 8  # bytes of an entry of a sparse row: float32 and int32
_PART = 4096  # rows encoded at a time


def k_reciprocal(
    query: Floats,
    gallery: Floats,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    memory_bytes: int = MEMORY_BYTES,
) -> Float32:
    """(q, g) distances of ``k_reciprocal_blocks`` in one array, which is not counted among ``memory_bytes``."""
    distances = np.empty((len(query), len(gallery)), np.float32)
    done = 0
    for block in k_reciprocal_blocks(query, gallery, k1, k2, lam, memory_bytes):
        distances[done : done + len(block)] = block
        done += len(block)
    return distances


def k_reciprocal_blocks(
    query: Floats,
    gallery: Floats,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[Float32]:
    """Distances by (1 - lam) Jaccard + lam original, which stand for a ranking and depend on the whole gallery.

    The work begins, and errors of memory come, with the first block.

    Args:
        query: (q, d), used as float32. Not normalised here: unit vectors are usual.
        gallery: (g, d); with all its distractors and junk, by the published protocol.
        k1: neighbours that encode a point.
        k2: neighbours whose encodings are averaged; 1 is none but the point's own.
        lam: weight of the original distance, 0..1.
        memory_bytes: the most to use beyond the arguments.

    Returns:
        (b, g) blocks of consecutive queries, 0..1. The same as the authors' code on exact distances, to 1e-5.

    Raises:
        ValueError: shapes that do not fit, or a value that is not finite.
        BadInputError: an option out of range, or too little memory.
    """
    check_options(k1, k2, lam)
    return _blocks(joined(query, gallery), len(query), k1, k2, lam, memory_bytes)


def check_options(k1: int, k2: int, lam: float) -> None:
    """Raise BadInputError for options of ``k_reciprocal`` out of range."""
    if k1 < 1 or k2 < 1 or not 0 <= lam <= 1:
        raise BadInputError(f"k1 {k1}, k2 {k2}, lam {lam}: k1 and k2 have to be 1 at least and lam within 0..1")


def list_length(k1: int, k2: int) -> int:
    """Neighbours that ``encode`` looks at, the point itself counted."""
    return max(k1 + 1, k2)


def encode(lists: Positions, weigh: Exact, k1: int) -> sparse.csr_array:
    """V before the averaging: each point's weights on the members of its expanded k-reciprocal set.

    Args:
        lists: (n, at least k1 + 1 unless there are fewer points) nearest neighbours.
        weigh: rows (m,) and columns (m,) to squared distances over the row's maximum (m,).
        k1: as in ``k_reciprocal_blocks``.

    Returns:
        (n, n) float32; rows sum to 1, or are empty where k1 doubles before a point take it from its own list.
    """
    half = sparse.vstack([_reciprocal(lists, rows, round(k1 / 2) + 1) for rows in _parts(lists)], format="csr")
    sizes = np.diff(half.indptr)
    encoded = []
    for rows in _parts(lists):
        reciprocal = _reciprocal(lists, rows, k1 + 1)
        shared = reciprocal * (reciprocal @ half)  # half is symmetric: (i, c) counts what of c's half set i has
        shared.data = (3 * shared.data > 2 * sizes[shared.indices]).astype(np.int32)
        shared.eliminate_zeros()
        members = reciprocal + shared @ half
        owners = np.repeat(np.arange(members.shape[0]), np.diff(members.indptr))
        weights = np.exp(-weigh(owners + rows.start, members.indices))
        weights /= np.bincount(owners, weights)[owners]
        encoded.append(sparse.csr_array((weights.astype(np.float32), members.indices, members.indptr), members.shape))
    return sparse.vstack(encoded, format="csr")


def averaged(encoded: sparse.csr_array, lists: Positions, rows: slice, k2: int) -> sparse.csr_array:
    """Local query expansion: ``rows`` of V, each the mean over its point's k2 nearest."""
    if k2 == 1:
        return encoded[rows]
    near = lists[rows, :k2]
    shares = np.full(near.size, 1 / near.shape[1], np.float32)
    starts = np.arange(0, near.size + 1, near.shape[1])
    return sparse.csr_array((shares, near.ravel(), starts), (len(near), len(lists))) @ encoded


def jaccard_gain(queries: sparse.csr_array, index: sparse.csr_array) -> sparse.csr_array:
    """(b, g) 1 - Jaccard distance: s / (2 - s) for s the sum of minima of a row of V and another.

    Args:
        queries: (b, n) rows of V.
        index: (n, g) columns of V: whose encodings have the entry, and how much of it.
    """
    minima = index[queries.indices]
    np.minimum(minima.data, np.repeat(queries.data, np.diff(minima.indptr)), out=minima.data)
    ones = np.ones(queries.nnz, np.float32)
    gain = sparse.csr_array((ones, np.arange(queries.nnz), queries.indptr), (queries.shape[0], queries.nnz)) @ minima
    gain.data /= 2 - gain.data
    return gain


def _blocks(points: Float32, q: int, k1: int, k2: int, lam: float, memory_bytes: int) -> Iterator[Float32]:
    lists, farthest = nearest(points, list_length(k1, k2), memory_bytes)
    farthest[farthest == 0] = 1  # all points are one
    encoded = encode(lists, lambda r, c: pair_squares(points, points, r, c) / farthest[r], k1)
    held = points.nbytes + lists.nbytes + _ENTRY * encoded.nnz
    grown = _ENTRY * int(np.diff(encoded.indptr)[lists[:, :k2]].sum())
    check_memory(held + 2 * grown, memory_bytes)
    queries = averaged(encoded, lists, slice(0, q), k2)
    index = averaged(encoded, lists, slice(q, len(points)), k2).T.tocsr()
    del encoded, lists

    points = centred(points)
    gallery = points[q:]
    norms = squared_norms(gallery)
    touched = np.append(0, np.diff(index.indptr)[queries.indices].cumsum())[queries.indptr]
    costs = 8 * len(gallery) + 4 * _ENTRY * np.diff(touched)
    for rows in row_blocks(costs, 2 * points.nbytes + _ENTRY * (queries.nnz + index.nnz), memory_bytes):
        block = squared_distances(points[rows], gallery, norms)
        block *= lam / farthest[rows, None]
        gain = jaccard_gain(queries[rows], index)
        block += 1 - lam
        block[np.repeat(np.arange(len(block)), np.diff(gain.indptr)), gain.indices] -= (1 - lam) * gain.data
        yield block


def _parts(lists: Positions) -> Iterator[slice]:
    for start in range(0, len(lists), _PART):
        yield slice(start, min(start + _PART, len(lists)))


def _reciprocal(lists: Positions, rows: slice, k: int) -> sparse.csr_array:
    """(b, n) int32 ones at the members of R(i, k): those of i's k nearest that have i among theirs; k counts i."""
    near = lists[rows, :k]
    mutual = (lists[near, :k] == np.arange(rows.start, rows.stop)[:, None, None]).any(2)
    starts = np.append(0, mutual.sum(1).cumsum())
    return sparse.csr_array((np.ones(starts[-1], np.int32), near[mutual], starts), (len(near), len(lists)))
