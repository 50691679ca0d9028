import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.errors import BadInputError
from reid.losses.hap2s import hap2s
from reid.losses.trihard import soft_trihard, trihard
from tests.losses.loops import RAW_AND_UNIT, anchors, distance_matrix, mean, negatives, positives, random_batches
from tests.losses.worked import WORKED, batch


def point_to_set(distances, exponents):
    weights = np.exp(np.array(exponents) - max(exponents))
    return (weights * distances).sum() / weights.sum()


def naive(features, labels, form, sigma, alpha, margin, soft):
    d, terms = distance_matrix(features), []
    for i in anchors(labels):
        far, near = d[i, positives(labels, i)], d[i, negatives(labels, i)]
        if form == "exponential":
            gap = point_to_set(far, far / sigma) - point_to_set(near, -near / sigma)
        else:
            gap = point_to_set(far, alpha * np.log(far + 1)) - point_to_set(near, -2 * alpha * np.log(near + 1))
        terms.append(np.logaddexp(0, gap) if soft else max(gap + margin, 0))
    return mean(terms)


@pytest.mark.parametrize(("name", "recorded", "normalize"), RAW_AND_UNIT)
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("hap2s_E_s0.5_m0.2", {}),
        ("hap2s_E_soft", {"soft": True}),
        ("hap2s_P_a10_m0.2", {"form": "polynomial"}),
        ("hap2s_P_soft", {"form": "polynomial", "soft": True}),
    ],
)
def test_worked_values(name, recorded, normalize, key, options):
    value = hap2s(*batch(name), **options, normalize=normalize)
    assert float(value) == pytest.approx(WORKED[recorded][key], rel=1e-9)


@settings(max_examples=80)
@given(random_batches(), st.sampled_from(["exponential", "polynomial"]), st.booleans())
def test_agrees_with_loops(made, form, soft):
    features, labels = made
    value = hap2s(torch.tensor(features), torch.tensor(labels), form, 0.7, 3.0, 0.4, soft, normalize=False)
    assert float(value) == pytest.approx(naive(features, labels, form, 0.7, 3.0, 0.4, soft), rel=1e-6, abs=1e-6)


def test_gradient_norm():
    features, labels = batch("C")
    features.requires_grad_()
    hap2s(features, labels, normalize=False).backward()
    assert float(features.grad.norm()) == pytest.approx(WORKED["grad"]["hap2s_E"]["fro"], rel=1e-6)


@settings(max_examples=40)
@given(random_batches(), st.booleans(), st.booleans())
def test_exponential_with_sigma_1_is_soft_trihard(made, soft, normalize):
    features, labels = torch.tensor(made[0]), torch.tensor(made[1])
    ours = hap2s(features, labels, sigma=1.0, margin=0.3, soft=soft, normalize=normalize)
    assert float(ours) == pytest.approx(float(soft_trihard(features, labels, soft=soft, normalize=normalize)), rel=1e-9)


@pytest.mark.parametrize(
    "options", [{"sigma": 1e-6}, {"form": "polynomial", "alpha": 1e6}], ids=["small sigma", "large alpha"]
)
def test_trihard_in_the_limit(options):
    features, labels = batch("C")
    hard = trihard(features, labels, margin=0.2, normalize=False)
    assert float(hap2s(features, labels, **options, normalize=False)) == pytest.approx(float(hard), rel=1e-6)


@pytest.mark.parametrize(
    "options", [{"sigma": 1e9}, {"form": "polynomial", "alpha": 0.0}], ids=["large sigma", "alpha 0"]
)
def test_plain_means_in_the_limit(options):
    features, labels = batch("C")
    d, y = distance_matrix(features.numpy()), labels.numpy()
    plain = mean([max(d[i, positives(y, i)].mean() - d[i, negatives(y, i)].mean() + 0.2, 0) for i in anchors(y)])
    assert float(hap2s(features, labels, **options, normalize=False)) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("form", ["exponential", "polynomial"])
def test_large_distances_overflow_nothing(form):
    features = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)) * 1e3
    features.requires_grad_()
    value = hap2s(features, torch.arange(8) // 2, form, normalize=False)
    value.backward()
    assert value.isfinite()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(BadInputError, match="sigma"):
        hap2s(*batch("A"), sigma=sigma)
