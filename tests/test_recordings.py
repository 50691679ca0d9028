from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import BadInputError
from tracker.recordings import VIDEO_SUFFIXES, expand, names_for, parse_start, parse_starts, safe_name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """c.mp4, A.MKV, b.avi, notes.txt and sub/d.mp4, from whose folder the test runs."""
    for name in ("c.mp4", "A.MKV", "b.avi", "notes.txt", "sub/d.mp4", "x.mp4/inner.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources):
    return [str(path) for path in expand([str(source) for source in sources])]


# ---- files


def test_files_keep_the_order_given(folder):
    assert names("c.mp4", "A.MKV", "b.avi") == ["c.mp4", "A.MKV", "b.avi"]


def test_any_file_named_is_taken_whatever_its_suffix_or_existence(folder):
    assert names("notes.txt", "absent.mp4") == ["notes.txt", "absent.mp4"]  # reading says what is wrong with them


def test_a_folder_gives_its_own_videos_by_name(folder):
    assert names(folder) == [str(folder / name) for name in ("A.MKV", "b.avi", "c.mp4")]
    assert names("sub", folder) == ["sub/d.mp4", *names(folder)]


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_every_suffix_counts_in_either_case(tmp_path, suffix):
    for name in (f"a{suffix}", f"b{suffix.upper()}"):
        (tmp_path / name).write_bytes(b"x")
    assert len(expand([str(tmp_path)])) == 2


def test_patterns_are_expanded_here_where_the_shell_does_not(folder):
    assert names("*.mp4") == ["c.mp4"]  # the folder x.mp4 is no file
    assert names("**/*.mp4") == ["c.mp4", "sub/d.mp4", "x.mp4/inner.mp4"]
    assert names("?.*") == ["A.MKV", "b.avi", "c.mp4"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder):
    (folder / "[1].mp4").write_bytes(b"x")
    assert names("[1].mp4") == ["[1].mp4"]


def test_a_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    assert names("~/c.mp4") == [str(folder / "c.mp4")]


def test_what_folders_and_patterns_bring_twice_is_taken_once(folder):
    assert names("c.mp4", "*.mp4", ".") == ["c.mp4", "A.MKV", "b.avi"]
    assert names("*.mp4", "c.mp4") == ["c.mp4"]


@pytest.mark.parametrize("second", ["c.mp4", "./c.mp4", "sub/../c.mp4"])
def test_a_file_named_twice_is_a_mistake(folder, second):
    with pytest.raises(BadInputError, match=r"c\.mp4: given twice"):
        expand(["c.mp4", second])


def test_a_folder_or_pattern_without_videos_is_a_mistake(folder):
    (folder / "empty").mkdir()
    with pytest.raises(BadInputError, match="empty: no videos in this folder"):
        expand(["empty"])
    with pytest.raises(BadInputError, match=r"\*\.webm: no file matches this pattern"):
        expand(["*.webm"])


# ---- names


def test_names_are_the_stems():
    assert names_for([Path("in/gate.mp4"), Path("in/hall 2.mkv")]) == ["gate", "hall_2"]


def test_stems_that_repeat_take_their_folders_name():
    paths = [Path("/x/mon/gate.mp4"), Path("/x/tue/gate.mp4"), Path("/x/tue/hall.mp4")]
    assert names_for(paths) == ["mon_gate", "tue_gate", "hall"]


def test_names_that_still_repeat_are_numbered():
    paths = [Path("/x/mon/gate.mp4"), Path("/y/mon/gate.mp4"), Path("/y/mon/gate.avi")]
    assert names_for(paths) == ["mon_gate", "mon_gate_2", "mon_gate_3"]


def test_names_differ_where_file_systems_ignore_case():
    assert names_for([Path("Gate.mp4"), Path("gate.mp4")]) == ["Gate", "gate_2"]


files = st.builds(
    lambda folder, stem: Path("/", folder, stem + ".mp4"),
    st.sampled_from(["a", "b", "A"]),
    st.text(st.characters(exclude_characters="/\\\0", codec="utf-8"), min_size=1, max_size=6),
)


@given(st.lists(files, max_size=12))
def test_names_are_distinct_and_safe_whatever_the_files(paths):
    made = names_for(paths)
    assert len(made) == len(paths)
    assert len({name.casefold() for name in made}) == len(made)
    assert all(name == safe_name(name) for name in made)


@given(st.text())
def test_a_safe_name_stays_as_it_is(text):
    name = safe_name(text)
    assert name
    assert not set(name) & set('/\\:*?"<>| \0\n')
    assert not name.startswith(".")
    assert safe_name(name) == name


# ---- clocks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (0.0, False)),
        ("-12.5", (-12.5, False)),
        ("1970-01-02", (86400.0, True)),
        ("1970-01-01T00:00:01.5", (1.5, True)),
        ("1970-01-01 02:00:00+02:00", (0.0, True)),
        ("1970-01-01T00:00:00Z", (0.0, True)),
    ],
)
def test_a_start_is_a_clock_time_or_seconds(text, expected):
    assert parse_start(text) == expected


@pytest.mark.parametrize("text", ["", "noon", "12:30", "2026-13-01", "2026-03-01T25:00:00", "nan", "inf", "-inf"])
def test_what_is_neither_is_a_mistake(text):
    with pytest.raises(BadInputError, match="neither a clock time"):
        parse_start(text)


def test_starts_of_all_recordings():
    assert parse_starts([], 3) == ([0.0, 0.0, 0.0], False)
    assert parse_starts(["1", "2.5"], 2) == ([1.0, 2.5], False)
    assert parse_starts(["1970-01-01T00:00:05", "1970-01-01T00:01:00"], 2) == ([5.0, 60.0], True)


@pytest.mark.parametrize("count", [1, 3])
def test_one_start_for_each_recording(count):
    with pytest.raises(BadInputError, match=rf"2 given for {count} videos"):
        parse_starts(["1", "2"], count)


def test_clock_times_and_seconds_do_not_mix():
    with pytest.raises(BadInputError, match="mixed"):
        parse_starts(["1", "1970-01-01T00:00:05"], 2)
