import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import RunError
from tracker.files import cache_folder, digest, sha256, whole_file


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folders" / "a.json"
    with whole_file(path) as partial:
        partial.write_text("half")
        assert partial.parent == path.parent
        assert not path.exists()
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def fail_half_way(path, error):
    with whole_file(path) as partial:
        partial.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt(), RunError("x")])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.json"
    with pytest.raises(type(error)):
        fail_half_way(path, error)
    assert list(tmp_path.iterdir()) == []
    path.write_text("before")
    with pytest.raises(type(error)):
        fail_half_way(path, error)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_cannot_be_written_is_one_clear_line(tmp_path):
    with pytest.raises(RunError, match=r"a\.json: cannot be written \(No space left on device\); choose a folder"):
        fail_half_way(tmp_path / "a.json", OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"a\.json: cannot be written"):
        fail_half_way(tmp_path / "file" / "a.json", ZeroDivisionError())


def test_a_full_disk_says_that_work_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(RunError, match="free some disk space and run the same command again"):
        fail_half_way(tmp_path / "a.json", OSError(28, "No space left on device"))


def test_a_block_that_wrote_nothing_is_an_error(tmp_path):
    with pytest.raises(RunError, match="cannot be written"), whole_file(tmp_path / "a.json"):
        pass


def test_the_cache_goes_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDTRACK_CACHE", str(tmp_path / "here"))
    assert cache_folder("detectors", "x") == tmp_path / "here" / "detectors" / "x"
    assert (tmp_path / "here" / "detectors" / "x").is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REIDTRACK_CACHE", str(tmp_path / "file"))
    with pytest.raises(RunError, match=r"cannot be created .*; set REIDTRACK_CACHE"):
        cache_folder("detectors")


@given(st.binary(max_size=100))
def test_sha256_is_of_the_content(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content)
    assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_digest_is_the_same_in_every_process_and_version():
    assert digest("a", 1, None, 0.5) == hashlib.sha256(b"('a', 1, None, 0.5)").hexdigest()[:16]


parts = st.lists(st.one_of(st.text(), st.integers(), st.none(), st.floats(allow_nan=False)), max_size=4).map(tuple)


@given(parts, parts)
def test_digests_differ_where_inputs_do(a, b):
    assert (digest(*a) == digest(*b)) == (repr(a) == repr(b))
