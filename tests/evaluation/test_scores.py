import numpy as np
import pytest

from reid.evaluation import RetrievalScores, average
from reid.evaluation.scores import score_ranks, summarise


def scores(mean_ap, rank1, queries=4, valid=4):
    return RetrievalScores(mean_ap, mean_ap / 2, mean_ap / 4, (rank1,) * 50, queries, valid)


def test_a_perfect_ranking_scores_one():
    assert score_ranks(np.arange(1, 6)) == (1, 1, 1, 1)


def test_one_match_scores_its_inverse_rank():
    assert score_ranks(np.array([4])) == (0.25, 0.125, 0.25, 4)


def test_denominators():
    rows = np.array([[1, 1, 1, 1], [0.5, 0.25, 0.5, 2], [np.nan] * 4, [np.nan] * 4])
    found = summarise(rows)
    assert (found.queries, found.valid) == (4, 2)
    assert found.mean_ap == 0.75  # over valid queries
    assert found.mean_ap_all == 0.375
    assert found.cmc[:3] == (0.25, 0.5, 0.5)  # over all
    assert found.cmc_valid[:3] == (0.5, 1, 1)
    assert found.rank(2) == 0.5


def test_figures_have_the_usual_names():
    assert scores(0.8, 0.9).figures() == {
        "mAP": 0.8, "mAP (trapezoid)": 0.4, "mINP": 0.2, "R1": 0.9, "R5": 0.9, "R10": 0.9,
    }  # fmt: skip


def test_average_of_runs():
    found = average([scores(0.2, 0.5), scores(0.6, 0.9, valid=3)])
    assert found.mean_ap == pytest.approx(0.4)
    assert found.mean_ap_trapezoid == pytest.approx(0.2)
    assert found.mean_inp == pytest.approx(0.1)
    assert found.cmc == pytest.approx((0.7,) * 50)
    assert found.mean_ap_deviation == pytest.approx(0.4 / np.sqrt(2))
    assert found.cmc_deviation == pytest.approx((0.4 / np.sqrt(2),) * 50)
    assert (found.runs, found.queries, found.valid) == (2, 8, 7)


def test_average_of_one_run_is_that_run():
    assert average([scores(0.2, 0.5)]) == scores(0.2, 0.5)
