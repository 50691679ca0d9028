import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reid.datasets import Split, load_dataset
from reid.errors import DataError
from reid.evaluate import evaluate_dataset, evaluate_features, score_ranking
from tests.helpers import market_folder

HAND = {
    "gallery_pid": np.array([7, 7, -1, 0, 7, 3, 7, 0]),
    "gallery_camera": np.array([1, 2, 3, 4, 3, 2, 1, 2]),
    "query_pid": np.array([7]),
    "query_camera": np.array([1]),
}
HAND_DISTANCES = np.array([[0.10, 0.40, 0.05, 0.20, 0.60, 0.30, 0.70, 0.65]])


def naive(distances, query_pid, query_camera, gallery_pid, gallery_camera):
    """The protocol in loops: (ap, trapezoid ap, inp, first rank) of each query that has a match."""
    scores = []
    for i, row in enumerate(distances):
        rank, found, ap, trapezoid, first, last = 0, 0, 0.0, 0.0, 0, 0
        for j in sorted(range(len(row)), key=lambda j: row[j]):  # sorted is stable
            person = gallery_pid[j]
            if person == -1 or (person == query_pid[i] != 0 and gallery_camera[j] == query_camera[i]):
                continue
            rank += 1
            if person == query_pid[i] != 0:
                before = 1.0 if rank == 1 else found / (rank - 1)
                found += 1
                ap += found / rank
                trapezoid += (found / rank + before) / 2
                first, last = first or rank, rank
        if found:
            scores.append((ap / found, trapezoid / found, found / last, first))
    return scores


def test_worked_example():
    scores = score_ranking(HAND_DISTANCES, **HAND)
    assert scores.mean_ap == pytest.approx(5 / 12)
    assert scores.mean_ap_trapezoid == pytest.approx(0.29166666666666663)
    assert scores.mean_inp == pytest.approx(0.5)
    assert scores.cmc == (0, 0) + (1,) * 48
    assert scores.rank(3) == 1
    assert (scores.queries, scores.valid) == (1, 1)


def test_worked_random_example():
    rng = np.random.RandomState(2)
    distances = rng.rand(12, 60)
    gallery_pid, gallery_camera = rng.randint(-1, 5, 60), rng.randint(0, 3, 60)
    query_pid, query_camera = rng.randint(1, 7, 12), rng.randint(0, 3, 12)
    scores = score_ranking(distances, query_pid, query_camera, gallery_pid, gallery_camera)
    assert scores.valid == 11
    assert scores.mean_ap == pytest.approx(0.2192794124127608)
    assert scores.mean_ap_trapezoid == pytest.approx(0.19190941477204335)
    assert scores.mean_inp == pytest.approx(0.1572055114049259)
    over_all = [0.25, 1 / 3, 1 / 3, 1 / 3, 0.5, 7 / 12, 2 / 3, 2 / 3, 2 / 3, 0.75]
    assert scores.cmc[:10] == pytest.approx(over_all)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_agrees_with_loops(data):
    q, g = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 60))

    def integers(n, low, high):
        return data.draw(hnp.arrays(np.int64, n, elements=st.integers(low, high)))

    distances = data.draw(hnp.arrays(np.float32, (q, g), elements=st.integers(0, 5)))  # many ties
    labels = integers(q, -1, 3), integers(q, 1, 2), integers(g, -1, 3), integers(g, 1, 2)
    labels = (np.where(labels[0] < 0, 1, labels[0]), *labels[1:])
    expected = naive(distances, *labels)
    if not expected:
        with pytest.raises(DataError, match="has a match"):
            score_ranking(distances, *labels)
        return
    scores = score_ranking(distances, *labels)
    means = np.mean(expected, 0)
    assert (scores.mean_ap, scores.mean_ap_trapezoid, scores.mean_inp) == pytest.approx(tuple(means[:3]))
    assert scores.mean_ap_trapezoid <= scores.mean_ap + 1e-12
    assert scores.cmc == pytest.approx([sum(e[3] <= r for e in expected) / q for r in range(1, 51)])


@pytest.mark.parametrize("block", [1, 3, 7, 256])
def test_blocks_of_queries_change_nothing(block):
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(7, 8)), rng.normal(size=(40, 8))
    labels = rng.integers(1, 4, 7), rng.integers(1, 4, 7), rng.integers(0, 4, 40), rng.integers(1, 4, 40)
    units = [f / np.linalg.norm(f, axis=1, keepdims=True) for f in (query, gallery)]
    whole = score_ranking(1 - units[0] @ units[1].T, *labels)
    blocks = evaluate_features(query, labels[0], labels[1], gallery * 3, labels[2], labels[3], block)
    assert blocks == whole


def test_perfect_features_score_one():
    features, pid = np.eye(4, dtype=np.float32), np.arange(1, 5)
    scores = evaluate_features(features, pid, np.ones(4, int), features, pid, np.full(4, 2))
    assert (scores.mean_ap, scores.mean_inp, scores.rank(1)) == (1, 1, 1)


def test_a_query_without_a_match_counts_in_cmc_alone():
    distances = np.array([[0.0, 1.0], [0.0, 1.0]])
    scores = score_ranking(distances, np.array([1, 9]), np.array([1, 1]), np.array([1, 2]), np.array([2, 2]))
    assert (scores.queries, scores.valid, scores.mean_ap, scores.rank(1)) == (2, 1, 1.0, 0.5)


def test_refuses_what_cannot_be_scored():
    with pytest.raises(ValueError, match=r"expected pid and camera \(1,\), got \(2,\)"):
        score_ranking(HAND_DISTANCES, np.array([7, 7]), np.array([1]), HAND["gallery_pid"], HAND["gallery_camera"])
    with pytest.raises(ValueError, match="NaN"):
        score_ranking(HAND_DISTANCES * np.nan, **HAND)
    features = np.zeros((1, 3))
    with pytest.raises(ValueError, match="other than zero"):
        evaluate_features(features, np.array([1]), np.array([1]), features, np.array([1]), np.array([2]))


def test_evaluates_a_folder(tmp_path):
    split = load_dataset("market1501", market_folder(tmp_path))
    lines, sizes = [], []

    def embed(images):
        sizes.append(len(images))
        return np.stack([image.mean((0, 1)) for image in images])

    scores = evaluate_dataset(split, embed, lines.append, batch=3)
    assert (scores.queries, scores.valid, scores.mean_ap, scores.rank(1)) == (4, 4, 1.0, 1.0)
    assert sizes == [3, 1, 3, 3]
    assert lines[-1] == "gallery: 6 of 6 images"
    with pytest.raises(DataError, match="no query and gallery"):
        evaluate_dataset(Split(train=split.train), embed, lines.append)
