"""What a graph stores and computes in: float32, weights stored in half, or half precision throughout.

ONNX Runtime's converter (``onnxruntime.transformers.float16``, as of 1.31) hands on in half precision what a layer in
float32 gives, so that what overflows still does, and names two nodes alike where such layers share an input, which ONNX
Runtime then refuses; so the casts are placed here. INT8 is in ``export.int8``.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import onnx

from export.tensors import before, constants, layer_names, network_input, node_outputs
from reid.images import Image

Floats = npt.NDArray[np.float32]
Report = Callable[[str], None]

SMALL = 10_000  # elements; depthwise kernels and biases, which lose most by rounding, are smaller and stay as they are
_HIGHEST = float(np.finfo(np.float16).max)
_MARGIN = 4  # real crops may excite a layer this much more than those that are tried
_LAYERS = ("Gemm", "MatMul", "Conv", "ReduceMean", "GlobalAveragePool")  # behind the last it only comes to unit norm
_STAY = ("Cast", "InstanceNormalization", "Pow", "ReduceL2", "ReduceSumSquare", "Constant", "ConstantOfShape")
_HALF, _FULL = "_in_half", "_in_full"
_MOST_LOST = 2e-4  # of a vector's cosine similarity; the gate allows five times that
_MOST_FIRST = 8  # layers: where more would have to stay, the fault is elsewhere, and the gate names it


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights in half precision, each followed by a cast: half the file, while runtimes compute in float32.

    Runtimes fold the casts when they load the file. Small tensors stay as they are. Changes ``model``.
    """
    casts = []
    for weights in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.size >= SMALL and np.abs(values).max() < _HIGHEST:
            name = weights.name
            weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    for position, cast in enumerate(casts):
        model.graph.node.insert(position, cast)
    return model


def whole(model: onnx.ModelProto) -> onnx.ModelProto:
    """Undo ``halved``: weights as float32 again, of the values that they were rounded to. Changes ``model``."""
    stored = {one.name: one for one in model.graph.initializer}
    for node in [one for one in model.graph.node if one.op_type == "Cast" and one.input[0] in stored]:
        weights = stored[node.input[0]]
        if weights.data_type == onnx.TensorProto.FLOAT16:
            values = onnx.numpy_helper.to_array(weights).astype(np.float32)
            weights.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
            model.graph.node.remove(node)
    return model


def half_precision(model: onnx.ModelProto, batch: Image, report: Report) -> onnx.ModelProto:
    """A graph that computes in half precision, its input and output as they were.

    In float32 stay: what comes before the network (pixels up to 255, and sampling positions), what brings the vectors
    to unit norm, statistics, every layer of which a value came near the end of half precision's range on ``batch``, and
    as many of the first layers as it takes to keep the vectors of ``batch``: what is rounded there goes through all.

    Args:
        model: of ``whole`` weights; left as it is.
        batch: what it takes, to see how large its values become and what rounding does to its vectors.
        report: told which layers stay in float32 for their range, and how many for their place.
    """
    values = node_outputs(model, batch)
    weights = {name: value for name, value in constants(model).items() if name not in values}
    names = layer_names(model)
    wide = {name for name, value in {**values, **weights}.items() if _near_the_end(value)}
    output = model.graph.output[0].name
    converted, lost = onnx.ModelProto(), 1.0
    for first in range(_MOST_FIRST + 1):
        outside = {name for node in _outside(model, first) for name in node.output}
        if not first:
            for tensor in sorted(wide - outside):
                report(f"{names.get(tensor, tensor)} stays in float32: its values come near the end of half precision")
        converted = _halves(model, set(values), weights, wide - outside, outside)
        lost = float(np.square(node_outputs(converted, batch)[output] - values[output]).sum(1).max() / 2)
        if lost <= _MOST_LOST:
            if first:
                report(f"the first {first} layers stay in float32: rounded, they change vectors too much")
            break
    return converted


def _halves(
    model: onnx.ModelProto, computed: set[str], weights: Mapping[str, Floats], wide: set[str], outside: set[str]
) -> onnx.ModelProto:
    """The graph with all in half precision that is neither ``wide`` nor ``outside``; others as for ``_convert``."""
    halves = {
        name
        for node in model.graph.node
        if node.op_type not in _STAY and not wide.intersection([*node.input, *node.output])
        for name in computed.intersection(node.output) - outside
    }
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    _convert(converted.graph, halves, computed, weights)
    return converted


def _outside(model: onnx.ModelProto, first: int) -> list[onnx.NodeProto]:
    """The nodes before the network, its ``first`` layers, and what is behind its last."""
    layers = [name for node in model.graph.node if node.op_type in _LAYERS for name in node.output]
    entrance = [network_input(model), *layers[:first]]
    return before(model, entrance) + before(model, [model.graph.output[0].name], known=layers)


def _near_the_end(value: Floats) -> bool:
    return bool(value.size) and float(np.abs(value).max()) * _MARGIN > _HIGHEST


def _convert(graph: onnx.GraphProto, halves: set[str], computed: set[str], weights: Mapping[str, Floats]) -> None:
    """Have the nodes that make ``halves`` compute in half precision, with casts where values come from or go to others.

    Args:
        graph: changed.
        halves: tensors.
        computed: all floating-point tensors that depend on the input.
        weights: by name, those that do not.
    """
    nodes: list[onnx.NodeProto] = []
    made: set[str] = set()

    def crossed(name: str, ending: str, kind: int) -> str:
        if name + ending not in made:
            made.add(name + ending)
            nodes.append(onnx.helper.make_node("Cast", [name], [name + ending], f"{name}{ending}_cast", to=kind))
        return name + ending

    def stored(name: str) -> str:
        if name + _HALF not in made:
            made.add(name + _HALF)
            graph.initializer.append(onnx.numpy_helper.from_array(weights[name].astype(np.float16), name + _HALF))
        return name + _HALF

    for old in graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(old)
        in_half = bool(halves.intersection(node.output))
        for position, name in enumerate(node.input):
            if in_half and name in weights:
                node.input[position] = stored(name)
            elif in_half and name in computed - halves:
                node.input[position] = crossed(name, _HALF, onnx.TensorProto.FLOAT16)
            elif not in_half and name in halves:
                node.input[position] = crossed(name, _FULL, onnx.TensorProto.FLOAT)
        nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
