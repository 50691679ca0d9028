import numpy as np
import pytest
import torch

from reid.distance import pairwise_distance
from reid.losses.mutual import mutual_kl, mutual_metric
from tests.losses.worked import WORKED, batch


def scores():
    return (torch.tensor(WORKED["mutual_kl"][key], dtype=torch.float64) for key in ("z1", "z2"))


def two_networks():
    """Features with the worked distance matrices D1 and D2."""
    features, _ = batch("A")
    return features, features.flip(1) * torch.tensor([1.0, 0.5], dtype=torch.float64)


def test_worked_divergences():
    first, second = scores()
    assert float(mutual_kl(first, [second])) == pytest.approx(WORKED["mutual_kl"]["kl_p2_p1"], rel=1e-9)
    assert float(mutual_kl(second, [first])) == pytest.approx(WORKED["mutual_kl"]["kl_p1_p2"], rel=1e-9)


def test_several_peers_are_averaged():
    first, second = scores()
    third = first.flip(1)
    alone = [float(mutual_kl(first, [peer])) for peer in (second, third)]
    assert float(mutual_kl(first, [second, third])) == pytest.approx(np.mean(alone), rel=1e-12)


def test_a_batch_twice_as_long_has_the_same_divergence():
    first, second = scores()
    twice = mutual_kl(first.repeat(2, 1), [second.repeat(2, 1)])
    assert float(twice) == pytest.approx(WORKED["mutual_kl"]["kl_p2_p1"], rel=1e-9)


def test_divergence_has_a_gradient_for_the_own_scores_only():
    first, second = scores()
    first.requires_grad_(), second.requires_grad_()
    mutual_kl(first, [second]).backward()
    assert second.grad is None
    expected = (first.detach().softmax(1) - second.detach().softmax(1)) / len(first)
    assert torch.allclose(first.grad, expected, atol=1e-12)


def test_worked_distance_matrices():
    first, second = two_networks()
    assert pairwise_distance(first).numpy() == pytest.approx(np.array(WORKED["mutual_metric"]["D1"]), abs=1e-5)
    assert pairwise_distance(second).numpy() == pytest.approx(np.array(WORKED["mutual_metric"]["D2"]), abs=1e-5)
    halves = float(mutual_metric(first, [second])) + float(mutual_metric(second, [first]))
    assert halves == pytest.approx(WORKED["mutual_metric"]["L_M"], rel=1e-9)


def test_own_half_has_the_gradient_of_the_whole():
    """Of the distances it is the worked one; the features' follows by the chain rule."""
    first, second = two_networks()
    first.requires_grad_(), second.requires_grad_()
    mutual_metric(first, [second]).backward()
    of_distances = torch.tensor(WORKED["mutual_metric"]["grad_D1"], dtype=torch.float64)
    (expected,) = torch.autograd.grad((pairwise_distance(first) * of_distances).sum(), first)
    assert second.grad is None
    assert torch.allclose(first.grad, expected, rtol=1e-9, atol=1e-12)
    assert first.grad.norm() > 0.1
    assert first.grad.sum(0).abs().max() < 1e-12


@pytest.mark.parametrize("normalize", [False, True])
def test_metric_gradient(normalize):
    (first, _), (second, _) = batch("C"), batch("Cn")
    others = [second.flip(0), 3 * second.roll(1, 0)]
    assert torch.autograd.gradcheck(lambda f: mutual_metric(f, others, normalize), (first.requires_grad_(),))


def test_networks_that_agree_cost_nothing():
    first, _ = scores()
    assert float(mutual_kl(first, [first + 5])) == pytest.approx(0, abs=1e-12)  # scores up to a constant a row
    features, _ = batch("C")
    mirrored = torch.cat([features.flip(1) + 7, torch.zeros(9, 2)], 1)  # another basis, another length
    assert float(mutual_metric(features, [mirrored])) == pytest.approx(0, abs=1e-10)
    assert float(mutual_metric(features, [5 * features], normalize=True)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", [mutual_kl, mutual_metric])
def test_no_peers_is_zero(loss):
    own = torch.ones(3, 4, requires_grad=True)
    value = loss(own, [])
    value.backward()
    assert value == 0
    assert (own.grad == 0).all()


@pytest.mark.parametrize("loss", [mutual_kl, mutual_metric])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised(loss, dtype):
    generator = torch.Generator().manual_seed(0)
    own, peer = (100 * torch.randn(2, 6, 8, generator=generator)).to(dtype)
    own.requires_grad_()
    value = loss(own, [peer])
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(own.grad).all()


def test_coinciding_features_have_a_finite_gradient():
    features = torch.ones(4, 3, requires_grad=True)
    mutual_metric(features, [torch.randn(4, 5, generator=torch.Generator().manual_seed(0))]).backward()
    assert torch.isfinite(features.grad).all()
