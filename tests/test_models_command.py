"""``reidtrack models``: the list of shipped embedders, one's card and thresholds, JSON."""

import json

import pytest

from reid.calibration import Calibration, Curve, OperatingPoint
from reid.embed import DEFAULT_EMBEDDER, EMBEDDERS, Card
from tests.helpers import colour_embedder
from tracker.cli import main
from tracker.cli.models import thresholds

POINTS = (OperatingPoint(0.01, 0.625, 0.75), OperatingPoint(0.001, 0.75, 0.5))
CALIBRATION = Calibration(Curve(10.0, -5.0, POINTS, error=0.0125), Curve(8.0, -4.0, POINTS[:1]))
SCORED = Card("colour", (8, 4), "two streets", "research only", 1_250_000, "0" * 64, {"market1501": (0.625, 0.8125)})


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """Two small embedders in place of the shipped ones: the default, with a model card, and one never calibrated."""
    for name in list(EMBEDDERS):
        monkeypatch.delitem(EMBEDDERS, name)
    calibrated = Card(**{**vars(SCORED), "scores": {}, "calibration": CALIBRATION})
    monkeypatch.setitem(EMBEDDERS, DEFAULT_EMBEDDER, colour_embedder(tmp_path / "first.onnx", calibrated))
    monkeypatch.setitem(EMBEDDERS, "second", colour_embedder(tmp_path / "second.onnx", SCORED))
    (tmp_path / "first.md").write_text("# The first\n\nKnown failures: many.\n", encoding="utf-8")
    return EMBEDDERS


def test_the_list(capsys):
    assert main(["models"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert " ".join(header.split()) == "model parameters MB input dim ms, 1 crop ms, of 16 market1501 mAP / R1"
    assert lines[0].startswith(f"{DEFAULT_EMBEDDER} (default)")
    assert lines[0].endswith(" -")
    assert lines[1].split()[:6] == ["second", "1.25", "M", "0.0", "8x4", "3"]
    assert lines[1].endswith("62.5 / 81.2")
    assert float(lines[1].split()[6]) >= 0
    assert lines[2:] == [f"{DEFAULT_EMBEDDER}: trained on two streets", "second: trained on two streets"]


def test_the_list_without_measuring(capsys):
    assert main(["models", "--no-speed"]) == 0
    said = capsys.readouterr()
    assert "ms" not in said.out
    assert said.err == ""


def test_the_list_as_json(capsys, shipped):
    assert main(["models", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], first["default"], second["name"], second["default"]) == (
        DEFAULT_EMBEDDER, True, "second", False,
    )  # fmt: skip
    assert second["scores"] == {"market1501": {"mAP": 0.625, "R1": 0.8125}}
    assert (second["parameters"], second["input"], second["dim"]) == (1_250_000, [8, 4], 3)
    assert (second["training_data"], second["licence"]) == ("two streets", "research only")
    assert second["bytes"] == shipped["second"].stat().st_size
    assert second["calibration"] is None
    assert first["calibration"]["tracklets"]["points"][0] == [0.01, 0.625, 0.75]
    assert min(second["ms_single"], second["ms_of_16"]) >= 0


def test_one_of_them(capsys):
    assert main(["models", DEFAULT_EMBEDDER]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["# The first", "", "Known failures: many."]
    assert [line.split() for line in lines[5:8]] == [
        ["tracklets", "0.01", "0.625", "75.0%"],
        ["tracklets", "0.001", "0.750", "50.0%"],
        ["crops", "0.01", "0.625", "75.0%"],
    ]
    assert "tracklets: probabilities are off by 0.013 on average (expected calibration error)" in lines
    assert lines[-1].startswith("speed here: ")


def test_one_as_json(capsys):
    assert main(["models", "second", "--json", "--no-speed"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["name"] == "second"
    assert "ms_single" not in record


@pytest.mark.parametrize("name", ["second", "file"])
def test_without_a_card_or_calibration(name, shipped, capsys):
    asked = name if name == "second" else str(shipped["second"])
    assert main(["models", asked, "--no-speed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("colour-")
    assert lines[1:] == ["trained on two streets", "licence: research only", "", "similarities: never calibrated"]


def test_a_calibration_without_thresholds_or_errors():
    bare = Calibration(Curve(10.0, -5.0), Curve(8.0, -4.0))
    assert thresholds(bare) == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["third"], 2, f"'third' is no embedder; choose from {DEFAULT_EMBEDDER}, second, or give an exported .onnx"),
        (["--fast"], 2, "No such option"),
        (["second", "third"], 2, "unexpected extra argument"),
        ([__file__], 1, "not an ONNX model"),
    ],
)
def test_mistakes_end_in_one_line(arguments, code, said, capsys):
    assert main(["models", *arguments]) == code
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.count("\n") == 0
