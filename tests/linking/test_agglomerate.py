"""Agglomeration against definitions: every average recomputed from scratch, scipy, and what must hold whatever."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from reid.calibration import Curve
from tracker.linking import agglomeration as module
from tracker.linking import evidence as evidence_module
from tracker.linking.agglomeration import agglomerate
from tracker.linking.evidence import FULL_QUALITY, Appearance, reliability
from tracker.linking.gates import LOOSE, kept_apart

CURVE = Curve(10.0, -5.0)


def random_appearance(count, seed, dim=4):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Appearance.of(vectors.astype(np.float32), rng.uniform(0.2, 1, count).astype(np.float32), CURVE)


def evidence_of(appearance):
    """(n, n) by the definition: the curve over similarities, its constant by what the pictures show."""
    shown = appearance.share
    return CURVE.slope * appearance.mean @ appearance.mean.T + CURVE.intercept * np.outer(shown, shown)


def random_pairs(count, share, seed):
    upper = np.triu(np.random.default_rng(seed).random((count, count)) < share, 1)
    return list(zip(*np.nonzero(upper), strict=True))


def random_gates(count, share, seed):
    """One that forbids pairs, one that takes away from some; both as gates and as an (n, n) table."""
    pairs = random_pairs(count, share, seed)
    table = np.random.default_rng(seed).choice([0.0, -1.0, -4.0], (count, count))
    table = np.minimum(table, table.T)
    forbidden = table.copy()
    for i, j in pairs:
        forbidden[i, j] = forbidden[j, i] = -np.inf
    gates = [kept_apart(pairs), lambda left, right: float(table[np.ix_(left, right)].min())]
    return gates, forbidden


def posterior(evidence, groups, most):
    """Prior odds of 1 to K - 1 for K people: one over the share of pairs of tracklets that are in one group."""
    count = sum(map(len, groups))
    one_person = sum(len(group) ** 2 for group in groups) / count**2
    odds = math.exp(evidence) / max(min(1 / one_person, most) - 1, 1)
    return odds / (1 + odds)


def naive(evidence, weights, against, min_probability, most):
    """Join the two groups with most evidence that may join, until none is probable enough; (groups, joins)."""
    groups = [[row] for row in range(len(evidence))]
    joins = []
    while True:
        choices = []
        for a, b in itertools.combinations(range(len(groups)), 2):
            pairs = list(itertools.product(groups[a], groups[b]))
            shares = [float(weights[i]) * float(weights[j]) for i, j in pairs]
            gate = min(against[i, j] for i, j in pairs)
            choices.append((float(np.average([evidence[i, j] for i, j in pairs], weights=shares)) + gate, a, b))
        if not choices or max(choices)[0] == -np.inf or posterior(max(choices)[0], groups, most) < min_probability:
            return sorted(groups), joins
        found, a, b = max(choices)
        joins.append((found, posterior(found, groups, most)))
        groups[a] = sorted(groups[a] + groups.pop(b))


sizes, seeds = st.integers(1, 12), st.integers(0, 10**6)
shares, probabilities = st.sampled_from([0, 0.1, 0.3, 0.7]), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


@given(sizes, seeds, shares, probabilities, st.sampled_from([1000, 4]))
def test_equals_averages_recomputed_at_every_step(count, seed, share, min_probability, most):
    appearance, (gates, against) = random_appearance(count, seed), random_gates(count, share, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CROWD", most)
        groups = agglomerate(appearance, gates, (), min_probability)
    expected, joins = naive(evidence_of(appearance), appearance.weight, against, min_probability, most)
    assert [group.members for group in groups] == expected
    made = sorted((merge.evidence, merge.probability) for group in groups for merge in group.merges)
    assert np.array(made).ravel() == pytest.approx(np.array(sorted(joins)).ravel(), abs=1e-4)


@given(st.integers(2, 40), seeds, st.sampled_from([0.05, 0.5, 0.9]))
def test_without_gates_quality_and_prior_it_is_average_linkage(count, seed, probability):
    appearance = random_appearance(count, seed)
    appearance = Appearance.of(appearance.mean, np.ones(count, np.float32), CURVE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "strength_against", lambda among: 0.0)
        groups = agglomerate(appearance, min_probability=probability)
    apart = squareform((100 - evidence_of(appearance)).astype(np.float64) * (1 - np.eye(count)), checks=False)
    labels = fcluster(linkage(apart, "average"), 100 - math.log(probability / (1 - probability)), "distance")
    assert [group.members for group in groups] == sorted(
        np.flatnonzero(labels == label).tolist() for label in set(labels.tolist())
    )


@given(sizes, seeds, shares, probabilities)
def test_what_always_holds(count, seed, share, min_probability):
    appearance, (gates, against) = random_appearance(count, seed), random_gates(count, share, seed)
    before = appearance.mean.copy()
    groups = agglomerate(appearance, gates, (), min_probability)
    assert np.array_equal(before, appearance.mean)
    assert sorted(itertools.chain(*(group.members for group in groups))) == list(range(count))
    for group in groups:
        inside = against[np.ix_(group.members, group.members)]
        assert np.isfinite(inside).all()
        assert group.members == sorted(group.members)
        assert len(group.merges) == len(group.members) - 1
        parts = {row: [row] for row in group.members}
        for merge in group.merges:  # replayed one by one, the merges rebuild the group
            assert parts[merge.left[0]] == merge.left
            assert parts[merge.right[0]] == merge.right
            assert min_probability <= merge.probability <= 1
            assert not merge.given
            whole = sorted(merge.left + merge.right)
            parts.update(dict.fromkeys(whole, whole))


@given(sizes, seeds, shares)
def test_at_probability_zero_all_that_may_join_does(count, seed, share):
    gates, against = random_gates(count, share, seed)
    groups = agglomerate(random_appearance(count, seed), gates, (), 0)
    for a, b in itertools.combinations(groups, 2):
        assert np.isinf(against[np.ix_(a.members, b.members)]).any()


@given(st.integers(2, 60), seeds, shares, st.sampled_from([0.1, 0.5, 0.9]))
def test_looking_only_at_pairs_that_may_join_changes_nothing(count, seed, share, min_probability):
    """As among very many: a first guess of how many groups remain, corrected where it was too high."""
    appearance, (gates, _) = random_appearance(count, seed), random_gates(count, share, seed)
    whole = agglomerate(appearance, gates, (), min_probability)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", 1)
        patch.setattr(module, "TRACKLETS_A_PERSON", 1)
        patch.setattr(evidence_module, "_BLOCK", 7)
        sparse = agglomerate(appearance, gates, (), min_probability)
    assert [group.members for group in sparse] == [group.members for group in whole]
    for a, b in zip(sparse, whole, strict=True):
        assert [(merge.left, merge.right) for merge in a.merges] == [(merge.left, merge.right) for merge in b.merges]


def test_of_vectors_that_tell_nobody_apart_only_the_strongest_pairs_are_held():
    count = 30
    appearance = Appearance.of(np.ones((count, 1), np.float32), np.ones(count, np.float32), CURVE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_module, "MOST_NEIGHBOURS", 3)
        neighbours = appearance.neighbours(0.0)
        (group,) = agglomerate(appearance)
    assert sum(len(rows) for rows in neighbours) <= 2 * 3 * count
    assert group.members == list(range(count))


def test_among_many_it_takes_more_to_be_one_person():
    """Two that resemble each other with an evidence of 2, and others who resemble nobody."""

    def together(people):
        vectors = np.eye(people, dtype=np.float32)
        vectors[1] = 0
        vectors[1, :2] = 0.7, math.sqrt(1 - 0.49)
        groups = agglomerate(Appearance.of(vectors, np.ones(people, np.float32), CURVE))
        return len(groups) < people

    assert [together(people) for people in (2, 8, 9, 100)] == [True, True, False, False]


# ---- given beforehand


@given(st.integers(2, 12), seeds, shares, probabilities)
def test_what_is_joined_beforehand_stays_joined_even_against_gates(count, seed, share, min_probability):
    appearance, (gates, _) = random_appearance(count, seed), random_gates(count, share, seed)
    joined = random_pairs(count, 0.1, seed + 1)
    groups = agglomerate(appearance, gates, joined, min_probability)
    for pair in joined:
        assert any(set(pair) <= set(group.members) for group in groups)
    for group in groups:
        assert len(group.merges) == len(group.members) - 1
    nothing_more = agglomerate(appearance, gates, joined, 1)
    assert sum(merge.given for group in groups for merge in group.merges) == sum(
        len(group.merges) for group in nothing_more
    )


@given(st.integers(2, 12), seeds)
def test_joining_beforehand_by_naive_averages(count, seed):
    appearance = random_appearance(count, seed)
    (group,) = agglomerate(appearance, (), [(0, row) for row in range(1, count)], 1)
    evidence = evidence_of(appearance)
    for merge in group.merges:
        pairs = list(itertools.product(merge.left, merge.right))
        weights = [float(appearance.weight[i] * appearance.weight[j]) for i, j in pairs]
        assert merge.evidence == pytest.approx(
            np.average([evidence[i, j] for i, j in pairs], weights=weights), abs=1e-4
        )
        assert merge.probability == pytest.approx(posterior(merge.evidence, [group.members], 1000), abs=1e-4)


def test_labels_keep_settled_and_loose_groups_apart():
    gate = kept_apart([(0, 5)], [0, 0, 1, 2, LOOSE, LOOSE])
    assert gate([0], [1]) == gate([0], [2]) == gate([0, 1], [3]) == gate([4], [5]) == 0
    for left, right in [([0], [5]), ([2], [3]), ([0, 2], [3]), ([4], [2]), ([4], [0]), ([1, 0], [4, 5])]:
        assert gate(left, right) == gate(right, left) == -np.inf


# ---- evidence


def test_good_pictures_count_in_full_and_poor_ones_less():
    shares = reliability([1, FULL_QUALITY, FULL_QUALITY / 2, 0.01, 0])
    assert shares[:2].tolist() == [1, 1]
    assert (np.diff(shares[1:]) < 0).all()
    assert shares[-1] > 0


@given(sizes, seeds)
def test_evidence_by_naive_loops(count, seed):
    appearance = random_appearance(count, seed)
    for i in range(count):
        found = appearance.between(i, np.arange(count))
        for j in range(count):
            alike = float(appearance.mean[i] @ appearance.mean[j])
            assert found[j] == pytest.approx(
                10 * alike - 5 * float(appearance.share[i]) * float(appearance.share[j]), abs=1e-4
            )


@given(st.integers(1, 30), seeds, st.sampled_from([-np.inf, -5.0, 0.0, 4.0]))
def test_neighbours_by_naive_loops(count, seed, least):
    appearance = random_appearance(count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_module, "_BLOCK", 4)
        found = appearance.neighbours(least)
    evidence = evidence_of(appearance)
    for i in range(count):
        assert sorted(found[i].tolist()) == [j for j in range(count) if j != i and evidence[i, j] >= least]


def test_the_evidence_of_good_pictures_is_the_curves_logarithm_of_odds():
    vectors = random_appearance(6, 3).mean
    appearance = Appearance.of(vectors, np.ones(6, np.float32), CURVE)
    probability = CURVE.probability(np.clip(vectors @ vectors.T, -1, 1))
    assert appearance.between(2, np.arange(6)) == pytest.approx(np.log(probability / (1 - probability))[2], abs=1e-3)


@pytest.mark.parametrize(
    ("vectors", "reliable", "words"),
    [((3,), (3,), "vectors: expected shape"), ((3, 2), (2,), "reliable: expected shape")],
)
def test_arrays_that_do_not_fit_are_refused(vectors, reliable, words):
    with pytest.raises(ValueError, match=words):
        Appearance.of(np.zeros(vectors, np.float32), np.zeros(reliable, np.float32), CURVE)
