import sys

import pytest

from tracker import progress
from tracker.progress import Progress, clock


@pytest.fixture
def wait(monkeypatch):
    """Moves the clock that progress goes by."""
    moment = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: moment[0])

    def move(seconds):
        moment[0] += seconds

    return move


def lines(capsys):
    out, err = capsys.readouterr()
    assert out == ""  # results alone go to stdout
    return err.splitlines()


def test_lines_tell_rate_and_time_left(wait, capsys):
    with Progress().stage("tracking gate", 600, "frames") as advance:
        for _ in range(5):
            wait(4)
            advance(20)
    assert lines(capsys) == [
        "tracking gate: 60 of 600 frames, 5.0 a second, 1 min 48 s left",
        "tracking gate: 100 frames in 20 s, 5.0 a second",
    ]


def test_a_line_comes_every_so_often(wait, capsys):
    with Progress(every_s=2).stage("a", 10, "frames") as advance:
        for _ in range(6):
            wait(1)
            advance(1)
    assert [line.partition(",")[0] for line in lines(capsys)] == [
        "a: 2 of 10 frames",
        "a: 4 of 10 frames",
        "a: 6 of 10 frames",
        "a: 6 frames in 6 s",
    ]


def test_an_unknown_total_has_no_time_left(wait, capsys):
    with Progress().stage("embedding", 0, "tracklets") as advance:
        wait(10)
        advance(5)
    assert lines(capsys) == [
        "embedding: 5 tracklets, 0.5 a second",
        "embedding: 5 tracklets in 10 s, 0.5 a second",
    ]


def test_more_than_announced_has_no_time_left(wait, capsys):
    with Progress().stage("a", 10, "frames") as advance:
        wait(10)
        advance(20)
    assert lines(capsys)[0] == "a: 20 of 10 frames, 2.0 a second"


def test_nothing_done_says_nothing(wait, capsys):
    with Progress().stage("a", 10, "frames"):
        wait(100)
    assert lines(capsys) == []


def test_no_time_passed_divides_by_nothing(wait, capsys):
    with Progress(every_s=0).stage("a", 10, "frames") as advance:
        advance(0)
        advance(1)
    assert lines(capsys)[-1].startswith("a: 1 frames in 0 s")


def test_quiet_keeps_notes(wait, capsys):
    quiet = Progress(quiet=True)
    with quiet.stage("a", 10, "frames") as advance:
        wait(100)
        advance(5)
    quiet.note("error: gate.mp4: empty")
    assert lines(capsys) == ["error: gate.mp4: empty"]


def test_an_error_in_the_block_passes_and_claims_nothing(wait, capsys):
    with pytest.raises(ZeroDivisionError), Progress().stage("a", 10, "frames"):
        raise ZeroDivisionError
    assert lines(capsys) == []


@pytest.mark.parametrize("total", [0, 10])
def test_a_terminal_gets_a_bar(monkeypatch, capsys, total):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress().stage("tracking gate", total, "frames") as advance:
        advance(10)
    assert "tracking gate" in "\n".join(lines(capsys))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_a_duration_for_people(seconds, text):
    assert clock(seconds) == text
