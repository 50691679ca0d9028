import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.distance import pairwise_distance
from reid.losses import LOSSES
from reid.losses.classification import classification
from reid.losses.trihard import trihard

every = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
# All but the classification compare features within the batch.
METRIC = {name: loss for name, loss in LOSSES.items() if name != "cls"}
every_metric = pytest.mark.parametrize("loss", METRIC.values(), ids=METRIC)

ANGLES = np.deg2rad([0, 30, 80, 120])
RANDOM = np.random.RandomState(0).randn(9, 4)
BATCHES = {
    "A": ([[1, 2], [4, 6], [1, 4], [7, 10]], [0, 0, 1, 1]),
    "B": (np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1), [0, 0, 1, 1]),
    "C": (RANDOM, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
    "Cn": (RANDOM / np.linalg.norm(RANDOM, axis=1, keepdims=True), [0, 0, 0, 1, 1, 1, 2, 2, 2]),
}


def batch(name):
    features, labels = BATCHES[name]
    return torch.tensor(np.array(features, float)), torch.tensor(labels)


def no_logits(features):
    return features.new_zeros(len(features), 1)


def naive_trihard(features, labels, margin=0.3, soft=False):
    terms = []
    for i, a in enumerate(features):
        positives = [np.linalg.norm(a - f) for j, f in enumerate(features) if labels[j] == labels[i] and j != i]
        negatives = [np.linalg.norm(a - f) for j, f in enumerate(features) if labels[j] != labels[i]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            terms.append(np.log1p(np.exp(gap)) if soft else max(gap + margin, 0))
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("A", {}, 3.8912528682532876),
        ("A", {"soft": True}, 3.6667065832511296),
        ("A", {"normalize": True}, 0.44133721692709005),
        ("B", {}, 0.034700940792484605),
        ("B", {"soft": True}, 0.4832308033247638),
        ("B", {"normalize": True}, 0.034700940792484605),
        ("Cn", {}, 1.1706637114733658),
        ("Cn", {"soft": True}, 1.2332542684227663),
        ("Cn", {"normalize": True}, 1.1706637114733658),
    ],
)
def test_trihard_worked_values(name, options, expected):
    features, labels = batch(name)
    assert float(trihard(features, no_logits(features), labels, **options)) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 10**6), st.booleans())
def test_trihard_agrees_with_loops(labels, seed, soft):
    features = np.random.default_rng(seed).normal(size=(len(labels), 5)) * 3
    tensor = torch.tensor(features)
    value = trihard(tensor, no_logits(tensor), torch.tensor(labels), margin=0.5, soft=soft)
    assert float(value) == pytest.approx(naive_trihard(features, labels, 0.5, soft), abs=1e-6)


def test_trihard_gradient_norm():
    features, labels = batch("C")
    features.requires_grad_()
    trihard(features, no_logits(features), labels).backward()
    assert float(features.grad.norm()) == pytest.approx(0.7524065872550381, rel=1e-6)
    assert features.grad.sum(0).abs().max() < 1e-9  # moving all features together changes no distance


def test_classification_worked_values():
    logits, labels = torch.tensor([[2.0, 1, 0], [0, 1, 3]]), torch.tensor([0, 2])
    assert float(classification(logits, logits, labels, smoothing=0)) == pytest.approx(0.2887259920003331)
    assert float(classification(logits, logits, labels)) == pytest.approx(0.4220593253336664)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_scalar_and_finite_with_a_finite_gradient(loss, dtype, scale):
    generator = torch.Generator().manual_seed(0)
    features = (torch.randn(12, 16, generator=generator) * scale).to(dtype).requires_grad_()
    logits = torch.randn(12, 3, generator=generator).to(dtype).requires_grad_()
    value = loss(features, logits, torch.arange(12) // 4)
    assert value.shape == ()
    assert torch.isfinite(value)
    value.backward()
    for tensor in (features, logits):
        assert tensor.grad is None or torch.isfinite(tensor.grad).all()


@every
def test_the_order_of_the_batch_does_not_matter(loss):
    generator = torch.Generator().manual_seed(1)
    features, logits = torch.randn(12, 16, generator=generator), torch.randn(12, 3, generator=generator)
    labels, order = torch.arange(12) // 4, torch.randperm(12, generator=generator)
    assert float(loss(features, logits, labels)) == pytest.approx(
        float(loss(features[order], logits[order], labels[order])), rel=1e-5
    )


@every_metric
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0], [0]], ids=["no positives", "no negatives", "one image"])
def test_no_valid_pair_is_zero_and_not_nan(loss, labels):
    features = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = loss(features, no_logits(features), torch.tensor(labels))
    assert value == 0
    value.backward()
    assert (features.grad == 0).all()


@every_metric
def test_gradient(loss):
    features, labels = batch("Cn")
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: loss(f, no_logits(f), labels), (features,))


def test_distance_of_equal_features_has_a_gradient():
    features = torch.ones(3, 4, requires_grad=True)
    distances = pairwise_distance(features)
    distances.sum().backward()
    assert distances.max() <= 1e-3
    assert torch.isfinite(features.grad).all()


def test_distance_raises_half_precision_and_keeps_double():
    features = torch.randn(5, 300, generator=torch.Generator().manual_seed(0)) * 100
    assert pairwise_distance(features.bfloat16()).dtype == torch.float32
    double = pairwise_distance(features.double())
    assert double.dtype == torch.float64
    expected = torch.cdist(features.double(), features.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.allclose(double, expected, atol=1e-4)
