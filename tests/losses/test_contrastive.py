import numpy as np
import pytest
import torch
from hypothesis import given, settings

from reid.losses.contrastive import contrastive
from tests.losses.loops import RAW_AND_UNIT, distance_matrix, mean, random_batches
from tests.losses.worked import WORKED, batch


def naive(features, labels, margin):
    d = distance_matrix(features)
    pairs = [(i, j) for i in range(len(labels)) for j in range(i)]
    return mean([d[i, j] if labels[i] == labels[j] else max(margin - d[i, j], 0) for i, j in pairs])


@pytest.mark.parametrize(("name", "recorded", "normalize"), RAW_AND_UNIT)
@pytest.mark.parametrize("margin", [1, 5])
def test_worked_values(name, recorded, normalize, margin):
    value = contrastive(*batch(name), margin=margin, normalize=normalize)
    assert float(value) == pytest.approx(WORKED[recorded][f"contrastive_alpha{margin}"], rel=1e-9)


@settings(max_examples=60)
@given(random_batches())
def test_agrees_with_loops(made):
    features, labels = made
    value = contrastive(torch.tensor(features), torch.tensor(labels), margin=4.0, normalize=False)
    assert float(value) == pytest.approx(naive(features, labels, 4.0), rel=1e-6, abs=1e-6)


def test_either_kind_of_pair_counts_without_the_other():
    features = torch.tensor([[0.0], [0.25], [1.0]])
    only_positives = contrastive(features, torch.tensor([0, 0, 0]), normalize=False)
    only_negatives = contrastive(features, torch.tensor([0, 1, 2]), normalize=False)
    assert float(only_positives) == pytest.approx((0.25 + 1 + 0.75) / 3)
    assert float(only_negatives) == pytest.approx((0.75 + 0 + 0.25) / 3)


def test_a_single_image_is_no_pair():
    features = torch.ones(1, 3, requires_grad=True)
    contrastive(features, torch.tensor([0])).backward()
    assert (features.grad == 0).all()


def test_a_negative_pair_beyond_the_margin_has_no_gradient():
    features = torch.tensor([[0.0, 0], [1.5, 0], [0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    contrastive(features, torch.tensor([0, 1, 0]), margin=1.0, normalize=False).backward()
    assert np.allclose(features.grad, [[0, -1 / 3], [0, 0], [0, 1 / 3]])
