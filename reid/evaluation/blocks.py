"""Cosine distances of many queries to a large gallery, a block of queries at a time.

Matrix products give other last bits for other shapes, and two equal gallery rows must have one distance, or what is a
tie is broken by chance. So every product here has the same shape, padded with zeros, and every distance is computed
once.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from reid.errors import BadInputError

Floats = npt.NDArray[np.floating]
Kind = np.dtype[np.floating]

MEMORY_BYTES = 1 << 28  # 64 queries to a gallery of a million
_ROWS, _COLUMNS = 64, 8192  # of a product; as many gallery rows as make the call worth its while


def cosine_blocks(query: Floats, gallery: Floats, memory_bytes: int = MEMORY_BYTES) -> Iterator[Floats]:
    """Distances 1 - cosine, 0..2 but for rounding, of consecutive query rows to the whole gallery.

    Beside the features, memory is ``memory_bytes``, the queries once more, 4 bytes for each gallery item and the
    features of 8,192 of them, as long as the caller drops each block before it takes the next.

    Args:
        query: (q, d); any norm but 0.
        gallery: (g, d); any norm but 0.
        memory_bytes: of a block; it has as many rows as fit, at least one.

    Yields:
        (b, g) float32 blocks, which together have q rows; float64 where query or gallery is.

    Raises:
        ValueError: shapes that do not fit, or a feature that is zero or not finite.
        BadInputError: memory_bytes below 1.
    """
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(f"expected query (q, d) and gallery (g, d), got {query.shape} and {gallery.shape}")
    if memory_bytes < 1:
        raise BadInputError(f"memory of {memory_bytes} bytes; give at least 1, as a rule {MEMORY_BYTES}")
    kind = np.result_type(query, gallery, np.float32)
    scales = 1 / _norms(gallery, kind)
    units = _padded(query, len(query) + _ROWS, kind)
    units[: len(query)] /= _norms(query, kind)[:, None]
    rows = max(memory_bytes // max(kind.itemsize * len(gallery), 1), 1)
    rows = min(rows - rows % _ROWS if rows > _ROWS else rows, max(len(query), 1))
    for start in range(0, len(query), rows):
        count = min(rows, len(query) - start)
        yield _distances(units[start : start + count + _ROWS], count, gallery, scales)


def _distances(units: Floats, count: int, gallery: Floats, scales: Floats) -> Floats:
    """(count, g) distances; ``units`` reaches at least a tile beyond ``count``, or to where only zeros follow."""
    block = np.empty((count, len(gallery)), units.dtype)
    columns = min(_COLUMNS, max(-(-len(gallery) // _ROWS), 1) * _ROWS)
    product = np.empty((_ROWS, columns), units.dtype)
    for left in range(0, len(gallery), columns):
        right = min(left + columns, len(gallery))
        tile = _padded(gallery[left:right], columns, units.dtype)
        for top in range(0, count, _ROWS):
            bottom = min(top + _ROWS, count)
            np.matmul(units[top : top + _ROWS], tile.T, out=product)
            part = block[top:bottom, left:right]
            np.multiply(product[: bottom - top, : right - left], -scales[left:right], out=part)
            part += 1
    return block


def _padded(features: Floats, rows: int, kind: Kind) -> Floats:
    """The features with rows of zeros below, up to ``rows``."""
    if len(features) == rows:
        return features.astype(kind, copy=False)
    padded = np.zeros((rows, features.shape[1]), kind)
    padded[: len(features)] = features
    return padded


def _norms(features: Floats, kind: Kind) -> Floats:
    norms = np.empty(len(features), kind)
    for start in range(0, len(features), _COLUMNS):
        rows = slice(start, start + _COLUMNS)
        norms[rows] = np.linalg.norm(features[rows].astype(kind, copy=False), axis=1)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ValueError("features: expected finite vectors other than zero")
    return norms
