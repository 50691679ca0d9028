"""Every program in samples/ runs, as its own docstring says."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.clips import cut, photograph
from tracker.demo import render_demo

SAMPLES = Path(__file__).parents[1] / "samples"


def call(name, monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
    runpy.run_path(str(SAMPLES / name), run_name="__main__")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two short recordings with people."""
    folder = tmp_path_factory.mktemp("samples")
    for clip in render_demo(folder / "demo").videos:
        (folder / "in").mkdir(exist_ok=True)
        cut(clip, folder / "in" / clip.name, 60, 85)
    return folder


def test_run_folder_then_read_tracklets(folder, monkeypatch, capsys):
    call("run_folder.py", monkeypatch, folder / "in", folder / "out")
    assert "person 1:" in capsys.readouterr().out
    call("read_tracklets.py", monkeypatch, folder / "out")
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all("identity" in line for line in lines)


def test_compare_crops(tmp_path, monkeypatch, capsys):
    import cv2

    picture = photograph("bus.jpg")
    cv2.imwrite(str(tmp_path / "a.jpg"), picture[398:902, 48:246])
    cv2.imwrite(str(tmp_path / "b.jpg"), picture[405:860, 223:345])
    probabilities = []
    for second in ("a.jpg", "b.jpg"):
        call("compare_crops.py", monkeypatch, tmp_path / "a.jpg", tmp_path / second)
        probabilities.append(float(capsys.readouterr().out.split()[-1]))
    assert probabilities[0] > 0.99 > probabilities[1]


def test_nothing_in_samples_is_untested():
    assert {path.name for path in SAMPLES.glob("*.py")} == {"run_folder.py", "read_tracklets.py", "compare_crops.py"}
