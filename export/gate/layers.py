"""Which layer is the first to differ: what a network's layers give, found again among a file's tensors.

Names do not survive an export, values do: a layer counts as found where a tensor of the file has its shape and its
values. What the exporter fuses (a convolution with the norm behind it) is found nowhere, but what follows is; so the
first to differ is the one behind the last that is found.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from export.gate.types import Floats, Layers, Prepare
from export.tensors import before, layer_names, network_input, node_outputs
from reid.images import Image
from reid.model import EmbeddingModel

PREPROCESSING, UNIT_NORM = "preprocessing", "unit norm"
_FLOOR = 1e-6  # relative errors below it are rounding


def network_layers(model: EmbeddingModel) -> Layers:
    """What every innermost module of a network gives, between its preprocessing and its vectors."""

    def layers(crops: Sequence[Image]) -> list[tuple[str, Floats]]:
        found: list[tuple[str, Floats]] = []

        def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(_module: nn.Module, _given: Any, made: Any) -> None:
                if isinstance(made, torch.Tensor):
                    found.append((name, made.float().numpy()))

            return hook

        innermost = [(name, one) for name, one in model.named_modules() if not any(one.children())]
        hooks = [one.register_forward_hook(keep(name)) for name, one in innermost]
        try:
            with torch.inference_mode():
                batch = torch.from_numpy(np.stack(crops))
                images = model.preprocess(batch)
                vectors = model(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return [(PREPROCESSING, images.numpy()), *found, (UNIT_NORM, vectors.numpy())]

    return layers


def graph_layers(graph: onnx.ModelProto, prepare: Prepare) -> Layers:
    """What every node of an ONNX graph gives, behind its preprocessing; on the CPU."""
    names = layer_names(graph)
    inside = network_input(graph)
    earlier = {name for node in before(graph, [inside]) for name in node.output}

    def layers(crops: Sequence[Image]) -> list[tuple[str, Floats]]:
        given = node_outputs(graph, prepare(crops))
        preprocessed = [(PREPROCESSING, given[inside])] if inside in given else []
        return [*preprocessed, *((names[name], value) for name, value in given.items() if name not in earlier)]

    return layers


def first_to_differ(layers: Layers, path: Path, crops: Sequence[Image], prepare: Prepare) -> str | None:
    """The layer of a reference behind which a file differs; None where the file cannot be looked into.

    Args:
        layers: of the reference.
        path: of an ONNX file.
        crops: of one size, that it differs on.
        prepare: crops to the file's input.
    """
    try:
        batch = prepare(crops)
        found = [batch, *node_outputs(onnx.load(path), batch).values()]
    except Exception:  # a broken file is what this is called for
        return None
    return where(layers(crops), found)


def where(expected: Sequence[tuple[str, Floats]], found: Sequence[Floats]) -> str | None:
    """The first of the expected layers from which on nothing found is as near as before.

    Args:
        expected: layers in order, with what they should give.
        found: what a file's nodes give, in any order.

    >>> layers = [("one", np.ones((1, 2))), ("two", np.array([[3.0, 4]])), ("three", np.array([[9.0, 4]]))]
    >>> where(layers, [np.ones((1, 2)), np.array([[3.0, 5]])])
    'two'
    >>> where(layers, [np.ones((1, 2)), np.array([[9.0, 4]])])  # nothing differs in the end
    """
    errors = [max(_nearest(value, found), _FLOOR) for _, value in expected]
    best = np.minimum.accumulate(np.array(errors)[::-1])[::-1]  # a layer that was fused is found behind
    jumps = np.log(best / np.concatenate([[_FLOOR], best[:-1]]))
    at = int(jumps.argmax())
    return expected[at][0] if best[-1] > 10 * _FLOOR else None


def _nearest(value: Floats, found: Sequence[Floats]) -> float:
    """Least relative error of a tensor of this shape; at most 1e3, which is also where there is none."""
    alike = [one for one in found if one.shape == value.shape]
    scale = max(float(np.linalg.norm(value)), 1e-12)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = [float(np.linalg.norm(one.astype(np.float64) - value)) / scale for one in alike]
    return min((error for error in errors if error < 1e3), default=1e3)
