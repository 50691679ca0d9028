"""What the gate asks of data sets: mAP and rank-1 within the precision's points, thresholds that stay or are remade."""

import json
from dataclasses import replace

import numpy as np
import pytest

from export.gate import Candidate, Check, GateError, run_gate
from export.gate.accuracy import Remembered, drift, score_checks, told
from reid.calibrate import Measured
from reid.calibration import Calibration, Curve, OperatingPoint
from reid.datasets import load_dataset
from tests.helpers import market_folder

SIZE = (32, 16)


def mean_colour(crops):
    """(n, 3) unit vectors."""
    means = np.stack([crop.mean((0, 1)) + 1 for crop in crops]) - 128
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def market(tmp_path):
    return {"market1501": load_dataset("market1501", market_folder(tmp_path / "market"))}


def test_a_crop_is_embedded_once_however_often_it_comes():
    seen = []

    def embed(crops):
        seen.extend(crop.shape for crop in crops)
        return mean_colour(crops)

    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (size, 9, 3), np.uint8) for size in (5, 40, 5)]
    remembered = Remembered(embed, SIZE)
    first = remembered([*crops, crops[0]])
    again = remembered(crops[::-1])
    assert seen == [(*SIZE, 3)] * 3
    assert np.array_equal(first[[2, 1, 0]], again)
    assert np.array_equal(first[0], first[3])


def test_equal_bytes_of_another_shape_are_another_crop():
    flat = np.arange(36, dtype=np.uint8)
    a, b = flat.reshape(3, 4, 3), flat.reshape(4, 3, 3)
    calls = []
    Remembered(lambda crops: calls.extend(crops) or mean_colour(crops), SIZE)([a, b])
    assert len(calls) == 2


def test_scores_are_compared_in_percentage_points_either_way():
    checks = score_checks({"site": (0.5, 0.7)}, {"site": (0.509, 0.6901)}, 1.0, "CPU")
    assert [(check.name, check.passed) for check in checks] == [("site mAP", True), ("site R1", True)]
    assert [check.measured for check in checks] == pytest.approx([0.9, 0.99])
    assert not score_checks({"site": (0.5, 0.7)}, {"site": (0.5, 0.6899)}, 1.0, "CPU")[1].passed


def test_scores_within_the_points_pass_and_are_reported(market):
    report = run_gate(Candidate("a.onnx", {"CPU": mean_colour}), mean_colour, SIZE, "fp32", market)
    assert report.scores["market1501"] == (1.0, 1.0)
    names = [check.name for check in report.checks if not check.at_least]
    assert names == ["market1501 mAP", "market1501 R1"]


def test_an_artifact_that_ranks_otherwise_fails_with_its_figure_and_a_remedy(market, monkeypatch):
    found = iter([{"market1501": (0.9, 0.95)}, {"market1501": (0.88, 0.95)}])
    monkeypatch.setattr("export.gate.running.scores", lambda splits, embed, report: next(found))
    message = (
        r"a.onnx: check 'market1501 mAP' failed on CPU: it moved by 2.00 points where 1 are allowed; try --calibrate-on"
    )
    with pytest.raises(GateError, match=message):
        run_gate(Candidate("a.onnx", {"CPU": mean_colour}), mean_colour, SIZE, "int8", market)


def measured(*similarities):
    """A calibration with a threshold at 0.001 for tracklets and for crops; None has none."""
    curves = [
        replace(Curve(10.0, -5.0), points=() if one is None else (OperatingPoint(1e-3, one, 0.9),))
        for one in similarities
    ]
    return Measured(Calibration(*curves), None, None)


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ((0.6, 0.5), (0.605, 0.5), {"tracklets": 0.005, "crops": 0.0}),
        ((0.6, None), (0.58, None), {"tracklets": 0.02}),
        ((0.6, None), (None, None), {"tracklets": 2.0}),
        ((None, None), (None, None), {}),
    ],
)
def test_drift_of_thresholds(theirs, ours, expected):
    moved = drift(measured(*theirs).calibration, measured(*ours).calibration, 1e-3)
    assert moved == {kind: pytest.approx(value) for kind, value in expected.items()}


def test_drift_in_words():
    assert told({}, 1e-3) == "thresholds at 0.001 false matches: the data sets have too few pairs to tell any"
    assert told({"crops": 0.002}, 0.1) == "thresholds at 0.1 false matches moved by crops 0.0020"
    assert told({"crops": 0.01}, 0.1).endswith("0.01 or more: a table measured anew is in the file")


@pytest.mark.parametrize(("moved", "own"), [(0.0099, False), (0.02, True)])
def test_a_table_is_remade_only_where_a_threshold_moved_too_far(monkeypatch, market, moved, own):
    theirs, ours = measured(0.6, 0.5), measured(0.6, 0.5 + moved)
    monkeypatch.setattr("export.gate.running.calibrations", lambda *given: (theirs, ours))
    lines = []
    candidate = Candidate("a.onnx", {"CPU": mean_colour})
    report = run_gate(candidate, mean_colour, SIZE, "int8", report=lines.append, sites=market)
    assert report.recalibrated is own
    assert report.measured is (ours if own else theirs)
    assert report.passed
    assert report.drift["crops"] == pytest.approx(moved)
    assert report.notes[-1] == lines[-1]
    assert json.loads(report.to_json(""))["thresholds"]["recalibrated"] is own


def test_where_no_threshold_can_be_told_the_artifacts_own_table_is_taken(monkeypatch, market):
    theirs, ours = measured(None, None), measured(None, None)
    monkeypatch.setattr("export.gate.running.calibrations", lambda *given: (theirs, ours))
    report = run_gate(Candidate("a.onnx", {"CPU": mean_colour}), mean_colour, SIZE, "fp32", sites=market)
    assert report.measured is ours
    assert not report.recalibrated
    assert "too few pairs" in report.notes[-1]


def test_nan_passes_no_check():
    assert not Check("a", "CPU", float("nan"), 0.9).passed
    assert not Check("a", "CPU", float("nan"), 0.9, at_least=False).passed
