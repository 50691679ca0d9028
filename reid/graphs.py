"""Networks that somebody else made, opened: an ONNX file or an OpenVINO IR becomes a call from images to vectors.

Both compute in float32. The call takes any number of images, whatever batch the file was made for.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from reid.errors import BadInputError, ModelError
from reid.runtime import open_session

Floats = npt.NDArray[np.float32]
Run = Callable[[Floats], Floats]

SUFFIXES = (".onnx", ".xml")
_LARGEST = 32  # images that an OpenVINO network is compiled for at most
_INDICES = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)


class Graph(NamedTuple):
    """A file that was opened.

    Attributes:
        size: (height, width) of the images that it takes, None where free.
        parameters: numbers in its constants other than indices; batch normalisation's statistics count.
        files: all files that it consists of.
        load: (height, width) to the network: (n, 3, height, width) float32 to what the file gives for n images.
    """

    size: tuple[int | None, int | None]
    parameters: int
    files: tuple[Path, ...]
    load: Callable[[tuple[int, int]], Run]


def open_graph(path: Path, device: str = "auto", threads: int = 0) -> Graph:
    """Open an ``.onnx`` file, or the ``.xml`` of an OpenVINO IR, its ``.bin`` beside it.

    Args:
        path: of the file.
        device: as for ``reid.runtime.open_session``; an OpenVINO IR runs on the CPU only.
        threads: of the CPU that share one operator; 0 for one per core.

    Raises:
        ModelError: a file is absent, is no model, takes no images (n, 3, h, w) float32 or gives several things; or
            openvino is not installed.
        BadInputError: the device cannot be used.
    """
    if path.suffix not in SUFFIXES:
        raise ModelError(f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}")
    return (_open_openvino if path.suffix == ".xml" else _open_onnx)(path, device, threads)


def _open_onnx(path: Path, device: str, threads: int) -> Graph:
    session = open_session(path, device, threads)
    taken, given = session.get_inputs(), session.get_outputs()
    _check(path, [node.shape for node in taken], len(given))
    if taken[0].type != "tensor(float)":
        raise ModelError(f"{path}: takes {taken[0].type}; expected tensor(float), export it in float32")
    batch, _, *size = (extent if isinstance(extent, int) else None for extent in taken[0].shape)

    def run(images: Floats) -> Floats:
        vectors: Floats = session.run([given[0].name], {taken[0].name: images})[0]
        return vectors

    graph = onnx.load(path, load_external_data=False).graph
    tensors = [*graph.initializer, *(a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute)]
    parameters = sum(prod(tensor.dims) for tensor in tensors if tensor.data_type not in _INDICES and tensor.dims)
    outside = {entry.value for one in tensors for entry in one.external_data if entry.key == "location"}
    files = (path, *(path.parent / name for name in sorted(outside)))
    return Graph((size[0], size[1]), parameters, files, lambda _: _in_groups(run, batch) if batch else run)


def _open_openvino(path: Path, device: str, threads: int) -> Graph:
    openvino = import_openvino(path)
    if device not in ("auto", "cpu", "openvino"):
        raise BadInputError(f"device {device!r}: {path} runs on the CPU only; choose cpu")
    if not path.is_file():
        raise ModelError(f"{path}: no such model; check the path")
    core = openvino.Core()
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path}: not an OpenVINO IR that can be read ({reason}); is its .bin beside it?") from None
    shapes = [[one.get_length() if one.is_static else None for one in node.partial_shape] for node in model.inputs]
    _check(path, shapes, len(model.outputs))
    batch, _, *size = shapes[0]
    constants = [node for node in model.get_ops() if node.get_type_name() == "Constant" and len(node.shape)]
    parameters = sum(
        prod(node.shape) for node in constants if node.get_element_type().to_string() not in ("i64", "i32", "boolean")
    )
    settings = openvino_settings(threads)

    def load(size: tuple[int, int]) -> Run:
        compiled: dict[int, Any] = {}

        def run(images: Floats) -> Floats:
            count = len(images)
            if count not in compiled:
                model.reshape([count, 3, *size])
                compiled[count] = core.compile_model(model, "CPU", settings)
            vectors: Floats = compiled[count](images)[0]
            return vectors

        return _in_groups(run, batch) if batch and not _takes_any_batch(model, batch, size) else _in_powers_of_two(run)

    return Graph((size[0], size[1]), parameters, (path, path.with_suffix(".bin")), load)


def openvino_settings(threads: int) -> dict[str, int | str | bool]:
    """How OpenVINO computes on a CPU here: in float32, on threads that may move between cores.

    A thread that is pinned to a core, as by default, waits for it where something else runs there, while others idle.

    Args:
        threads: that share one operator; 0 for one per core.
    """
    return {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}


def import_openvino(path: Path) -> Any:
    """The package, kept from telling its maker over the network that it was imported, which it does by default.

    Args:
        path: of the file that needs it, for the message.

    Raises:
        ModelError: it is not installed.
    """
    with _without_module("openvino_telemetry"):
        try:
            import openvino
        except ImportError:
            raise ModelError(f"{path}: needs OpenVINO; pip install 'reidtrack[openvino]'") from None
    return openvino


@contextlib.contextmanager
def _without_module(name: str) -> Iterator[None]:
    """Make ``import name`` fail for a while, as where it is not installed."""
    absent = object()
    before: Any = sys.modules.get(name, absent)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is absent:
            del sys.modules[name]
        else:
            sys.modules[name] = before


def _takes_any_batch(model: Any, batch: int, size: tuple[int, int]) -> bool:
    """Whether an OpenVINO model can be reshaped to another batch; some have theirs written into the graph."""
    try:
        model.reshape([batch + 1, 3, *size])
    except RuntimeError:
        return False
    given = model.output().partial_shape[0]
    return bool(given.is_dynamic or given.get_length() == batch + 1)


def _in_groups(run: Run, size: int) -> Run:
    """A network of a fixed batch made to take any: the last group is filled up with black."""

    def grouped(images: Floats) -> Floats:
        short = -len(images) % size
        filled = np.concatenate([images, np.zeros((short, *images.shape[1:]), np.float32)]) if short else images
        parts = [run(filled[start : start + size]) for start in range(0, len(filled), size)]
        return np.concatenate(parts)[: len(images)]

    return grouped


def _in_powers_of_two(run: Run) -> Run:
    """Few compiled shapes and no wasted work: 13 images run as 8, 4 and 1."""

    def split(images: Floats) -> Floats:
        parts, start = [], 0
        while start < len(images):
            size = min(1 << ((len(images) - start).bit_length() - 1), _LARGEST)
            parts.append(run(images[start : start + size]))
            start += size
        return np.concatenate(parts)

    return split


def _check(path: Path, inputs: Sequence[Sequence[Any]], outputs: int) -> None:
    """Refuse what does not take images (n, 3, h, w) or gives more than one thing."""
    if len(inputs) != 1 or outputs != 1:
        raise ModelError(f"{path}: has {len(inputs)} inputs and {outputs} outputs; expected images in and vectors out")
    (shape,) = inputs
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        raise ModelError(f"{path}: takes {written(shape)}; expected images (n, 3, height, width)")


def written(shape: Sequence[Any]) -> str:
    """A shape for people, ``?`` where it is free."""
    return f"({', '.join('?' if extent is None else str(extent) for extent in shape)})"
