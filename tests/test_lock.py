"""One writer at a time."""

import errno
import json
import re
import sys

import pytest

from reid.errors import DataError
from tracker.errors import RunError
from tracker.lock import only_writer, writer_of


def test_the_second_is_told_who_the_first_is_and_may_write_after(tmp_path):
    folder = tmp_path / "new/out"
    with only_writer(folder, "out"):
        told = r"^out: .+@.+, process \d+, since .+, is writing to it; wait"
        with pytest.raises(RunError, match=told), only_writer(folder, "out"):
            raise AssertionError
        assert json.loads((folder / ".writer.json").read_text(encoding="utf-8"))["pid"]
    with only_writer(folder, "out"):
        pass
    assert not (folder / ".writer.json").exists()


def test_an_error_frees_it(tmp_path):
    with pytest.raises(KeyError), only_writer(tmp_path, "out"):
        raise KeyError
    with only_writer(tmp_path, "out"):
        pass


def test_a_first_who_left_no_name_is_another_process(tmp_path):
    with only_writer(tmp_path, "out"):
        (tmp_path / ".writer.json").write_text("{", encoding="utf-8")
        with pytest.raises(RunError, match="out: another process is writing"), only_writer(tmp_path, "out"):
            pass


def test_a_file_in_the_folders_place_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    told = r"file: cannot be written \(.*\);"
    with pytest.raises(RunError, match=told), only_writer(tmp_path / "file", "out"):
        pass


def test_the_refusal_is_of_the_kind_asked_for(tmp_path):
    with only_writer(tmp_path, "out"), pytest.raises(DataError), only_writer(tmp_path, "out", DataError):
        pass


def test_a_folder_that_was_made_and_not_used_goes_again(tmp_path):
    with pytest.raises(KeyError), only_writer(tmp_path / "out", "out"):
        raise KeyError
    assert not (tmp_path / "out").exists()
    with only_writer(tmp_path / "out", "out"):
        (tmp_path / "out/file").touch()
    assert (tmp_path / "out/file").exists()


def test_who_is_writing(tmp_path):
    assert writer_of(tmp_path) is None
    with only_writer(tmp_path, "out"):
        assert re.fullmatch(r".+@.+, process \d+, since .+,", writer_of(tmp_path))
    assert writer_of(tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="flock is Unix's")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_the_file_system_has_no_locks_one_writes_without(tmp_path, monkeypatch, code):
    def refuse(*args):
        raise OSError(code, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    with only_writer(tmp_path / "out", "out"):
        (tmp_path / "out/file").touch()
    assert (tmp_path / "out/file").exists()
    assert not (tmp_path / "out/.writer.json").exists()
