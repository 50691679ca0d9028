"""What is done to somebody else's ONNX graph: a newer opset, a free batch, preprocessing before, unit norm behind."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from reid.embed import INPUT, OUTPUT
from reid.errors import BadInputError, ModelError
from reid.foreign import Preprocessing
from reid.graphs import Floats, Run
from reid.runtime import open_session

OPSET = 18  # of the nodes that are added, and the least of the whole: its Resize and ReduceL2
_PREFIX = "network/"  # of all names of the network, so that none is one of ours
_EPSILON = 1e-12  # least norm that a vector is divided by, as in PyTorch
_SAME = 0.9999  # least cosine similarity of vectors that are the same


def declared_batch(network: ModelProto) -> int:
    """The batch that a file says it is fixed to; 0 where it is free."""
    dims = network.graph.input[0].type.tensor_type.shape.dim
    return int(dims[0].dim_value) if dims else 0


def wrap(
    network: ModelProto, preprocessing: Preprocessing, size: tuple[int, int], dim: int, batch: int = 0
) -> ModelProto:
    """Put preprocessing before a network and unit norm behind it: a graph that follows ``reid.embed``.

    Crops of another size than the network's are stretched bilinearly, as this package's own networks do.

    Args:
        network: of opset ``OPSET`` or later, images (n, 3, *size) float32 to (n, dim) or (n, dim, 1, 1).
        preprocessing: what it wants.
        size: (height, width) that it works at.
        dim: length of its vectors.
        batch: that it is fixed to; 0 where it is free.
    """
    model = onnx.compose.add_prefix(network, _PREFIX)
    graph = model.graph
    taken, given = graph.input[0].name, graph.output[0].name
    constants: dict[str, np.ndarray[Any, Any]] = {
        "mean": np.array(preprocessing.mean, np.float32).reshape(1, 3, 1, 1),
        "scale": (1 / np.array(preprocessing.std, np.float32)).reshape(1, 3, 1, 1),
        "size": np.array(size),
        "start": np.array([0]),
        "stop": np.array([2]),
        "channels": np.array([1]),
        "row": np.array([0, dim]),
        "epsilon": np.array(_EPSILON, np.float32),
    }
    ordered = helper.make_node("Identity", ["resized"], ["ordered"])
    if preprocessing.colour == "bgr":
        constants["blue_first"] = np.array([2, 1, 0])
        ordered = helper.make_node("Gather", ["resized", "blue_first"], ["ordered"], axis=1)
    before = [
        helper.make_node("Transpose", [INPUT], ["planes"], perm=(0, 3, 1, 2)),
        helper.make_node("Cast", ["planes"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["pixels"], ["shape"]),
        helper.make_node("Slice", ["shape", "start", "stop"], ["kept"]),
        helper.make_node("Concat", ["kept", "size"], ["sizes"], axis=0),
        helper.make_node("Resize", ["pixels", "", "", "sizes"], ["resized"], mode="linear"),
        ordered,
        helper.make_node("Sub", ["ordered", "mean"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "scale"], [taken]),
    ]
    behind = [
        helper.make_node("Reshape", [given, "row"], ["features"]),
        helper.make_node("ReduceL2", ["features", "channels"], ["norm"], keepdims=1),
        helper.make_node("Max", ["norm", "epsilon"], ["length"]),
        helper.make_node("Div", ["features", "length"], [OUTPUT]),
    ]
    nodes = [*before, *graph.node, *behind]
    made = helper.make_graph(
        nodes,
        "embedder",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [batch or "n", "h", "w", 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch or "n", dim])],
        [*graph.initializer, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
        sparse_initializer=graph.sparse_initializer,
    )
    return helper.make_model(
        made, opset_imports=model.opset_import, ir_version=max(model.ir_version, 8), functions=model.functions
    )


def read_network(path: Path) -> ModelProto:
    """An ONNX file with all its weights, at ``OPSET`` or later.

    Raises:
        ModelError: it cannot be brought there.
    """
    model = onnx.load(path)
    _hide_initializers(model)
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset >= OPSET:
        return model
    try:
        converted: ModelProto = onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter's own types, and plain ones
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{path}: its opset {opset} cannot be converted to {OPSET} ({reason}); export it there with opset {OPSET}"
        ) from None
    return converted


def _hide_initializers(model: ModelProto) -> None:
    """Leave only the images as input: before version 4 of the format, weights were listed as inputs too."""
    known = {one.name for one in model.graph.initializer}
    images = [one for one in model.graph.input if one.name not in known]
    del model.graph.input[:]
    model.graph.input.extend(images)
    model.ir_version = max(model.ir_version, 4)


def free_batch(network: ModelProto, run: Run, images: Floats) -> ModelProto | None:
    """The network with its batch made free; None where its vectors then depend on what else is in the batch.

    Where a fixed batch is written into the shapes of Reshape nodes, it is made free there too.

    Args:
        network: as it was exported.
        run: the file itself, (n, 3, h, w) float32 to its vectors.
        images: (n, 3, h, w) float32 to try it on, two or more.
    """
    count = len(images)
    alone = np.concatenate([run(images[i : i + 1]) for i in range(count)]).reshape(count, -1)
    for candidate in (_opened(network), _opened(_with_free_reshapes(network))):
        try:
            session = open_session(candidate.SerializeToString(), "cpu")
            together = session.run(None, {session.get_inputs()[0].name: images})[0]
        except Exception:  # a fixed shape inside: ONNX Runtime raises a dozen unrelated types
            continue
        fits = len(together) == count and together.size == alone.size
        if fits and (_cosines(together.reshape(count, -1), alone) >= _SAME).all():
            return candidate
    return None


def _cosines(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines: Floats = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return cosines


def _opened(network: ModelProto) -> ModelProto:
    """A copy whose input and output have a free batch; shapes that were noted inside are left out."""
    model = copy.deepcopy(network)
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "n"
    return model


def _with_free_reshapes(network: ModelProto) -> ModelProto:
    """A copy in which no Reshape to a constant shape says the batch that the network was exported with."""
    model = copy.deepcopy(network)
    graph = model.graph
    batch, constants = declared_batch(network), _constants(model)
    for number, node in enumerate(node for node in graph.node if node.op_type == "Reshape"):
        shape = constants.get(node.input[1])
        if shape is None or shape.size == 0 or shape[0] != batch:
            continue
        freed = shape.copy()
        freed[0] = 0 if -1 in shape[1:] else -1  # 0: as the input's
        name = f"free_shape_{number}"
        graph.initializer.append(numpy_helper.from_array(freed, name))
        node.input[1] = name
    return model


def _constants(model: ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    """Values of initializers and Constant nodes, by name."""
    values = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return values


def own_scaling(network: ModelProto) -> tuple[Floats, Floats] | None:
    """What a network does to its images before all else: factors and shifts (3,) of the channels; None for nothing.

    Sub, Add, Mul and Div by constants are followed from the input on.
    """
    graph, constants = network.graph, _constants(network)
    name, factor, shift, found = graph.input[0].name, np.ones(3, np.float32), np.zeros(3, np.float32), False
    while True:
        users = [node for node in graph.node if name in node.input]
        if len(users) == 1 and users[0].op_type == "Identity":
            name = users[0].output[0]
            continue
        if len(users) != 1 or users[0].op_type not in ("Sub", "Add", "Mul", "Div"):
            return (factor, shift) if found else None
        (node,) = users
        other = constants.get(next((one for one in node.input if one != name), ""))
        reversed_ = node.input[0] != name and node.op_type in ("Sub", "Div")
        if other is None or other.size not in (1, 3) or reversed_:
            return (factor, shift) if found else None
        value = np.broadcast_to(other.astype(np.float32).ravel(), 3)
        if node.op_type in ("Mul", "Div"):
            value = value if node.op_type == "Mul" else np.reciprocal(value)
            factor, shift = factor * value, shift * value
        else:
            shift = shift + (value if node.op_type == "Add" else -value)
        name, found = node.output[0], True


def check_scaling(said: str | Path, network: ModelProto, preprocessing: Preprocessing) -> None:
    """Refuse what would be normalised twice, or not enough: what scales its images itself and was declared otherwise.

    Args:
        said: what a message calls it.
        network: the graph.
        preprocessing: as declared.

    Raises:
        BadInputError: pixels of 0..255 would reach the first layer in a range that no network is trained on.
    """
    own = own_scaling(network)
    if own is None:
        return
    declared = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
    low, high = _range(*declared, *own)
    if _usual(high - low):
        return
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    fitting = [f"std={std}" for std in (1, 255) if _usual(float(np.subtract(*_range(zero, one * std, *own)[::-1])))]
    remedy = f"declare mean=0 and {' or '.join(fitting)}" if fitting else "declare what it was exported for"
    raise BadInputError(
        f"{said}: scales its images itself, and with mean and std as declared, pixels of 0 to 255 reach its first layer"
        f" as {low:.3g} to {high:.3g}; {remedy}"
    )


def _range(mean: Floats, std: Floats, factor: Floats, shift: Floats) -> tuple[float, float]:
    """Least and most of what pixels of 0 and 255 become, over the channels."""
    ends = [((pixel - mean) / std) * factor + shift for pixel in (0, 255)]
    return float(np.min(ends)), float(np.max(ends))


def _usual(width: float) -> bool:
    """Whether networks are trained on such a range of pixels: 0..1, -1..1, ImageNet's deviations, or 0..255."""
    return 0.5 <= width <= 8 or 100 <= width <= 600
