"""The forms that a graph is given in: colour order, batch, opset, and words about its input and output."""

import numpy as np
import onnx
import onnx.version_converter
import onnxslim

from reid.errors import BadInputError, ModelError
from reid.runtime import open_session

OLDEST = 13  # of the opsets that are looked at to say which work
_BLUE_FIRST = "blue_first"


def swap_colours(model: onnx.ModelProto, axis: int) -> onnx.ModelProto:
    """Have a graph take its channels in the other order.

    Args:
        model: of one input; changed.
        axis: of the channels.
    """
    taken = model.graph.input[0].name
    swapped = f"{taken}_{_BLUE_FIRST}"
    for node in model.graph.node:
        node.input[:] = [swapped if name == taken else name for name in node.input]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 1, 0], np.int64), _BLUE_FIRST))
    gather = onnx.helper.make_node("Gather", [taken, _BLUE_FIRST], [swapped], "swap_colours", axis=axis)
    model.graph.node.insert(0, gather)
    return model


def fix_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """Have a graph take so many crops at a time and no other number; what depends on it is folded."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]
    slim: onnx.ModelProto = onnxslim.slim(model)
    return slim


def convert_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The graph in another version of ONNX's operators.

    Raises:
        BadInputError: the graph cannot be converted to it, or ONNX Runtime does not read it; those that work are named.
    """
    converted = _converted(model, opset)
    if converted is None:
        last = onnx.defs.onnx_opset_version()
        working = [number for number in range(OLDEST, last + 1) if _converted(model, number) is not None]
        raise BadInputError(
            f"--opset {opset}: does not work for this network; choose from {working[0]} to {working[-1]}"
        )
    return converted


def _converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto | None:
    if any(one.version == opset for one in model.opset_import if not one.domain):
        return model
    try:
        converted: onnx.ModelProto = onnx.version_converter.convert_version(model, opset)
        open_session(converted.SerializeToString(), "cpu")
    except (ModelError, RuntimeError):  # onnx has no type of its own for a conversion that it lacks
        return None
    return converted


def describe(model: onnx.ModelProto, colour: str, size: tuple[int, int], plain: bool) -> None:
    """Say in the graph what its input and its output are."""
    height, width = size
    order = {"rgb": "RGB", "bgr": "BGR"}[colour]
    model.graph.input[0].doc_string = (
        f"Person crops, stretched to {height}x{width}, {order}, normalised by the mean and std in the metadata: "
        "(n, 3, height, width) float32."
        if plain
        else f"Person crops of one size, best {height}x{width} (others are stretched to it bilinearly), {order}, "
        "0..255: (n, h, w, 3) uint8."
    )
    model.graph.output[
        0
    ].doc_string = "A vector of unit norm for each crop, to be compared by its dot product: float32."
