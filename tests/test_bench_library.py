"""`reidtrack bench library`: what it draws, that its recall is a count, and what it prints."""

import json

import numpy as np
import pytest

from tests.library.conftest import add, made_up
from tracker.bench import recall as recall_module
from tracker.bench.drawn_library import draw_library
from tracker.bench.library import KINDS, _query
from tracker.bench.recall import Query, recalls
from tracker.cli import main
from tracker.library.filters import Filters, passing
from tracker.library.store import Library
from tracker.progress import Progress

SMALL = ["--tracklets", "700", "--people", "60", "--cameras", "4", "--dim", "16"]
QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "lib"
    assert main(["bench", "library", *SMALL, "--queries", "2", "--recall", "0", "--out", str(folder)]) == 0
    return str(folder)


def test_what_is_drawn_looks_like_a_run(drawn):
    library = Library.open(drawn)
    rows = library.tracklets.to_arrow().to_pylist()
    assert len(rows) == 700
    assert {row["camera"] for row in rows} == {f"camera{number}" for number in range(4)}
    assert len({row["identity"] for row in rows}) == 35  # one for 20 tracklets
    assert all(row["end_s"] - row["start_s"] == pytest.approx(row["length_s"]) for row in rows)
    vectors = library.vectors.to_arrow()
    assert {row["key"] for row in rows} == set(vectors["key"].to_pylist())
    assert 700 < len(vectors) < 760
    lengths = np.linalg.norm(np.array(vectors["vector"].to_pylist()), axis=1)
    assert lengths == pytest.approx(np.ones(len(vectors)), abs=1e-5)


def test_sightings_of_one_person_resemble_each_other_more(drawn):
    table = Library.open(drawn).vectors.to_arrow()
    vectors, who = np.array(table["vector"].to_pylist()), np.array(table["identity"].to_pylist())
    alike = vectors @ vectors.T
    one = (who[:, None] == who) & ~np.eye(len(who), dtype=bool)
    assert alike[one].mean() > 0.4 > 0.2 > alike[who[:, None] != who].mean()


def test_a_library_that_is_there_is_not_drawn_again(drawn, capsys):
    before = Library.open(drawn).meta
    assert main(["bench", "library", *SMALL, "--queries", "1", "--recall", "1", "--out", drawn]) == 0
    assert "drawing" not in capsys.readouterr().err
    assert Library.open(drawn).meta == before


def test_an_index_that_is_missing_is_made(drawn, monkeypatch):
    monkeypatch.setattr("tracker.library.nearest.INDEXED", 500)
    assert not Library.open(drawn).snapshot.indexed
    draw_library(drawn, 700, 60, 4, 16, QUIET)
    assert Library.open(drawn).snapshot.indexed
    assert len(Library.open(drawn).snapshot) == 700


def test_every_kind_of_query_says_what_it_is_called(drawn):
    library, rng = Library.open(drawn), np.random.default_rng(0)
    whole = {kind: [_query(library, kind, rng) for _ in range(20)] for kind in KINDS}
    shares = {kind: np.mean([passing(library, query.filters).mean() for query in own]) for kind, own in whole.items()}
    assert shares["plain"] == shares["examples"] == shares["not"] == 1
    assert shares["camera"] == pytest.approx(0.25, abs=0.05)
    assert shares["time"] == pytest.approx(0.1, abs=0.03)
    assert 0 < shares["selective"] <= 0.01
    snapshot = library.snapshot
    for query in whole["examples"]:
        places = [snapshot.find(example.key) for example in query.examples]
        assert 1 <= len(set(places)) == len(places) <= 3
        assert len({snapshot.who[place] for place in places}) == 1
    assert all(len(query.others) == (kind == "not") for kind, own in whole.items() for query in own)


def test_recall_is_the_share_of_the_most_similar_that_are_found(drawn, monkeypatch):
    library = Library.open(drawn)
    rng, snapshot = np.random.default_rng(1), library.snapshot
    queries = [_query(library, kind, rng) for kind in KINDS for _ in range(3)]
    queries.append(Query(queries[0].examples, (), Filters(min_length_s=12)))
    monkeypatch.setattr(recall_module, "_CHUNK", 64)
    assert recalls(library, queries, 10, QUIET).tolist() == [1.0] * len(queries)  # all are compared
    hidden = set(rng.permutation(700)[:300].tolist())
    monkeypatch.setattr(
        recall_module,
        "near",
        lambda library, examples, filters, mask, top: np.setdiff1d(np.flatnonzero(mask), list(hidden)),
    )
    found = recalls(library, queries, 10, QUIET)
    vectors = [snapshot.vectors_of(np.array([place]))[0] for place in range(700)]
    for query, share in zip(queries, found, strict=True):
        passes = set(np.flatnonzero(passing(library, query.filters)).tolist())
        passes -= {snapshot.find(example.key) for example in (*query.examples, *query.others)}
        best = {}
        for place in passes:
            best[place] = max(float(a @ b) for a in vectors[place] for b in query.vectors)
        true = sorted(best, key=best.get, reverse=True)[:10]
        assert share == pytest.approx(np.mean([place not in hidden for place in true]) if true else 1)
    assert 0.2 < found.mean() < 0.9


def test_the_table_and_its_json(drawn, capsys):
    args = ["bench", "library", drawn, "--queries", "3", "--recall", "2"]
    assert main(args) == 0
    text = capsys.readouterr().out
    for kind in KINDS:
        assert f"\n{kind}" in text
    assert text.startswith("700 tracklets, ")
    assert "recall@10" in text
    assert main([*args, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["tracklets"], content["dim"]) == (700, 16)
    assert [row["kind"] for row in content["rows"]] == list(KINDS)
    for row in content["rows"]:
        assert row["searches"] == 3
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["recall"] == 1


def test_ones_own_library_is_measured_and_stays_as_it_is(tmp_path, capsys):
    add(tmp_path / "lib", made_up("one"), made_up("two", seed=1))
    before = Library.open(str(tmp_path / "lib")).meta
    assert main(["bench", "library", str(tmp_path / "lib"), "--queries", "4", "--recall", "4"]) == 0
    assert "1.0000" in capsys.readouterr().out
    assert Library.open(str(tmp_path / "lib")).meta == before


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nowhere"], 1, "nowhere: no library"),
        ([*SMALL, "--tracklets", "800", "--out", "LIB"], 2, "holds 700 tracklets of drawn (16 numbers), not 800"),
        (["--queries", "0"], 2, "--queries 0: give 1 or more"),
        (["--dim", "1"], 2, "--dim 1: give 2 or more"),
        (["LIB", "--recall", "-1"], 2, "--recall -1: give 0 or more"),
    ],
)
def test_what_cannot_be_measured_is_one_line(drawn, capsys, args, code, said):
    capsys.readouterr()
    assert main(["bench", "library", *(drawn if arg == "LIB" else arg for arg in args)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line
