"""What the gate asks of data sets: mAP and rank-1 within the precision's points, thresholds that stay or are remade."""

import json
from dataclasses import replace

import numpy as np
import pytest

from export.gate import Candidate, Check, GateError, run_gate
from export.gate.accuracy import Remembered, drift, score_checks, told, told_beside
from export.gate.batches import gate_batches
from reid.calibrate import Measured
from reid.calibration import Calibration, Curve, OperatingPoint
from reid.datasets import load_dataset
from tests.helpers import market_folder, write_image

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


def test_scores_within_the_points_pass_and_are_reported_by_runtime(market):
    candidate = Candidate("a.onnx", {"CPU": mean_colour, "Other": mean_colour})
    lines = []
    report = run_gate(candidate, mean_colour, SIZE, "fp32", market, report=lines.append)
    assert report.scores == {"CPU": {"market1501": (1.0, 1.0)}, "Other": {"market1501": (1.0, 1.0)}}
    assert report.file_scores == {"market1501": (1.0, 1.0)}
    checks = [(check.name, check.provider) for check in report.checks if not check.at_least]
    names = ("market1501 mAP", "market1501 R1")
    assert checks == [(name, provider) for provider in ("CPU", "Other") for name in names]
    assert json.loads(report.to_json(""))["scores"]["Other"] == {"market1501": [1.0, 1.0]}
    for provider in ("CPU", "Other"):
        assert f"market1501 on {provider}: mAP 100.00%, R1 100.00%; its reference 100.00%, 100.00%" in lines


def test_an_artifact_that_ranks_otherwise_fails_with_its_figure_and_a_remedy(market, monkeypatch):
    found = iter([{"market1501": (0.9, 0.95)}, {"market1501": (0.88, 0.95)}])
    monkeypatch.setattr("export.gate.running.scores", lambda splits, embed, report: next(found))
    message = (
        r"a.onnx: check 'market1501 mAP' failed on CPU: it moved by 2.00 points where 1 are allowed; try --calibrate-on"
    )
    with pytest.raises(GateError, match=message):
        run_gate(Candidate("a.onnx", {"CPU": mean_colour}), mean_colour, SIZE, "int8", market)


def mostly(wrong):
    """Right on what the gate makes up, wrong on the crops of a data set: what only a data set can show."""
    made_up = {crop.tobytes() for _, crops in gate_batches(SIZE) for crop in crops}

    def embed(crops):
        vectors = mean_colour(crops)
        return np.stack([v if c.tobytes() in made_up else wrong(v) for c, v in zip(crops, vectors, strict=True)])

    return embed


def forgets_colour(vector):
    """Nearly one vector for all: the brightness is left."""
    return np.array([1, 0, 0], np.float32) * np.linalg.norm(vector) + vector[1:2] * np.array([0, 1e-3, 0], np.float32)


def test_ranks_that_one_runtime_alone_gets_wrong_are_caught_with_its_name(market):
    candidate = Candidate("a.onnx", {"CPU": mean_colour, "Other": mostly(forgets_colour)})
    message = (
        r"check 'market1501 mAP' failed on Other: it moved by \d+\.\d\d points where 0\.1 are allowed; "
        r"CPU passes: leave Other out with --runtimes, or try --full-weights"
    )
    with pytest.raises(GateError, match=message):
        run_gate(candidate, mean_colour, SIZE, "fp32", market)
    assert run_gate(Candidate("a.onnx", {"CPU": mean_colour}), mean_colour, SIZE, "fp32", market).passed


@pytest.fixture
def site(tmp_path):
    """Eight people, each a colour, in 2 cameras of the gallery, so that it can be calibrated on."""
    folder = tmp_path / "site"
    for person, rgb in enumerate(np.random.default_rng(3).integers(0, 256, (8, 3)), 1):
        for camera in (1, 2):
            write_image(folder / "bounding_box_test" / f"{person:04}_c{camera}s1_000001_00.png", rgb, seed=camera)
        write_image(folder / "query" / f"{person:04}_c3s1_000009_00.png", rgb, seed=9)
    write_image(folder / "bounding_box_train" / "0009_c1s1_000000_00.png", (1, 2, 3))
    return {"market1501": load_dataset("market1501", folder)}


def test_every_runtime_embeds_a_crop_of_the_data_sets_once(site):
    made_up = {crop.tobytes() for _, crops in gate_batches(SIZE) for crop in crops}
    seen = {name: [] for name in ("reference", "CPU", "Other", "imitated")}

    def counting(name):
        def embed(crops):
            seen[name] += [crop.tobytes() for crop in crops if crop.tobytes() not in made_up]
            return mean_colour(crops)

        return embed

    runs = {name: counting(name) for name in ("CPU", "Other", "imitated")}
    candidate = Candidate("a.onnx", runs, imitations=("imitated",))
    report = run_gate(candidate, counting("reference"), SIZE, "fp32", site, sites=site)
    assert seen["imitated"] == []
    assert len(seen["CPU"]) == 8 * 3
    for crops in (seen["reference"], seen["CPU"], seen["Other"]):
        assert len(crops) == len(set(crops)) == len(seen["CPU"])
    assert list(report.scores) == list(report.drift) == ["CPU", "Other"]
    assert {check.provider for check in report.checks if check.at_least} == {"CPU", "Other", "imitated"}


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
    none = "thresholds at 0.001 false matches on CPU: the data sets have too few pairs to tell any"
    assert told({}, 1e-3, "CPU") == told_beside({}, 1e-3, "CPU") == none
    assert told({"crops": 0.002}, 0.1, "CPU") == "thresholds at 0.1 false matches on CPU moved by crops 0.0020"
    assert told({"crops": 0.01}, 0.1, "CPU").endswith("0.01 or more: a table measured anew is in the file")
    near = "thresholds at 0.1 false matches on GPU are tracklets 0.0020 from those in the file"
    assert told_beside({"tracklets": 0.002}, 0.1, "GPU") == near
    far = "0.0100 from those in the file, 0.01 or more: for GPU make a file of its own, with --runtimes GPU"
    assert told_beside({"crops": 0.01}, 0.1, "GPU").endswith(far)


@pytest.fixture
def calibrated(monkeypatch, market):
    """The gate of a candidate on runtimes CPU and Other, whose crops' thresholds are so far from the reference's."""

    def through(*moved):
        found = [measured(0.6, 0.5), *(measured(0.6, None if one is None else 0.5 + one) for one in moved)]
        given = iter(found)
        monkeypatch.setattr("export.gate.running.calibrate", lambda sites, embed, report: next(given))
        runs = dict.fromkeys(["CPU", "Other"][: len(moved)], mean_colour)
        lines = []
        report = run_gate(Candidate("a.onnx", runs), mean_colour, SIZE, "int8", report=lines.append, sites=market)
        assert lines[-len(moved) :] == list(report.notes)
        assert report.passed
        return report, found

    return through


@pytest.mark.parametrize(("moved", "own"), [(0.0099, False), (0.02, True), (None, True)])
def test_a_table_is_remade_only_where_a_threshold_moved_too_far(calibrated, moved, own):
    report, (theirs, ours) = calibrated(moved)
    assert report.recalibrated is own
    assert report.measured is (ours if own else theirs)
    assert report.drift["CPU"]["crops"] == pytest.approx(2 if moved is None else moved)
    thresholds = json.loads(report.to_json(""))["thresholds"]
    assert thresholds["recalibrated"] is own
    assert thresholds["drift"] == {"CPU": report.drift["CPU"]}


@pytest.mark.parametrize(
    ("first", "other", "own", "told"),
    [
        (0.0, 0.002, False, "Other are tracklets 0.0000, crops 0.0020 from those in the file"),
        (0.0, 0.02, False, "crops 0.0200 from those in the file, 0.01 or more: for Other make a file of its own"),
        (0.02, 0.021, True, "Other are tracklets 0.0000, crops 0.0010 from those in the file"),
        (0.02, 0.0, True, "crops 0.0200 from those in the file, 0.01 or more: for Other make a file of its own"),
    ],
)
def test_thresholds_that_one_runtime_alone_moves_are_told_of_that_runtime(calibrated, first, other, own, told):
    """The file has one table: the reference's, or the first runtime's own; what another needs is told beside it."""
    report, (theirs, ours, _) = calibrated(first, other)
    assert report.measured is (ours if own else theirs)
    assert report.recalibrated is own
    assert {name: moved["crops"] for name, moved in report.drift.items()} == pytest.approx(
        {"CPU": first, "Other": other}
    )
    assert told in report.notes[-1]
    assert report.notes[-1].endswith("with --runtimes Other") is ("make a file" in told)


def test_where_no_threshold_can_be_told_the_artifacts_own_table_is_taken(monkeypatch, market):
    theirs, ours = measured(None, None), measured(None, None)
    given = iter((theirs, ours))
    monkeypatch.setattr("export.gate.running.calibrate", lambda *rest: next(given))
    report = run_gate(Candidate("a.onnx", {"CPU": mean_colour}), mean_colour, SIZE, "fp32", sites=market)
    assert report.measured is ours
    assert not report.recalibrated
    assert "too few pairs" in report.notes[-1]


def test_nan_passes_no_check():
    assert not Check("a", "CPU", float("nan"), 0.9).passed
    assert not Check("a", "CPU", float("nan"), 0.9, at_least=False).passed
