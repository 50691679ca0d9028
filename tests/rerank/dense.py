"""The published re-ranking as it is usually written: dense matrices, loops over points, stable sorts, float64."""

import numpy as np
from scipy.spatial.distance import cdist


def k_reciprocal_dense(query, gallery, k1=20, k2=6, lam=0.3):
    """(q, g) distances; Zhong et al.'s Python code step by step."""
    points = np.concatenate([query, gallery]).astype(np.float64)
    n, q = len(points), len(query)
    distances = cdist(points, points, "sqeuclidean")
    rank = np.argsort(distances, axis=1, kind="stable")
    distances /= np.maximum(distances.max(1, keepdims=True), 1e-300)

    def reciprocal(i, k):
        return {j for j in rank[i, :k] if i in rank[j, :k]}

    encoding = np.zeros((n, n))
    for i in range(n):
        core = reciprocal(i, k1 + 1)
        members = set(core)
        for candidate in core:
            half = reciprocal(candidate, round(k1 / 2) + 1)
            if 3 * len(half & core) > 2 * len(half):
                members |= half
        for j in members:
            encoding[i, j] = np.exp(-distances[i, j])
        if members:
            encoding[i] /= encoding[i].sum()
    if k2 > 1:
        encoding = np.stack([encoding[rank[i, :k2]].mean(0) for i in range(n)])
    shared = np.stack([np.minimum(encoding[i], encoding[q:]).sum(1) for i in range(q)])
    return (1 - lam) * (1 - shared / (2 - shared)) + lam * distances[:q, q:]
