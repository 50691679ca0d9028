import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from reid.losses.msml import msml
from reid.losses.pyramid import _hinge, pyramid, pyramid_msml
from tests.losses.worked import WORKED, batch

T2, S2 = (float(np.tan(np.deg2rad(angle)) ** 2) for angle in (28.54, 20.27))


def foot(a, p, n, k):
    edges = np.stack([p - a, n - a], 1)
    return a + edges @ np.linalg.lstsq(edges, k - a, rcond=1e-12)[0]


def hinges(a, p, n, k, midpoint=False):
    below = (a + n) / 2 if midpoint else foot(a, p, n, k)
    return (
        sum((a - p) ** 2) - 4 * T2 * sum((n - (a + p) / 2) ** 2),
        sum((a - n) ** 2) - 4 * S2 * sum((k - below) ** 2),
    )


def exponent(a, p, n, k, paper=False):
    second = 4 * S2 * (a + n) @ k - 2 * (1 if paper else 1 + S2) * a @ n
    return 4 * T2 * (a + p) @ n - 2 * (1 + T2) * a @ p + second


def naive(features, labels, form, paper):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    every = range(len(labels))
    means, logs = [], []
    for a in every:
        quadruplets = [
            unit[[a, p, n, k]]
            for p in every
            for n in every
            for k in every
            if labels[p] == labels[a] and p != a and len({labels[a], labels[n], labels[k]}) == 3
        ]
        means += [sum(max(term, 0) for term in hinges(*one, midpoint=paper)) for one in quadruplets]
        if quadruplets:
            logs.append(np.log1p(sum(np.exp(exponent(*one, paper=paper)) for one in quadruplets)))
    terms = logs if form == "lse" else means
    return np.mean(terms) if terms else 0.0


@pytest.mark.parametrize("name", ["C", "Cn"])
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("pyramid_lse_exact", {}),
        ("pyramid_lse_paper_eq11", {"paper": True}),
        ("pyramid_hinge_exact_plane", {"form": "hinge"}),
        ("pyramid_hinge_midpoint", {"form": "hinge", "paper": True}),
    ],
)
def test_worked_values(name, key, options):
    assert float(pyramid(*batch(name), **options)) == pytest.approx(WORKED[name][key], rel=1e-9)
    assert float(pyramid(*batch(name), **options, detach_base=True)) == pytest.approx(WORKED[name][key], rel=1e-9)


@pytest.mark.parametrize("name", ["C", "Cn"])
def test_worked_value_with_msml(name):
    expected = WORKED[name]["pyramid_total_mu2_lse_exact_plus_msml_norm"]
    assert float(pyramid_msml(*batch(name))) == pytest.approx(expected, rel=1e-9)


def test_the_loops_agree_with_the_worked_quadruplet():
    worked = WORKED["pyramid_quadruplet"]
    quadruplet = np.array(worked["X"])
    assert foot(*quadruplet) == pytest.approx(worked["foot_exact"])
    assert hinges(*quadruplet) == pytest.approx(worked["terms_exact_plane"])
    assert hinges(*quadruplet, midpoint=True) == pytest.approx(worked["terms_midpoint"])
    assert exponent(*quadruplet) == pytest.approx(worked["g_exact"])
    assert exponent(*quadruplet, paper=True) == pytest.approx(worked["g_paper"])
    # The exponent is the two hinges' arguments at the midpoint without their constants.
    assert sum(worked["terms_midpoint"]) - (2 - 6 * T2) - (2 - 6 * S2) == pytest.approx(worked["g_exact"])


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=8),
    st.integers(0, 10**6),
    st.integers(2, 5),
    st.sampled_from(["lse", "hinge"]),
    st.booleans(),
)
def test_agrees_with_loops(labels, seed, dim, form, paper):
    features = np.random.default_rng(seed).normal(size=(len(labels), dim)) * 3
    value = pyramid(torch.tensor(features), torch.tensor(labels), form=form, paper=paper)
    assert float(value) == pytest.approx(naive(features, labels, form, paper), rel=1e-7, abs=1e-9)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([(1, 0, 0), (0, 1, 0), (0.6, 0.8, 0), (0, 0, 1)]), min_size=5, max_size=7))
def test_agrees_with_loops_where_points_of_a_plane_coincide(rows):
    features, labels = np.array(rows, float), [0, 0, 1, 2, 3, 1, 2][: len(rows)]
    value = pyramid(torch.tensor(features), torch.tensor(labels), form="hinge")
    assert float(value) == pytest.approx(naive(features, labels, "hinge", False), rel=1e-7, abs=1e-9)


def test_gradient_norm_and_none_along_the_features():
    features, labels = batch("C")
    features.requires_grad_()
    pyramid(features, labels).backward()
    assert float(features.grad.norm()) == pytest.approx(WORKED["grad"]["pyramid_lse"]["fro"], rel=1e-6)
    assert (features.grad * features.detach()).sum(1).abs().max() < 1e-12


@pytest.mark.parametrize("form", ["lse", "hinge"])
@pytest.mark.parametrize("paper", [False, True])
def test_gradient(form, paper):
    features, labels = batch("Cn")
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: pyramid(f, labels, form=form, paper=paper), (features,))


def pull(features, labels, **options):
    """How far descent moves image 2, a negative, towards image 0, per unit of step."""
    (gradient,) = torch.autograd.grad(pyramid(features, labels, **options), features)
    return float(-gradient[2] @ (features[0] - features[2]).detach())


@pytest.mark.parametrize(("form", "theta"), [("hinge", 59.0), ("lse", 0.0)])
def test_the_second_term_pulls_negatives_unless_the_base_is_detached(form, theta):
    """With these angles only |a - n| is left of a negative's terms."""
    rows = [[1, 0.2, 0.1], [1, 0.4, 0], [-0.3, 1, 0.2], [0.1, -0.2, 1]]
    features = functional.normalize(torch.tensor(rows, dtype=torch.float64)).requires_grad_()
    labels = torch.tensor([0, 0, 1, 2])
    assert pull(features, labels, form=form, theta=theta, delta=0.0) > 0.1
    assert pull(features, labels, form=form, theta=theta, delta=0.0, detach_base=True) == 0


def test_worked_pull_of_the_second_term_of_one_quadruplet():
    """_hinge with masks that leave the one quadruplet (0, 1, 2, 3), and a first term far below 0."""
    rows = [[1, 0.2, 0.1], [1, 0.4, 0], [-0.3, 1, 0.2], [0.1, -0.2, 1]]
    features = functional.normalize(torch.tensor(rows, dtype=torch.float64)).requires_grad_()
    positive, negative = torch.zeros(2, 4, 4, dtype=torch.bool)
    positive[0, 1] = negative[0, 2] = negative[0, 3] = negative[2, 3] = True
    (gradient,) = torch.autograd.grad(_hinge(features, positive, negative, (9.0, S2), False, False), features)
    worked = WORKED["grad"]["pyramid_second_term_descent_moves_n_towards_a"]
    assert float(-gradient[2] @ (features[0] - features[2]).detach()) == pytest.approx(worked, rel=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2, 3], [0, 0, 0]], ids=["P = 2", "K = 1", "P = 1"])
@pytest.mark.parametrize("form", ["lse", "hinge"])
def test_no_quadruplet_is_zero(labels, form):
    features = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = pyramid(features, torch.tensor(labels), form=form)
    value.backward()
    assert value == 0
    assert (features.grad == 0).all()


def test_msml_stays_with_two_identities():
    features, labels = batch("B")
    assert pyramid_msml(features, labels, margin=0.5) == msml(features, labels, 0.5)


def test_mu_and_the_options_reach_the_pyramid():
    features, labels = batch("C")
    options = {"theta": 30.0, "delta": 16.0, "form": "hinge", "paper": True}
    expected = 3 * pyramid(features, labels, **options) + msml(features, labels, 0.1)
    assert pyramid_msml(features, labels, mu=3.0, margin=0.1, **options) == expected


@pytest.mark.parametrize("form", ["lse", "hinge"])
@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("middle", [0.0, 1.0])
def test_coinciding_features_have_a_finite_gradient(form, spread, middle):
    noise = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
    features = (middle + spread * noise).requires_grad_()
    pyramid(features, torch.arange(9) // 3, form=form).backward()
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("other", [1, 3], ids=["a positive", "a negative"])
def test_planes_through_all_but_coinciding_points_count_as_degenerate(other):
    """Their direction is rounding error in float32."""
    features = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(8, generator=torch.Generator().manual_seed(1))
    results = []
    for distance in (0.0, 1e-5):
        leaf = features.clone()
        leaf[other] = features[0] + distance * noise
        leaf.requires_grad_()
        value = pyramid(leaf, torch.arange(9) // 3, form="hinge")
        results.append((float(value.detach()), torch.autograd.grad(value, leaf)[0]))
    (value, gradient), (near, near_gradient) = results
    assert near == pytest.approx(value, rel=1e-4)
    assert (near_gradient - gradient).norm() < 1e-3 * gradient.norm()


@pytest.mark.parametrize("form", ["lse", "hinge"])
def test_float32_agrees_with_float64_on_a_training_batch(form):
    features = torch.randn(24, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # As late in training: positives close together.
    features = features[::4].repeat_interleave(4, 0) + 0.02 * features
    labels = torch.arange(24) // 4
    results = []
    for dtype in (torch.float32, torch.float64):
        leaf = features.to(dtype).requires_grad_()
        value = pyramid(leaf, labels, form=form)
        results.append((float(value.detach()), torch.autograd.grad(value, leaf)[0].double()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
    assert (results[0][1] - results[1][1]).norm() < 1e-2 * results[1][1].norm()
