"""Quantisation of a network built by hand, small enough to know, and of one of ours."""

import re

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from export.gate.batches import figure, gate_batches
from export.gate.candidates import in_batches, openvino_run, session_run, stacked
from export.int8 import AIM, MIN_COSINE, quantise
from export.source import onnx_graph
from reid.embed import INPUT, OUTPUT
from reid.errors import ModelError
from reid.model import EmbeddingModel
from reid.runtime import open_session
from tests.export.small import needs_openvino

SIZE = (32, 16)
CHANNELS, DIM = 8, 16
CONVOLUTIONS = ("first", "second", "third", "fourth")


def network(outlier=1.0, opset=18):
    """Four convolutions, one of them beside a shortcut, and a linear map, under an embedder's pre- and postprocessing.

    The first output channel of ``second`` is larger by ``outlier``, and ``third`` takes it as much smaller: the vectors
    are the same, but one scale cannot serve all channels between the two.
    """
    rng = np.random.default_rng(0)
    weights = {"mean": np.full((1, 3, 1, 1), 118.0), "std": np.full((1, 3, 1, 1), 58.0)}
    inputs = 3
    for name in CONVOLUTIONS:
        weights[f"{name}.weight"] = rng.normal(0, (2 / inputs / 9) ** 0.5, (CHANNELS, inputs, 3, 3))
        weights[f"{name}.bias"] = rng.normal(0, 0.1, CHANNELS)
        inputs = CHANNELS
    weights["second.weight"][0] *= outlier
    weights["second.bias"][0] *= outlier
    weights["third.weight"][:, 0] /= outlier
    weights["linear.weight"] = rng.normal(0, 1, (DIM, CHANNELS))
    weights["linear.bias"] = rng.normal(0, 1, DIM)

    def conv(name, given, stride=1):
        parts = [given, f"{name}.weight", f"{name}.bias"]
        return helper.make_node("Conv", parts, [name], f"node_{name}", pads=[1, 1, 1, 1], strides=[stride, stride])

    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], "node_cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], "node_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Shape", ["planes"], ["shape"], "node_shape", start=0, end=2),
        helper.make_node("Concat", ["shape", "sides"], ["wanted"], "node_wanted", axis=0),
        helper.make_node("Resize", ["planes", "", "", "wanted"], ["resized"], "node_resize", mode="linear"),
        helper.make_node("Sub", ["resized", "mean"], ["centred"], "node_sub"),
        helper.make_node("Div", ["centred", "std"], ["images"], "node_std"),
        conv("first", "images", 2),
        helper.make_node("Relu", ["first"], ["first_relu"], "node_first_relu"),
        conv("second", "first_relu"),
        helper.make_node("Relu", ["second"], ["second_relu"], "node_second_relu"),
        conv("third", "second_relu"),
        helper.make_node("Add", ["third", "first_relu"], ["sum"], "node_sum"),
        conv("fourth", "sum"),
        helper.make_node("Relu", ["fourth"], ["fourth_relu"], "node_fourth_relu"),
        helper.make_node("ReduceMean", ["fourth_relu", "space"], ["pooled"], "node_pool", keepdims=0),
        helper.make_node("Gemm", ["pooled", "linear.weight", "linear.bias"], ["vector"], "node_linear", transB=1),
        helper.make_node("ReduceL2", ["vector", "axis"], ["norm"], "node_norm", keepdims=1),
        helper.make_node("Div", ["vector", "norm"], [OUTPUT], "node_unit"),
    ]
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    stored += [
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in (("sides", SIZE), ("space", [2, 3]), ("axis", [1]))
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", DIM])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    helper.set_model_props(model, {"reidtrack.backbone": "small"})
    return model


def call(graph):
    return in_batches(session_run(open_session(graph.SerializeToString(), "cpu")), stacked)


def figures(count, seed, size=(40, 20)):
    rng = np.random.default_rng(seed)
    return [figure(rng, size) for _ in range(count)]


def quantised_layers(graph):
    """Names of the weights that are stored in 8 bits and of those that are not, of convolutions and linear maps."""
    makers = {name: node for node in graph.graph.node for name in node.output}
    eight, whole = set(), set()
    for node in graph.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            maker = makers.get(node.input[1])
            is_eight = maker is not None and maker.op_type == "DequantizeLinear"
            name = maker.input[0].removesuffix("_quantized") if is_eight else node.input[1]
            (eight if is_eight else whole).add(name.removesuffix(".weight"))
    return eight, whole


def told(graph, crops, **options):
    lines = []
    return quantise(graph, crops, call(graph), lines.append, **options), lines


@pytest.fixture(scope="module")
def healthy():
    """(float graph, quantised graph, lines reported)."""
    graph = network()
    return graph, *told(graph, figures(48, 1))


@pytest.fixture(scope="module")
def planted():
    graph = network(outlier=1000.0)
    return graph, *told(graph, figures(48, 1))


@pytest.fixture(scope="module")
def ours():
    """The network of the shipped ``edge``, untrained, at a small size."""
    torch.manual_seed(0)
    model = EmbeddingModel("mobilenet_v2_short", 32, size=SIZE).eval()
    for module in model.modules():  # as a trained one has them: channels differ in range
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.weight.data.uniform_(0.5, 1.5)
    graph = onnx_graph(model)
    return graph, *told(graph, figures(48, 1))


def lowest_cosine(graph, other, crops):
    return float((call(graph)(crops) * call(other)(crops)).sum(1).min())


def test_looking_for_the_layers_that_cost_most_tells_how_far_it_is(monkeypatch, planted):
    monkeypatch.setattr("export.int8._TELL_EVERY", 0.0)
    graph, quantised, _ = planted
    again, lines = told(graph, figures(48, 1))
    assert again.SerializeToString() == quantised.SerializeToString()
    progress = [re.fullmatch(r"int8: (\d+) of (\d+) layers, \d+\.\d a second, (\d+) s left", line) for line in lines]
    found = [tuple(map(int, match.groups())) for match in progress if match]
    assert [(done, of) for done, of, _ in found] == [(number, len(found)) for number in range(1, len(found) + 1)]
    assert found[-1][2] == 0


def test_a_healthy_network_is_in_8_bits_throughout(healthy):
    _, quantised, lines = healthy
    assert quantised_layers(quantised) == ({*CONVOLUTIONS, "linear"}, set())
    assert "float32" not in lines[-1]
    onnx.checker.check_model(quantised, full_check=True)


@pytest.mark.parametrize("made", ["healthy", "planted", "ours"])
def test_vectors_of_crops_that_it_never_saw_are_kept(made, request):
    graph, quantised, _ = request.getfixturevalue(made)
    assert lowest_cosine(graph, quantised, figures(64, 2)) >= MIN_COSINE


@pytest.mark.parametrize("made", ["healthy", "planted", "ours"])
def test_the_crops_of_the_gate_pass_with_the_margin(made, request):
    graph, quantised, _ = request.getfixturevalue(made)
    for name, crops in gate_batches(SIZE):
        assert lowest_cosine(graph, quantised, crops) >= AIM - 1e-6, name


def test_the_layers_that_an_outlier_breaks_are_found_and_the_others_stay_in_8_bits(planted):
    _, quantised, lines = planted
    eight, whole = quantised_layers(quantised)
    assert whole == {"second", "third"}
    assert eight == {"first", "fourth", "linear"}
    assert "second (0." in lines[-1]
    assert "third (0." in lines[-1]
    assert "layers stay in float32" in lines[-1]


def test_preprocessing_and_the_norm_stay_in_float32(healthy):
    _, quantised, _ = healthy
    makers = {name: node for node in quantised.graph.node for name in node.output}
    for node in quantised.graph.node:
        if node.op_type in ("Resize", "Sub", "Div", "ReduceL2", "Transpose"):
            assert not {makers[name].op_type for name in node.input if name in makers} & {"DequantizeLinear"}, node.name
            assert makers.get(node.input[0], node).op_type != "QuantizeLinear", node.name


def test_weights_have_a_scale_for_each_channel_and_are_symmetric(healthy):
    _, quantised, _ = healthy
    stored = {one.name: numpy_helper.to_array(one) for one in quantised.graph.initializer}
    for name in CONVOLUTIONS:
        assert stored[f"{name}.weight_quantized"].dtype == np.int8
        assert stored[f"{name}.weight_scale"].shape == (CHANNELS,)
        assert not stored[f"{name}.weight_zero_point"].any()


def test_symmetric_activations_are_signed_around_zero_with_float_biases(healthy):
    graph, _, _ = healthy
    quantised, _ = told(graph, figures(48, 1), symmetric=True)
    stored = {one.name: numpy_helper.to_array(one) for one in quantised.graph.initializer}
    points = [stored[node.input[2]] for node in quantised.graph.node if node.op_type == "DequantizeLinear"]
    points += [stored[node.input[2]] for node in quantised.graph.node if node.op_type == "QuantizeLinear"]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)
    assert not [value for value in stored.values() if value.dtype == np.int32]
    assert lowest_cosine(graph, quantised, figures(64, 2)) >= MIN_COSINE


def test_the_file_is_smaller(ours):
    graph, quantised, _ = ours
    assert quantised.ByteSize() < 0.6 * graph.ByteSize()


def test_input_output_and_metadata_are_kept(healthy):
    graph, quantised, _ = healthy
    assert list(quantised.graph.input) == list(graph.graph.input)
    assert [one.name for one in quantised.graph.output] == [OUTPUT]
    assert list(quantised.metadata_props) == list(graph.metadata_props)


def test_the_graph_that_was_given_is_left_alone():
    graph = network()
    before = graph.SerializeToString()
    told(graph, figures(48, 1))
    assert graph.SerializeToString() == before


def test_calibration_with_the_same_crops_gives_the_same_file(healthy):
    graph, quantised, _ = healthy
    assert told(graph, figures(48, 1))[0].SerializeToString() == quantised.SerializeToString()


@needs_openvino
def test_openvino_agrees(healthy, tmp_path):
    graph, quantised, _ = healthy
    onnx.save(quantised, tmp_path / "a.onnx")
    crops = figures(7, 3, SIZE)
    vectors = openvino_run(tmp_path / "a.onnx")(np.stack(crops))
    assert (vectors * call(graph)(crops)).sum(1).min() >= MIN_COSINE


def test_the_reference_evaluator_agrees():
    """It has the operators for 8 bits from version 19 on."""
    graph = network(opset=19)
    quantised, _ = told(graph, figures(48, 1))
    crop = np.stack(figures(1, 3, SIZE))
    vectors = onnx.reference.ReferenceEvaluator(quantised).run(None, {INPUT: crop})[0]
    assert (vectors * call(graph)(list(crop))).sum() >= MIN_COSINE


def test_a_network_that_8_bits_ruin_throughout_is_refused_with_what_to_try():
    graph = network()

    def other(crops):
        return -call(graph)(crops)

    with pytest.raises(ModelError, match=r"int8: with \d of 7 layers in float32 .* --precision fp16"):
        quantise(graph, figures(48, 1), other, lambda line: None)


def test_too_few_crops_are_a_programmers_mistake():
    graph = network()
    with pytest.raises(ValueError, match="expected at least 8, got 7"):
        quantise(graph, figures(7, 1), call(graph))
