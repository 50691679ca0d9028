"""Against pytorch-metric-learning, where it is installed; it is not a dependency."""

import pytest
import torch
from torch.nn import functional

from reid.losses.angular import angular
from reid.losses.circle import circle
from reid.losses.lifted import lifted
from reid.losses.npair import npair

pml = pytest.importorskip("pytorch_metric_learning.losses")
distances = pytest.importorskip("pytorch_metric_learning.distances")

EUCLIDEAN = {"normalize_embeddings": False, "p": 2, "power": 1}
PAIRS = {
    # Their negatives are not scaled to unit length, so the two agree on unit features only.
    "angular": (angular, {"angle": 40.0}, lambda: pml.AngularLoss(alpha=40)),
    "circle": (circle, {}, lambda: pml.CircleLoss(m=0.25, gamma=128)),
    "lifted": (lifted, {}, lambda: pml.LiftedStructureLoss(distance=distances.LpDistance(**EUCLIDEAN))),
    "generalized": (
        lifted,
        {"form": "generalized"},
        lambda: pml.GeneralizedLiftedStructureLoss(distance=distances.LpDistance(**EUCLIDEAN)),
    ),
    "npair": (
        npair,
        {"l2": 0.0},
        lambda: pml.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "labels", [[0, 0, 1, 1], [0, 0, 0, 1, 1, 1, 2, 2, 2], [2, 0, 1, 0, 1, 2, 2, 0]], ids=["P2 K2", "P3 K3", "uneven K"]
)
def test_value_and_gradient(name, labels):
    ours, options, theirs = PAIRS[name]
    labels = torch.tensor(labels)
    features = functional.normalize(
        torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).requires_grad_()
    value, expected = ours(features, labels, **options), theirs()(features, labels)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(value, features)
    (wanted,) = torch.autograd.grad(expected, features)
    if name == "angular":  # their gradient leaves the sphere at the negatives
        gradient, wanted = ((one - (one * features).sum(1, keepdim=True) * features) for one in (gradient, wanted))
    assert torch.allclose(gradient, wanted, rtol=1e-5, atol=1e-7)
