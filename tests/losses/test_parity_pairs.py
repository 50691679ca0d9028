"""The losses that pytorch-metric-learning has too, with its reductions set to ours."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.losses.contrastive import contrastive
from reid.losses.trihard import trihard
from reid.losses.triplet import triplet
from tests.losses.worked import BATCHES, WORKED, batch

losses = pytest.importorskip("pytorch_metric_learning.losses")
miners = pytest.importorskip("pytorch_metric_learning.miners")
reducers = pytest.importorskip("pytorch_metric_learning.reducers")
distances = pytest.importorskip("pytorch_metric_learning.distances")

SHAPES = st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(0, 10**6), st.booleans())


def made(shape):
    p, k, seed, normalize = shape
    features = torch.randn(p * k, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    euclidean = distances.LpDistance(normalize_embeddings=normalize)
    return features, torch.arange(p).repeat_interleave(k), normalize, euclidean


@settings(max_examples=25)
@given(SHAPES)
def test_contrastive(shape):
    features, labels, normalize, euclidean = made(shape)
    theirs = losses.ContrastiveLoss(0, 1.5, distance=euclidean, reducer=reducers.SumReducer())(features, labels)
    ordered_pairs = len(labels) * (len(labels) - 1)
    ours = contrastive(features, labels, margin=1.5, normalize=normalize)
    assert float(ours) == pytest.approx(float(theirs) / ordered_pairs, rel=1e-6)


@settings(max_examples=25)
@given(SHAPES)
def test_triplet(shape):
    features, labels, normalize, euclidean = made(shape)
    theirs = losses.TripletMarginLoss(0.3, distance=euclidean, reducer=reducers.MeanReducer())
    ours = triplet(features, labels, normalize=normalize)
    assert float(ours) == pytest.approx(float(theirs(features, labels)), rel=1e-6)


@settings(max_examples=25)
@given(SHAPES, st.booleans())
def test_trihard(shape, soft):
    features, labels, normalize, euclidean = made(shape)
    # Theirs puts the margin inside the softplus; ours has none there.
    theirs = losses.TripletMarginLoss(
        0 if soft else 0.3, smooth_loss=soft, distance=euclidean, reducer=reducers.MeanReducer()
    )
    hard = miners.BatchHardMiner(distance=euclidean)(features, labels)
    ours = trihard(features, labels, soft=soft, normalize=normalize)
    assert float(ours) == pytest.approx(float(theirs(features, labels, hard)), rel=1e-6)


@pytest.mark.parametrize("name", BATCHES)
def test_its_default_reductions_are_other_numbers(name):
    features, labels = batch(name)
    raw = distances.LpDistance(normalize_embeddings=False)
    assert float(losses.ContrastiveLoss(distance=raw)(features, labels)) == pytest.approx(
        WORKED[name]["contrastive_pml_0_1"], rel=1e-6
    )
    assert float(losses.TripletMarginLoss(0.3, distance=raw)(features, labels)) == pytest.approx(
        WORKED[name]["triplet_all_nonzero_a0.3"], rel=1e-6
    )
