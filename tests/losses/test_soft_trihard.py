import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.trihard import soft_trihard, trihard
from tests.losses.loops import RAW_AND_UNIT, anchors, distance_matrix, mean, negatives, positives, random_batches
from tests.losses.worked import WORKED, batch


def softly(distances, sign):
    weights = np.exp(sign * distances - (sign * distances).max())
    return (weights * distances).sum() / weights.sum()


def naive(features, labels, margin, soft):
    d = distance_matrix(features)
    gaps = [softly(d[i, positives(labels, i)], 1) - softly(d[i, negatives(labels, i)], -1) for i in anchors(labels)]
    return mean([np.logaddexp(0, gap) if soft else max(gap + margin, 0) for gap in gaps])


@pytest.mark.parametrize(("name", "recorded", "normalize"), RAW_AND_UNIT)
@pytest.mark.parametrize(
    ("key", "soft"), [("soft_trihard_a0.3", False), ("soft_trihard_softmargin", True)], ids=["hinge", "softplus"]
)
def test_worked_values(name, recorded, normalize, key, soft):
    value = soft_trihard(*batch(name), soft=soft, normalize=normalize)
    assert float(value) == pytest.approx(WORKED[recorded][key], rel=1e-9)


@settings(max_examples=80)
@given(random_batches(), st.booleans())
def test_agrees_with_loops(made, soft):
    features, labels = made
    value = soft_trihard(torch.tensor(features), torch.tensor(labels), 0.5, soft, normalize=False)
    assert float(value) == pytest.approx(naive(features, labels, 0.5, soft), rel=1e-6, abs=1e-6)


def test_gradient_norm():
    features, labels = batch("C")
    features.requires_grad_()
    soft_trihard(features, labels, normalize=False).backward()
    assert float(features.grad.norm()) == pytest.approx(WORKED["grad"]["soft_trihard"]["fro"], rel=1e-6)


@settings(max_examples=60)
@given(random_batches(), st.booleans(), st.booleans())
def test_never_above_trihard(made, soft, normalize):
    features, labels = torch.tensor(made[0]), torch.tensor(made[1])
    hard = float(trihard(features, labels, soft=soft, normalize=normalize))
    assert float(soft_trihard(features, labels, soft=soft, normalize=normalize)) <= hard + 1e-9


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_with_one_positive_and_one_negative_it_is_trihard(seed):
    features = torch.tensor(np.random.default_rng(seed).normal(size=(3, 4)))
    labels = torch.tensor([0, 0, 1])
    assert float(soft_trihard(features, labels)) == pytest.approx(float(trihard(features, labels)), rel=1e-9)


def test_far_negatives_keep_their_weight():
    # A line: 0 and 1 are one person, the others stand at 23 and 40. The nearest decides, though exp(-22) is 3e-10.
    features, labels = torch.tensor([[0.0], [1.0], [23.0], [40.0]]), torch.tensor([0, 0, 1, 2])
    assert float(soft_trihard(features, labels, margin=25.0, normalize=False)) == pytest.approx(
        ((1 - 23 + 25) + (1 - 22 + 25)) / 2, abs=1e-5
    )


def test_detach_keeps_the_value_and_fixes_the_weights():
    features, labels = batch("C")
    whole = torch.autograd.functional.jacobian(lambda f: soft_trihard(f, labels, normalize=False), features)
    fixed = torch.autograd.functional.jacobian(
        lambda f: soft_trihard(f, labels, detach=True, normalize=False), features
    )
    assert soft_trihard(features, labels, detach=True) == soft_trihard(features, labels)

    d, y = distance_matrix(features.numpy()), labels.numpy()
    expected = np.zeros((9, 4))
    for i in range(9):
        far, near = positives(y, i), negatives(y, i)
        up, down = np.exp(d[i, far]), np.exp(-d[i, near])
        if softly(d[i, far], 1) - softly(d[i, near], -1) + 0.3 <= 0:
            continue
        for j, weight in [*zip(far, up / up.sum(), strict=True), *zip(near, -down / down.sum(), strict=True)]:
            pull = weight * (features[i] - features[j]).numpy() / d[i, j] / 9
            expected[i] += pull
            expected[j] -= pull
    assert np.allclose(fixed, expected)
    assert not np.allclose(whole, expected)
