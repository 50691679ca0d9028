import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reid.errors import DataError
from reid.evaluation import cosine_blocks, evaluate_features, ranks, score_blocks, score_ranking
from tests.evaluation.loops import assert_agrees, labels, naive, unit_rows
from tests.losses.worked import WORKED

HAND = {
    "query_pid": np.array([7]),
    "query_camera": np.array([1]),
    "gallery_pid": np.array([7, 7, -1, 0, 7, 3, 7, 0]),
    "gallery_camera": np.array([1, 2, 3, 4, 3, 2, 1, 2]),
}
HAND_DISTANCES = np.array([[0.10, 0.40, 0.05, 0.20, 0.60, 0.30, 0.70, 0.65]])


@pytest.fixture(params=["counted", "ordered"])
def way(request, monkeypatch):
    """Both ways to a rank, whatever the number of matches."""
    monkeypatch.setattr(ranks, "_FEW", 10**9 if request.param == "counted" else -1)


def test_worked_example(way):
    worked = WORKED["eval_hand"]
    assert worked["d"] == HAND_DISTANCES.tolist()
    scores = score_ranking(HAND_DISTANCES, **HAND)
    assert scores.mean_ap == pytest.approx(5 / 12)
    assert scores.mean_ap_trapezoid == pytest.approx(worked["per_query"][0]["ap_trap"])
    assert scores.mean_inp == pytest.approx(0.5)
    assert scores.cmc == (0, 0) + (1,) * 48
    assert (scores.queries, scores.valid) == (1, 1)


def test_junk_counted_as_gallery_would_score_otherwise():
    pid = np.where(HAND["gallery_pid"] == -1, 99, HAND["gallery_pid"])  # a loader that gives junk an identity
    assert score_ranking(HAND_DISTANCES, **{**HAND, "gallery_pid": pid}).mean_ap == pytest.approx(0.325)


def test_worked_random_example(way):
    rng, worked = np.random.RandomState(2), WORKED["eval_rand"]
    distances = rng.rand(12, 60)
    gallery_pid, gallery_camera = rng.randint(-1, 5, 60), rng.randint(0, 3, 60)
    query_pid, query_camera = rng.randint(1, 7, 12), rng.randint(0, 3, 12)
    scores = score_ranking(distances, query_pid, query_camera, gallery_pid, gallery_camera)
    assert scores.valid == worked["n_valid"] == 11
    assert scores.mean_ap == pytest.approx(worked["mAP"])
    assert scores.mean_ap_all == pytest.approx(worked["mAP_div_all"])
    assert scores.mean_ap_trapezoid == pytest.approx(worked["mAP_trap"])
    assert scores.mean_inp == pytest.approx(worked["mINP"])
    assert scores.cmc[:10] == pytest.approx(worked["cmc_div_all"])
    assert scores.cmc_valid[:10] == pytest.approx(worked["cmc"])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_agrees_with_loops_whatever_the_ties(data):
    q, g = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 60))

    def integers(n, low, high):
        return data.draw(hnp.arrays(np.int64, n, elements=st.integers(low, high)))

    distances = data.draw(hnp.arrays(np.float32, (q, g), elements=st.integers(-2, 3)))
    drawn = integers(q, -1, 3), integers(q, 1, 2), integers(g, -1, 3), integers(g, 1, 2)
    drawn = (np.where(drawn[0] < 0, 1, drawn[0]), *drawn[1:])
    if not naive(distances, *drawn):
        with pytest.raises(DataError, match="has a match"):
            score_ranking(distances, *drawn)
        return
    scores = score_ranking(distances, *drawn)
    assert_agrees(scores, distances, *drawn)
    assert scores.mean_ap_trapezoid <= scores.mean_ap + 1e-12


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 400), st.sampled_from([1, 3, 50, 10**4]), st.sampled_from(["f2", "f4", "f8"])
)
def test_ranks_are_those_of_a_stable_full_argsort(seed, g, values, kind):
    rng = np.random.default_rng(seed)
    row = (rng.integers(-values, values + 1, g) / 8).astype(kind)
    row[rng.random(g) < 0.1] *= -0.0  # level with 0.0
    matches = np.flatnonzero(rng.random(g) < rng.random())
    junk = np.setdiff1d(np.flatnonzero(rng.random(g) < 0.2), matches)
    kept = np.setdiff1d(np.arange(g), junk)
    order = kept[np.argsort(row[kept], kind="stable")]
    expected = np.flatnonzero(np.isin(order, matches)) + 1
    row[junk] = np.nan
    for few in (10**9, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranks, "_FEW", few)
            np.testing.assert_array_equal(ranks._ranks(row, matches), expected)


@pytest.mark.parametrize("sizes", [[7], [1] * 7, [3, 4], [0, 5, 0, 2]])
def test_blocks_of_a_distance_matrix_change_nothing(sizes):
    rng = np.random.default_rng(0)
    distances, drawn = rng.integers(0, 9, (7, 40)).astype(np.float32), labels(rng, 7, 40)
    blocks = np.split(distances, np.cumsum(sizes)[:-1])
    assert score_blocks(iter(blocks), *drawn) == score_ranking(distances, *drawn)


def test_the_distances_given_are_left_alone():
    distances = HAND_DISTANCES.copy()
    score_ranking(distances, **HAND)
    assert (distances == HAND_DISTANCES).all()


@pytest.mark.parametrize("memory_bytes", [1, 4 * 1100 * 5, 4 * 1100 * 64, 4 * 1100 * 200, 1 << 28])
def test_memory_changes_no_score(memory_bytes):
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(150, 8)).astype(np.float32), rng.normal(size=(1100, 8)).astype(np.float32)
    gallery[550:] = gallery[:550]  # ties
    drawn = labels(rng, 150, 1100, people=40)
    scores = evaluate_features(query, *drawn[:2], gallery, *drawn[2:], memory_bytes)
    assert scores == evaluate_features(query, *drawn[:2], gallery, *drawn[2:])
    assert scores.mean_ap == pytest.approx(
        score_ranking(1 - unit_rows(query) @ unit_rows(gallery).T, *drawn).mean_ap, abs=1e-6
    )


def test_exact_duplicates_keep_the_order_of_the_gallery():
    corners = np.array([[a, b, c, d] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1) for d in (-1, 1)], np.float32)
    rng = np.random.default_rng(3)  # products of these are exact, however they are added up
    query, gallery = corners[rng.integers(0, 16, 30)], corners[rng.integers(0, 16, 2100)]
    drawn = labels(rng, 30, 2100, people=9)
    scores = evaluate_features(query, *drawn[:2], gallery, *drawn[2:])
    assert_agrees(scores, 1 - query @ gallery.T / 4, *drawn)


def test_perfect_features_score_one():
    features, pid = np.eye(4, dtype=np.float32), np.arange(1, 5)
    scores = evaluate_features(features, pid, np.ones(4, int), features, pid, np.full(4, 2))
    assert (scores.mean_ap, scores.mean_inp, scores.rank(1)) == (1, 1, 1)


def test_a_query_without_a_match_counts_in_cmc_alone():
    distances = np.array([[0.0, 1.0], [0.0, 1.0]])
    scores = score_ranking(distances, np.array([1, 9]), np.array([1, 1]), np.array([1, 2]), np.array([2, 2]))
    assert (scores.queries, scores.valid, scores.mean_ap, scores.rank(1)) == (2, 1, 1.0, 0.5)


def test_distractors_and_junk_are_nobodys_match():
    pid, camera = np.array([0, -1, 5]), np.array([1, 1, 1])
    distances = np.zeros((3, 3))
    scores = score_ranking(distances, pid, camera, pid, camera + 1)
    assert (scores.valid, scores.mean_ap) == (1, 0.5)  # the distractor lies before the match, junk does not


def test_no_matrix_of_all_pairs_is_made():
    rng = np.random.default_rng(0)
    q, g = 300, 60_000
    query, gallery = rng.random((q, 16), np.float32), rng.random((g, 16), np.float32)
    drawn = labels(rng, q, g, people=6000)
    tracemalloc.start()
    try:
        evaluate_features(query, *drawn[:2], gallery, *drawn[2:], memory_bytes=4_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000 + 64 * g + 5_000_000 < 4 * q * g / 5


def test_a_gallery_of_a_million():
    rng = np.random.default_rng(0)
    g = 1_000_000
    query, gallery = rng.normal(size=(3, 8)).astype(np.float32), rng.normal(size=(g, 8)).astype(np.float32)
    gallery[-4:] = gallery[:4]
    pid, camera = rng.integers(0, 100_000, g), rng.integers(1, 7, g)
    tracemalloc.start()
    try:
        scores = evaluate_features(query, pid[:3] + 1, camera[:3], gallery, pid + 1, camera)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * g + 64 * g  # three rows of distances, and what is held for each gallery item
    expected = []
    for i, row in enumerate(next(cosine_blocks(query, gallery))):
        order = np.argsort(row, kind="stable")
        order = order[(pid[order] != pid[i]) | (camera[order] != camera[i])]
        found = np.flatnonzero(pid[order] == pid[i]) + 1
        expected.append((np.arange(1, len(found) + 1) / found).mean())
    assert scores.mean_ap == pytest.approx(np.mean(expected), rel=1e-12)


def test_refuses_what_cannot_be_scored():
    one = np.array([1])
    with pytest.raises(ValueError, match=r"expected query pid and camera \(n,\), got \(2,\) and \(1,\)"):
        score_ranking(HAND_DISTANCES, **{**HAND, "query_pid": np.array([7, 7])})
    with pytest.raises(ValueError, match="expected distances of 2 queries, got 1"):
        score_ranking(HAND_DISTANCES, **{**HAND, "query_pid": np.array([7, 7]), "query_camera": np.array([1, 1])})
    with pytest.raises(ValueError, match=r"expected distances \(1, 8\) or a part of them, got \(1, 7\)"):
        score_ranking(HAND_DISTANCES[:, :7], **HAND)
    with pytest.raises(ValueError, match=r"expected distances \(0, 8\) or a part of them, got \(1, 8\)"):
        score_blocks([HAND_DISTANCES, HAND_DISTANCES], **HAND)
    with pytest.raises(ValueError, match="NaN"):
        score_ranking(HAND_DISTANCES * np.nan, **HAND)
    with pytest.raises(ValueError, match="features of 1 queries and 1 gallery items, got 2 and 1"):
        evaluate_features(np.ones((2, 3)), one, one, np.ones((1, 3)), one, one)
    with pytest.raises(DataError, match="none of 1 queries has a match"):
        score_ranking(HAND_DISTANCES, **{**HAND, "query_pid": np.array([8])})
