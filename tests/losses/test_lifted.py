import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from reid.losses.lifted import lifted
from tests.losses.worked import BATCHES, WORKED, batch

forms = pytest.mark.parametrize("form", ["pairs", "generalized"])


def naive(features, labels, margin, form):
    every = range(len(labels))
    distance = np.linalg.norm(features[:, None] - features[None], axis=2)
    push = [[np.exp(margin - distance[i, k]) for k in every if labels[k] != labels[i]] for i in every]
    pull = [[np.exp(distance[i, j]) for j in every if labels[j] == labels[i] and j != i] for i in every]
    if form == "pairs":
        terms = [
            max(np.log(sum(push[i] + push[j])) + distance[i, j], 0) ** 2 / 2
            for i in every
            for j in range(i + 1, len(labels))
            if labels[i] == labels[j] and push[i]
        ]
    else:
        terms = [max(np.log(sum(pull[i])) + np.log(sum(push[i])), 0) for i in every if pull[i] and push[i]]
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(("key", "form"), [("lifted_a1", "pairs"), ("lifted_generalized_m1", "generalized")])
def test_worked_values(name, key, form):
    assert float(lifted(*batch(name), form=form)) == pytest.approx(WORKED[name][key], rel=1e-9)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=10),
    st.integers(0, 10**6),
    st.floats(0, 3),
    st.sampled_from(["pairs", "generalized"]),
)
def test_agrees_with_loops(labels, seed, margin, form):
    features = np.random.default_rng(seed).normal(size=(len(labels), 4)) * 2
    value = lifted(torch.tensor(features), torch.tensor(labels), margin, form)
    assert float(value) == pytest.approx(naive(features, labels, margin, form), rel=1e-6, abs=1e-6)


@forms
def test_normalize_measures_unit_vectors(form):
    features, labels = batch("C")
    expected = lifted(functional.normalize(features), labels, form=form)
    assert float(lifted(features, labels, form=form, normalize=True)) == pytest.approx(float(expected), rel=1e-12)


@forms
def test_gradient_and_none_for_all_features_together(form):
    features, labels = batch("C")
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: lifted(f, labels, form=form), (features,))
    (gradient,) = torch.autograd.grad(lifted(features, labels, form=form), features)
    assert gradient.norm() > 0.1
    assert gradient.sum(0).abs().max() < 1e-12


@forms
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_coinciding_features_have_a_finite_gradient(form, value):
    features = torch.full((6, 4), value, requires_grad=True)
    lifted(features, torch.tensor([0, 0, 1, 1, 2, 2]), form=form).backward()
    assert torch.isfinite(features.grad).all()
