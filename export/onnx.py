"""A checkpoint becomes one ONNX file: raw crops in, unit vectors out."""

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxslim
import torch

from export.parity import check_parity
from reid.embed import INPUT, OUTPUT, Card, Embedder
from reid.errors import BadInputError
from reid.model import EmbeddingModel, load_model

_log = logging.getLogger(__name__)

SMALL = 10_000  # elements; depthwise kernels and biases, which lose most by rounding, are smaller and stay as they are
OPSET = 18  # the exporter's native one: nothing is converted, and old runtimes read it


def export_onnx(
    checkpoint: Path,
    out: Path,
    training_data: str,
    licence: str = "not stated",
    measure: Callable[[Embedder], Card] | None = None,
    report: Callable[[str], None] = _log.info,
) -> Path:
    """Export a trained embedder, prove it equal to the network, and only then put it at ``out``.

    Args:
        checkpoint: what ``reidtrack train`` wrote.
        out: the file to write; one that is there is replaced only by one that passed.
        training_data: what the network was trained on, in words; travels in the file.
        licence: the terms of the training data, in words; travels in the file.
        measure: called with the exported file, once that is proven; gives the file's card with what it measured, such
            as ``dataclasses.replace(embedder.card, calibration=...)``.
        report: called with lines of progress.

    Returns:
        ``out``.

    Raises:
        ModelError: the checkpoint is absent or none, or the parity check failed.
        BadInputError: ``out`` cannot be written.
    """
    model = load_model(checkpoint)
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    card = Card(model.config["backbone"], model.size, training_data, licence, count_parameters(model), digest)
    partial = out.with_name(f".{out.name}.partial")
    with _writing(out):  # fails now, not after the work
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    try:
        report(f"exporting {checkpoint}")
        graph = onnx_graph(model)
        onnx.helper.set_model_props(graph, card.to_metadata())
        with _writing(out):
            onnx.save(graph, partial)
        embedder = Embedder(partial, "cpu")  # follows the contract
        parity = check_parity(model, partial)
        if measure is not None:
            onnx.helper.set_model_props(graph, measure(embedder).to_metadata())
            with _writing(out):
                onnx.save(graph, partial)
        with _writing(out):
            partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    report(f"{out}: equal to the network in {len(parity.checks)} checks, lowest cosine {parity.cosine:.7f}")
    return out


def count_parameters(model: EmbeddingModel) -> int:
    """Learned numbers of the part that is exported: no classifier, no local branch."""
    exported = [one for name, one in model.named_parameters() if not name.startswith(("classifier.", "stripes."))]
    return sum(one.numel() for one in exported)


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    if out.is_dir():
        raise BadInputError(f"{out}: is a folder; give the path of the file to write, such as {out / 'embedder.onnx'}")
    try:
        yield
    except OSError as error:
        raise BadInputError(f"{out}: cannot be written ({error.strerror}); choose another path") from None


def onnx_graph(model: EmbeddingModel) -> onnx.ModelProto:
    """The network as an ONNX graph: batch and crop size free, normalisation folded, weights stored in half precision.

    Args:
        model: on the CPU, in ``eval`` mode.
    """
    n, h, w = (torch.export.Dim(name, min=1) for name in ("n", "h", "w"))
    height, width = model.size
    crops = torch.zeros(
        2, height + 3, width + 5, 3, dtype=torch.uint8
    )  # unequal numbers, so that none is taken as fixed
    with warnings.catch_warnings():  # PyTorch's exporter uses PyTorch's own deprecated functions
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            model,
            (crops,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={"crops": {0: n, 1: h, 2: w}},
            verbose=False,
        )
    assert program is not None  # it is None only without dynamo
    slim: onnx.ModelProto = onnxslim.slim(program.model_proto)
    return _halved(slim)


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights in half precision, each followed by a cast: half the file, while runtimes compute in float32.

    Runtimes fold the casts when they load the file. Small tensors stay as they are.
    """
    casts = []
    for weights in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.size >= SMALL and np.abs(values).max() < np.finfo(np.float16).max:
            name = weights.name
            weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    for position, cast in enumerate(casts):
        model.graph.node.insert(position, cast)
    return model
