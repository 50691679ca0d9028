import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.msml import msml
from reid.losses.trihard import trihard
from reid.losses.triplet import triplet
from tests.losses.loops import distance_matrix, random_batches, triplets, unit
from tests.losses.worked import BATCHES, WORKED, batch


def naive(features, labels, margin, soft, squared):
    d = distance_matrix(features) ** (2 if squared else 1)
    pairs = [(i, j) for i in range(len(labels)) for j in range(i)]
    same = [d[i, j] for i, j in pairs if labels[i] == labels[j]]
    other = [d[i, j] for i, j in pairs if labels[i] != labels[j]]
    if not same or not other:
        return 0.0
    gap = max(same) - min(other)
    return float(np.logaddexp(0, gap)) if soft else max(gap + margin, 0.0)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("msml_a0.3", {"normalize": False}),
        ("msml_norm_a0.3", {}),
        ("msml_norm_a0.6(keras_reid)", {"margin": 0.6}),
        ("msml_sq_norm_a0.1(PaddleClas)", {"margin": 0.1, "squared": True}),
    ],
)
def test_worked_values(name, key, options):
    assert float(msml(*batch(name), **options)) == pytest.approx(WORKED[name][key], rel=1e-9)


@settings(max_examples=80)
@given(random_batches(), st.booleans(), st.booleans())
def test_agrees_with_loops(made, soft, squared):
    features, labels = made
    value = msml(torch.tensor(features), torch.tensor(labels), 0.5, soft, squared, normalize=False)
    assert float(value) == pytest.approx(naive(features, labels, 0.5, soft, squared), rel=1e-6, abs=1e-6)


def test_the_gradient_is_that_of_two_pairs():
    features, labels = batch("C")
    features.requires_grad_()
    msml(features, labels, normalize=False).backward()
    rows = features.grad.norm(dim=1)
    assert int((rows > 1e-9).sum()) == WORKED["grad"]["msml"]["nonzero_rows"] == 4
    assert rows[rows > 1e-9].tolist() == pytest.approx([1.0] * 4)  # the direction from one image to the other
    assert float(features.grad.norm()) == pytest.approx(2.0)


def test_the_gradient_of_unit_vectors():
    features, labels = batch("C")
    features.requires_grad_()
    msml(features, labels).backward()
    assert float(features.grad.norm()) == pytest.approx(WORKED["grad"]["msml_norm"]["fro"], rel=1e-6)
    assert int((features.grad.norm(dim=1) > 1e-9).sum()) == WORKED["grad"]["msml_norm"]["nonzero_rows"]


@settings(max_examples=60)
@given(random_batches(), st.booleans())
def test_the_gradient_touches_at_most_four_images(made, normalize):
    features, labels = torch.tensor(made[0], requires_grad=True), torch.tensor(made[1])
    msml(features, labels, margin=1e3, normalize=normalize).backward()
    assert int((features.grad.abs().amax(1) > 0).sum()) <= 4


@settings(max_examples=60)
@given(st.integers(2, 4), st.integers(2, 4), st.integers(0, 10**6), st.booleans(), st.booleans())
def test_above_trihard_above_batch_all(p, k, seed, normalize, soft):
    features = torch.tensor(np.random.default_rng(seed).normal(size=(p * k, 5)))
    labels = torch.arange(p).repeat_interleave(k)
    hard = float(trihard(features, labels, soft=soft, normalize=normalize))
    assert float(msml(features, labels, soft=soft, normalize=normalize)) >= hard - 1e-9
    if not soft:
        assert hard >= float(triplet(features, labels, normalize=normalize)) - 1e-9


@settings(max_examples=40)
@given(random_batches(scales=(1.0,)))
def test_zero_exactly_if_one_threshold_separates_all_pairs_by_the_margin(made):
    features, labels = unit(made[0]), made[1]
    d = distance_matrix(features)
    if not triplets(labels):
        return
    same = labels[:, None] == labels[None, :]
    apart = d[~same].min() - d[same & ~np.eye(len(labels), dtype=bool)].max()
    value = float(msml(torch.tensor(features), torch.tensor(labels), margin=0.3))
    assert value == pytest.approx(max(0.3 - apart, 0), abs=1e-6)
