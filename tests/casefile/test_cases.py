"""Cases: what is chosen, noted, taken out and put back; that a case outlives its library's changes."""

import hashlib

import pytest

from reid.errors import BadInputError
from tests.library.conftest import add as put
from tests.library.conftest import made_up
from tracker.casefile.cases import (
    add,
    cases_folder,
    fault,
    find_case,
    list_cases,
    new_case,
    note,
    remove,
    restore,
)
from tracker.cli import main
from tracker.library.store import Library, writer


@pytest.fixture
def drawn(tmp_path):
    """A library of made-up tracklets."""
    put(tmp_path / "lib", made_up("one"))
    return Library.open(str(tmp_path / "lib"))


def rows_of(library):
    return library.tracklets.to_arrow().sort_by("key").to_pylist()


def now_of(case):
    return find_case(str(case.folder.parents[1]), case.name)


def test_a_sighting_keeps_what_the_library_said_and_what_was_looked_for(drawn):
    row = rows_of(drawn)[3]
    case = new_case(drawn.name, "  Stolen   bicycle ")
    add(case, drawn, row["key"], query="person.jpg", probability=0.75)
    (found,) = find_case(drawn.name, "Stolen bicycle").sightings
    assert found.number == 1
    assert (found.query, found.probability) == ("person.jpg", 0.75)
    assert {name: found.row[name] for name in ("key", "camera", "first_frame", "start_s")} == {
        name: row[name] for name in ("key", "camera", "first_frame", "start_s")
    }
    assert found.row["folder"] == "/runs/one"
    assert (found.begin_s, found.end_s) == (row["file_start_s"], row["file_start_s"] + row["length_s"])


def test_choosing_the_same_again_changes_nothing(drawn):
    key = rows_of(drawn)[0]["key"]
    case = new_case(drawn.name, "a")
    assert add(case, drawn, key) == add(case, drawn, key)
    assert len(now_of(case).log) == 2


def test_a_part_of_a_tracklet_is_a_sighting_of_its_own_and_is_cut_to_it(drawn):
    row = max(rows_of(drawn), key=lambda row: row["length_s"])
    first, last = row["file_start_s"], row["file_start_s"] + row["length_s"]
    case = new_case(drawn.name, "a")
    add(case, drawn, row["key"])
    part = add(case, drawn, row["key"], span=(first + 1, last + 100))
    assert (part.begin_s, part.end_s) == (first + 1, last)
    assert len(now_of(case).sightings) == 2
    for span in ((last + 1, last + 2), (last, first), (float("nan"), last)):
        with pytest.raises(BadInputError, match="shares no moment with"):
            add(case, drawn, row["key"], span=span)


def test_what_is_taken_out_can_be_put_back_with_its_note(drawn):
    case = new_case(drawn.name, "a")
    for row in rows_of(drawn)[:3]:
        add(case, drawn, row["key"])
    note(case, "blue", 2)
    remove(case, 2)
    assert [one.number for one in now_of(case).sightings] == [1, 3]
    assert [one.number for one in now_of(case).removed] == [2]
    restore(case, 2)
    assert [(one.number, one.note) for one in now_of(case).sightings] == [(1, ""), (2, "blue"), (3, "")]


def test_numbers_are_never_given_again(drawn):
    case = new_case(drawn.name, "a")
    keys = [row["key"] for row in rows_of(drawn)]
    add(case, drawn, keys[0])
    remove(case, 1)
    assert add(case, drawn, keys[0]).number == 2


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda case: remove(case, 7), "no sighting 7"),
        (lambda case: restore(case, 1), "no sighting 1"),
        (lambda case: note(case, "x", 7), "no sighting 7"),
        (lambda case: note(case, "x" * 20_001), "a note of 20001 characters: give 20000 at most"),
    ],
)
def test_what_is_not_there_or_too_long_is_refused(drawn, what, said):
    case = new_case(drawn.name, "a")
    add(case, drawn, rows_of(drawn)[0]["key"])
    before = now_of(case)
    with pytest.raises(BadInputError, match=said):
        what(case)
    assert now_of(case) == before


def test_a_tracklet_that_is_not_there_and_a_probability_that_is_none(drawn):
    case = new_case(drawn.name, "a")
    with pytest.raises(BadInputError, match="one/gate/999: no such tracklet"):
        add(case, drawn, "one/gate/999")
    with pytest.raises(BadInputError, match="no such tracklet"):
        add(case, drawn, "' OR 1=1 --")
    with pytest.raises(BadInputError, match="from 0 to 1"):
        add(case, drawn, rows_of(drawn)[0]["key"], probability=1.5)


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x00b", "\u202egpj"])
def test_names_that_cannot_be_are_refused(drawn, name):
    with pytest.raises(BadInputError, match="cannot be a case's name"):
        new_case(drawn.name, name)
    assert list_cases(drawn.name) == []


def test_a_name_is_taken_once_however_it_is_written(drawn):
    new_case(drawn.name, "Gate 3: east/west")
    with pytest.raises(BadInputError, match="there is a case of this name, Gate 3: east/west"):
        new_case(drawn.name, "gate 3_east west")
    assert find_case(drawn.name, "gate_3_east_west").name == "Gate 3: east/west"
    with pytest.raises(BadInputError, match=r"no such case in .*; it has Gate 3: east/west"):
        find_case(drawn.name, "../lib")


def test_the_case_that_was_changed_last_comes_first(drawn):
    a, b = new_case(drawn.name, "a"), new_case(drawn.name, "b")
    path = b.folder / "log.jsonl"
    path.write_text(path.read_text().replace(b.log[0]["when"], "2020-01-01T00:00:00+00:00"))
    assert [one.name for one in list_cases(drawn.name)] == [a.name, b.name]


def test_a_case_outlives_its_tracklets(drawn):
    case = new_case(drawn.name, "a")
    row = rows_of(drawn)[0]
    add(case, drawn, row["key"])
    with writer(drawn.name) as writing:
        writing.remove("one")
        writing.commit({})
    assert [one.row["key"] for one in now_of(case).sightings] == [row["key"]]


def test_a_log_that_was_changed_by_hand_is_told(drawn):
    case = new_case(drawn.name, "a")
    add(case, drawn, rows_of(drawn)[0]["key"])
    note(case, "one")
    assert fault(case) == ""
    path = case.folder / "log.jsonl"
    path.write_text(path.read_text().replace('"camera": "', '"camera": "not_'))
    assert "log.jsonl: line 3 does not follow from the one before" in fault(case)


def test_a_log_that_lacks_what_it_should_hold_is_one_line(drawn, capsys):
    case = new_case(drawn.name, "a")
    path = case.folder / "log.jsonl"
    path.write_text(path.read_text().replace('"name"', '"nom"'))
    assert main(["case", drawn.name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "log.jsonl: an entry lacks 'name'; put the file back as it was" in line


def test_a_note_with_half_a_character_is_kept_without_it(drawn):
    case = new_case(drawn.name, "a")
    note(case, "red \ud83d jacket")
    assert now_of(case).note == "red ? jacket"
    assert fault(case) == ""


def test_a_case_cannot_lie_anywhere_else(drawn):
    case = new_case(drawn.name, "../x")
    assert case.name == "../x"
    assert case.folder.parent == cases_folder(drawn.name)
    assert find_case(drawn.name, "../x") == case


def test_cases_of_a_library_at_a_url_lie_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *args, **kwargs: str(tmp_path))
    one, two = cases_folder("s3://bucket/weeks"), cases_folder("s3://other/weeks")
    assert one != two
    assert one.parent == two.parent == tmp_path / "cases"
    assert "weeks" in one.name
    assert cases_folder("s3://bucket/weeks/") == one


def test_the_best_crop_is_kept_by_its_hash(library):
    row = rows_of(library)[0]
    case = new_case("lib", "a")
    sighting = add(case, library, row["key"])
    assert sighting.picture == hashlib.sha256(row["jpeg"]).hexdigest()
    assert case.picture(sighting) == row["jpeg"]
