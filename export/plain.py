"""The plain variant: the network alone, for runtimes that bring a preprocessing of their own."""

import numpy as np
import onnx

from export.tensors import before, constants, network_input
from reid.embed import OUTPUT, Card
from reid.errors import ModelError
from reid.foreign import Channels, Preprocessing

IMAGES = "images"
_ARITHMETIC = ("Sub", "Add", "Mul", "Div")


def plain_graph(model: onnx.ModelProto, card: Card) -> tuple[onnx.ModelProto, Preprocessing]:
    """Cut the preprocessing off an embedder: ``images`` (n, 3, height, width) float32 in, ``vectors`` out.

    Args:
        model: an embedder as ``reid.embed`` has it, RGB, of ``export.precision.whole`` weights; left as it is.
        card: of it; only its size is looked at.

    Returns:
        The graph, and what has to be done to crops now: stretch them to ``size``, then (pixel - mean) / std, RGB.

    Raises:
        ModelError: what the graph does before its network is not understood.
    """
    tensor = network_input(model)
    mean, std = _normalisation(model, tensor)
    given = model.graph.output[0].name
    taken = model.graph.input[0].name
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    nodes = before(model, [given], known=[tensor])
    del cut.graph.node[:], cut.graph.input[:], cut.graph.value_info[:], cut.metadata_props[:]
    for node in nodes:
        _counts_only(node, taken)
        kept = cut.graph.node.add()
        kept.CopyFrom(node)
        kept.input[:] = [IMAGES if name in (tensor, taken) else name for name in node.input]
    cut.graph.input.append(onnx.helper.make_tensor_value_info(IMAGES, onnx.TensorProto.FLOAT, ["n", 3, *card.size]))
    used = {name for node in cut.graph.node for name in node.input}
    weights = [one for one in cut.graph.initializer if one.name in used]
    del cut.graph.initializer[:]
    cut.graph.initializer.extend(weights)
    assert given == OUTPUT
    return cut, Preprocessing("rgb", mean, std, card.size)


def plain_metadata(preprocessing: Preprocessing) -> dict[str, str]:
    """What a plain file's card says beyond an embedder's: ``mean`` and ``std`` for pixels of 0..255, in its order."""
    mean, std = (":".join(f"{value:g}" for value in values) for values in (preprocessing.mean, preprocessing.std))
    return {"reidtrack.variant": "plain", "reidtrack.mean": mean, "reidtrack.std": std}


def _counts_only(node: onnx.NodeProto, taken: str) -> None:
    """Behind the network the crops may only be asked how many they are, which the images tell as well."""
    if taken not in node.input:
        return
    attributes = {one.name: one.i for one in node.attribute}
    if node.op_type != "Shape" or attributes.get("start", 0) != 0 or attributes.get("end") != 1:
        raise ModelError(f"{node.op_type} {node.name} looks at the crops behind the network; export without --plain")


def _normalisation(model: onnx.ModelProto, tensor: str) -> tuple[Channels, Channels]:
    """(mean, std) that the nodes right before a tensor come to, for pixels of 0..255."""
    makers = {name: node for node in model.graph.node for name in node.output}
    known = constants(model)
    steps = []
    while (node := makers.get(tensor)) is not None and node.op_type in _ARITHMETIC and node.input[1] in known:
        steps.append((node.op_type, known[node.input[1]].astype(np.float64).ravel()))
        tensor = node.input[0]
    if node is None or node.op_type not in ("Resize", "Transpose", "Cast"):
        raise ModelError("the normalisation in the graph is not understood; export without --plain")
    scale, offset = np.ones(3), np.zeros(3)
    for kind, value in reversed(steps):
        if kind in ("Mul", "Div"):
            factor = value if kind == "Mul" else 1 / value
            scale, offset = scale * factor, offset * factor
        else:
            offset = offset + (value if kind == "Add" else -value)
    return _channels(-offset / scale), _channels(1 / scale)


def _channels(values: np.ndarray) -> Channels:
    red, green, blue = (float(np.float32(value)) for value in values)
    return red, green, blue
