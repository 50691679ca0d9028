"""Searching a library with an index: as if all were compared, filtered or not, and from many threads at once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from reid.errors import BadInputError
from tests.library.conftest import add, made_up
from tracker.bench.drawn_library import draw_library
from tracker.library import scores as scores_module
from tracker.library.examples import Example
from tracker.library.filters import Filters, passing
from tracker.library.scores import near, score
from tracker.library.searching import search
from tracker.library.store import Library, writer
from tracker.linking.agglomeration import people
from tracker.progress import Progress

DAY = (1_700_000_000.0, True), (1_700_086_400.0, True)  # all that there is of a drawn library of one run
MORNING = Filters(begin=DAY[0], end=(DAY[0][0] + 40_000, True))
WIDE = {"all": Filters(), "some cameras": Filters(["camera0", "camera3", "camera4"]), "half of the time": MORNING}


COUNT = 5_000


@pytest.fixture(scope="module")
def _lower_bounds():
    """An index is made of fewer vectors, asked where fewer pass, and names as small a share of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracker.library.nearest.INDEXED", COUNT)
        patch.setattr(scores_module, "FEW", 1000)
        patch.setattr(scores_module, "CANDIDATES", 15)
        yield


@pytest.fixture(scope="module")
def library(tmp_path_factory, _lower_bounds):
    """Drawn tracklets of one run, so many that there is an index."""
    folder = tmp_path_factory.mktemp("drawn") / "lib"
    draw_library(str(folder), COUNT, 250, 10, 24, Progress(quiet=True))
    return Library.open(str(folder))


@pytest.fixture(scope="module")
def table(library):
    """All vectors with what they belong to."""
    return library.vectors.to_arrow()


def example(library, place, quality=0.5):
    return Example("x", library.snapshot.vectors_of(np.array([place]))[0], quality)


def blurred(library, place, seed=0):
    """Somebody like a tracklet, but not it."""
    (vector,) = example(library, place).vectors[:1]
    other = vector + 0.1 * np.random.default_rng([seed, place]).normal(size=vector.shape).astype(np.float32)
    return Example("x", (other / np.linalg.norm(other))[None], 0.5)


def names(hits):
    return [(hit.run, hit.identity) for hit in hits]


# ---- the index


def test_a_library_has_its_index_from_a_size_on(library):
    assert library.vectors.count_rows() >= COUNT
    kinds = {tuple(one.columns): one.index_type for one in library.vectors.list_indices()}
    assert kinds["vector",] == "IvfHnswSq"
    assert set(kinds) == {("vector",), ("camera",), ("recording",), ("start_s",), ("end_s",)}
    assert library.snapshot.indexed


@pytest.mark.parametrize("what", WIDE)
def test_the_nearest_by_the_index_are_those_of_comparing_with_all(library, table, what):
    filters = WIDE[what]
    vectors, keys = np.array(table["vector"].to_pylist(), np.float32), np.array(table["key"].to_pylist())
    kept = set(library.tracklets.search().where(filters.where() or "true").limit(COUNT).to_arrow()["key"].to_pylist())
    rows = np.flatnonzero([key in kept for key in keys])
    assert len(kept) > scores_module.FEW
    mask, shares = passing(library, filters), []
    for place in range(0, COUNT, 250):
        asked = blurred(library, place)
        nearest = rows[np.argsort(-(vectors[rows] @ asked.vectors[0]), kind="stable")]
        true = list(dict.fromkeys(keys[nearest[:30]].tolist()))[:10]
        found = set(library.snapshot.keys(near(library, [asked], filters, mask, 10)))
        assert found <= kept
        shares.append(len(found & set(true)) / 10)
    assert np.mean(shares) >= 0.98


def naive_top(library, asked, others, filters, top):
    """Names and evidence by scoring every tracklet that passes."""
    mask = passing(library, filters)
    among = people(library.snapshot.people(mask))
    scores = score(library, np.flatnonzero(mask), asked, others, among)
    snapshot = library.snapshot
    best = np.argsort(-scores.evidence, kind="stable")[:top]
    firsts = snapshot.first[scores.who[best]]
    return [(snapshot.runs[snapshot.run[first]], int(snapshot.identity[first])) for first in firsts], scores.evidence[
        best
    ].tolist()


@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("what", WIDE)
def test_a_search_by_the_index_finds_whom_scoring_everybody_finds(library, what, others):
    same = 0
    for place in range(0, COUNT, 500):
        asked = [blurred(library, place), blurred(library, place, 1)]
        apart = [example(library, (place + step) % COUNT) for step in range(750, 750 + 40 * others, 40)]
        hits = search(library, asked, apart, WIDE[what], top=5)
        expected, evidence = naive_top(library, asked, apart, WIDE[what], 5)
        assert names(hits)[0] == expected[0]
        assert hits[0].evidence == pytest.approx(evidence[0], abs=1e-4)
        same += len(set(names(hits)) & set(expected))
    assert same >= 0.9 * 50  # who is fifth best may be like nobody that the index names


def test_a_hard_filter_is_searched_exactly(library):
    row = library.tracklets.search().limit(1).to_list()[0]
    hard = Filters([row["camera"]], begin=(row["start_s"] - 3000, True), end=(row["start_s"] + 3000, True))
    assert 20 < passing(library, hard).sum() <= scores_module.FEW
    for place in range(0, COUNT, 500):
        hits = search(library, [blurred(library, place)], filters=hard, top=20)
        expected, evidence = naive_top(library, [blurred(library, place)], [], hard, 20)
        assert names(hits) == expected
        assert [hit.evidence for hit in hits] == pytest.approx(evidence, abs=1e-4)


def test_of_what_is_found_all_that_passes_counts(library):
    hits = search(library, [blurred(library, 0)], filters=WIDE["some cameras"], top=3)
    for hit in hits:
        where = f"identity = {hit.identity} AND {WIDE['some cameras'].where()}"
        assert library.tracklets.count_rows(where) == len(hit.tracklets) > 0


def test_rows_that_came_after_the_index_was_made_are_found(library, tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.library.nearest.INDEXED", 500)
    add(tmp_path / "lib", made_up("one", count=600))
    late = made_up("two", seed=3, count=40)
    add(tmp_path / "lib", late)
    monkeypatch.setattr(scores_module, "FEW", 50)
    opened = Library.open(str(tmp_path / "lib"))
    assert opened.snapshot.indexed
    for row in late.vectors.to_pylist()[::8]:
        found = near(opened, [Example("x", np.float32([row["vector"]]), 1.0)], Filters(), np.ones(640, bool), 10)
        assert row["key"] in opened.snapshot.keys(found)


def test_an_index_of_too_many_parts_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.library.nearest.INDEXED", 300)
    monkeypatch.setattr("tracker.library.nearest.PARTS", 2)
    parts = []
    for seed, name in enumerate(("one", "two", "three", "four")):
        add(tmp_path / "lib", made_up(name, seed=seed, count=300))
        opened = Library.open(str(tmp_path / "lib"))
        parts += [one.num_segments for one in opened.vectors.list_indices() if one.columns == ["vector"]]
    assert parts == [1, 2, 1, 2]


# ---- many at once


def test_eight_threads_find_what_one_does(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.library.nearest.INDEXED", 500)
    monkeypatch.setattr(scores_module, "FEW", 50)
    add(tmp_path / "lib", made_up("many", count=600))
    alone, shared = (Library.open(str(tmp_path / "lib")) for _ in range(2))
    filters = [Filters(), Filters(["g"]), Filters(min_length_s=5), Filters(["o"], begin=(90.0, True))]
    asked = [(blurred(alone, place), filters[place // 24 % 4]) for place in range(0, 600, 24)]
    passes = [int(passing(alone, one).sum()) for one in filters]
    assert max(passes[:3]) == 600 > min(passes[:3]) > 50 >= passes[3] > 0  # by the index, and not
    assert len(asked) == 25

    def all_of_them(_):
        return [search(shared, [one], filters=where, top=1) for one, where in asked]

    with ThreadPoolExecutor(8) as pool:  # the snapshot is read by whichever thread comes first
        found = list(pool.map(all_of_them, range(8)))
    assert alone.snapshot.indexed
    expected = [search(alone, [one], filters=where, top=1) for one, where in asked]
    assert all(one == expected for one in found)


def test_a_library_that_was_opened_does_not_change_and_one_opened_later_does(tmp_path):
    one = made_up("one", count=40)
    add(tmp_path / "lib", one)
    before = Library.open(str(tmp_path / "lib"))
    asked = Example("x", np.float32([one.vectors.to_pylist()[0]["vector"]]), 0.5)
    first = search(before, [asked], top=1)
    add(tmp_path / "lib", made_up("two", seed=9, count=400))
    assert search(before, [asked], top=1) == first
    hits = search(Library.open(str(tmp_path / "lib")), [asked], top=1000)
    (hit,) = [hit for hit in hits if names([hit]) == names(first)]
    assert hit.evidence == pytest.approx(first[0].evidence)
    assert hit.probability < first[0].probability  # the prior is that of more people
    sizes = [np.bincount(rows.tracklets["identity"].to_numpy()) for rows in (one, made_up("two", seed=9, count=400))]
    counts = np.concatenate(sizes).astype(float)
    among = [counts[: len(sizes[0])].sum() ** 2 / (counts[: len(sizes[0])] ** 2).sum()]
    among += [counts.sum() ** 2 / (counts**2).sum()]
    odds = [np.log(p / (1 - p)) for p in (first[0].probability, hit.probability)]
    assert odds[0] - odds[1] == pytest.approx(np.log((among[1] - 1) / (among[0] - 1)), rel=1e-6)


# ---- what is in memory says what the tables say


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """A small library of two runs, some of whose colours are known."""
    folder, rng = tmp_path_factory.mktemp("coloured") / "lib", np.random.default_rng(0)
    made = []
    for name in ("one", "two"):
        rows = made_up(name, seed=len(made))
        for column in ("upper_red", "upper_blue", "lower_black"):
            shares = [None if unknown else share for unknown, share in rng.random((len(rows.tracklets), 2)).round()]
            place = rows.tracklets.schema.get_field_index(column)
            table = rows.tracklets.set_column(place, rows.tracklets.field(column), pa.array(shares, pa.float32()))
            rows = type(rows)(rows.entry, table, rows.vectors, rows.model_id, rows.dim)
        made.append(rows)
    add(folder, *made)
    return Library.open(str(folder))


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(["g"]),
        Filters(["g", "o"], ["o'clock"]),
        Filters(begin=(50.0, False)),
        Filters(begin=(30.0, True), end=(60.0, True)),
        Filters(end=(20.0, False), min_length_s=3),
        Filters(upper=["red"]),
        Filters(upper=["red", "blue"], lower=["black"], min_length_s=1),
    ],
    ids=lambda filters: filters.where() or "all",
)
def test_what_passes_in_memory_passes_in_sql(coloured, filters):
    rows = coloured.tracklets.search().where(filters.where() or "true").limit(1000).to_list()
    mask = passing(coloured, filters)
    assert sorted(coloured.snapshot.keys(np.flatnonzero(mask))) == sorted(row["key"] for row in rows)
    sizes = {}
    for row in rows:
        sizes[row["run"], row["identity"]] = sizes.get((row["run"], row["identity"]), 0) + 1
    assert sorted(coloured.snapshot.people(mask)) == sorted(sizes.values())


def test_nothing_passing_and_unknown_names_are_told(coloured):
    with pytest.raises(BadInputError, match="--camera x: the library has none of this name; it has g, h, o"):
        passing(coloured, Filters(["x"]))
    with pytest.raises(BadInputError, match="nothing passes all of these filters"):
        passing(coloured, Filters(["g"], ["hall"]))


def test_vectors_and_rows_are_those_of_their_tracklets(library, coloured):
    for opened in (library, coloured):
        known = {}
        for row in opened.vectors.search().limit(30_000).select(["key", "vector"]).to_list():
            known.setdefault(row["key"], []).append(row["vector"])
        places = np.random.default_rng(1).permutation(len(opened.snapshot))[:60]
        keys = opened.snapshot.keys(places)
        vectors, begins = opened.snapshot.vectors_of(places)
        for key, own in zip(keys, np.split(vectors, begins[1:]), strict=True):
            assert own.tolist() == known[key]
        rows = opened.snapshot.rows(places, ["key", "run", "identity"])
        assert [row["key"] for row in rows] == keys
        assert [opened.snapshot.find(key) for key in keys] == places.tolist()
        who = opened.snapshot.who[places]
        assert [row["identity"] for row in rows] == opened.snapshot.identity[places].tolist()
        for one, row in zip(who.tolist(), rows, strict=True):
            members = opened.snapshot.rows(opened.snapshot.members(np.array([one])), ["key", "run", "identity"])
            assert {(member["run"], member["identity"]) for member in members} == {(row["run"], row["identity"])}
            where = f"run = '{row['run']}' AND identity = {row['identity']}"
            assert len(members) == opened.tracklets.count_rows(where)
        assert opened.snapshot.find_all([*keys, "nobody"]).tolist() == [*places.tolist(), -1]
    assert library.snapshot.find("nobody") is None
    assert library.snapshot.vectors_of(np.zeros(0, np.int64))[0].shape == (0, 24)


def test_a_library_without_a_tracklet_is_nothing_but_empty(tmp_path):
    with writer(str(tmp_path / "lib")) as writing:
        writing.begin("m", 8)
        writing.commit({})
    opened = Library.open(str(tmp_path / "lib"))
    assert len(opened.snapshot) == 0
    assert opened.snapshot.people(np.zeros(0, bool)).tolist() == []
    with pytest.raises(BadInputError, match="empty; add runs to it"):
        search(opened, [Example("x", np.ones((1, 8), np.float32), 1.0)])


def test_making_the_index_says_so_and_how_long_it_took(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.library.nearest.INDEXED", 100)
    rows, said = made_up("one", count=100), []
    with writer(str(tmp_path / "lib")) as writing:
        writing.begin("m", 8)
        writing.add(rows.tracklets, rows.vectors)
        writing.commit({"one": rows.entry}, said.append)
    count = len(rows.vectors)
    assert said[0] == f"index of {count} vectors: begun"
    assert said[-1].startswith(f"index of {count} vectors: made in ")
