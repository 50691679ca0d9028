import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.trihard import trihard
from tests.losses.worked import BATCHES, WORKED, batch


def naive(features, labels, margin=0.3, soft=False):
    terms = []
    for i, a in enumerate(features):
        positives = [np.linalg.norm(a - f) for j, f in enumerate(features) if labels[j] == labels[i] and j != i]
        negatives = [np.linalg.norm(a - f) for j, f in enumerate(features) if labels[j] != labels[i]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            terms.append(np.log1p(np.exp(gap)) if soft else max(gap + margin, 0))
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("trihard_a0.3", {"normalize": False}),
        ("trihard_soft", {"normalize": False, "soft": True}),
        ("trihard_norm_a0.3", {}),
    ],
)
def test_worked_values(name, key, options):
    assert float(trihard(*batch(name), **options)) == pytest.approx(WORKED[name][key], rel=1e-9)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 10**6), st.booleans())
def test_agrees_with_loops(labels, seed, soft):
    features = np.random.default_rng(seed).normal(size=(len(labels), 5)) * 3
    value = trihard(torch.tensor(features), torch.tensor(labels), margin=0.5, soft=soft, normalize=False)
    assert float(value) == pytest.approx(naive(features, labels, 0.5, soft), abs=1e-6)


def test_gradient_norm():
    features, labels = batch("C")
    features.requires_grad_()
    trihard(features, labels, normalize=False).backward()
    assert float(features.grad.norm()) == pytest.approx(WORKED["grad"]["trihard"]["fro"], rel=1e-6)
