"""`reidtrack index`: what a library holds of its runs, what comes and goes with them, and that changes are whole."""

import json
import multiprocessing
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from reid.centre import camera_means, centred
from reid.errors import BadInputError, DataError
from tests.helpers import CARD, colour_embedder
from tests.library.conftest import add, made_up, run
from tracker import lock
from tracker.cli import main
from tracker.library import schema, store
from tracker.library.indexing import find_run, index
from tracker.library.prototypes import grouped
from tracker.library.store import Library, writer
from tracker.store import Run


def content(name="lib"):
    """All rows of both tables, in a fixed order."""
    library = Library.open(str(name))
    order = [("key", "ascending")]
    tracklets = library.tracklets.to_arrow().sort_by(order).to_pylist()
    vectors = sorted((row["key"], row.pop("vector"), str(row)) for row in library.vectors.to_arrow().to_pylist())
    return tracklets, vectors, library.meta.runs


def error_line(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


# ---- what is in it


def test_a_library_holds_what_its_runs_say(desk, capsys):
    assert main(["index", "lib", "monday", "tuesday"]) == 0
    assert "2 runs, " in capsys.readouterr().out
    tracklets, vectors, runs = content()
    by_path = {entry.path: entry for entry in runs.values()}
    expected = {}
    for name in ("monday", "tuesday"):
        entry = by_path[str(desk / name)]
        for one in Run.open(name).identities():
            for member in one["tracklets"]:
                expected[f"{entry.id}/{member['tracklet']}"] = (one, member, name)
    assert {row["key"] for row in tracklets} == set(expected) == {key for key, *_ in vectors}
    for row in tracklets:
        one, member, name = expected[row["key"]]
        assert (row["identity"], row["camera"]) == (one["identity"], member["camera"])
        assert (row["first_frame"], row["last_frame"]) == (member["first_frame"], member["last_frame"])
        assert row["start_s"] == pytest.approx(member["start_s"], abs=1e-3)
        assert row["absolute"] == (name == "tuesday")
        assert 0 <= row["file_start_s"] < 10
        assert (desk / name / row["crop"]).read_bytes() == row["jpeg"]
        assert row["path"].endswith(f"{row['recording']}.mp4")


def test_vectors_are_the_runs_own_without_their_cameras_mean(desk):
    index("lib", [desk / "monday"], print)
    table = Run.open("monday").tracklets()
    whole = np.array(table["vector"].to_pylist(), np.float32)
    expected = centred(whole, camera_means(whole, np.array(table["camera"].to_pylist())))
    _, vectors, runs = content()
    (run_id,) = runs
    found = {key.removeprefix(f"{run_id}/"): vector for key, vector, _ in vectors}
    assert len(found) == len(vectors)  # nobody changes colour here: one vector each
    for name, vector in zip(table["tracklet"].to_pylist(), expected, strict=True):
        assert np.allclose(found[name], vector, atol=1e-6)


def test_pictures_that_are_more_likely_two_people_are_kept_apart():
    curve = Curve(10.0, -5.0)  # even odds at a similarity of 0.5
    east, north = np.eye(2, dtype=np.float32)
    assert grouped(np.stack([east, north, east]), curve).tolist() in ([0, 1, 0], [1, 0, 1])
    assert grouped(np.stack([east, (east + north) / np.sqrt(2)]), curve).tolist() == [0, 0]
    assert grouped(east[None], curve).tolist() == [0]
    apart = np.stack([east, np.array([0.4, np.sqrt(1 - 0.16)], np.float32)])  # a similarity of 0.4
    assert grouped(apart, curve).max() == 1
    assert grouped(apart, curve, reliable=0.8).max() == 0  # even odds at 0.32


@given(st.integers(1, 8), st.integers(0, 99))
def test_at_most_four_groups(count, seed):
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = grouped(vectors, Curve(10.0, -9.9))
    assert len(groups) == count
    assert set(groups.tolist()) == set(range(groups.max() + 1))
    assert groups.max() < 4


# ---- coming and going


def test_adding_again_changes_nothing(desk, capsys):
    assert main(["index", "lib", "monday"]) == 0
    before, versions = content(), Library.open("lib").meta
    assert main(["index", "lib", "monday", "monday"]) == 0
    assert "in the library already" in capsys.readouterr().err
    assert content() == before
    assert Library.open("lib").meta == versions
    shutil.copytree("monday", "copy")
    assert main(["index", "lib", "copy"]) == 0
    assert content() == before


def test_a_run_linked_again_is_replaced_whole(desk, capsys):
    assert main(["index", "lib", "monday", "tuesday"]) == 0
    before = content()
    assert main(["link", "monday", "--min-probability", "1"]) == 0
    assert main(["index", "lib", "monday"]) == 0
    assert "replaced" in capsys.readouterr().err
    after = content()
    assert after != before
    assert [row["key"] for row in after[0]] == [row["key"] for row in before[0]]
    shutil.rmtree("lib")
    assert main(["index", "lib", "tuesday", "monday"]) == 0
    assert content() == after


def test_a_run_that_grew_takes_its_own_place(desk):
    assert main(["index", "lib", "tuesday"]) == 0
    small = len(content()[0])
    shutil.rmtree("tuesday")
    shutil.copytree("monday", "tuesday")
    assert main(["index", "lib", "tuesday"]) == 0
    tracklets, _, runs = content()
    assert len(runs) == 1
    assert len(tracklets) == sum(len(one["tracklets"]) for one in Run.open("monday").identities()) != small


def test_the_order_of_adding_does_not_matter(desk):
    index("one", [desk / "monday", desk / "tuesday"], print)
    index("two", [desk / "tuesday"], print)
    index("two", [desk / "monday"], print)
    assert content("one") == content("two")


@pytest.mark.parametrize("how", ["folder", "name", "id", "start of the id"])
def test_removing_leaves_nothing_of_a_run(desk, how):
    index("lib", [desk / "tuesday"], print)
    before = content()
    index("lib", [desk / "monday"], print)
    (entry,) = [one for one in content()[2].values() if one.path.endswith("monday")]
    text = {"folder": str(desk / "monday"), "name": "monday", "id": entry.id, "start of the id": entry.id[:6]}[how]
    assert main(["index", "lib", "--remove", text]) == 0
    assert content() == before


def test_a_library_may_be_emptied_and_filled_again(desk):
    index("lib", [desk / "monday"], print)
    before = content()
    assert main(["index", "lib", "--remove", "monday"]) == 0
    assert content() == ([], [], {})
    index("lib", [desk / "monday"], print)
    assert content() == before


# ---- what is refused


def test_a_run_of_another_embedder_is_refused(desk, capsys):
    index("lib", [desk / "monday"], print)
    before = content()
    card = CARD.__class__(**{**vars(CARD), "backbone": "other"})
    colour_embedder(desk / "colour.onnx", card)
    assert run("c.mp4", out="wednesday") == 0
    capsys.readouterr()
    assert main(["index", "lib", "tuesday", "wednesday"]) == 2
    line = error_line(capsys)
    assert "embedder other-" in line
    assert "of colour-" in line
    assert "--embedder" in line
    assert content() == before


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["lib"], 1, "lib: no library; make one with `reidtrack index lib RUN`"),
        (["lib", "nowhere"], 1, "nowhere: not a run directory"),
        (["lib", "--remove", "monday"], 1, "no library"),
        (["a.mp4", "monday"], 1, "a.mp4: is a file, not a library"),
        (["lib", "monday", "--remove", "tuesday"], 2, "one after the other"),
    ],
)
def test_what_cannot_be_indexed_is_one_line(desk, capsys, args, code, said):
    assert main(["index", *args]) == code
    assert said in error_line(capsys)


def test_an_unfinished_run_is_refused_and_nothing_is_added(desk, capsys):
    path = desk / "tuesday/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "incomplete"}))
    assert main(["index", "lib", "monday", "tuesday"]) == 1
    assert "this run was not finished" in error_line(capsys)
    assert not (desk / "lib").exists()


def test_runs_that_are_not_there_and_names_of_several(tmp_path):
    rows = [made_up("aaaa1111"), made_up("aaaa2222")]
    runs = {one.entry.id: one.entry for one in rows}
    assert find_run(runs, "aaaa1", "lib") == rows[0].entry
    with pytest.raises(BadInputError, match="2 runs of lib are called so; give one of aaaa1111, aaaa2222"):
        find_run(runs, "aaaa", "lib")
    with pytest.raises(BadInputError, match="no such run in lib; it holds aaaa1111, aaaa2222"):
        find_run(runs, "b", "lib")


# ---- whole or not at all, one writer, readers that never wait


@pytest.mark.parametrize("when", ["add", "_write"])
@pytest.mark.parametrize("first", [True, False])
def test_an_interrupted_writer_leaves_the_library_as_it_was(tmp_path, monkeypatch, when, first):
    library = tmp_path / "lib"
    if not first:
        add(library, made_up("one"))
    before = None if first else content(library)

    def interrupted(self, *args):
        if when == "add":
            self.connection.open_table("tracklets").add(args[0])  # and not its vectors
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.Writing, when, interrupted)
        with pytest.raises(KeyboardInterrupt):
            add(library, made_up("two"))
    if first:
        with pytest.raises(DataError, match="no library"):
            Library.open(str(library))
    else:
        assert content(library) == before
    add(library, made_up("two"))
    whole = content(library)
    shutil.rmtree(library)
    if not first:
        add(library, made_up("one"))
    add(library, made_up("two"))
    assert content(library) == whole


def test_a_reader_keeps_what_it_opened(tmp_path):
    add(tmp_path / "lib", made_up("one"))
    reader = Library.open(str(tmp_path / "lib"))
    before = reader.vectors.to_arrow()
    with writer(str(tmp_path / "lib")) as writing:
        writing.remove("one")
        assert Library.open(str(tmp_path / "lib")).tracklets.count_rows() == 40  # nothing counts yet, nobody waits
        writing.commit({})
    assert reader.vectors.to_arrow() == before
    assert Library.open(str(tmp_path / "lib")).tracklets.count_rows() == 0


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    name = str(tmp_path / "lib")
    add(name, made_up("one"))
    with (
        writer(name),
        pytest.raises(DataError, match=r"@.*, process \d+, since .*, is writing to it; wait"),
        writer(name),
    ):
        pass
    with writer(name):
        pass


def _hold(name, ready):
    with writer(name):
        ready.set()
        ready.wait()
        import time

        time.sleep(600)


def test_a_library_that_is_damaged_is_one_line_to_a_writer(tmp_path):
    add(tmp_path / "lib", made_up("one"))
    shutil.rmtree(tmp_path / "lib/vectors.lance")
    with pytest.raises(DataError, match=r"cannot be read as a library .*; index its runs in a new one"):
        add(tmp_path / "lib", made_up("two"))


def test_a_writer_who_was_killed_holds_nothing_up(tmp_path):
    name = str(tmp_path / "lib")
    add(name, made_up("one"))
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold, args=(name, ready))
    other.start()
    assert ready.wait(60)
    with pytest.raises(DataError, match=f"process {other.pid}"), writer(name):
        pass
    other.kill()
    other.join()
    with writer(name):
        pass


def test_a_library_that_may_not_be_written(tmp_path, monkeypatch):
    name = str(tmp_path / "lib")
    add(name, made_up("one"))

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lock.FileLock, "acquire", denied)
    with pytest.raises(DataError, match=r"cannot be written \(Permission denied\); choose a folder"), writer(name):
        pass
    assert Library.open(name).tracklets.count_rows() == 40


# ---- versions


def test_a_newer_library_is_refused_and_an_older_one_migrated(tmp_path, monkeypatch):
    name = str(tmp_path / "lib")
    add(name, made_up("one"))
    before = content(name)
    with monkeypatch.context() as patch:
        patch.setattr(store, "VERSION", 0)
        patch.setattr(schema, "VERSION", 0)
        with pytest.raises(DataError, match="library version 2, this reidtrack reads 0; install a newer reidtrack"):
            Library.open(name)
    monkeypatch.setattr(store, "VERSION", 3)
    monkeypatch.setattr(schema, "VERSION", 3)
    with pytest.raises(DataError, match="library version 2 of 3; run `reidtrack index"):
        Library.open(name)
    with pytest.raises(DataError, match="library version 2 cannot be updated"), writer(name):
        pass

    def step(connection):
        row = connection.open_table("meta").to_arrow()
        connection.create_table("meta", row.set_column(0, "version", [[3]]), mode="overwrite")

    monkeypatch.setitem(schema.MIGRATIONS, 2, step)
    with writer(name):
        pass
    assert content(name) == before


def test_a_folder_of_other_things_is_no_library(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="no library; make one with"):
        Library.open(str(tmp_path))


def test_a_run_that_disagrees_with_itself_is_refused(desk, capsys):
    path = desk / "monday/identities.json"
    content = json.loads(path.read_text())
    content[0]["tracklets"][0]["tracklet"] = "a/999"
    path.write_text(json.dumps(content))
    assert main(["index", "lib", "monday"]) == 1
    assert "its files disagree; link it again with `reidtrack link" in error_line(capsys)
