"""A case's log: lines are only added, and a line that was changed, left out or put between shows."""

import hashlib
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import DataError
from tracker.casefile.log import FIRST, append, broken, parse, read


def filled(path, count=4):
    for number in range(count):
        append(path, lambda entries, number=number: {"kind": "noted", "text": f"line {number}"})
    return path


def test_entries_are_numbered_and_dated_in_order(tmp_path):
    entries = read(filled(tmp_path / "log.jsonl"))
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4]
    assert [entry["text"] for entry in entries] == ["line 0", "line 1", "line 2", "line 3"]
    assert all(entry["when"].endswith("+00:00") for entry in entries)


def test_every_line_holds_the_hash_of_the_line_before(tmp_path):
    lines = filled(tmp_path / "log.jsonl").read_bytes().splitlines()
    expected = [FIRST, *(hashlib.sha256(line).hexdigest() for line in lines[:-1])]
    assert [json.loads(line)["previous"] for line in lines] == expected
    assert broken(b"\n".join(lines)) is None


@given(st.data())
def test_any_change_shows_at_the_line_or_the_one_after(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    lines = filled(path).read_bytes().splitlines()
    at = data.draw(st.integers(0, 2))
    kind = data.draw(st.sampled_from(["change", "remove", "repeat", "swap", "tear"]))
    if kind == "change":
        lines[at] = lines[at].replace(b"line", b"lime")
    elif kind == "remove":
        del lines[at]
    elif kind == "repeat":
        lines.insert(at, lines[at])
    elif kind == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    else:
        lines[at] = lines[at][: data.draw(st.integers(1, len(lines[at]) - 1))]
    assert broken(b"\n".join(lines)) in (at + 1, at + 2)


def test_a_log_that_was_changed_is_not_written_to_and_still_read(tmp_path):
    path = filled(tmp_path / "log.jsonl")
    path.write_bytes(path.read_bytes().replace(b"line 1", b"lime 1"))
    before = path.read_bytes()
    with pytest.raises(DataError, match="line 3 was changed by hand; put the file back"):
        filled(path, 1)
    assert path.read_bytes() == before
    assert len(read(path)) == 4


def test_what_is_refused_adds_nothing(tmp_path):
    path = filled(tmp_path / "log.jsonl")
    before = path.read_bytes()

    def refuse(entries):
        assert len(entries) == 4
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        append(path, refuse)
    assert path.read_bytes() == before


def test_several_at_once_all_get_their_line(tmp_path):
    path = tmp_path / "log.jsonl"
    threads = [threading.Thread(target=filled, args=(path, 5)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_bytes()
    assert [entry["number"] for entry in parse(content)] == list(range(1, 31))
    assert broken(content) is None


def test_what_is_no_entry_is_passed_over():
    assert parse(b'not json\n[1]\n{"number": 1}\n\xff\n') == []
    assert broken(b"") is None
    assert broken(b"not json") == 1
