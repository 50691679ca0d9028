import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from reid.losses.circle import circle
from tests.losses.worked import BATCHES, WORKED, batch


def naive(features, labels, margin, gamma, weights=None):
    """In torch, so that it has a gradient; ``weights`` are cosines held constant."""
    unit = functional.normalize(features)
    cosine = unit @ unit.T
    weights = cosine if weights is None else weights
    terms = []
    for i in range(len(labels)):
        pulls = [
            -gamma * functional.relu(1 + margin - weights[i, j]) * (cosine[i, j] - (1 - margin))
            for j in range(len(labels))
            if labels[j] == labels[i] and j != i
        ]
        pushes = [
            gamma * functional.relu(weights[i, j] + margin) * (cosine[i, j] - margin)
            for j in range(len(labels))
            if labels[j] != labels[i]
        ]
        if pulls and pushes:
            terms.append(functional.softplus(torch.stack(pulls).logsumexp(0) + torch.stack(pushes).logsumexp(0)))
    return torch.stack(terms).mean() if terms else torch.zeros(())


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("circle_m0.25_g128", {}),
        ("circle_m0.35_g64", {"margin": 0.35, "gamma": 64}),
        ("circle_m0.4_g80", {"margin": 0.4, "gamma": 80}),
    ],
)
def test_worked_values(name, key, options):
    assert float(circle(*batch(name), **options)) == pytest.approx(WORKED[name][key], rel=1e-9)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=10), st.integers(0, 10**6))
def test_agrees_with_loops(labels, seed):
    features = torch.tensor(np.random.default_rng(seed).normal(size=(len(labels), 4)) * 3)
    value = circle(features, torch.tensor(labels), 0.3, 16)
    assert float(value) == pytest.approx(float(naive(features, labels, 0.3, 16)), rel=1e-9, abs=1e-12)


def test_the_weights_are_constants_to_the_gradient():
    features, labels = batch("C")
    unit = functional.normalize(features)
    features.requires_grad_()
    (expected,) = torch.autograd.grad(naive(features, labels, 0.25, 128, unit @ unit.T), features)
    (through,) = torch.autograd.grad(naive(features, labels, 0.25, 128), features)
    (gradient,) = torch.autograd.grad(circle(features, labels), features)
    assert torch.allclose(gradient, expected, rtol=1e-9, atol=1e-12)
    # The worked norm is of the value's derivative, weights included.
    assert float(through.norm()) == pytest.approx(WORKED["grad"]["circle"]["fro"], rel=1e-6)
    assert gradient.norm() < 0.6 * through.norm()


def test_no_gradient_along_the_features():
    features, labels = batch("C")
    (gradient,) = torch.autograd.grad(circle(features.requires_grad_(), labels), features)
    assert (gradient.count_nonzero(1) > 0).all()
    assert (gradient * features).sum(1).abs().max() < 1e-10


def test_well_separated_pairs_cost_nothing():
    features = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]])
    assert circle(features, torch.tensor([0, 0, 1, 1])) < 1e-3


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_coinciding_features_have_a_finite_gradient(value):
    features = torch.full((6, 4), value, requires_grad=True)
    circle(features, torch.tensor([0, 0, 1, 1, 2, 2])).backward()
    assert torch.isfinite(features.grad).all()
