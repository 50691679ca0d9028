"""What every loss must do, whatever its formula."""

import pytest
import torch

from reid.distance import pairwise_distance
from reid.losses import INPUTS, LOSSES
from reid.losses.classification import classification
from reid.objective import LossTerm, Objective, inputs_of
from tests.losses.worked import WORKED

# Those that compare the batch's own features with each other, and so need pairs.
METRIC = [name for name in LOSSES if not {"logits", "teacher_features", "peer_features"} & set(inputs_of(LOSSES[name]))]


def every_of(names, *but):
    """Parametrise over the names, but for those of which it is not true by their definition."""
    return pytest.mark.parametrize("name", [name for name in names if name not in but])


every, every_metric = every_of(LOSSES), every_of(METRIC)
DIM, IDENTITIES, STRIPES = 16, 3, 4


def objective(name, **options):
    torch.manual_seed(0)
    return Objective((LossTerm(name, 1.0, options),), IDENTITIES, DIM)


def inputs(labels, scale=1.0, dtype=torch.float64, seed=0):
    """Everything that a loss may look at, random."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)

    n = len(labels)
    return {
        "features": random(n, DIM),
        "embeddings": random(n, DIM),
        "logits": random(n, IDENTITIES),
        "labels": torch.as_tensor(labels),
        "local": random(n, STRIPES, 5),
        "peer_logits": [random(n, IDENTITIES)],
        "peer_features": [random(n, DIM)],
        "teacher_features": random(n, DIM),
    }


def value_and_gradients(loss, given):
    """The value, and its gradient to each input that the network makes."""
    made = {name: given[name].detach().requires_grad_() for name in ("features", "embeddings", "logits", "local")}
    value = sum(loss({**given, **made}).values())
    value.backward()
    return value.detach(), {name: tensor.grad for name, tensor in made.items() if tensor.grad is not None}


def test_every_input_is_explained():
    assert {name for loss in LOSSES.values() for name in inputs_of(loss)} <= INPUTS.keys()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_scalar_and_finite_with_a_finite_gradient(name, dtype, scale):
    value, gradients = value_and_gradients(objective(name), inputs(torch.arange(12) // 4, scale, dtype))
    assert value.shape == ()
    assert torch.isfinite(value)
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())


@every
def test_finite_under_autocast(name):
    given = inputs(torch.arange(12) // 4, 20.0, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradients = value_and_gradients(objective(name), given)
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())


@every_metric
def test_autocast_does_not_change_distances(name):
    given = inputs(torch.arange(12) // 4, 20.0, torch.float32)
    loss = objective(name).eval()
    exact, _ = value_and_gradients(loss, given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast, _ = value_and_gradients(loss, given)
    assert float(cast) == pytest.approx(float(exact), rel=1e-4, abs=1e-5)


@every
def test_double_precision_stays(name):
    value, _ = value_and_gradients(objective(name).double(), inputs(torch.arange(12) // 4))
    assert value.dtype == torch.float64


@every_of(LOSSES, "npair")  # its anchors are the first image of each identity
def test_the_order_of_the_batch_does_not_matter(name):
    given, order = inputs(torch.arange(12) // 4), torch.randperm(12, generator=torch.Generator().manual_seed(1))
    shuffled = {
        key: [one[order] for one in tensor] if isinstance(tensor, list) else tensor[order]
        for key, tensor in given.items()
    }
    loss = objective(name).double().eval()
    (one,), (other,) = loss(given).values(), loss(shuffled).values()
    assert one.item() == pytest.approx(other.item(), rel=1e-9)


@every_of(METRIC, "center", "contrastive")  # defined on one image, on pairs of one kind
@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0, 0], [0]], ids=["no positives", "no negatives", "one image"])
def test_no_valid_pair_is_zero_and_not_nan(name, labels):
    value, gradients = value_and_gradients(objective(name), inputs(labels))
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients.values())


@every_of(METRIC, "circle", "quadruplet_adaptive")  # weights, margins: constants for the gradient
def test_gradient_is_that_of_finite_differences(name):
    loss, given = objective(name).double().eval(), inputs(torch.arange(9) // 3, seed=3)

    def call(features, local):
        torch.manual_seed(0)  # random mining draws the same
        return sum(loss({**given, "features": features, "local": local}).values())

    assert torch.autograd.gradcheck(call, (given["features"].requires_grad_(), given["local"].requires_grad_()))


def test_classification_worked_values():
    worked = WORKED["cls"]
    logits, labels = torch.tensor(worked["logits"]), torch.tensor(worked["y"])
    assert float(classification(logits, labels, smoothing=0)) == pytest.approx(worked["ce"])
    assert float(classification(logits, labels)) == pytest.approx(worked["ls01_K"])


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
