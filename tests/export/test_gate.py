"""The gate: what equals its reference passes; every planted fault is caught, with the check, the layer and a remedy."""

import json
import re

import numpy as np
import onnx
import pytest
import torch

from export.forms import swap_colours
from export.gate import LIMITS, Candidate, Check, GateError, GateReport, run_gate
from export.gate.batches import gate_batches
from export.gate.candidates import in_batches, open_candidate
from export.gate.layers import network_layers, where
from export.gate.picture import gate_picture
from export.precision import half_precision, halved
from export.source import onnx_graph
from export.tensors import network_input, node_outputs
from reid.errors import BadInputError
from reid.images import read_image
from reid.runtime import CPU
from tests.export.small import (
    SIZE,
    candidate_of,
    changed,
    constant,
    insert_after,
    needs_openvino,
    reference_of,
    small_network,
)

LOUD = 3e5  # weights hold it, activations do not


@pytest.fixture(scope="module")
def made():
    """(network, graph)."""
    model = small_network()
    return model, onnx_graph(model)


@pytest.fixture(scope="module")
def batch():
    return np.stack([crop for name, crops in gate_batches(SIZE) if name == "batch of 7" for crop in crops])


@pytest.fixture
def gated(made, tmp_path):
    """Takes a graph through the gate."""
    model = made[0]

    def through(graph, precision="fp32", **options):
        candidate = candidate_of(graph, tmp_path / "a.onnx", options.pop("prepare", np.stack))
        return run_gate(candidate, reference_of(model), SIZE, precision, layers=network_layers(model), **options)

    return through


def test_what_equals_its_reference_passes(gated, made):
    lines = []
    report = gated(halved(changed(made[1])), report=lines.append)
    assert report.passed
    assert report.cosine > 0.99999
    names = {check.name for check in report.checks}
    assert {"batch of 1", "batch of 2", "batch of 7", "batch of 7, one at a time", "batch of 32"} <= names
    assert {"size 1x1", "size 37x19", "noise blocks", "half grey", "truncated JPEG"} <= names
    assert "black and other constant colours" in names
    assert re.search(r"a.onnx: lowest cosine to its reference 0.99999\d+ in 14 checks|1.0000000 in 14", lines[0])


def test_normalising_twice_is_caught(gated, made):
    graph = changed(made[1])
    tensor = network_input(graph)
    constant(graph, "again_mean", np.full((1, 3, 1, 1), 0.45))
    constant(graph, "again_std", np.full((1, 3, 1, 1), 0.22))
    subtract = onnx.helper.make_node("Sub", [tensor, "again_mean"], ["again_centred"], "again_sub")
    divide = onnx.helper.make_node("Div", ["again_centred", "again_std"], ["again"], "again_div")
    with pytest.raises(
        GateError, match=r"check 'batch of 1' failed on CPU: cosine .* where 0.9999 is needed"
    ) as caught:
        gated(insert_after(graph, tensor, subtract, divide))
    # the right images are still in the graph, so the first convolution is what gets others
    assert "the first layer that differs is backbone." in str(caught.value)
    assert "try --full-weights or another --opset" in str(caught.value)


def test_another_mean_is_caught_as_preprocessing(gated, made):
    graph = changed(made[1])
    for weights in graph.graph.initializer:
        if weights.name == "mean":
            weights.CopyFrom(onnx.numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "mean"))
    with pytest.raises(GateError, match="layer that differs is preprocessing; crops reach the network in another way"):
        gated(graph)


def test_swapped_channels_are_caught(gated, made):
    with pytest.raises(GateError, match=r"differs is preprocessing; .* compare colour order, resize, mean and std"):
        gated(swap_colours(changed(made[1]), axis=3))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("mode", "nearest"), ("coordinate_transformation_mode", "align_corners"), ("antialias", 1)],
)
def test_another_resize_is_caught_on_an_odd_size(gated, made, attribute, value):
    graph = changed(made[1])
    (resize,) = (node for node in graph.graph.node if node.op_type == "Resize")
    kept = [one for one in resize.attribute if one.name != attribute]
    del resize.attribute[:]
    resize.attribute.extend([*kept, onnx.helper.make_attribute(attribute, value)])
    with pytest.raises(GateError, match=r"check 'size \d+x\d+' failed .* differs is preprocessing"):
        gated(graph)


def test_a_graph_whose_vectors_depend_on_the_batch_is_caught(gated, made):
    graph = changed(made[1])
    (last,) = (node.output[0] for node in graph.graph.node if node.op_type == "Gemm")
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "first_axis"))
    mean = onnx.helper.make_node("ReduceMean", [last, "first_axis"], ["batch_mean"], "batch_mean", keepdims=1)
    constant(graph, "share", -0.9)
    part = onnx.helper.make_node("Mul", ["batch_mean", "share"], ["batch_part"], "batch_part")
    mixed = onnx.helper.make_node("Add", [last, "batch_part"], ["mixed"], "mixed")
    with pytest.raises(GateError, match=r"check 'batch of 2' failed .* first layer that differs is unit norm"):
        gated(insert_after(graph, last, mean, part, mixed))


def test_a_file_that_answers_for_a_batch_of_its_own_is_caught(made):
    """One that goes wrong only where the batch is split."""
    reference = reference_of(made[0])

    def run(crops):
        vectors = reference(crops)
        return vectors if len(crops) != 1 else -vectors

    with pytest.raises(GateError, match="'batch of 1' failed"):
        run_gate(Candidate("a.onnx", {"CPU": run}), reference, SIZE, "fp32")


@pytest.fixture(scope="module")
def loud(made):
    """The same function, but what one of its layers gives lies beyond half precision's range."""
    model, graph = small_network(), changed(made[1])
    model.backbone.second.weight.data *= LOUD
    model.backbone.second.bias.data *= LOUD
    model.linear.weight.data /= LOUD
    factors = {"backbone.second.weight": LOUD, "backbone.second.bias": LOUD, "linear.weight": 1 / LOUD}
    for weights in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        scaled = (values * factors.get(weights.name, 1)).astype(values.dtype)
        weights.CopyFrom(onnx.numpy_helper.from_array(scaled, weights.name))
    return model, graph


def test_overflow_of_half_precision_is_caught(loud, batch, monkeypatch, tmp_path):
    model, graph = loud
    monkeypatch.setattr("export.precision._near_the_end", lambda value: False)
    monkeypatch.setattr("export.precision._MOST_FIRST", 0)
    onnx.save(half_precision(graph, batch, print), tmp_path / "a.onnx")
    candidate = open_candidate(tmp_path / "a.onnx", only=[CPU])
    with pytest.raises(GateError, match="'batch of 1' failed on ONNX Runtime layer by layer: cosine nan") as caught:
        run_gate(candidate, reference_of(model), SIZE, "fp16", layers=network_layers(model))
    assert "the first layer that differs is backbone.second; try --precision fp32" in str(caught.value)


def test_layers_that_would_overflow_stay_in_float32(loud, batch, tmp_path):
    model, graph = loud
    lines = []
    onnx.save(half_precision(graph, batch, lines.append), tmp_path / "a.onnx")
    candidate = open_candidate(tmp_path / "a.onnx", only=[CPU])
    assert list(candidate.runs) == [CPU, "ONNX Runtime layer by layer"]
    assert run_gate(candidate, reference_of(model), SIZE, "fp16").cosine > 0.999
    assert any("(Conv) stays in float32" in line for line in lines)


def test_stale_weights_are_caught_and_their_layer_named(gated, made):
    graph = changed(made[1])
    (weights,) = (one for one in graph.graph.initializer if one.name.startswith("backbone.second.weight"))
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(values[::-1].copy(), weights.name))
    with pytest.raises(GateError, match=r"the first layer that differs is backbone.second; try"):
        gated(graph)


def test_another_network_is_caught(made, tmp_path):
    with pytest.raises(GateError, match="'batch of 1' failed"):
        run_gate(candidate_of(made[1], tmp_path / "a.onnx"), reference_of(small_network(seed=1)), SIZE, "int8")


def test_vectors_of_another_length_are_caught(made):
    reference = reference_of(made[0])
    with pytest.raises(GateError, match=r"vectors \(1, 11\) where \(1, 12\) is needed; export again"):
        run_gate(Candidate("a.onnx", {"CPU": lambda crops: reference(crops)[:, 1:]}), reference, SIZE, "fp32")


@pytest.mark.parametrize("scale", [0.5, 2.0, np.nan])
def test_vectors_off_unit_norm_are_caught(made, scale):
    reference = reference_of(made[0])
    with pytest.raises(GateError, match="cosine"):
        run_gate(Candidate("a.onnx", {"CPU": lambda crops: reference(crops) * scale}), reference, SIZE, "int8")


def test_what_does_not_run_is_named_with_its_runtime(made):
    def broken(crops):
        raise RuntimeError("no kernel\nfor this")

    reference = reference_of(made[0])
    with pytest.raises(
        GateError, match=r"check 'batch of 1' does not run on Other \(no kernel\); .*--runtimes"
    ) as caught:
        run_gate(Candidate("a.onnx", {"CPU": reference, "Other": broken}), reference, SIZE, "fp32")
    assert "\n" not in str(caught.value)


def test_each_precision_has_a_limit_of_its_own(made):
    """Vectors turned by an angle whose cosine lies between two limits pass one and not the other."""
    reference = reference_of(made[0])

    def turned(cosine):
        def run(crops):
            vectors = reference(crops).astype(np.float64)
            other = np.roll(vectors, 1, 1)
            other -= (other * vectors).sum(1, keepdims=True) * vectors
            other /= np.linalg.norm(other, axis=1, keepdims=True)
            return cosine * vectors + np.sqrt(1 - cosine**2) * other

        return Candidate("a.onnx", {"CPU": run})

    for precision, passing, failing in (("fp32", 0.99995, 0.9998), ("fp16", 0.9995, 0.998), ("int8", 0.995, 0.98)):
        report = run_gate(turned(passing), reference, SIZE, precision)
        assert report.cosine == pytest.approx(passing, abs=1e-5)
        with pytest.raises(GateError, match=f"where {LIMITS[precision].cosine:g} is needed"):
            run_gate(turned(failing), reference, SIZE, precision)


def test_unknown_precisions_and_candidates_without_a_runtime_are_programming_errors(made):
    with pytest.raises(ValueError, match="precision: expected one of fp32, fp16, int8, got 'fp64'"):
        run_gate(Candidate("a.onnx", {"CPU": reference_of(made[0])}), reference_of(made[0]), SIZE, "fp64")
    with pytest.raises(ValueError, match="at least one runtime"):
        Candidate("a.onnx", {})


@needs_openvino
def test_the_file_agrees_on_onnxruntime_openvino_and_the_reference_evaluator(made, tmp_path):
    path = tmp_path / "a.onnx"
    onnx.save(made[1], path)
    candidate = open_candidate(path)
    assert set(candidate.runs) >= {"CPUExecutionProvider", "OpenVINO"}
    evaluator = onnx.reference.ReferenceEvaluator(made[1])
    crops = np.random.default_rng(0).integers(0, 256, (2, 41, 23, 3), np.uint8)
    expected = reference_of(made[0])(list(crops))
    for run in (*candidate.runs.values(), lambda given: evaluator.run(None, {"crops": np.stack(given)})[0]):
        assert np.asarray(run(list(crops))) == pytest.approx(expected, abs=1e-4)


def test_a_runtime_that_does_not_work_here_cannot_be_asked_for(made, tmp_path):
    path = tmp_path / "a.onnx"
    onnx.save(made[1], path)
    assert list(open_candidate(path, only=["CPUExecutionProvider"]).runs) == ["CPUExecutionProvider"]
    with pytest.raises(BadInputError, match="runtime 'Abacus' does not work here; choose from CPUExecutionProvider"):
        open_candidate(path, only=["Abacus"])


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_a_fixed_batch_is_filled_up_and_what_it_gives_too_much_is_dropped(count):
    seen = []

    def run(images):
        seen.append(len(images))
        return images.reshape(len(images), -1)[:, :1].astype(np.float32)

    crops = [np.full((1, 1, 3), i, np.uint8) for i in range(count)]
    assert in_batches(run, np.stack, 4)(crops).ravel().tolist() == list(range(count))
    assert set(seen) == {4}


def test_crops_of_several_sizes_keep_their_order():
    crops = [np.full((size, 2, 3), i, np.uint8) for i, size in enumerate((3, 3, 5, 3))]
    vectors = in_batches(lambda images: images.mean((1, 2, 3))[:, None].astype(np.float32), np.stack)(crops)
    assert vectors.ravel().tolist() == [0, 1, 2, 3]


def test_the_batches_are_always_the_same_and_of_the_stated_shapes():
    first, second = list(gate_batches(SIZE)), list(gate_batches(SIZE))
    assert [name for name, _ in first] == [name for name, _ in second]
    for (name, crops), (_, again) in zip(first, second, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(crops, again, strict=True))
        assert len({crop.shape for crop in crops}) == 1
        assert all(crop.dtype == np.uint8 for crop in crops)
        if name.startswith("batch of"):
            assert len(crops) == int(name.split()[-1])
            assert crops[0].shape == (*SIZE, 3)


def test_where_finds_the_first_layer_that_differs_even_behind_a_fused_one():
    rng = np.random.default_rng(0)
    layers = [(name, rng.normal(size=(2, 3))) for name in "abcde"]
    found = [value for name, value in layers if name not in "bde"]  # b is fused into c; d and e are wrong
    assert where(layers, [*found, rng.normal(size=(2, 3))]) == "d"
    assert where(layers, [value for name, value in layers if name != "b"]) is None
    drifting = [(name, value + 1e-4 * rng.normal(size=(2, 3))) for name, value in layers[:3]]
    assert where(layers, [value for _, value in drifting]) == "d"


def test_node_outputs_are_what_the_graph_computes(made, batch):
    values = node_outputs(made[1], batch)
    expected = made[0].preprocess(torch.from_numpy(batch)).numpy()
    assert values[network_input(made[1])] == pytest.approx(expected, abs=1e-4)
    assert values["vectors"] == pytest.approx(reference_of(made[0])(list(batch)), abs=1e-5)


def test_the_report_says_everything_as_json_and_as_a_picture(tmp_path):
    checks = (
        Check("batch of 1", "CPU", 0.99999, 0.9999),
        Check("batch of 1", "OpenVINO", 1.0, 0.9999),
        Check("black", "CPU", float("nan"), 0.9999),
        Check("site mAP", "CPU", 0.05, 0.1, at_least=False),
    )
    report = GateReport("folder/a.onnx", "fp32", checks, {"CPU": {"site": (0.5, 0.7)}}, {"CPU": {"tracklets": 0.002}})
    assert not report.passed
    assert [check.name for check in report.failed] == ["black"]
    record = json.loads(report.to_json("abc"))
    assert (record["file"], record["sha256"], record["passed"], record["cosine"]) == ("a.onnx", "abc", False, None)
    assert record["checks"][2] == {
        "name": "black", "provider": "CPU", "measured": None, "limit": 0.9999, "at_least": True, "passed": False,
    }  # fmt: skip
    assert record["limits"] == {"cosine": 0.9999, "points": 0.1, "threshold_drift": 0.01}
    assert record["thresholds"] == {"false_match": 0.001, "drift": {"CPU": {"tracklets": 0.002}}, "recalibrated": False}
    passed = GateReport("folder/a.onnx", "fp32", (*checks[:2], checks[3]))
    assert passed.passed
    assert read_image(gate_picture(tmp_path / "a.png", passed)).shape[1] > 1500
