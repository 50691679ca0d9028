"""A graph as TensorRT takes it, and crops as that graph takes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from export.precision import whole
from reid.errors import ModelError
from reid.foreign import parse_declaration
from reid.images import Image


def suited_graph(path: Path, precision: str) -> onnx.ModelProto:
    """Read a graph for TensorRT: half-precision weights, and quantised biases, which it refuses, become float32.

    Raises:
        ModelError: it is no ONNX file; or it is quantised where ``precision`` is not int8, or the other way round, or
            has zero points other than int8 zeros.
    """
    try:
        model = whole(onnx.load(path))
    except Exception as error:  # protobuf has types of its own
        raise ModelError(
            f"{path}: not an ONNX file that can be read ({type(error).__name__}); check the path"
        ) from None
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    quantisers = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    if (precision == "int8") != bool(quantisers):
        found, remedy = ("quantised", "int8") if quantisers else ("not quantised", "fp16, or export it with int8 first")
        raise ModelError(f"{path}: is {found}, so no {precision} engine can be made of it; choose precision {remedy}")
    for node in quantisers:
        if node.op_type == "DequantizeLinear" and _kind(constants, node.input[0]) == TensorProto.INT32:
            _fold(model, constants, node)
        elif not _is_symmetric(constants, node):
            raise ModelError(
                f"{path}: {node.name or node.output[0]} has a zero point other than an int8 0, and TensorRT quantises"
                " symmetrically; quantise weights and activations so, or choose precision fp16"
            )
    return model


def _kind(constants: dict[str, TensorProto], name: str) -> int:
    return constants[name].data_type if name in constants else TensorProto.UNDEFINED


def _is_symmetric(constants: dict[str, TensorProto], node: onnx.NodeProto) -> bool:
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    return zero is not None and zero.data_type == TensorProto.INT8 and not numpy_helper.to_array(zero).any()


def _fold(model: onnx.ModelProto, constants: dict[str, TensorProto], node: onnx.NodeProto) -> None:
    """A bias in int32 and what makes it a float, to the float. Its scale is one number, or one for each element."""
    values, scale = (numpy_helper.to_array(constants[name]).astype(np.float64) for name in node.input[:2])
    model.graph.initializer.append(numpy_helper.from_array((values * scale).astype(np.float32), node.output[0]))
    model.graph.node.remove(node)


def plain_input(model: onnx.ModelProto, path: Path) -> tuple[str, tuple[int, int, int]]:
    """Name of the images, and their (3, h, w).

    Raises:
        ModelError: the graph takes something else.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    taken = [value for value in model.graph.input if value.name not in stored]
    kind = taken[0].type.tensor_type if len(taken) == 1 else None
    shape = [dimension.dim_value for dimension in kind.shape.dim] if kind is not None else []
    if kind is None or kind.elem_type != TensorProto.FLOAT or len(shape) != 4 or shape[1] != 3 or not all(shape[1:]):
        raise ModelError(f"{path}: not the plain variant, which takes float32 (n, 3, h, w); export it with --plain")
    if shape[0]:
        raise ModelError(f"{path}: its batch is fixed to {shape[0]}; export it with --batch dynamic")
    return taken[0].name, (shape[1], shape[2], shape[3])


def calibration_data(model: onnx.ModelProto, path: Path, crops: Sequence[Image]) -> npt.NDArray[np.float32]:
    """Crops as a plain graph takes them: (n, 3, h, w) float32, stretched and normalised as its metadata say.

    Raises:
        ModelError: the metadata do not say how.
    """
    entries = {entry.key.removeprefix("reidtrack."): entry.value for entry in model.metadata_props}
    _, size = plain_input(model, path)
    try:
        told = f"x.onnx,colour={entries.get('colour', 'rgb')},mean={entries['mean']},std={entries['std']}"
    except KeyError as error:
        raise ModelError(f"{path}: its metadata have no reidtrack.{error.args[0]}; export it with --plain") from None
    declared = parse_declaration(told)
    assert declared is not None  # it has options
    return declared[1](crops, size[1:])
