import numpy as np
import pytest
import torch

from reid.align import local_distance
from reid.errors import BadInputError
from reid.evaluation import evaluate_aligned, evaluate_features, score_ranking
from tests.evaluation.loops import labels, unit_rows


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(n, 6)).astype(np.float32) for n in (9, 40)]
    stripes = [rng.normal(size=(n, 4, 3)).astype(np.float32) for n in (9, 40)]
    drawn = labels(rng, 9, 40)
    return drawn, vectors, stripes, (vectors[0], stripes[0], *drawn[:2], vectors[1], stripes[1], *drawn[2:])


def test_all_re_scored_is_a_ranking_by_global_plus_local_distance(people):
    drawn, vectors, stripes, arguments = people
    apart = np.linalg.norm(unit_rows(vectors[0])[:, None] - unit_rows(vectors[1]), axis=2)
    local = local_distance(*map(torch.from_numpy, stripes)).numpy()
    assert evaluate_aligned(*arguments, 40) == score_ranking(apart + local, *drawn)


def test_the_first_alone_keeps_the_ranking(people):
    drawn, vectors, _, arguments = people
    assert evaluate_aligned(*arguments, 1) == evaluate_features(vectors[0], *drawn[:2], vectors[1], *drawn[2:])


def test_none_to_re_score_is_bad_input(people):
    with pytest.raises(BadInputError):
        evaluate_aligned(*people[-1], 0)
