import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.quadruplet import AdaptiveQuadruplet, quadruplet
from reid.losses.trihard import trihard
from reid.losses.triplet import triplet
from tests.losses.loops import (
    RAW_AND_UNIT,
    anchors,
    distance_matrix,
    mean,
    negatives,
    positives,
    random_batches,
    triplets,
)
from tests.losses.worked import BATCHES, WORKED, batch

every_case = pytest.mark.parametrize(("name", "recorded", "normalize"), RAW_AND_UNIT)


def foreign_pairs(labels, a):
    """Negative pairs in which the anchor's identity has no part."""
    others = negatives(labels, a)
    return [(k, m) for k in others for m in others if labels[k] != labels[m]]


def naive_all(d, labels, margin, margin2):
    first = [max(d[a, p] - d[a, n] + margin, 0) for a, p, n in triplets(labels)]
    second = [
        max(d[a, p] - d[k, m] + margin2, 0)
        for a in range(len(labels))
        for p in positives(labels, a)
        for k, m in foreign_pairs(labels, a)
    ]
    return mean(first) + mean(second)


def naive_hard(d, labels, margin, margin2):
    first, second = [], []
    for a in anchors(labels):
        far = max(d[a, p] for p in positives(labels, a))
        first.append(max(far - min(d[a, n] for n in negatives(labels, a)) + margin, 0))
        pairs = foreign_pairs(labels, a)
        if pairs:
            second.append(max(far - min(d[k, m] for k, m in pairs) + margin2, 0))
    return mean(first) + mean(second)


def naive_absolute(d, labels, margin, margin2):
    far = np.array([max(d[a, p] for p in positives(labels, a)) for a in anchors(labels)])
    near = np.array([min(d[a, n] for n in negatives(labels, a)) for a in anchors(labels)])
    hinges = (far - near + margin, far - margin2, margin + margin2 - near)
    return sum(mean(np.maximum(hinge, 0)) for hinge in hinges)


NAIVE = {"all": naive_all, "hard": naive_hard, "absolute": naive_absolute}


@every_case
@pytest.mark.parametrize(
    ("mining", "key"),
    [("all", "quad_all_a0.3_b0.2"), ("hard", "quad_hard_a0.3_b0.2"), ("absolute", "quad_slide_whatif")],
)
def test_worked_values(name, recorded, normalize, mining, key):
    value = quadruplet(*batch(name), mining=mining, normalize=normalize)
    assert float(value) == pytest.approx(np.ravel(WORKED[recorded][key])[0], rel=1e-9)


@settings(max_examples=100)
@given(random_batches(largest=9), st.sampled_from(list(NAIVE)))
def test_agrees_with_loops(made, mining):
    features, labels = made
    value = quadruplet(torch.tensor(features), torch.tensor(labels), 0.5, 0.25, mining, normalize=False)
    expected = NAIVE[mining](distance_matrix(features), labels, 0.5, 0.25)
    assert float(value) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_gradient_norm():
    features, labels = batch("C")
    features.requires_grad_()
    quadruplet(features, labels, normalize=False).backward()
    assert float(features.grad.norm()) == pytest.approx(WORKED["grad"]["quad_hard"]["fro"], rel=1e-6)


@pytest.mark.parametrize("name", ["A", "B"])
def test_of_two_identities_only_the_triplet_term_is_left(name):
    features, labels = batch(name)
    assert quadruplet(features, labels) == trihard(features, labels)
    assert quadruplet(features, labels, mining="all") == triplet(features, labels)


def test_the_second_term_compares_pairs_that_share_no_image():
    # On a line: the wide pair 0, 1 is far from everybody, yet the other two identities are nearer to each other.
    features, labels = torch.tensor([[0.0], [1.0], [9.0], [9.5]]), torch.tensor([0, 0, 1, 2])
    options = {"normalize": False, "margin": 0.3, "margin2": 0.2}
    for mining in ("all", "hard"):
        assert float(quadruplet(features, labels, mining=mining, **options)) == pytest.approx(1 - 0.5 + 0.2)


def test_all_quadruplets_of_a_large_batch_take_little_memory():
    features = torch.randn(128, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: sizes.append(one.numel()) or one, lambda one: one):
        quadruplet(features, torch.arange(128) // 4, mining="all").backward()
    assert max(sizes) <= 128**2 * 8
    assert sum(sizes) <= 128**3 * 4  # of 128^4


@pytest.mark.parametrize("name", BATCHES)
def test_adaptive_worked_values(name):
    features, labels = batch(name)
    loss = AdaptiveQuadruplet(3, features.shape[1], clamp=False, learned=False, mining="hard")
    assert float(loss(features, labels)) == pytest.approx(WORKED[name]["quad_hard_sq_adaptive"][0], rel=1e-9)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("mining", ["all", "hard"])
def test_adaptive_margins_are_differences_of_means(name, clamp, mining):
    features, labels = batch(name)
    gap = WORKED[name]["adaptive_margin_w1_sq"][0]
    gap = max(gap, 0) if clamp else gap
    expected = NAIVE[mining](distance_matrix(features.numpy()) ** 2, labels.numpy(), 0.8 * gap, 0.3 * gap)
    loss = AdaptiveQuadruplet(3, features.shape[1], w1=0.8, w2=0.3, clamp=clamp, learned=False, mining=mining)
    assert float(loss(features, labels)) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=60)
@given(random_batches(largest=8, scales=(0.1, 1.0)), st.sampled_from(["all", "hard"]), st.booleans())
def test_adaptive_agrees_with_loops_on_the_learned_metric(made, mining, clamp):
    features, labels = made
    torch.manual_seed(0)
    loss = AdaptiveQuadruplet(4, 5, mining=mining, clamp=clamp).double()
    weight, bias = loss.metric.weight.detach().numpy(), loss.metric.bias.detach().numpy()
    g2 = np.zeros((len(labels), len(labels)))
    for i in range(len(labels)):
        for j in range(len(labels)):
            scores = np.exp(weight @ abs(features[i] - features[j]) + bias)
            g2[i, j] = (scores[0] / scores.sum()) ** 2
    same = [g2[i, j] for i in range(len(labels)) for j in positives(labels, i)]
    other = [g2[i, j] for i in range(len(labels)) for j in negatives(labels, i)]
    gap = mean(other) - mean(same)
    gap = max(gap, 0) if clamp else gap
    expected = NAIVE[mining](g2, labels, gap, 0.5 * gap) if same and other else 0.0
    value = loss(torch.tensor(features), torch.tensor(labels)).detach()
    assert float(value) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mining", ["all", "hard"])
def test_adaptive_margins_have_no_gradient_unless_asked(mining):
    features, labels = batch("Cn")
    features, labels = features[[0, 1, 3, 4, 6, 7]], labels[[0, 1, 3, 4, 6, 7]]
    loss = AdaptiveQuadruplet(3, 4, clamp=False, learned=False, mining=mining)
    d2, same = distance_matrix(features.numpy()) ** 2, (labels[:, None] == labels).numpy()
    gap = d2[~same].mean() - d2[same & ~np.eye(6, dtype=bool)].mean()

    def fixed(x):
        return NAIVE[mining](distance_matrix(x) ** 2, labels.numpy(), gap, 0.5 * gap)

    numeric, step = np.zeros(features.shape), 1e-6
    for index in np.ndindex(numeric.shape):
        ahead, behind = features.numpy().copy(), features.numpy().copy()
        ahead[index] += step
        behind[index] -= step
        numeric[index] = (fixed(ahead) - fixed(behind)) / (2 * step)
    features.requires_grad_()
    loss(features, labels).backward()
    assert np.allclose(features.grad, numeric, atol=1e-7)

    loss.detach = False
    assert torch.autograd.gradcheck(lambda f: loss(f, labels), (features,))
    assert not np.allclose(torch.autograd.grad(loss(features, labels), features)[0], numeric, atol=1e-3)


@pytest.mark.parametrize("detach", [True, False])
def test_the_metric_learns_which_direction_tells_identities_apart_if_margins_are_detached(detach):
    labels = torch.arange(12) // 4
    features = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    features[:, 0] = labels + 0.05 * features[:, 0]  # the other three directions are noise
    loss = AdaptiveQuadruplet(3, 4, detach=detach)
    with torch.no_grad():
        loss.metric.weight.copy_(torch.tensor([[0.1] * 4, [0.0] * 4]))
        loss.metric.bias.zero_()
    for _ in range(100):
        slopes = torch.autograd.grad(loss(features, labels), list(loss.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(loss.parameters(), slopes, strict=True):
                parameter -= slope
    told = (loss.metric.weight[0] - loss.metric.weight[1]).detach()
    learned = bool(told[0] > 10 * told[1:].abs().max())
    assert learned == detach


def test_parameters_only_where_a_metric_is_learned():
    assert {name: tuple(one.shape) for name, one in AdaptiveQuadruplet(3, 4).named_parameters()} == {
        "metric.weight": (2, 4),
        "metric.bias": (2,),
    }
    assert not list(AdaptiveQuadruplet(3, 4, learned=False).parameters())
