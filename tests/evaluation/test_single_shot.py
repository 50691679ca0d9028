import numpy as np
import pytest

from reid.errors import BadInputError, DataError
from reid.evaluation import Collector, evaluate_single_shot
from tests.evaluation.loops import unit_rows


def people(rng, n, per_person, noise):
    """Unit features of people with several images, and their identities from 0."""
    pid = np.repeat(np.arange(n), per_person)
    centres = np.random.default_rng(99).normal(size=(n, 8))
    return unit_rows(centres[pid] + noise * rng.normal(size=(len(pid), 8))), pid


def exact_rank_shares(query, query_pid, gallery, gallery_pid):
    """CMC@1 in expectation: over all galleries, were each drawn as often, by drawing very many."""
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(1500):
        drawn = np.array([rng.choice(np.flatnonzero(gallery_pid == pid)) for pid in np.unique(gallery_pid)])
        best = drawn[(query @ gallery[drawn].T).argmax(1)]
        hits.append((gallery_pid[best] == query_pid).mean())
    return np.mean(hits)


def test_one_image_a_person_is_one_plain_ranking():
    rng = np.random.default_rng(0)
    (query, query_pid), (gallery, gallery_pid) = people(rng, 12, 1, 0.6), people(rng, 12, 1, 0.6)
    scores = evaluate_single_shot(query, query_pid, gallery, gallery_pid)
    ranks = 1 + ((query @ gallery.T) > np.diag(query @ gallery.T)[:, None]).sum(1)
    assert scores.runs == 1
    assert scores.cmc[:12] == pytest.approx([(ranks <= r).mean() for r in range(1, 13)])
    assert scores.mean_ap == scores.mean_inp == pytest.approx((1 / ranks).mean())


def test_repeated_draws_approach_the_expectation():
    rng = np.random.default_rng(1)
    (query, query_pid), (gallery, gallery_pid) = people(rng, 6, 2, 1.2), people(rng, 6, 4, 1.2)
    scores = evaluate_single_shot(query, query_pid, gallery, gallery_pid, repeats=500)
    assert scores.rank(1) == pytest.approx(exact_rank_shares(query, query_pid, gallery, gallery_pid), abs=0.02)
    assert (scores.runs, scores.queries, scores.valid) == (500, 12, 12)
    assert scores.mean_ap == pytest.approx(scores.mean_inp)  # one match each
    assert scores.cmc_deviation[0] > 0 < scores.mean_ap_deviation
    assert scores.cmc[5] == 1  # six people in every gallery


def test_the_seed_decides_the_draws():
    rng = np.random.default_rng(1)
    (query, query_pid), (gallery, gallery_pid) = people(rng, 20, 2, 1.2), people(rng, 20, 4, 1.2)
    first, again, other = (
        evaluate_single_shot(query, query_pid, gallery, gallery_pid, repeats=3, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other


def test_identities_are_only_names():
    rng = np.random.default_rng(2)
    (query, query_pid), (gallery, gallery_pid) = people(rng, 8, 2, 1.0), people(rng, 8, 3, 1.0)
    expected = evaluate_single_shot(query, query_pid, gallery, gallery_pid)
    assert expected == evaluate_single_shot(query, query_pid - 1, gallery, gallery_pid - 1)  # -1 and 0 among them
    assert expected == evaluate_single_shot(query, query_pid + 1000, gallery, gallery_pid + 1000)


def test_details_are_of_the_whole_other_camera():
    rng = np.random.default_rng(3)
    (query, query_pid), (gallery, gallery_pid) = people(rng, 5, 1, 0.1), people(rng, 5, 3, 0.1)
    collector = Collector(nearest=3)
    evaluate_single_shot(query, query_pid, gallery, gallery_pid, collector=collector)
    details = collector.details()
    assert details.match.all()
    assert (gallery_pid[details.nearest] == query_pid[:, None]).all()
    assert (details.positive.sum(), details.negative.sum()) == (15, 60)


def test_refuses_what_cannot_be_drawn():
    features, pid = np.eye(3), np.arange(3)
    with pytest.raises(BadInputError, match="repeats is 0"):
        evaluate_single_shot(features, pid, features, pid, repeats=0)
    with pytest.raises(DataError, match="has a match"):
        evaluate_single_shot(features, pid, features, pid + 3)
