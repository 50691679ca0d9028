import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.trihard import trihard
from reid.losses.triplet import improved_triplet, triplet
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


def naive_all(features, labels, margin):
    d = distance_matrix(features)
    return mean([max(d[a, p] - d[a, n] + margin, 0) for a, p, n in triplets(labels)])


def naive_improved(features, labels, margin, beta, weight, mining):
    d = distance_matrix(features)
    if mining == "all":
        first = [d[a, p] - d[a, n] for a, p, n in triplets(labels)]
        pairs = [d[a, p] for a in range(len(labels)) for p in positives(labels, a)] if first else []
    else:
        pairs = [max(d[a, p] for p in positives(labels, a)) for a in anchors(labels)]
        first = [
            far - min(d[a, n] for n in negatives(labels, a)) for far, a in zip(pairs, anchors(labels), strict=True)
        ]
    return mean([max(gap + margin, 0) for gap in first]) + weight * mean([max(far - beta, 0) for far in pairs])


@every_case
def test_triplet_worked_values(name, recorded, normalize):
    value = triplet(*batch(name), normalize=normalize)
    assert float(value) == pytest.approx(WORKED[recorded]["triplet_all_mean_a0.3"], rel=1e-9)


@every_case
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("imtrp_hard_a0.3_b0.1", {}),
        ("imtrp_all_a0.3_b0.1", {"mining": "all"}),
        ("imtrp_all_w0.002", {"mining": "all", "margin": 1.0, "beta": 0.01, "weight": 0.002}),
    ],
)
def test_improved_triplet_worked_values(name, recorded, normalize, key, options):
    value = improved_triplet(*batch(name), **options, normalize=normalize)
    assert float(value) == pytest.approx(WORKED[recorded][key], rel=1e-9)


@settings(max_examples=60)
@given(random_batches())
def test_triplet_agrees_with_loops(made):
    features, labels = made
    value = triplet(torch.tensor(features), torch.tensor(labels), margin=0.5, normalize=False)
    assert float(value) == pytest.approx(naive_all(features, labels, 0.5), rel=1e-6, abs=1e-6)


@settings(max_examples=60)
@given(random_batches(), st.sampled_from(["hard", "all"]))
def test_improved_triplet_agrees_with_loops(made, mining):
    features, labels = made
    value = improved_triplet(torch.tensor(features), torch.tensor(labels), 0.5, 0.2, 0.7, mining, normalize=False)
    assert float(value) == pytest.approx(naive_improved(features, labels, 0.5, 0.2, 0.7, mining), rel=1e-6, abs=1e-6)


@settings(max_examples=40)
@given(random_batches(largest=8), st.integers(0, 1000))
def test_random_mining_takes_one_triplet_of_every_anchor(made, seed):
    features, labels = made
    d = distance_matrix(features)
    options = [
        [max(d[a, p] - d[a, n] + 0.3, 0) for p in positives(labels, a) for n in negatives(labels, a)]
        for a in anchors(labels)
    ]
    torch.manual_seed(seed)
    value = float(triplet(torch.tensor(features), torch.tensor(labels), mining="random", normalize=False))
    slack = 1e-5 * max(1, value)
    assert mean([min(one) for one in options]) - slack <= value <= mean([max(one) for one in options]) + slack
    if all(len(one) == 1 for one in options):
        assert value == pytest.approx(mean([one[0] for one in options]), abs=slack)


def test_random_mining_follows_the_global_generator_and_averages_to_batch_all():
    features, labels = batch("C")

    def drawn(seed, n=1):
        torch.manual_seed(seed)
        return [float(triplet(features, labels, mining="random", normalize=False)) for _ in range(n)]

    assert drawn(0) == drawn(0)
    many = drawn(0, 400)
    assert len(set(many)) > 100
    # Every anchor of C has as many triplets, so that both means are over the same ones.
    error = np.std(many) / np.sqrt(len(many))
    assert np.mean(many) == pytest.approx(WORKED["C"]["triplet_all_mean_a0.3"], abs=4 * error)


@pytest.mark.parametrize("name", BATCHES)
def test_improved_triplet_without_its_second_term_is_the_triplet_loss(name):
    features, labels = batch(name)
    assert improved_triplet(features, labels, weight=0) == trihard(features, labels)
    assert improved_triplet(features, labels, weight=0, mining="all") == triplet(features, labels)


def test_without_a_margin_collapse_is_a_solution_and_with_one_it_is_not():
    features, labels = torch.zeros(6, 3), torch.arange(6) // 2
    assert float(triplet(features, labels, margin=0.0, normalize=False)) == 0
    assert float(triplet(features, labels, margin=0.3, normalize=False)) == pytest.approx(0.3)
