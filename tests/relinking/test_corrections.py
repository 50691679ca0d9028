"""Corrections: the file that they are kept in, what they come to, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import BadInputError
from tracker.errors import RunError
from tracker.relinking.corrections import (
    CORRECTIONS,
    Correction,
    Mark,
    Named,
    append_corrections,
    check,
    components,
    in_force,
    parse_key,
    phrase,
    read_corrections,
    told,
)
from tracker.types import TrackletKey

A, B, C, D = (TrackletKey("cam", number) for number in range(1, 5))


def mark(key, file="f.parquet"):
    return Mark(file, key.track_id, 10 * key.track_id)


def correction(number, kind, *keys, **given):
    return Correction(number, "2026-03-01T22:15:00+00:00", kind, tuple(Named(key, mark(key)) for key in keys), **given)


PRESENT = {mark(key): key for key in (A, B, C, D)}
LOG = [
    correction(1, "same", A, B, was={A: 3, B: 9, C: 9}),
    correction(2, "different", TrackletKey("gäte 2", 7), D),
    correction(3, "nobody", C, was={C: 3}),
    correction(4, "undo", undoes=2),
]


def refuse_notes(line):
    raise AssertionError(line)


def test_what_is_written_is_read(tmp_path):
    append_corrections(tmp_path, LOG[:2])
    append_corrections(tmp_path, LOG[2:])
    assert read_corrections(tmp_path, refuse_notes) == LOG
    lines = [json.loads(line) for line in (tmp_path / CORRECTIONS).read_text(encoding="utf-8").splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3, 4]
    assert lines[0] == {
        "number": 1,
        "when": "2026-03-01T22:15:00+00:00",
        "kind": "same",
        "tracklets": [
            {"tracklet": "cam/1", "file": "f.parquet", "first_frame": 10},
            {"tracklet": "cam/2", "file": "f.parquet", "first_frame": 20},
        ],
        "was": {"3": ["cam/1"], "9": ["cam/2", "cam/3"]},
    }


def test_a_run_without_corrections(tmp_path):
    assert read_corrections(tmp_path, refuse_notes) == []


@pytest.mark.parametrize("kept", range(0, 300, 7))
def test_a_torn_line_is_passed_over_and_damages_no_other(tmp_path, kept):
    path = tmp_path / CORRECTIONS
    append_corrections(tmp_path, LOG[:1])
    whole = path.read_bytes()
    append_corrections(tmp_path, LOG[1:2])
    path.write_bytes(path.read_bytes()[: len(whole) + kept])
    length, notes = path.stat().st_size, []
    torn = whole != path.read_bytes() and path.read_bytes()[-1:] != b"\n"
    found = read_corrections(tmp_path, notes.append)
    complete = len(found) == 2
    assert found == LOG[: 1 + complete]
    assert notes == ([f"warning: {path}: 1 damaged line passed over; the others hold"] if torn and not complete else [])
    append_corrections(tmp_path, LOG[2:])
    assert read_corrections(tmp_path, notes.append) == [*found, *LOG[2:]]
    assert path.read_bytes()[:length].startswith(whole)


@pytest.mark.parametrize(
    "line", ["3", "[]", "{}", '{"number": 1, "when": "", "kind": "maybe"}', '{"number": 1, "when": "", "kind": "same"}']
)
def test_a_line_that_is_no_correction_is_passed_over(tmp_path, line):
    notes = []
    (tmp_path / CORRECTIONS).write_text(line + "\n")
    append_corrections(tmp_path, LOG[:1])
    assert read_corrections(tmp_path, notes.append) == LOG[:1]
    assert len(notes) == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / CORRECTIONS).mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        append_corrections(tmp_path, LOG)


# ---- what they come to


def test_what_is_taken_back_does_not_hold():
    assert [one.number for one in in_force(LOG)] == [1, 3]
    facts = told(LOG[:2], {**PRESENT, mark(TrackletKey("gate", 7)): TrackletKey("gate", 7)})
    assert (facts.same, facts.different) == (((A, B),), ((TrackletKey("gate", 7), D),))  # under the name of today


def test_what_is_about_a_nobody_does_not_hold_either():
    facts = told([correction(1, "same", A, B), correction(2, "nobody", B), correction(3, "different", A, D)], PRESENT)
    assert (facts.same, facts.different, facts.nobody) == ((), ((A, D),), {B})


@pytest.mark.parametrize(
    "other",
    [Mark("other.parquet", 2, 20), Mark("f.parquet", 2, 21)],
    ids=["another tracker's", "the same tracker's, divided elsewhere"],
)
def test_another_tracklet_of_the_same_number_is_not_meant(other):
    present = {mark(A): A, other: B, mark(C): C}
    facts = told([correction(1, "same", A, B), correction(2, "nobody", B), correction(3, "different", A, C)], present)
    assert (facts.same, facts.nobody, facts.different, facts.elsewhere) == ((), set(), ((A, C),), (1, 2))


# ---- contradictions


def test_contradictions_name_the_chain():
    log = [correction(1, "same", A, B), correction(2, "same", C, B), correction(3, "different", A, C)]
    with pytest.raises(BadInputError) as refused:
        check(log, 3)
    assert str(refused.value) == (
        "cam/1 is not cam/3 (given now) contradicts cam/1 = cam/2 (correction 1) and cam/3 = cam/2 (correction 2);"
        " take one back with --undo NUMBER"
    )
    with pytest.raises(BadInputError, match=r"\(correction 3\) contradicts .* \(given now\)"):
        check([log[2], log[0], correction(4, "same", B, C)], 4)
    check([*log, correction(4, "undo", undoes=2)], 1)


kinds, numbers = st.sampled_from(["same", "different"]), st.integers(0, 6)


@given(st.lists(st.tuples(kinds, numbers, numbers).filter(lambda one: one[1] != one[2]), max_size=10))
def test_contradictions_by_trying_all_ways_to_tell_people_apart(said):
    """There is a contradiction where no naming of people makes all true; the finest naming decides."""
    keys = [TrackletKey("cam", number + 1) for number in range(7)]
    person = list(range(7))
    for kind, a, b in said:
        if kind == "same":
            person = [person[a] if one == person[b] else one for one in person]
    expected = any(kind == "different" and person[a] == person[b] for kind, a, b in said)
    log = [correction(place, kind, keys[a], keys[b]) for place, (kind, a, b) in enumerate(said, 1)]
    try:
        check(log, 1)
        refused = False
    except BadInputError:
        refused = True
    assert refused == expected
    groups = components((a, b) for kind, a, b in said if kind == "same")
    mentioned = {one for kind, *pair in said if kind == "same" for one in pair}
    expected_groups = {tuple(one for one in sorted(mentioned) if person[one] == person[other]) for other in mentioned}
    assert sorted(map(sorted, groups)) == sorted(map(list, expected_groups))


# ---- words


def test_corrections_in_words():
    assert [phrase(one) for one in LOG] == ["cam/1 = cam/2", "gäte 2/7 is not cam/4", "cam/3 is nobody", "takes back 2"]


@pytest.mark.parametrize("text", ["", "cam", "cam/", "/3", "cam/x", "cam/-3", "cam/3.5", "cam/³"])
def test_no_name_of_a_tracklet(text):
    with pytest.raises(ValueError, match="expected RECORDING/NUMBER"):
        parse_key(text)


def test_names_of_tracklets():
    assert parse_key("cam1/12") == TrackletKey("cam1", 12) == parse_key(str(TrackletKey("cam1", 12)))
