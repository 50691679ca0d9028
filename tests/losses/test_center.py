import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.center import Center
from tests.losses.worked import WORKED, batch


def center(centers, **options):
    centers = torch.as_tensor(centers)
    module = Center(*centers.shape, **options)
    module.centers.copy_(centers)
    return module


@pytest.mark.parametrize(("half_sum", "key"), [(False, "mean_sq"), (True, "half_sum")])
def test_worked_values(half_sum, key):
    module = center(WORKED["center"]["centers"], half_sum=half_sum)
    assert float(module(*batch("A"))) == pytest.approx(WORKED["center"][key], rel=1e-9)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=10), st.integers(0, 10**6), st.floats(0.1, 1))
def test_value_and_step_agree_with_loops(labels, seed, alpha):
    rng = np.random.default_rng(seed)
    features, before = rng.normal(size=(len(labels), 3)), rng.normal(size=(4, 3)).astype(np.float32)
    module = center(before, alpha=alpha)
    value = module(torch.tensor(features), torch.tensor(labels))
    assert float(value) == pytest.approx(
        np.mean([sum((f - before[label]) ** 2) for f, label in zip(features, labels, strict=True)])
    )
    for label in range(4):
        own = features[np.array(labels) == label]
        delta = (before[label] - own).sum(0) / (1 + len(own))
        assert module.centers[label].numpy() == pytest.approx(before[label] - alpha * delta, abs=1e-5)


def test_the_gradient_is_the_offset_from_the_centres_before_the_step():
    features, labels = batch("A")
    module = center([[1.0, 1], [2, 2]])
    offsets = features - module.centers[labels]
    (gradient,) = torch.autograd.grad(module(features.requires_grad_(), labels), features)
    assert torch.allclose(gradient, 2 * offsets / 4)


@pytest.mark.parametrize("weight", [0.0, 5e-4, 1.0])
def test_centres_learn_at_their_own_rate_whatever_the_weight(weight):
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(8) // 4
    module = center(torch.full((2, 3), 10.0))
    for _ in range(40):
        (weight * module(features, labels)).backward()
    expected = torch.stack([features[:4].mean(0), features[4:].mean(0)])
    assert torch.allclose(module.centers, expected, atol=1e-4)


def test_evaluation_moves_no_centre():
    module = center([[1.0, 1], [2, 2]]).eval()
    module(*batch("A"))
    assert module.centers.tolist() == [[1, 1], [2, 2]]


def test_centres_are_saved_but_no_optimizer_sees_them():
    module = Center(5, 3)
    assert module.state_dict()["centers"].shape == (5, 3)
    assert not list(module.parameters())


def test_gradient():
    features, labels = batch("A")
    module = center([[1.0, 1], [2, 2]]).eval()
    assert torch.autograd.gradcheck(lambda f: module(f, labels), (features.requires_grad_(),))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised(dtype):
    value = Center(2, 4)(torch.full((4, 4), 300.0, dtype=dtype), torch.tensor([0, 0, 1, 1]))
    assert value.dtype == torch.float32
    assert torch.isfinite(value)


def test_features_at_their_centre_have_no_gradient():
    features = torch.ones(4, 2, requires_grad=True)
    module = center(torch.ones(2, 2))
    module(features, torch.tensor([0, 0, 1, 1])).backward()
    assert (features.grad == 0).all()
