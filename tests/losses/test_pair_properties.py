"""What every loss on pairs of a batch has in common, whatever its options."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.contrastive import contrastive
from reid.losses.hap2s import hap2s
from reid.losses.msml import msml
from reid.losses.quadruplet import AdaptiveQuadruplet, quadruplet
from reid.losses.trihard import soft_trihard, trihard
from reid.losses.triplet import improved_triplet, triplet
from tests.losses.loops import random_batches
from tests.losses.worked import batch


def adaptive(features, labels, normalize=True, **options):
    torch.manual_seed(0)
    loss = AdaptiveQuadruplet(9, features.shape[1], normalize=normalize, **options)
    return loss.requires_grad_(False)(features, labels)


LOSSES = {
    "contrastive": contrastive,
    "triplet": triplet,
    "triplet random": partial(triplet, mining="random"),
    "improved triplet": improved_triplet,
    "improved triplet all": partial(improved_triplet, mining="all"),
    "trihard": trihard,
    "trihard soft": partial(trihard, soft=True),
    "soft trihard": soft_trihard,
    "soft trihard soft": partial(soft_trihard, soft=True),
    "soft trihard detached": partial(soft_trihard, detach=True),
    "quadruplet": quadruplet,
    "quadruplet all": partial(quadruplet, mining="all"),
    "quadruplet absolute": partial(quadruplet, mining="absolute"),
    "adaptive": adaptive,
    "adaptive hard": partial(adaptive, mining="hard"),
    "adaptive Euclidean": partial(adaptive, learned=False),
    "adaptive attached": partial(adaptive, learned=False, detach=False, clamp=False),
    "msml": msml,
    "msml soft": partial(msml, soft=True),
    "msml squared": partial(msml, squared=True),
    "hap2s": hap2s,
    "hap2s polynomial": partial(hap2s, form="polynomial"),
    "hap2s soft": partial(hap2s, soft=True),
}


def every(but=()):
    chosen = {name: loss for name, loss in LOSSES.items() if name not in but}
    return pytest.mark.parametrize("loss", chosen.values(), ids=chosen)


def gradient(loss, features, labels):
    features = features.detach().clone().requires_grad_()
    value = loss(features, labels)
    value.backward()
    return value.detach(), features.grad


@every()
@settings(max_examples=10)
@given(made=random_batches(scales=(1.0,)))
def test_moving_all_features_together_changes_nothing(loss, made):
    features, labels = torch.tensor(made[0]), torch.tensor(made[1])
    _, slope = gradient(partial(loss, normalize=False), features, labels)
    assert slope.sum(0).abs().max() < 1e-9


@every()
@settings(max_examples=10)
@given(made=random_batches(scales=(0.5,)))
def test_lengthening_a_feature_changes_nothing_if_normalised(loss, made):
    features, labels = torch.tensor(made[0]), torch.tensor(made[1])
    _, slope = gradient(partial(loss, normalize=True), features, labels)
    assert (slope * features).sum(1).abs().max() < 1e-9


@every(but={"triplet random"})
@settings(max_examples=10)
@given(made=random_batches(), seed=st.integers(0, 100))
def test_neither_order_nor_names_matter(loss, made, seed):
    features, labels = torch.tensor(made[0]), torch.tensor(made[1])
    order = torch.tensor(np.random.default_rng(seed).permutation(len(labels)))
    names = torch.tensor([7, 2, 40, 1])
    value = float(loss(features, labels))
    assert float(loss(features[order], names[labels[order]])) == pytest.approx(value, rel=1e-6, abs=1e-9)


SCALED = {
    "contrastive": lambda f, y, s: contrastive(f, y, 2 * s, normalize=False),
    "triplet": lambda f, y, s: triplet(f, y, 0.3 * s, normalize=False),
    "improved triplet": lambda f, y, s: improved_triplet(f, y, 0.3 * s, 0.1 * s, normalize=False),
    "trihard": lambda f, y, s: trihard(f, y, 0.3 * s, normalize=False),
    "quadruplet": lambda f, y, s: quadruplet(f, y, 0.3 * s, 0.2 * s, normalize=False),
    "quadruplet all": lambda f, y, s: quadruplet(f, y, 0.3 * s, 0.2 * s, "all", normalize=False),
    "quadruplet absolute": lambda f, y, s: quadruplet(f, y, 0.3 * s, 0.2 * s, "absolute", normalize=False),
    "msml": lambda f, y, s: msml(f, y, 0.3 * s, normalize=False),
    "hap2s": lambda f, y, s: hap2s(f, y, sigma=0.5 * s, margin=0.2 * s, normalize=False),
}


@pytest.mark.parametrize("loss", SCALED.values(), ids=SCALED)
def test_doubling_features_and_margins_doubles_the_loss(loss):
    features, labels = batch("C")
    assert float(loss(2 * features, labels, 2)) == pytest.approx(2 * float(loss(features, labels, 1)), rel=1e-9)
    assert float(loss(features, labels, 1)) > 0


def test_doubling_features_quadruples_the_adaptive_loss_whose_margins_follow():
    features, labels = batch("C")
    once, twice = (float(adaptive(s * features, labels, normalize=False, learned=False)) for s in (1, 2))
    assert twice == pytest.approx(4 * once, rel=1e-9)


@every(but={"contrastive"})  # to which either kind of pair is valid by itself
@pytest.mark.parametrize("labels", [[0], [0, 1, 2, 3], [5, 5, 5, 5]], ids=["one image", "K = 1", "P = 1"])
def test_no_valid_pair_is_zero_with_zero_gradient(loss, labels):
    features = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(0))
    value, slope = gradient(loss, features, torch.tensor(labels))
    assert value == 0
    assert (slope == 0).all()


@every()
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_coinciding_features_have_a_finite_gradient(loss, normalize, fill):
    value, slope = gradient(partial(loss, normalize=normalize), torch.full((6, 8), fill), torch.arange(6) // 2)
    assert value.isfinite()
    assert slope.isfinite().all()


@every()
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_are_raised(loss, normalize, dtype):
    features = (torch.randn(12, 16, generator=torch.Generator().manual_seed(0)) * 30).to(dtype)
    labels = torch.arange(12) // 4
    torch.manual_seed(3)
    value, slope = gradient(partial(loss, normalize=normalize), features, labels)
    torch.manual_seed(3)
    wide = loss(features.float(), labels, normalize=normalize)
    assert value.dtype == torch.float32
    assert value == wide
    assert slope.isfinite().all()


@every()
def test_double_precision_is_kept(loss):
    assert loss(*batch("C")).dtype == torch.float64


# Random triplets differ from call to call; the others leave out a part of the gradient by intent (see their own tests).
@every(but={"triplet random", "soft trihard detached", "adaptive", "adaptive hard", "adaptive Euclidean"})
@pytest.mark.parametrize("normalize", [False, True])
def test_gradient(loss, normalize):
    features, labels = batch("C")
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: loss(f, labels, normalize=normalize), (features,))
