"""A TensorRT engine, or all that is needed to build it elsewhere.

An engine runs on the kind of GPU and with the release of TensorRT that it was built with. Beside ``model.engine`` lie
``model.engine.onnx``, which is the graph, and ``model.engine.trtexec.sh``, which builds it again on another machine.

Engines take float32 (n, 3, h, w), resized and normalised already: TensorRT's profiles want one height and width, and
its resizing is not the one that the networks were trained with. int8 is what the quantisers say, as TensorRT 10 wants
it: symmetric, weights and activations alike, biases in float. Layers without quantisers then run in half precision.

After NVIDIA's Python API reference and developer guide of TensorRT 10.
"""

import importlib
import logging
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from export.placing import placed, writing
from export.tensorrt_graph import calibration_data, plain_input, suited_graph
from reid.errors import BadInputError, ModelError
from reid.images import Image
from reid.runtime import cuda_device_count

_log = logging.getLogger(__name__)

Batches = tuple[int, int, int]
Report = Callable[[str], None]

PRECISIONS = ("fp32", "fp16", "int8")
REMEDY = "pip install 'tensorrt-cu13>=10.13,<11'"
_RELEASE = "10."


def write_tensorrt(
    onnx_path: Path,
    out: Path,
    precision: str,
    batches: Batches = (1, 16, 32),
    crops: Sequence[Image] = (),
    report: Report = _log.info,
    check: Callable[[Path], None] | None = None,
) -> Path | None:
    """Write the graph and the ``trtexec`` command that builds an engine from it; build it too where TensorRT works.

    Args:
        onnx_path: the plain variant of an embedder: float32 (n, 3, h, w), h and w fixed, n free; quantised for int8.
        out: the engine. Beside it appear ``OUT.onnx``, ``OUT.trtexec.sh`` and, where it is built, ``OUT.timing``, the
            timing cache, which makes the next build on this machine a matter of seconds.
        precision: ``fp32`` (without TensorFloat-32), ``fp16`` or ``int8``.
        batches: the smallest, the usual and the largest number of crops in a call; 1 or more, in this order.
        crops: RGB, of any sizes: for int8 they go into ``OUT.calibration.npz`` as the graph takes them, for tools
            that quantise anew. The engine itself is calibrated by the graph's quantisers.
        report: called with lines of progress.
        check: called with the engine before it is put at ``out``; what it raises keeps the engine from there.

    Returns:
        ``out``, or None where no engine was built.

    Raises:
        ModelError: the graph is not the plain variant, not quantised as TensorRT wants it, or TensorRT refuses it.
        BadInputError: the batches make no sense, or a file cannot be written.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if not 1 <= batches[0] <= batches[1] <= batches[2]:
        raise BadInputError(f"batches {batches}: give smallest, usual and largest, in this order, such as 1, 16, 32")
    graph = suited_graph(onnx_path, precision)
    name, size = plain_input(graph, onnx_path)
    shapes = [(batch, *size) for batch in batches]
    beside, script, timing = (out.with_name(out.name + ending) for ending in (".onnx", ".trtexec.sh", ".timing"))
    with placed(beside) as partial, writing(beside):
        onnx.save(graph, partial)
    if precision == "int8" and crops:
        data = out.with_name(f"{out.name}.calibration.npz")
        with placed(data) as partial, writing(data):
            arrays: dict[str, Any] = {name: calibration_data(graph, onnx_path, crops)}
            np.savez(partial, **arrays)
    with placed(script) as partial, writing(script):
        partial.write_text(trtexec_script(out.name, name, shapes, precision), encoding="utf-8")
        partial.chmod(0o755)
    trt = _import_tensorrt(report, script)
    if trt is None:
        return None
    report(f"{out}: TensorRT {trt.__version__} times its kernels, which takes minutes")
    with placed(out) as partial:
        engine, times = build_engine(trt, beside, name, shapes, precision, timing)
        with writing(timing):
            timing.write_bytes(times)
        with writing(out):
            partial.write_bytes(engine)
        if check is not None:
            check(partial)
    report(f"{out}: {len(engine) / 1e6:.1f} MB, for {batches[0]} to {batches[2]} crops")
    return out


def trtexec_script(engine: str, taken: str, shapes: Sequence[tuple[int, ...]], precision: str) -> str:
    """A shell script that builds ``engine`` (a file's name) in its own folder.

    Args:
        engine: name of the file to build.
        taken: name of the graph's input.
        shapes: of the input: smallest, usual, largest.
        precision: as for ``write_tensorrt``.
    """
    flags = {"fp32": ["--noTF32"], "fp16": ["--fp16"], "int8": ["--int8", "--fp16"]}[precision]
    arguments = [
        f"--onnx={engine}.onnx",
        f"--saveEngine={engine}",
        *(
            f"--{which}Shapes={taken}:{'x'.join(map(str, shape))}"
            for which, shape in zip(("min", "opt", "max"), shapes, strict=True)
        ),
        *flags,
        f"--timingCacheFile={engine}.timing",
        "--skipInference",
    ]
    lines = " \\\n".join(f"    {shlex.quote(argument)}" for argument in arguments)
    told = "# Builds the engine for the GPU of this machine. Needs TensorRT 10, which trtexec comes with."
    return f'#!/bin/sh\n{told}\nset -eu\ncd "$(dirname "$0")"\ntrtexec \\\n{lines} \\\n    "$@"\n'


def _import_tensorrt(report: Report, script: Path) -> Any:
    """The package, or None, and what to do then."""
    later = f"no engine is built; {script.name} builds it where both are"
    if not cuda_device_count():
        report(f"TensorRT needs an NVIDIA GPU and its driver shows none: {later}")
        return None
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        report(f"TensorRT cannot be imported ({reason}): {later}, or {REMEDY}")
        return None
    if not trt.__version__.startswith(_RELEASE):
        report(f"TensorRT {trt.__version__} is not release {_RELEASE}x: {later}, or {REMEDY}")
        return None
    return trt


def build_engine(
    trt: Any, graph: Path, taken: str, shapes: Sequence[tuple[int, ...]], precision: str, timing: Path
) -> tuple[bytes, bytes]:
    """An engine and the timing cache that its build leaves, both serialised.

    Args:
        trt: the tensorrt package.
        graph: the ONNX file.
        taken, shapes, precision: as for ``trtexec_script``.
        timing: the timing cache of earlier builds; absent, or another GPU's, it begins anew.

    Raises:
        ModelError: TensorRT cannot read the graph or build it; with the first that it said.
    """
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        said = parser.get_error(0).desc() if parser.num_errors else "it does not say why"
        raise ModelError(f"{graph}: TensorRT cannot read it ({_line(said)}); export it with an older --opset")
    config = builder.create_builder_config()
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    for flag in {"fp16": ["FP16"], "int8": ["INT8", "FP16"]}.get(precision, []):
        config.set_flag(getattr(trt.BuilderFlag, flag))
    profile = builder.create_optimization_profile()
    profile.set_shape(taken, *shapes)
    config.add_optimization_profile(profile)
    cache = config.create_timing_cache(timing.read_bytes() if timing.is_file() else b"")
    if not cache or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        said = logger.errors[0] if logger.errors else "it does not say why"
        raise ModelError(f"{graph}: TensorRT cannot build it ({_line(said)}); try precision fp32, or a smaller batch")
    return bytes(engine), bytes(config.get_timing_cache().serialize())


def open_engine(path: Path, device: str = "cuda") -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """An engine as a call from images (n, 3, h, w) float32 to vectors (n, d) float32.

    Args:
        path: of the engine, built on this machine.
        device: where PyTorch keeps what goes in and comes out.

    Raises:
        ModelError: TensorRT is absent, or the engine is another machine's.
    """
    import torch

    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError):
        raise ModelError(f"{path}: needs TensorRT; {REMEDY}") from None
    logger = _logger(trt)
    engine = trt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        said = _line(logger.errors[0]) if logger.errors else "it does not say why"
        raise ModelError(f"{path}: TensorRT cannot load it ({said}); build it again on this machine")
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    (taken,) = (name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)
    (given,) = (name for name in names if name != taken)
    context = engine.create_execution_context()

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        ready = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        if not context.set_input_shape(taken, tuple(images.shape)):
            raise ModelError(f"{path}: was not built for {len(images)} crops at once; build it with other batches")
        vectors = torch.empty(tuple(context.get_tensor_shape(given)), dtype=torch.float32, device=device)
        places = {taken: ready.data_ptr(), given: vectors.data_ptr()}
        if not context.execute_v2([places[name] for name in names]):
            raise ModelError(f"{path}: TensorRT cannot run it; build it again on this machine")
        return np.asarray(vectors.cpu().numpy())

    return run


def _logger(trt: Any) -> Any:
    """TensorRT's messages into ours; its errors are also kept, in order."""

    class Messages(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # bindings want this very form
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.errors.append(msg)
            _log.debug("TensorRT: %s", msg)

    return Messages()


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
