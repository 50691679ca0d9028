"""Runtimes side by side: the milliseconds that a crop takes on each, and the memory that a process needs for it.

Everything is timed in float32, in one process, in turn. Memory is measured in a fresh process for each model and
runtime; nothing heavy is imported here before that, so that the runtime's own libraries count.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reid.bench.speed import Embed, Report, measure_batches, noise_crops
from reid.errors import BadInputError, ModelError

if TYPE_CHECKING:
    from reid.embed import Embedder
    from reid.foreign import ForeignEmbedder
    from reid.images import Image

# name -> device, as reid.runtime.providers has it
ON_ONNXRUNTIME = {f"onnxruntime-{device}": device for device in ("cpu", "openvino", "cuda", "tensorrt")}
OPENVINO, PYTORCH = "openvino", "pytorch"
RUNTIMES = (*ON_ONNXRUNTIME, OPENVINO, PYTORCH)


@dataclass(frozen=True)
class RuntimeRow:
    """A model on a runtime.

    Attributes:
        model, runtime: their names.
        ms: milliseconds a crop, by batch.
        added_mb: resident memory that a process has more after the runtime was loaded, the model opened and one of the
            largest batches embedded, in 10**6 bytes; not a GPU's own. None where that process died.
    """

    model: str
    runtime: str
    ms: dict[int, float]
    added_mb: float | None


def working_runtimes() -> list[str]:
    """The names in ``RUNTIMES`` that work on this machine."""
    import onnxruntime

    from reid.runtime import CPU, CUDA, TENSORRT, loads
    from reid.runtime import OPENVINO as OPENVINO_PROVIDER

    listed = onnxruntime.get_available_providers()
    names = {"cpu": CPU, "openvino": OPENVINO_PROVIDER, "cuda": CUDA, "tensorrt": TENSORRT}
    found = [name for name, device in ON_ONNXRUNTIME.items() if names[device] in listed and loads(names[device])]
    return [*found, *([OPENVINO] if importlib.util.find_spec("openvino") else []), PYTORCH]


def suits(text: str, runtime: str) -> bool:
    """Whether a model, described as for ``reid.bench.models.open_models``, is of the kind that a runtime takes.

    Raises:
        BadInputError: the description is malformed.
    """
    from reid.foreign import parse_declaration

    declared = parse_declaration(text)
    ending = (declared[0] if declared else Path(text)).suffix
    return {".pt": runtime == PYTORCH, ".xml": runtime == OPENVINO}.get(ending, runtime != PYTORCH)


def open_on(text: str, runtime: str, threads: int) -> tuple[str, Embed]:
    """Name of a model, and the model on a runtime that suits it.

    Raises:
        ModelError: the file is absent or is no model, or the runtime cannot take it.
        BadInputError: the description is malformed.
    """
    from reid.bench.models import open_models
    from reid.embed import Embedder
    from reid.foreign import ForeignEmbedder

    device = ON_ONNXRUNTIME.get(runtime, "cpu" if runtime == OPENVINO else "auto")
    ((name, model),) = open_models([text], device, threads).items()
    if runtime == OPENVINO and isinstance(model.embed, Embedder):
        return name, _own_on_openvino(model.embed, threads)
    if runtime == OPENVINO and isinstance(model.embed, ForeignEmbedder) and model.embed.path.suffix != ".xml":
        return name, _foreign_on_openvino(model.embed, threads)
    return name, model.embed


def _own_on_openvino(own: "Embedder", threads: int) -> Embed:
    """One of our files, its graph fixed to the model's size and to each batch that comes."""
    from reid.graphs import openvino_settings
    from reid.images import resize_crop

    core, model = _read(own.path)
    compiled: dict[int, Any] = {}

    def embed(crops: "Sequence[Image]") -> Any:
        count = len(crops)
        if count not in compiled:
            model.reshape([count, *own.size, 3])
            compiled[count] = core.compile_model(model, "CPU", openvino_settings(threads))
        return np.array(compiled[count](np.stack([resize_crop(crop, own.size) for crop in crops]))[0])

    return embed


def _foreign_on_openvino(other: "ForeignEmbedder", threads: int) -> Embed:
    """Somebody else's ONNX file, by way of an IR."""
    from reid.foreign import ForeignEmbedder
    from reid.graphs import import_openvino

    _, model = _read(other.path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps open files
        made = Path(folder, "model.xml")
        import_openvino(other.path).save_model(model, made, compress_to_fp16=False)
        return ForeignEmbedder(made, other.preprocessing, "cpu", threads)


def _read(path: Path) -> tuple[Any, Any]:
    """OpenVINO's core, and a file as it reads it."""
    from reid.graphs import import_openvino

    core = import_openvino(path).Core()
    try:
        return core, core.read_model(path)
    except RuntimeError as error:
        raise ModelError(f"{path}: OpenVINO cannot read it ({str(error).strip().splitlines()[-1]})") from None


def bench_runtime(
    texts: Sequence[str],
    runtimes: Sequence[str],
    batches: Sequence[int],
    rounds: int,
    threads: int,
    report: Report,
    measure_memory: Callable[[str, str, int, int], float | None] | None = None,
) -> list[RuntimeRow]:
    """Time every model on every runtime that suits it, in turn, and measure what memory each takes.

    Args:
        texts: models as for ``reid.bench.models.open_models``.
        runtimes: of ``working_runtimes``; none for all of them.
        batches: crops in a call, each 1 or more.
        rounds: at least 1; medians over them are given.
        threads: of the CPU; 0 for one per core.
        report: called with lines of progress, also for a model that a runtime cannot take.
        measure_memory: in the place of ``added_memory``.

    Returns:
        Model by model, in the order given.

    Raises:
        BadInputError: an option makes no sense, a runtime is unknown or does not work here, or none suits the models;
            or two models have one name.
        ModelError: a model cannot be opened on any runtime.
    """
    if rounds < 1 or not batches or min(batches) < 1:
        raise BadInputError(f"{rounds} rounds of batches {list(batches)}: at least 1 of each")
    working = working_runtimes()
    absent = [name for name in runtimes if name not in working]
    if absent:
        raise BadInputError(f"runtime {absent[0]!r} does not work here; choose from {', '.join(working)}")
    opened: dict[tuple[str, str], Embed] = {}
    described: dict[str, str] = {}
    for text in texts:
        for name, runtime, embed in _open_everywhere(text, runtimes or working, threads, report):
            if described.setdefault(name, text) != text:
                raise BadInputError(f"two models are called {name}; name one of them: NAME={text}")
            opened[name, runtime] = embed
    measure = measure_memory or added_memory
    added = {}
    for number, (name, runtime) in enumerate(opened, 1):
        report(f"memory: {name} on {runtime}, {number} of {len(opened)}")
        added[name, runtime] = measure(described[name], runtime, threads, max(batches))
    times = measure_batches(opened, batches, rounds, report)
    return [RuntimeRow(*key, dict(zip(batches, times[key], strict=True)), added[key]) for key in opened]


def _open_everywhere(text: str, runtimes: Sequence[str], threads: int, report: Report) -> list[tuple[str, str, Embed]]:
    """A model's name, and the model on each runtime that takes it."""
    fitting = [runtime for runtime in runtimes if suits(text, runtime)]
    if not fitting:
        raise BadInputError(f"{text}: runs on none of {', '.join(runtimes)}; leave --runtimes out")
    opened = []
    for runtime in fitting:
        try:
            name, embed = open_on(text, runtime, threads)
            embed(noise_crops(1))
        except ModelError as error:
            if len(fitting) == 1:
                raise
            report(f"{text} is left out on {runtime}: {error}")
            failed = error
        else:
            opened.append((name, runtime, embed))
    if not opened:
        raise failed
    return opened


def added_memory(text: str, runtime: str, threads: int, batch: int) -> float | None:
    """As ``RuntimeRow.added_mb``, of a process that is started for it; None where it dies."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_added_here, text, runtime, threads, batch).result()
        except BrokenProcessPool:
            return None


def _added_here(text: str, runtime: str, threads: int, batch: int) -> float:
    import psutil  # type: ignore[import-untyped]

    process = psutil.Process()
    before = process.memory_info().rss
    _, embed = open_on(text, runtime, threads)
    embed(noise_crops(batch))
    return float(process.memory_info().rss - before) / 1e6
