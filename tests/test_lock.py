"""One writer at a time."""

import errno
import json

import pytest

from reid.errors import DataError
from tracker import lock
from tracker.lock import only_writer


def test_the_second_is_told_who_the_first_is_and_may_write_after(tmp_path):
    folder = tmp_path / "new/out"
    with only_writer(folder, "out"):
        told = r"^out: .+@.+, process \d+, since .+, is writing to it; wait"
        with pytest.raises(DataError, match=told), only_writer(folder, "out"):
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
        with pytest.raises(DataError, match="out: another process is writing"), only_writer(tmp_path, "out"):
            pass


def test_a_file_in_the_folders_place_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    told = r"^out: cannot be written \(.*\); choose a folder that you may write to"
    with pytest.raises(DataError, match=told), only_writer(tmp_path / "file", "out"):
        pass


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock")])
def test_where_the_file_system_has_no_locks_one_writes_without(tmp_path, monkeypatch, error):
    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(lock.FileLock, "acquire", refuse)
    with only_writer(tmp_path, "out"):
        (tmp_path / "file").touch()
    assert not (tmp_path / ".writer.json").exists()
