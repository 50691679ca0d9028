"""`reidtrack search --rerank`: the order of neighbourhoods, the probabilities of evidence."""

import json

import numpy as np
import pytest

from reid.errors import BadInputError
from reid.rerank.k_reciprocal import k_reciprocal
from tests.library.conftest import add, made_up
from tracker.cli import main
from tracker.library import reranking
from tracker.library.examples import Example
from tracker.library.filters import Filters
from tracker.library.reranking import K1, K2, distances, search_reranked
from tracker.library.searching import search
from tracker.library.store import Library


def wanted(seed=5, k=1, quality=0.4):
    vectors = np.random.default_rng(seed).normal(size=(k, 8)).astype(np.float32)
    return Example("x", vectors / np.linalg.norm(vectors, axis=1, keepdims=True), quality)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reranked") / "lib"
    add(folder, made_up("one", seed=1), made_up("two", seed=2, count=30))
    return Library.open(str(folder))


def column(rows):
    """Of each vector its tracklet, and all vectors."""
    vectors = np.concatenate([vectors for _, vectors in rows]).astype(np.float32)
    keys = [key for key, vectors in rows for _ in vectors]
    return keys, vectors


def some(count, seed=0, most=1):
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        vectors = rng.normal(size=(int(rng.integers(1, most + 1)), 8))
        rows.append((f"t{number}", vectors / np.linalg.norm(vectors, axis=1, keepdims=True)))
    return rows


def test_one_example_has_the_distances_of_the_whole_algorithm():
    rows = some(60)
    owners, vectors = column(rows)
    example = wanted()
    expected = k_reciprocal(example.vectors, vectors, K1, K2)[0]
    assert distances(owners, vectors, [example]) == pytest.approx(
        {key: value for (key, _), value in zip(rows, expected.tolist(), strict=True)}, abs=1e-5
    )


def test_of_several_vectors_the_nearest_counts_and_several_examples_are_averaged_by_quality():
    rows = some(30, seed=1, most=3)
    owners, vectors = column(rows)
    examples = [wanted(1, k=2, quality=0.9), wanted(2, quality=0.05)]
    each = [
        np.min([k_reciprocal(one[None], vectors, K1, K2)[0] for one in example.vectors], axis=0) for example in examples
    ]
    weights = [min(quality / 0.45, 1) ** 0.3 for quality in (0.9, 0.05)]
    mean = np.average(each, axis=0, weights=weights)
    expected = {key: min(mean[place] for place, owner in enumerate(owners) if owner == key) for key, _ in rows}
    assert distances(owners, vectors, examples) == pytest.approx(expected, abs=1e-5)


def test_only_the_order_changes(library):
    plain = search(library, [wanted()], top=1000)
    found = search_reranked(library, [wanted()], top=1000)
    by_name = {(hit.run, hit.identity): hit for hit in plain}
    assert {(hit.run, hit.identity): hit for hit in found} == by_name
    assert found != plain
    assert search_reranked(library, [wanted()], top=3) == found[:3]


def test_identities_are_ordered_by_the_mean_of_their_tracklets(library):
    hits = search(library, [wanted()], top=1000)
    table = library.vectors.to_arrow().select(["key", "vector"]).sort_by("key")
    vectors = np.array(table["vector"].to_pylist(), np.float32)
    distance = distances(table["key"].to_pylist(), vectors, [wanted()])

    def mean(hit):
        weights = [min(max(one.row["quality"] / 0.45, 1e-3), 1) ** 0.3 for one in hit.tracklets]
        return np.average([distance[one.row["key"]] for one in hit.tracklets], weights=weights)

    expected = [(hit.run, hit.identity) for hit in sorted(hits, key=lambda hit: (mean(hit), -hit.evidence))]
    assert [(hit.run, hit.identity) for hit in search_reranked(library, [wanted()], top=1000)] == expected


def test_what_was_not_reranked_follows_by_evidence(library, monkeypatch):
    monkeypatch.setattr(reranking, "AMONG", 5)
    hits = search(library, [wanted()], top=1000)
    sightings = sorted(((one.probability, one.row["key"]) for hit in hits for one in hit.tracklets), reverse=True)
    nearest = {key for _, key in sightings[:5]}
    ahead = {(hit.run, hit.identity) for hit in hits if nearest & {one.row["key"] for one in hit.tracklets}}
    found = [(hit.run, hit.identity) for hit in search_reranked(library, [wanted()], top=1000)]
    assert set(found[: len(ahead)]) == ahead
    assert found[len(ahead) :] == [(hit.run, hit.identity) for hit in hits if (hit.run, hit.identity) not in ahead]


def test_a_least_probability_and_filters_hold(library):
    bar = search(library, [wanted()], top=1000)[2].probability
    found = search_reranked(library, [wanted()], top=1000, min_probability=bar)
    assert len(found) == 3
    assert all(hit.probability >= bar for hit in found)
    gate = search_reranked(library, [wanted()], Filters(cameras=["g"]), top=1000)
    assert {one.row["camera"] for hit in gate for one in hit.tracklets} == {"g"}


def test_somebody_who_changed_is_found_by_neighbours_that_are_shared():
    """A picture looks less alike than all of a crowd do, but more like the person's others."""
    rng = np.random.default_rng(0)
    person, own, crowd = np.eye(8)[:3]

    def around(direction, likeness, count):
        sideways = direction + 0.05 * rng.normal(size=(count, 8)) * (np.arange(8) != 0)
        sideways /= np.linalg.norm(sideways, axis=1, keepdims=True)
        return likeness * person + np.sqrt(1 - likeness**2) * sideways

    vectors = np.concatenate([around(own, 0.90, 4), around(own, 0.60, 1), around(crowd, 0.65, 8)])
    owners, gallery = column([(f"t{number}", vector[None]) for number, vector in enumerate(vectors)])
    found = distances(owners, gallery, [Example("x", person[None].astype(np.float32), 0.5)])
    assert vectors[4] @ person < (vectors[5:] @ person).min()
    assert found["t4"] + 0.3 < min(found[f"t{number}"] for number in range(5, 13))


def test_where_nobody_but_the_example_is_searched_nobody_is_found(tmp_path):
    add(tmp_path / "lib", made_up("one", count=1))
    library = Library.open(str(tmp_path / "lib"))
    own = Example("x", *library.snapshot.vectors_of(np.array([0]))[:1], 0.5, *library.snapshot.keys(np.array([0])))
    assert search_reranked(library, [own]) == search(library, [own]) == []


def test_options_that_cannot_be_meant(library):
    with pytest.raises(BadInputError, match="--top 0"):
        search_reranked(library, [wanted()], top=0)
    with pytest.raises(BadInputError, match="--min-probability 2"):
        search_reranked(library, [wanted()], min_probability=2)


def test_the_command_reranks(desk, capsys):
    assert main(["index", "lib", "monday", "tuesday"]) == 0
    row = Library.open("lib").tracklets.to_arrow().to_pylist()[0]
    args = ["search", "lib", "--track", row["key"], "--json", "--top", "100"]
    capsys.readouterr()
    assert main(args) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*args, "--rerank"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(found, key=json.dumps) == sorted(plain, key=json.dumps)
