import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.evaluation import Collector, evaluate_features, score_blocks, score_ranking
from reid.evaluation.details import NOBODY, _smallest
from tests.evaluation.loops import labels


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(1, 12), st.integers(1, 9))
def test_the_smallest_are_those_of_a_stable_argsort(seed, g, k, values):
    rng = np.random.default_rng(seed)
    row = rng.integers(0, values, g).astype(np.float32)
    row[rng.random(g) < 0.3] = np.nan
    numbers = np.flatnonzero(~np.isnan(row))
    np.testing.assert_array_equal(_smallest(row, k), numbers[np.argsort(row[numbers], kind="stable")][:k])


def test_nearest_pass_over_junk():
    distances = np.array([[0.10, 0.40, 0.05, 0.20, 0.60, 0.30, 0.70, 0.65]])
    pid, camera = np.array([7, 7, -1, 0, 7, 3, 7, 0]), np.array([1, 2, 3, 4, 3, 2, 1, 2])
    collector = Collector(nearest=6)
    score_ranking(distances, np.array([7]), np.array([1]), pid, camera, collector)
    details = collector.details()
    assert details.nearest.tolist() == [[3, 5, 1, 4, 7, NOBODY]]
    assert details.match.tolist() == [[False, False, True, True, False, False]]
    np.testing.assert_allclose(details.distance, [[0.2, 0.3, 0.4, 0.6, 0.65, np.nan]], rtol=1e-6)
    assert (details.nearest.dtype, details.distance.dtype, details.match.dtype) == (np.int64, np.float32, np.bool_)


def test_histograms_hold_every_pair_of_two_cameras_once():
    rng = np.random.default_rng(0)
    query_pid, query_camera, gallery_pid, gallery_camera = drawn = labels(rng, 30, 200)
    distances = rng.uniform(-1e-7, 2, (30, 200)).astype(np.float32)
    collector = Collector(bins=8)
    score_blocks(np.split(distances, 3), *drawn, collector)
    details = collector.details()
    apart = query_camera[:, None] != gallery_camera
    same = query_pid[:, None] == gallery_pid
    inside = np.clip(distances, 0, 2)
    np.testing.assert_allclose(details.edges, np.arange(9) / 4)
    for counts, wanted in (
        (details.positive, apart & same),
        (details.negative, apart & ~same & (gallery_pid != -1)),
    ):
        np.testing.assert_array_equal(counts, np.histogram(inside[wanted], details.edges)[0])
        assert counts.sum() == wanted.sum() > 0


def test_memory_changes_nothing_and_neither_does_collecting():
    rng = np.random.default_rng(1)
    query, gallery, drawn = rng.normal(size=(150, 8)), rng.normal(size=(60, 8)), labels(rng, 150, 60)
    collectors = Collector(), Collector()
    arguments = query, *drawn[:2], gallery, *drawn[2:]
    scores = [evaluate_features(*arguments, m, c) for m, c in zip((64 * 480, 1 << 28), collectors, strict=True)]
    assert scores[0] == scores[1] == evaluate_features(*arguments)
    first, second = (collector.details() for collector in collectors)
    for name in ("nearest", "distance", "match", "positive", "negative"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_nearest_first_says_whether_rank_one_is_right():
    rng = np.random.default_rng(2)
    drawn = labels(rng, 40, 90)
    collector = Collector()
    scores = score_ranking(rng.random((40, 90)), *drawn, collector)
    assert collector.details().match[:, 0].mean() == pytest.approx(scores.rank(1))
