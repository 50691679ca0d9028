import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.aligned import aligned
from tests.test_align import naive_distance


def naive(features, labels, local, margin):
    terms = []
    for i, a in enumerate(features):
        distance = np.linalg.norm(features - a, axis=1)
        positives = [j for j, label in enumerate(labels) if label == labels[i] and j != i]
        negatives = [j for j, label in enumerate(labels) if label != labels[i]]
        if positives and negatives:
            positive, negative = max(positives, key=distance.__getitem__), min(negatives, key=distance.__getitem__)
            gap = naive_distance(local[i], local[positive]) - naive_distance(local[i], local[negative])
            terms.append(max(gap + margin, 0))
    return np.mean(terms) if terms else 0.0


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(0, 10**6), st.booleans())
def test_agrees_with_loops(labels, seed, normalize):
    rng = np.random.default_rng(seed)
    features, local = rng.normal(size=(len(labels), 4)), rng.normal(size=(len(labels), 3, 2))
    value = aligned(torch.tensor(features), torch.tensor(labels), torch.tensor(local), 0.5, normalize)
    inputs = (unit(features), labels, unit(local)) if normalize else (features, labels, local)
    assert float(value) == pytest.approx(naive(*inputs, 0.5), rel=1e-9, abs=1e-12)


def batch(n=9, s=4, c=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    features, local = (torch.randn(*shape, generator=generator, dtype=dtype) for shape in ((n, 5), (n, s, c)))
    return features, torch.arange(n) // 3, local


def test_the_global_distance_alone_chooses_the_pairs():
    """Image 0's positives are 1, at local distance 0, and 2, far; whichever is globally farther counts."""
    labels, local = torch.tensor([0, 0, 0, 1]), torch.tensor([0.0, 0, 50, 50])[:, None, None]
    farther_is_1 = aligned(torch.tensor([[0.0], [3], [2], [9]]), labels, local, margin=0.5)
    farther_is_2 = aligned(torch.tensor([[0.0], [2], [3], [9]]), labels, local, margin=0.5)
    # Image 3 is local distance 1 from images 0 and 1, and 0 from image 2.
    assert float(farther_is_1) == pytest.approx(np.mean([0, 0, 1 + 0.5]))
    assert float(farther_is_2) == pytest.approx(np.mean([0.5, 0, 1 + 0.5]))


def test_gradient_of_the_stripes_alone():
    features, labels, local = batch()
    features.requires_grad_(), local.requires_grad_()
    assert torch.autograd.gradcheck(lambda stripes: aligned(features.detach(), labels, stripes, margin=1.0), (local,))
    aligned(features, labels, local).backward()
    assert features.grad is None
    assert local.grad.sum((0, 1)).abs().max() < 1e-12  # distances: moving all stripes together changes nothing


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0]], ids=["no positives", "no negatives"])
def test_no_valid_pair_is_zero(labels):
    features, _, local = batch(4)
    features.requires_grad_(), local.requires_grad_()
    value = aligned(features, torch.tensor(labels), local)
    value.backward()
    assert value == 0
    assert (features.grad == 0).all()
    assert (local.grad == 0).all()


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_value_and_gradient_are_finite(dtype, scale, normalize):
    features, labels, local = batch(dtype=torch.float32)
    local = (scale * local).to(dtype).requires_grad_()
    value = aligned((scale * features).to(dtype), labels, local, normalize=normalize)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(local.grad).all()
