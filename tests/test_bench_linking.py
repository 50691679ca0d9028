"""Linking measured against truth: scores by definition, worlds, and the command on a miniature of coloured people."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from reid.datasets import load_dataset
from reid.errors import DataError
from tests.helpers import CARD, COLOURS, colour_embedder, write_image
from tracker.bench import linking as module
from tracker.bench.linking import METHODS, bench_people, bench_size, drawn_curve, linked
from tracker.bench.worlds import PACE, drawn_vectors, drawn_world, pictured_world, walks
from tracker.cli import main
from tracker.scoring.agreement import PairScores, idf1, pair_scores

labels = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def quiet(line):
    pass


# ---- scores


@given(st.data())
def test_pair_scores_by_naive_loops(data):
    groups = data.draw(labels)
    people = data.draw(st.lists(st.integers(7, 10), min_size=len(groups), max_size=len(groups)))
    pairs = list(itertools.combinations(range(len(groups)), 2))
    joined = {pair for pair in pairs if groups[pair[0]] == groups[pair[1]]}
    one = {pair for pair in pairs if people[pair[0]] == people[pair[1]]}
    precision = len(joined & one) / len(joined) if joined else 1
    recall = len(joined & one) / len(one) if one else 1
    found = pair_scores(groups, people)
    assert (found.precision, found.recall) == (pytest.approx(precision), pytest.approx(recall))
    if joined or one:
        assert found.f1 == pytest.approx(2 * len(joined & one) / (len(joined) + len(one)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=10))
def test_idf1_is_the_best_of_all_ways_to_match(rows):
    groups, people, boxes = np.array(rows).T
    names = list(range(4))
    best = max(
        sum(int(boxes[(groups == a) & (people == b)].sum()) for a, b in zip(order, names, strict=True))
        for order in itertools.permutations(names)
    )
    assert idf1(groups, people, boxes) == pytest.approx(best / boxes.sum())


@given(labels)
def test_right_is_right_whatever_the_numbers(people):
    renamed = [9 - person for person in people]
    assert pair_scores(renamed, people) == PairScores(1, 1, 1)
    assert idf1(renamed, people, [3] * len(people)) == 1


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected groups and people \(n,\)"):
        pair_scores([1, 2], [1, 2, 3])


# ---- worlds


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(0, 99))
def test_nobody_is_in_two_places_or_faster_than_people_walk(people, seed):
    people, rng = np.sort(people), np.random.default_rng(seed)
    places, lasting = rng.uniform(0, 100, (len(people), 2)), rng.uniform(1, 9, len(people))
    start, end = walks(people, places, lasting, rng)
    assert end - start == pytest.approx(lasting)
    for row in np.flatnonzero(people[1:] == people[:-1]):
        assert start[row + 1] - end[row] >= np.linalg.norm(places[row + 1] - places[row]) / (PACE[0] * 2)


def test_a_drawn_world():
    world, again, other = drawn_world(400, 1), drawn_world(400, 1), drawn_world(400, 2)
    assert world.vectors.shape == (400, 256)
    assert np.linalg.norm(world.vectors, axis=1) == pytest.approx(np.ones(400), abs=1e-5)
    assert len(np.unique(world.people)) == 20
    assert len({tracklet.key for tracklet in world.tracklets}) == 400
    assert np.array_equal(world.vectors, again.vectors)
    assert not np.array_equal(world.vectors, other.vectors)
    some = world.of_people([3, 5])
    assert set(some.people.tolist()) == {3, 5}
    assert len(some.tracklets) == len(some.vectors) == len(some.boxes) == (np.isin(world.people, [3, 5])).sum()


def test_drawn_similarities_mean_about_what_the_shipped_embedders_do():
    people = np.repeat(np.arange(300), 5)
    vectors = drawn_vectors(people, np.random.default_rng(0))
    similarity = vectors @ vectors.T
    one = np.triu(people[:, None] == people, 1)
    two = people[:, None] != people
    rates = [(similarity[two] >= at).mean() for at in (0.22, 0.43, 0.58)]
    found = [(similarity[one] >= at).mean() for at in (0.22, 0.43, 0.58, 0.72)]
    assert np.log10(rates) == pytest.approx([-1, -2, -3], abs=0.3)
    assert found == pytest.approx([0.99, 0.94, 0.77, 0.37], abs=0.06)
    curve = drawn_curve(vectors, people)
    assert (curve.slope, curve.intercept) == (pytest.approx(19, abs=3), pytest.approx(-6.3, abs=1))


# ---- measurements


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "SIZES", (2, 5, 500))
    monkeypatch.setattr(module, "DRAWS", 2)


def test_every_method_is_scored_on_few_people_and_on_all(small):
    train, test, lines = drawn_world(160, 1), drawn_world(200, 2), []
    rows = bench_people(train, test, Curve(19.0, -6.3), lines.append)
    assert [(row.people, row.draws, row.method) for row in rows] == [
        (size, draws, method) for size, draws in ((2, 2), (5, 2), (10, 1)) for method in METHODS
    ]
    for at in range(0, len(rows), 4):
        ours, _, trained, hindsight = rows[at : at + 4]
        assert hindsight.pairs.f1 >= trained.pairs.f1
        assert ours.pairs.f1 > 0.5
        assert ours.idf1 > 0.5
    assert lines[0].startswith("threshold from 8 training people")


def test_a_drawn_world_is_linked_and_sparse_is_exact():
    size = bench_size(600, quiet)
    assert (size.tracklets, size.people) == (600, 30)
    assert size.sample == 600
    assert size.same
    assert size.pairs.f1 > 0.5
    assert size.seconds > 0
    assert size.peak_bytes is None or 2**26 < size.peak_bytes < 2**37


def test_many_sightings_of_many_people_mostly_come_together():
    """When neighbours' part flattened every curve alike, a hundred people stayed 552 identities (recall .58)."""
    world = drawn_world(2000)
    pairs = pair_scores(linked(world, world.vectors, drawn_curve(world.vectors, world.people)), world.people)
    assert pairs.precision > 0.9
    assert pairs.recall > 0.68


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Four people to train on and four to find, each a colour, in three cameras; a distractor and a junk box."""
    folder = tmp_path_factory.mktemp("market")
    for part, first in (("bounding_box_train", 1), ("bounding_box_test", 11)):
        for person, colour in enumerate(COLOURS, first):
            for camera, frame in itertools.product((1, 2, 3), (70 - person, 90)):
                name = f"{person:04}_c{camera}s{1 + camera % 2}_{frame:06}_00.png"
                write_image(folder / part / name, colour, seed=100 * camera + frame)
    write_image(folder / "bounding_box_test" / "0000_c1s1_000000_00.png", (90, 90, 90))
    write_image(folder / "bounding_box_test" / "-1_c1s1_000000_00.png", (90, 90, 90))
    return folder


def test_pictures_become_recordings_of_known_people_alone(market):
    gallery = load_dataset("market1501_tracklets", market).gallery
    world = pictured_world(gallery, lambda crops: np.array([c.mean((0, 1)) for c in crops]), "test", quiet)
    assert world.people.tolist() == [person for person in (11, 12, 13, 14) for _ in range(3)]
    assert world.camera.tolist() == ["camera2", "camera1", "camera3"] * 4  # camera 2 filmed in sequence 1
    assert world.boxes.tolist() == [2] * 12
    for rows in itertools.pairwise(range(3)):
        earlier, later = (world.tracklets[row] for row in rows)
        assert earlier.end_s < later.start_s
    assert all(0 < tracklet.quality < 1 for tracklet in world.tracklets)


def test_one_person_is_nobody_to_tell_apart(market):
    gallery = load_dataset("market1501_tracklets", market).gallery
    with pytest.raises(DataError, match="test: linking is measured on at least 2 people"):
        pictured_world(gallery.take(gallery.pid == 11), None, "test", quiet)


def test_on_the_command_line(market, tmp_path, capsys, small):
    model = colour_embedder(tmp_path / "colour.onnx", CARD)
    arguments = ["bench", "linking", "--data", f"market1501={market}", "--embedder", str(model), "--synthetic", "60"]
    assert main(arguments) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split()[:3] == ["people", "draws", "method"]
    assert [line.split()[0] for line in lines[1:9]] == ["2"] * 4 + ["4"] * 4
    assert "of 60 tracklets, sparse and exact linking give the same groups" in lines[-1]
    assert "training people: 24 of 24 images" in said.err

    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in record["people"][:4]] == list(METHODS)
    assert record["size"]["tracklets"] == 60
    assert record["size"]["same"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give --data market1501=FOLDER or --synthetic N"),
        (["--synthetic", "39"], "--synthetic 39: at least 40 tracklets"),
        (["--data", "mars=nowhere"], "mars is not made into recordings; give market1501=FOLDER"),
        (["--data", "market1501=nowhere"], "nowhere"),
    ],
)
def test_mistakes_end_in_one_line(arguments, said, capsys):
    assert main(["bench", "linking", *arguments]) in (1, 2)
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.count("\n") == 0
