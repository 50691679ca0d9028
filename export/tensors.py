"""Looking into an ONNX graph: what its nodes give for a batch, and which nodes lie before or behind a tensor."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from reid.runtime import open_session

Floats = npt.NDArray[np.float32]

_REPRESENTATIONS = ("Cast", "QuantizeLinear", "DequantizeLinear")  # of the same values
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_FLOATING = ("tensor(float)", "tensor(float16)")


def node_outputs(graph: onnx.ModelProto, batch: npt.NDArray[Any]) -> dict[str, Floats]:
    """By tensor name, every floating-point value that is computed from the graph's only input, on the CPU.

    Raises:
        ModelError: ONNX Runtime cannot open the graph.
    """
    session = open_exposed(graph)
    kept = [one.name for one in session.get_outputs() if one.type in _FLOATING]
    values = session.run(kept, {session.get_inputs()[0].name: batch})
    return {name: value.astype(np.float32) for name, value in zip(kept, values, strict=True)}


def open_exposed(graph: onnx.ModelProto) -> Any:
    """A session on the CPU that gives what every node computes, after the graph's own outputs.

    ONNX Runtime then computes node by node, in the types that the graph says: where it is free to, on a CPU it computes
    half precision in float32, in which nothing overflows.

    Raises:
        ModelError: ONNX Runtime cannot open the graph.
    """
    opened = onnx.ModelProto()
    opened.CopyFrom(graph)
    already = {one.name for one in opened.graph.output}
    names = [name for node in _computed(opened) for name in node.output if name]
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in already)
    return open_session(opened.SerializeToString(), "cpu")


def computes_in_half(graph: onnx.ModelProto) -> bool:
    """Whether a convolution or a linear map has its weights in half precision, without a cast."""
    halves = {one.name for one in graph.graph.initializer if one.data_type == onnx.TensorProto.FLOAT16}
    return any(halves.intersection(node.input) for node in graph.graph.node if node.op_type != "Cast")


def layer_names(graph: onnx.ModelProto) -> dict[str, str]:
    """By tensor name, the node that makes it, for people: ``node_conv2d_3 (Conv)``."""
    return {name: f"{node.name or name} ({node.op_type})" for node in graph.graph.node for name in node.output}


def constants(graph: onnx.ModelProto) -> dict[str, Floats]:
    """By name, the graph's floating-point initializers as float32, those too that are stored in another type."""
    found = {one.name: onnx.numpy_helper.to_array(one) for one in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Cast" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return {name: value.astype(np.float32) for name, value in found.items() if value.dtype.kind == "f"}


def before(graph: onnx.ModelProto, tensors: Iterable[str], known: Iterable[str] = ()) -> list[onnx.NodeProto]:
    """The nodes that ``tensors`` are computed by, in the graph's order, where ``known`` ones need no computing."""
    makers = {name: index for index, node in enumerate(graph.graph.node) for name in node.output}
    wanted, found, given = list(tensors), set(), set(known)
    while wanted:
        name = wanted.pop()
        index = makers.get(name)
        if name not in given and index is not None and index not in found:
            found.add(index)
            wanted += graph.graph.node[index].input
    return [graph.graph.node[index] for index in sorted(found)]


def network_input(graph: onnx.ModelProto) -> str:
    """The tensor that enters the network proper: resized, normalised images, which the first convolution takes.

    Raises:
        ValueError: there is no convolution.
    """
    makers = {name: node for node in graph.graph.node for name in node.output}
    first = next((node for node in graph.graph.node if node.op_type == "Conv"), None)
    if first is None:
        raise ValueError("expected a convolutional network, got a graph without convolution")
    tensor = str(first.input[0])
    while tensor in makers and makers[tensor].op_type in _REPRESENTATIONS:
        tensor = makers[tensor].input[0]
    return tensor


def has_weights(node: onnx.NodeProto, stored: Collection[str]) -> bool:
    """Whether a node is a convolution or a linear map whose weights are among the initializers of these names."""
    return node.op_type in _WEIGHTED and node.input[1] in stored


def inner_nodes(graph: onnx.ModelProto, stored: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes with weights and all between two of them: no preprocessing, no division by the norm.

    Args:
        graph: its nodes in the order of computation.
        stored: names of its initializers.
    """
    nodes = graph.graph.node
    behind: set[str] = set()
    for node in nodes:
        if has_weights(node, stored) or behind.intersection(node.input):
            behind.update(node.output)
    ahead: set[str] = set()
    for node in reversed(nodes):
        if has_weights(node, stored) or ahead.intersection(node.output):
            ahead.update(node.input)
    return [
        node
        for node in nodes
        if has_weights(node, stored) or (behind.intersection(node.input) and ahead.intersection(node.output))
    ]


def _computed(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that depend on the input; others, such as a cast of weights, are constant."""
    changing = {one.name for one in graph.graph.input} - {one.name for one in graph.graph.initializer}
    found = []
    for node in graph.graph.node:
        if changing.intersection(node.input):
            changing.update(node.output)
            found.append(node)
    return found
