import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.angular import angular
from tests.losses.worked import BATCHES, WORKED, batch


def naive(features, labels, angle, form):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    t2 = np.tan(np.deg2rad(angle)) ** 2
    pairs, triplets = [], []
    for i, a in enumerate(unit):
        negatives = [n for n, label in zip(unit, labels, strict=True) if label != labels[i]]
        for j, p in enumerate(unit):
            if labels[j] == labels[i] and j != i and negatives:
                pairs.append(np.log1p(sum(np.exp(4 * t2 * (a + p) @ n - 2 * (1 + t2) * a @ p) for n in negatives)))
                triplets += [max(sum((a - p) ** 2) - 4 * t2 * sum((n - (a + p) / 2) ** 2), 0) for n in negatives]
    terms = pairs if form == "lse" else triplets
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("angular_lse_45", {}),
        ("angular_lse_40", {"angle": 40}),
        ("angular_lse_28.54", {"angle": 28.54}),
        ("angular_hinge_28.54", {"angle": 28.54, "form": "hinge"}),
    ],
)
def test_worked_values(name, key, options):
    assert float(angular(*batch(name), **options)) == pytest.approx(WORKED[name][key], rel=1e-9)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=10),
    st.integers(0, 10**6),
    st.floats(20, 50),
    st.sampled_from(["lse", "hinge"]),
)
def test_agrees_with_loops(labels, seed, angle, form):
    features = np.random.default_rng(seed).normal(size=(len(labels), 4)) * 3
    value = angular(torch.tensor(features), torch.tensor(labels), angle, form)
    assert float(value) == pytest.approx(naive(features, labels, angle, form), rel=1e-9, abs=1e-12)


def test_gradient_norm_and_none_along_the_features():
    features, labels = batch("C")
    features.requires_grad_()
    angular(features, labels).backward()
    assert float(features.grad.norm()) == pytest.approx(WORKED["grad"]["angular_lse_45"]["fro"], rel=1e-6)
    assert (features.grad * features.detach()).sum(1).abs().max() < 1e-12


@pytest.mark.parametrize("form", ["lse", "hinge"])
def test_gradient(form):
    features, labels = batch("Cn")
    assert torch.autograd.gradcheck(lambda f: angular(f, labels, form=form), (features.requires_grad_(),))


@pytest.mark.parametrize("form", ["lse", "hinge"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_coinciding_features_have_a_finite_gradient(form, value):
    features = torch.full((6, 4), value, requires_grad=True)
    angular(features, torch.tensor([0, 0, 1, 1, 2, 2]), form=form).backward()
    assert torch.isfinite(features.grad).all()
