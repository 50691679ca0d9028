import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.npair import n_pair, npair
from tests.losses.worked import WORKED, batch


def naive(features, labels, l2):
    places = {}
    for i, label in enumerate(labels):
        places.setdefault(label, []).append(i)
    pairs = [features[found[:2]] for found in places.values() if len(found) > 1]
    if len(pairs) < 2:
        return 0.0
    terms = []
    for anchor, positive in pairs:
        products = [anchor @ other for _, other in pairs]
        right = anchor @ positive
        lengths = (anchor @ anchor + positive @ positive) / 2
        terms.append(np.log(sum(np.exp(product - right) for product in products)) + l2 * lengths)
    return np.mean(terms)


@pytest.mark.parametrize(("l2", "key"), [(0.0, "loss"), (0.02, "loss_l2_0p02")])
def test_worked_values(l2, key):
    anchors, positives = (torch.tensor(WORKED["npair"][one], dtype=torch.float64) for one in ("anchors", "positives"))
    assert float(n_pair(anchors, positives, l2)) == pytest.approx(WORKED["npair"][key], rel=1e-9)
    # They are the first two images of the identities of batch C.
    assert float(npair(*batch("C"), l2)) == pytest.approx(WORKED["npair"][key], rel=1e-9)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=10), st.integers(0, 10**6), st.floats(0, 1))
def test_agrees_with_loops(labels, seed, l2):
    features = np.random.default_rng(seed).normal(size=(len(labels), 4))
    value = npair(torch.tensor(features), torch.tensor(labels), l2)
    assert float(value) == pytest.approx(naive(features, labels, l2), rel=1e-9, abs=1e-12)


def test_only_the_first_two_images_take_part():
    features, labels = batch("C")
    (gradient,) = torch.autograd.grad(npair(features.requires_grad_(), labels), features)
    assert (gradient[[2, 5, 8]] == 0).all()
    assert (gradient[[0, 1, 3, 4, 6, 7]].abs().sum(1) > 0).all()


def test_gradient():
    features, labels = batch("C")
    assert torch.autograd.gradcheck(lambda f: npair(f, labels), (features.requires_grad_(),))


def test_long_vectors_do_not_overflow():
    features = (300 * torch.randn(8, 16, generator=torch.Generator().manual_seed(0))).requires_grad_()
    value = npair(features, torch.arange(8) // 2)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()
