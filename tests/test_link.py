"""Linking against definitions: every average recomputed from scratch, scipy, and what must hold whatever the input."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from reid.calibration import Curve
from tests.helpers import tracklet
from tracker import link as module
from tracker.link import (
    FULL_QUALITY,
    PRIOR_POWER,
    agglomerate,
    appearance_evidence,
    cannot_link,
    link,
    reliability,
)

CURVE = Curve(10.0, -5.0)


def unit(count, seed, dim=4):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_evidence(count, seed):
    upper = np.triu(np.random.default_rng(seed).normal(0, 4, (count, count)), 1)
    return (upper + upper.T).astype(np.float32)


def random_weights(count, seed):
    return np.random.default_rng(seed).uniform(0.2, 1, count).astype(np.float32)


def random_forbidden(count, share, seed):
    upper = np.triu(np.random.default_rng(seed).random((count, count)) < share, 1)
    return upper | upper.T


def posterior(evidence, groups):
    odds = math.exp(evidence) / max(groups - 1, 1) ** PRIOR_POWER
    return odds / (1 + odds)


def naive(evidence, weights, forbidden, min_probability):
    """Join the two groups with most evidence that may join, until none is probable enough; (groups, joins)."""
    groups = [[row] for row in range(len(evidence))]
    joins = []
    while True:
        choices = []
        for a, b in itertools.combinations(range(len(groups)), 2):
            pairs = list(itertools.product(groups[a], groups[b]))
            if not any(forbidden[i, j] for i, j in pairs):
                shares = [float(weights[i]) * float(weights[j]) for i, j in pairs]
                choices.append((float(np.average([evidence[i, j] for i, j in pairs], weights=shares)), a, b))
        if not choices or posterior(max(choices)[0], len(groups)) < min_probability:
            return sorted(groups), joins
        found, a, b = max(choices)
        joins.append((found, posterior(found, len(groups))))
        groups[a] = sorted(groups[a] + groups.pop(b))


sizes, seeds = st.integers(1, 12), st.integers(0, 10**6)
shares, probabilities = st.sampled_from([0, 0.1, 0.3, 0.7]), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


@given(sizes, seeds, shares, probabilities)
def test_equals_averages_recomputed_at_every_step(count, seed, share, min_probability):
    arguments = random_evidence(count, seed), random_weights(count, seed), random_forbidden(count, share, seed)
    groups = agglomerate(*arguments, min_probability)
    expected, joins = naive(*arguments, min_probability)
    assert [group.members for group in groups] == expected
    made = sorted((merge.evidence, merge.probability) for group in groups for merge in group.merges)
    assert np.array(made).ravel() == pytest.approx(np.array(sorted(joins)).ravel(), abs=1e-4)


@given(st.integers(2, 40), seeds, st.sampled_from([-3.0, 0.0, 2.0]))
def test_without_constraints_weights_and_priors_it_is_average_linkage(count, seed, least):
    evidence = random_evidence(count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PRIOR_POWER", 0)
        groups = agglomerate(
            evidence, np.ones(count, np.float32), np.zeros((count, count), bool), 1 / (1 + math.exp(-least))
        )
    apart = squareform((100 - evidence).astype(np.float64) * (1 - np.eye(count)), checks=False)
    labels = fcluster(linkage(apart, "average"), 100 - least, "distance")
    assert [group.members for group in groups] == sorted(
        np.flatnonzero(labels == label).tolist() for label in set(labels.tolist())
    )


@given(sizes, seeds, shares, probabilities)
def test_what_always_holds(count, seed, share, min_probability):
    forbidden = random_forbidden(count, share, seed)
    groups = agglomerate(random_evidence(count, seed), random_weights(count, seed), forbidden, min_probability)
    assert sorted(itertools.chain(*(group.members for group in groups))) == list(range(count))
    for group in groups:
        assert not forbidden[np.ix_(group.members, group.members)].any()
        assert group.members == sorted(group.members)
        assert len(group.merges) == len(group.members) - 1
        parts = {row: [row] for row in group.members}
        for merge in group.merges:  # replayed one by one, the merges rebuild the group
            assert parts[merge.left[0]] == merge.left
            assert parts[merge.right[0]] == merge.right
            assert min_probability <= merge.probability <= 1
            whole = sorted(merge.left + merge.right)
            parts.update(dict.fromkeys(whole, whole))


@given(sizes, seeds, shares)
def test_at_probability_zero_all_that_may_join_does(count, seed, share):
    forbidden = random_forbidden(count, share, seed)
    groups = agglomerate(random_evidence(count, seed), random_weights(count, seed), forbidden, 0)
    for a, b in itertools.combinations(groups, 2):
        assert forbidden[np.ix_(a.members, b.members)].any()


def test_among_many_it_takes_more_to_be_one_person():
    def together(people):
        evidence = np.full((people, people), -20, np.float32)
        evidence[0, 1] = evidence[1, 0] = 2
        groups = agglomerate(evidence, np.ones(people, np.float32), np.zeros((people, people), bool))
        return len(groups) < people

    assert [together(people) for people in (2, 10, 18, 19, 100)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("evidence", "weights", "forbidden", "words"),
    [
        ((3, 2), 3, (3, 3), "evidence: expected shape"),
        ((3, 3), 2, (3, 3), "weights: expected shape"),
        ((3, 3), 3, (2, 2), "forbidden: expected shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(evidence, weights, forbidden, words):
    with pytest.raises(ValueError, match=words):
        agglomerate(np.zeros(evidence, np.float32), np.ones(weights, np.float32), np.zeros(forbidden, bool))


# ---- evidence


def test_good_pictures_count_in_full_and_poor_ones_less():
    shares = reliability([1, FULL_QUALITY, FULL_QUALITY / 2, 0.01, 0])
    assert shares[:2].tolist() == [1, 1]
    assert (np.diff(shares[1:]) < 0).all()
    assert shares[-1] > 0


@given(sizes, seeds)
def test_evidence_by_naive_loops(count, seed):
    vectors, shares = unit(count, seed), random_weights(count, seed)
    evidence = appearance_evidence(vectors, shares, CURVE)
    for i, j in np.ndindex(count, count):
        assert evidence[i, j] == pytest.approx(10 * vectors[i] @ vectors[j] - 5 * shares[i] * shares[j], abs=1e-4)


def test_the_evidence_of_good_pictures_is_the_curves_logarithm_of_odds():
    vectors = unit(6, 3)
    evidence = appearance_evidence(vectors, np.ones(6, np.float32), CURVE)
    probability = CURVE.probability(np.clip(vectors @ vectors.T, -1, 1))
    assert evidence == pytest.approx(np.log(probability / (1 - probability)), abs=1e-3)


def test_links_say_why():
    people = [tracklet((name, 1), start, start + 1) for start, name in enumerate("abc")]
    vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    (identity,) = link(people, vectors, CURVE, 0)
    first, second = identity.links
    assert (first.left, first.right) == (("b", 1), ("c", 1))
    assert (first.distance, first.nearest) == (pytest.approx(0.04), pytest.approx(0.04))
    assert (second.left, second.right) == (("a", 1), ("b", 1))
    assert (second.distance, second.nearest) == (pytest.approx(0.3), pytest.approx(0.2))
    assert first.probability > second.probability
    assert identity.probability == second.probability


def test_nobody():
    assert link([], np.zeros((0, 3), np.float32), CURVE) == []


def test_one():
    (identity,) = link([tracklet(("a", 4))], unit(1, 0), CURVE, 0)
    assert (identity.id, identity.members, identity.links, identity.probability) == (1, (("a", 4),), (), 1.0)


# ---- tracklets


def same_person(count):
    return np.ones((count, 1), np.float32)


def members(tracklets, vectors=None):
    """Groups where everything joins that may."""
    vectors = same_person(len(tracklets)) if vectors is None else vectors
    return [identity.members for identity in link(tracklets, vectors, CURVE, 0)]


def test_two_people_at_once_in_one_camera_are_two():
    pair = [tracklet(("a", 1), 0, 5), tracklet(("a", 2), 4, 9)]
    assert members(pair) == [(("a", 1),), (("a", 2),)]


def test_a_shared_moment_is_enough():
    assert len(members([tracklet(("a", 1), 0, 5), tracklet(("a", 2), 5, 9)])) == 2
    assert len(members([tracklet(("a", 1), 0, 5), tracklet(("a", 2), 5.01, 9)])) == 1


def test_one_within_the_others_time():
    assert len(members([tracklet(("a", 1), 0, 9), tracklet(("a", 2), 3, 4)])) == 2


def test_the_same_time_in_two_cameras_may_be_one_person():
    assert members([tracklet(("a", 1), 0, 5), tracklet(("b", 1), 0, 5)]) == [(("a", 1), ("b", 1))]


def test_two_recordings_of_one_camera_constrain_each_other():
    pair = [tracklet(("a", 1), 0, 5, camera="gate"), tracklet(("b", 1), 3, 8, camera="gate")]
    assert len(members(pair)) == 2


def test_a_group_that_holds_one_never_takes_the_other():
    """x and y are in sight together; z, who looks like both, joins the nearer one and thereby parts from the other."""
    people = [tracklet(("a", 1), 0, 5), tracklet(("a", 2), 0, 5), tracklet(("b", 1), 10, 12)]
    vectors = np.array([[1, 0], [0.9, 0.436], [0.95, 0.312]], np.float32)
    assert members(people, vectors) == [(("a", 1),), (("a", 2), ("b", 1))]


def random_tracklets(count, seed):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        start = float(rng.integers(0, 6))
        made.append(
            tracklet((f"r{rng.integers(3)}", number + 1), start, start + float(rng.integers(1, 4)), seed=number)
        )
    return made


@given(st.integers(1, 14), seeds)
def test_overlap_in_one_camera_never_joins(count, seed):
    people = random_tracklets(count, seed)
    by_key = {person.key: person for person in people}
    for group in members(people):
        for a, b in itertools.combinations([by_key[key] for key in group], 2):
            apart = a.end_s < b.start_s or b.end_s < a.start_s
            assert apart or a.camera != b.camera


@given(st.integers(1, 14), seeds, probabilities, st.randoms(use_true_random=False))
def test_the_order_of_tracklets_does_not_matter(count, seed, min_probability, random):
    people, vectors = random_tracklets(count, seed), unit(count, seed)
    rows = list(range(count))
    random.shuffle(rows)
    shuffled = link([people[row] for row in rows], vectors[rows], CURVE, min_probability)
    assert shuffled == link(people, vectors, CURVE, min_probability)


def test_twins_that_may_not_join_are_told_apart_the_same_way_in_any_order():
    people = [tracklet(("a", 1), 0, 5), tracklet(("a", 2), 0, 5), tracklet(("b", 1), 0, 5), tracklet(("b", 2), 0, 5)]
    found = {tuple(members([people[row] for row in order])) for order in itertools.permutations(range(4))}
    assert len(found) == 1


def test_identities_are_numbered_and_listed_in_order_of_appearance():
    people = [tracklet(("a", 1), 20, 21), tracklet(("b", 7), 3, 4), tracklet(("a", 2), 8, 9), tracklet(("c", 1), 1, 2)]
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    found = link(people, vectors, CURVE)
    assert [(identity.id, identity.members) for identity in found] == [
        (1, (("c", 1), ("a", 2))),
        (2, (("b", 7), ("a", 1))),
    ]


@given(st.integers(1, 12), seeds)
def test_cannot_link_by_naive_loops(count, seed):
    people = random_tracklets(count, seed)
    forbidden = cannot_link(people)
    assert forbidden.dtype == bool
    for i, j in np.ndindex(count, count):
        a, b = people[i], people[j]
        meet = max(a.start_s, b.start_s) <= min(a.end_s, b.end_s)
        assert forbidden[i, j] == (i != j and a.camera == b.camera and meet)
