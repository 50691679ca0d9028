"""Vectors to re-rank."""

import numpy as np
from hypothesis import strategies as st


def unit_rows(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def clusters(queries, gallery, people, dim=16, noise=0.6, seed=0):
    """Unit vectors (q, d) and (g, d) float32, around as many centres as there are people; and whose they are."""
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(queries) % people, np.arange(gallery) % people])
    points = rng.normal(size=(people, dim))[owner] + noise * rng.normal(size=(len(owner), dim))
    points = unit_rows(points).astype(np.float32)
    return points[:queries], points[queries:], owner[:queries], owner[queries:]


@st.composite
def sets(draw, most_queries=6, doubles=True):
    """A query and a gallery: random directions, or small whole numbers with ties and doubles everywhere."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    q, g, d = draw(st.integers(1, most_queries)), draw(st.integers(1, 40)), draw(st.integers(1, 9))
    if doubles and draw(st.booleans()):
        points = rng.integers(0, draw(st.integers(1, 4)), (q + g, d))
    else:
        points = rng.normal(size=(q + g, d))
        if doubles:
            points[rng.integers(0, q + g, (q + g) // 3)] = points[rng.integers(0, q + g)]
    points = points.astype(np.float32)
    return points[:q], points[q:]
