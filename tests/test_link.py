"""Linking against definitions: every average recomputed from scratch, scipy, and what must hold whatever the input."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from tests.helpers import tracklet
from tracker.link import agglomerate, cannot_link, link
from tracker.types import TrackletKey


def probability(similarity):
    return (1 + similarity) / 2


def unit(count, seed, dim=4):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_forbidden(count, share, seed):
    upper = np.triu(np.random.default_rng(seed).random((count, count)) < share, 1)
    return upper | upper.T


def keys_of(count):
    return [TrackletKey("a", number) for number in range(1, count + 1)]


def cluster(vectors, forbidden, threshold):
    return agglomerate(keys_of(len(vectors)), vectors, forbidden, threshold, probability)


def naive(vectors, forbidden, threshold):
    """Join the two nearest groups that may join, until none is near enough; (groups, distances of the joins)."""
    vectors = vectors.astype(np.float64)
    groups = [[row] for row in range(len(vectors))]
    joins = []
    while True:
        choices = []
        for a, b in itertools.combinations(range(len(groups)), 2):
            pairs = list(itertools.product(groups[a], groups[b]))
            if not any(forbidden[i, j] for i, j in pairs):
                choices.append((float(np.mean([1 - vectors[i] @ vectors[j] for i, j in pairs])), a, b))
        if not choices or min(choices)[0] > threshold:
            return sorted(groups), joins
        apart, a, b = min(choices)
        joins.append(apart)
        groups[a] = sorted(groups[a] + groups.pop(b))


sizes, seeds = st.integers(1, 12), st.integers(0, 10**6)
shares, thresholds = st.sampled_from([0, 0.1, 0.3, 0.7]), st.sampled_from([0.1, 0.4, 0.8, 1.2, 2.0])


@given(sizes, seeds, shares, thresholds)
def test_equals_averages_recomputed_at_every_step(count, seed, share, threshold):
    vectors, forbidden = unit(count, seed), random_forbidden(count, share, seed)
    groups = cluster(vectors, forbidden, threshold)
    expected, joins = naive(vectors, forbidden, threshold)
    assert [group.members for group in groups] == expected
    made = sorted(join.distance for group in groups for join in group.links)
    assert made == pytest.approx(sorted(joins), abs=1e-5)


@given(st.integers(2, 40), seeds, thresholds)
def test_without_constraints_it_is_average_linkage(count, seed, threshold):
    vectors = unit(count, seed, dim=8)
    apart = squareform(1 - vectors.astype(np.float64) @ vectors.T.astype(np.float64), checks=False)
    labels = fcluster(linkage(apart, "average"), threshold, "distance")
    expected = sorted(np.flatnonzero(labels == label).tolist() for label in set(labels.tolist()))
    groups = cluster(vectors, np.zeros((count, count), bool), threshold)
    assert [group.members for group in groups] == expected


@given(sizes, seeds, shares, thresholds)
def test_what_always_holds(count, seed, share, threshold):
    vectors, forbidden = unit(count, seed), random_forbidden(count, share, seed)
    groups = cluster(vectors, forbidden, threshold)
    assert sorted(itertools.chain(*(group.members for group in groups))) == list(range(count))
    for group in groups:
        assert not forbidden[np.ix_(group.members, group.members)].any()
        assert len(group.links) == len(group.members) - 1
        assert group.members == sorted(group.members)


@given(sizes, seeds, shares)
def test_links_say_why(count, seed, share):
    """Replayed one by one, the links rebuild the group, and each tells the average and the nearest pair."""
    vectors, forbidden = unit(count, seed), random_forbidden(count, share, seed)
    for group in cluster(vectors, forbidden, 1.2):
        parts = {row: [row] for row in group.members}
        for join in group.links:
            left, right = (parts[key.track_id - 1] for key in (join.left, join.right))
            assert left is not right
            between = 1 - vectors[left].astype(np.float64) @ vectors[right].T.astype(np.float64)
            assert join.distance == pytest.approx(between.mean(), abs=1e-5)
            assert join.nearest == pytest.approx(between.min(), abs=1e-5)
            own = vectors[join.left.track_id - 1] @ vectors[join.right.track_id - 1]
            assert join.nearest == pytest.approx(1 - own, abs=1e-5)
            assert join.probability == pytest.approx(probability(1 - join.distance))
            whole = left + right
            parts.update(dict.fromkeys(whole, whole))
        assert sorted(parts[group.members[0]]) == group.members


def test_the_threshold_is_a_cosine_distance():
    vectors = np.array([[1, 0], [1, 0], [-1, 0], [0.6, 0.8]], np.float32)
    free = np.zeros((4, 4), bool)
    assert [group.members for group in cluster(vectors, free, 0)] == [[0, 1], [2], [3]]
    assert [group.members for group in cluster(vectors, free, 0.5)] == [[0, 1, 3], [2]]
    assert [group.members for group in cluster(vectors, free, 2)] == [[0, 1, 2, 3]]


@given(seeds, st.integers(2, 20))
def test_at_threshold_two_all_that_may_join_does(seed, count):
    half = unit(count, seed, dim=16)
    vectors = np.concatenate([half, -half])  # as far apart as can be, and a rounding error further
    assert len(cluster(vectors, np.zeros((2 * count, 2 * count), bool), 2)) == 1
    pairs = np.stack([half[0], -half[0]])
    assert len(cluster(pairs, np.zeros((2, 2), bool), 2)) == 1
    assert len(cluster(pairs, ~np.eye(2, dtype=bool), 2)) == 2


def test_nobody():
    assert link([], np.zeros((0, 3), np.float32), 0.5, probability) == []


def test_one():
    (identity,) = link([tracklet(("a", 4))], unit(1, 0), 2, probability)
    assert (identity.id, identity.members, identity.links, identity.probability) == (1, (("a", 4),), (), 1.0)


@pytest.mark.parametrize(
    ("vectors", "forbidden", "words"),
    [((2, 4), (3, 3), "vectors: expected shape"), ((3, 4), (2, 2), "forbidden: expected shape")],
)
def test_arrays_that_do_not_fit_are_refused(vectors, forbidden, words):
    with pytest.raises(ValueError, match=words):
        agglomerate(keys_of(3), np.zeros(vectors, np.float32), np.zeros(forbidden, bool), 1, probability)


# ---- tracklets


def same_person(count):
    return np.ones((count, 1), np.float32)


def members(tracklets, vectors=None, threshold=2):
    vectors = same_person(len(tracklets)) if vectors is None else vectors
    return [identity.members for identity in link(tracklets, vectors, threshold, probability)]


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


@given(st.integers(1, 14), seeds, thresholds, st.randoms(use_true_random=False))
def test_the_order_of_tracklets_does_not_matter(count, seed, threshold, random):
    people, vectors = random_tracklets(count, seed), unit(count, seed)
    rows = list(range(count))
    random.shuffle(rows)
    shuffled = link([people[row] for row in rows], vectors[rows], threshold, probability)
    assert shuffled == link(people, vectors, threshold, probability)


def test_twins_that_may_not_join_are_told_apart_the_same_way_in_any_order():
    people = [tracklet(("a", 1), 0, 5), tracklet(("a", 2), 0, 5), tracklet(("b", 1), 0, 5), tracklet(("b", 2), 0, 5)]
    found = {tuple(members([people[row] for row in order])) for order in itertools.permutations(range(4))}
    assert len(found) == 1


def test_identities_are_numbered_and_listed_in_order_of_appearance():
    people = [tracklet(("a", 1), 20, 21), tracklet(("b", 7), 3, 4), tracklet(("a", 2), 8, 9), tracklet(("c", 1), 1, 2)]
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    found = link(people, vectors, 0.5, probability)
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
