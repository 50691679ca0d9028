"""What the naive oracles share: batches of any composition, and loops over pairs and triplets."""

import numpy as np
from hypothesis import strategies as st

from tests.losses.worked import BATCHES

# (batch, where its values are recorded, normalize): unit rows change nothing where rows are units already.
RAW_AND_UNIT = [(name, name, False) for name in BATCHES] + [("B", "B", True), ("C", "Cn", True), ("Cn", "Cn", True)]


@st.composite
def random_batches(draw, largest=12, scales=(0.1, 1.0, 30.0)):
    """(n, 5) features and labels: single identities, single images and unequal K among them."""
    labels = draw(st.lists(st.integers(0, 3), min_size=1, max_size=largest))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return rng.normal(size=(len(labels), 5)) * draw(st.sampled_from(scales)), np.array(labels)


def distance_matrix(features):
    return np.array([[np.sqrt(((a - b) ** 2).sum()) for b in features] for a in features])


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def positives(labels, i):
    return [j for j in range(len(labels)) if labels[j] == labels[i] and j != i]


def negatives(labels, i):
    return [j for j in range(len(labels)) if labels[j] != labels[i]]


def anchors(labels):
    return [i for i in range(len(labels)) if positives(labels, i) and negatives(labels, i)]


def triplets(labels):
    return [(a, p, n) for a in range(len(labels)) for p in positives(labels, a) for n in negatives(labels, a)]


def mean(values):
    return float(np.mean(values)) if len(values) else 0.0
