"""A file as its calls: ONNX Runtime on every device that works here, and OpenVINO where it is installed."""

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from export.gate.types import Candidate, Floats, Prepare, Reference
from export.tensors import computes_in_half, open_exposed
from reid.errors import BadInputError, ModelError
from reid.graphs import import_openvino, openvino_settings
from reid.images import Image
from reid.runtime import open_session

Run = Callable[[npt.NDArray[Any]], Floats]

OPENVINO = "OpenVINO"
LAYER_BY_LAYER = "ONNX Runtime layer by layer"
CHUNK = 32  # crops that go through a network at a time, at most; the gate's largest batch


def open_candidate(
    path: Path, batch: int = 0, prepare: Prepare = np.stack, name: str = "", only: Sequence[str] = ()
) -> Candidate:
    """An ONNX file as its calls.

    Args:
        path: any with one input and one output.
        batch: that it is fixed to; 0 where it is free.
        prepare: crops of one size to the graph's input; an embedder that takes RGB takes them stacked.
        name: what messages call it; empty for its path.
        only: names of runtimes; empty for all that work here.

    Raises:
        ModelError: a runtime cannot open the file.
        BadInputError: one that is asked for does not work here.
    """
    runs = {runtime: in_batches(run, prepare, batch) for runtime, run in runtimes(path, only).items()}
    return Candidate(path, runs, prepare, batch, name, imitations=(LAYER_BY_LAYER,))


def runtimes(path: Path, only: Sequence[str] = ()) -> dict[str, Run]:
    """By name, an ONNX file's plain call on each runtime that works here: its input to its only output.

    ONNX Runtime on the device that the application would use, and on the CPU; OpenVINO, in float32, where installed.
    CPUs compute half precision in float32; so such a file is also run with every layer rounded to half, as on a GPU.

    Raises:
        ModelError: a runtime cannot open the file.
        BadInputError: one of ``only`` does not work here.
    """
    openers: dict[str, Callable[[], Run]] = {}
    for device in ("auto", "cpu"):
        session = open_session(path, device)
        openers[session.get_providers()[0]] = partial(session_run, session)
    if importlib.util.find_spec("openvino") is not None:
        openers[OPENVINO] = partial(openvino_run, path)
    unknown = [name for name in only if name not in openers]
    if unknown:
        raise BadInputError(f"runtime {unknown[0]!r} does not work here; choose from {', '.join(openers)}")
    found = {name: opener() for name, opener in openers.items() if not only or name in only}
    graph = onnx.load(path)
    if computes_in_half(graph):
        found[LAYER_BY_LAYER] = session_run(open_exposed(graph))
    return found


def session_run(session: Any) -> Run:
    """An ONNX Runtime session as a call from its only input to its first output."""
    name, given = session.get_inputs()[0].name, session.get_outputs()[0].name

    def run(batch: npt.NDArray[Any]) -> Floats:
        vectors: Floats = session.run([given], {name: batch})[0]
        return vectors

    return run


def openvino_run(path: Path) -> Run:
    """A file that OpenVINO reads, an ``.onnx`` or the ``.xml`` of an IR, on the CPU, in float32 where it is not int8.

    Raises:
        ModelError: openvino is not installed, or cannot read or compile the file.
    """
    openvino = import_openvino(path)
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", openvino_settings(0))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path}: OpenVINO cannot read it ({reason}); try another --opset") from None

    def run(batch: npt.NDArray[Any]) -> Floats:
        vectors: Floats = np.array(compiled(batch)[0], np.float32)
        return vectors

    return run


def stacked(crops: Sequence[Image], colour: str = "rgb") -> Image:
    """(n, h, w, 3) of RGB crops of one size, in an artifact's colour order."""
    batch = np.stack(crops)
    return np.ascontiguousarray(batch[..., ::-1]) if colour == "bgr" else batch


def in_batches(run: Run, prepare: Prepare, batch: int = 0) -> Reference:
    """A call that takes any crops from one that takes batches.

    Neighbours of one size go together, up to 32. Where the file's batch is fixed, the last is filled up with its last
    crop and what that gives is thrown away.

    Args:
        run: a batch to its vectors.
        prepare: crops of one size to a batch.
        batch: that the file is fixed to; 0 where it is free.
    """
    chunk = batch or CHUNK

    def call(crops: Sequence[Image]) -> Floats:
        parts = []
        for _, group in groupby(crops, key=lambda crop: crop.shape):
            alike = list(group)
            for start in range(0, len(alike), chunk):
                some = alike[start : start + chunk]
                filled = some + some[-1:] * (batch - len(some))
                parts.append(run(prepare(filled))[: len(some)])
        return np.concatenate(parts)

    return call
