"""Networks that PyTorch runs become graphs to import: TorchScript files, and modules that were built here.

What they are compared with is the module itself, in float32 on the CPU, never another conversion of it.
"""

import tempfile
import warnings
import zipfile
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxslim
import torch
from torch import nn

from export.original import TRIED, Original, independent, noise, one_by_one
from export.source import OPSET, digest_of
from reid.errors import BadInputError, ModelError
from reid.foreign import Preprocessing
from reid.graphs import Floats, Run

Export = Callable[[nn.Module, torch.Tensor, bool], onnx.ModelProto]
"""A module, example images and whether their number is free, to a graph."""

SAVE_AGAIN = "save it again from the CPU: torch.jit.save(torch.jit.trace(model.eval().cpu(), images), 'FILE.pt')"


def is_torchscript(path: Path) -> bool:
    """Whether a file is one that ``torch.jit.save`` wrote: it holds the network's code, which other files lack."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def open_torchscript(path: Path, preprocessing: Preprocessing) -> Original:
    """Open a file of ``torch.jit.save``, whatever made it.

    Args:
        path: of the file; its network takes images (n, 3, h, w) float32 and gives a vector for each.
        preprocessing: what it wants, and its size.

    Raises:
        ModelError: PyTorch cannot load, run or export it, or it gives something else than vectors of their own.
        BadInputError: the size is missing.
    """
    if preprocessing.size is None:
        raise BadInputError(f"{path}: TorchScript does not say the size of its images; give --size, such as 256x128")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch would have us use another format, and others have not
            module: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
            module.eval().float()
    except Exception as error:  # whatever a broken file's bytes happen to hit
        raise ModelError(
            f"{path}: TorchScript that PyTorch {torch.__version__} cannot load ({reason(error)}); {SAVE_AGAIN}"
        ) from None
    return original_of(module, str(path), path.stem, path.name, path, preprocessing, SAVE_AGAIN, _scripted_graph)


def original_of(
    module: nn.Module,
    said: str,
    name: str,
    source: str,
    weights: Path,
    preprocessing: Preprocessing,
    remedy: str,
    export: Export,
) -> Original:
    """A module, in ``eval`` mode on the CPU, as an original; arguments as its attributes, errors as above."""
    assert preprocessing.size is not None
    size, images = preprocessing.size, noise(preprocessing, preprocessing.size, TRIED)
    run, batch = _call(module, said, images, remedy)
    if not independent(run, images):
        raise ModelError(
            f"{said}: gives an image another vector when others are in the batch, as a network in training mode does; "
            f"{remedy}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about PyTorch's exporters, from themselves
            graph = export(module, torch.tensor(images[: batch or 2]), not batch)
    except Exception as error:  # the exporters raise dozens of types
        raise ModelError(
            f"{said}: PyTorch cannot export it to ONNX ({reason(error)}); export it where its network is defined, "
            "with torch.onnx.export, and import that"
        ) from None
    numbers = [one.numel() for one in module.parameters()] or [
        prod(one.dims) for one in graph.graph.initializer if one.data_type == onnx.TensorProto.FLOAT
    ]
    dim = run(images[:1]).size
    return Original(
        said, name, source, digest_of(weights), graph, run, preprocessing, size, dim, max(sum(numbers), 1), remedy
    )


def eager_graph(module: nn.Module, images: torch.Tensor, free: bool) -> onnx.ModelProto:
    """A module that was built here as a graph."""
    program = torch.onnx.export(
        module,
        (images,),
        input_names=["images"],
        output_names=["vectors"],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},) if free else None,
        verbose=False,
    )
    assert program is not None  # it is None only without dynamo
    slim: onnx.ModelProto = onnxslim.slim(program.model_proto)
    return slim


def _scripted_graph(module: nn.Module, images: torch.Tensor, free: bool) -> onnx.ModelProto:
    """TorchScript as a graph, which only PyTorch's older exporter makes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        torch.onnx.export(
            module,
            (images,),
            path,
            input_names=["images"],
            output_names=["vectors"],
            opset_version=OPSET,
            dynamo=False,
            dynamic_axes={"images": {0: "n"}, "vectors": {0: "n"}} if free else None,
        )
        slim: onnx.ModelProto = onnxslim.slim(onnx.load(path))
    return slim


def _call(module: nn.Module, said: str, images: Floats, remedy: str) -> tuple[Run, int]:
    """A module as a call, and the batch that it is fixed to: 1, or 0 where free.

    Raises:
        ModelError: it fails on the images, or gives something else than a vector for each.
    """

    def run(some: Floats) -> Floats:
        with torch.inference_mode():
            given = module(torch.tensor(some))  # a copy: some networks normalise in place
        _check(said, given, len(some))
        vectors: Floats = given.float().numpy()
        return vectors

    def alone(some: Floats) -> Floats:
        return one_by_one(run, some)

    failed: Exception | None = None
    for call, batch in ((run, 0), (alone, 1)):
        try:
            norms = np.linalg.norm(call(images).reshape(len(images), -1), axis=1)
        except Exception as error:  # TorchScript's own types, and whatever a module raises
            failed = failed or error
            continue
        if not (np.isfinite(norms).all() and norms.all()):
            raise ModelError(f"{said}: gives a vector that is zero or not finite; check --mean and --std")
        return call, batch
    assert failed is not None
    if isinstance(failed, ModelError):
        raise failed
    height, width = images.shape[2:]
    raise ModelError(
        f"{said}: fails on images of {height}x{width} ({reason(failed)}); give the --size that it was made for, or "
        f"{remedy}"
    )


def _check(said: str, given: Any, count: int) -> None:
    expected = "expected one tensor (n, d), a vector for each image; have the network's forward() return that"
    if not isinstance(given, torch.Tensor):
        raise ModelError(f"{said}: gives a {type(given).__name__}; {expected}")
    if given.ndim < 2 or len(given) != count or given.numel() != count * given.shape[1]:
        raise ModelError(f"{said}: gives {tuple(given.shape)} for {count} images; {expected}")


def reason(error: Exception) -> str:
    """The last line, where PyTorch says what is wrong; before it is where in the code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
