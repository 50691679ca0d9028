"""What is exported: a training's checkpoint, or an embedder's file that is to be had in another form."""

import hashlib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnxslim
import torch

from export.gate import Floats, Layers, Reference
from export.gate.candidates import in_batches, session_run, stacked
from export.gate.layers import graph_layers, network_layers
from export.precision import whole
from reid.embed import EMBEDDERS, INPUT, OUTPUT, Card, Embedder, find_embedder
from reid.errors import ModelError
from reid.images import Image
from reid.model import EmbeddingModel, load_model
from reid.runtime import open_session

OPSET = 18  # the exporter's native one: nothing is converted, and old runtimes read it


@dataclass(frozen=True)
class Source:
    """A trained model, as the exports need it.

    Attributes:
        path: the file that it came from.
        digest: hexadecimal SHA-256 of that file when it was opened.
        card: what an embedder made of it says; precision, colour order and batch are the default ones.
        graph: it as an embedder, RGB, any batch, weights and computing in float32.
        reference: what everything made of it has to equal.
        layers: of the reference.
    """

    path: Path
    digest: str
    card: Card
    graph: onnx.ModelProto
    reference: Reference
    layers: Layers


def open_source(model: str | Path, training_data: str | None = None, licence: str | None = None) -> Source:
    """Open a checkpoint, an embedder's file or a shipped embedder by its name.

    Args:
        model: which.
        training_data: what it was trained on, in words; None keeps what an embedder's file says.
        licence: the terms of the training data, in words; None likewise.

    Raises:
        ModelError: it is absent or none, or is an embedder in a form that others cannot be made of.
    """
    if str(model) in EMBEDDERS or Path(model).suffix == ".onnx":
        source = _open_embedder(find_embedder(model))
    else:
        source = _open_checkpoint(Path(model))
    card = source.card
    words = replace(card, training_data=training_data or card.training_data, licence=licence or card.licence)
    return replace(source, card=words)


def digest_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_checkpoint(path: Path) -> Source:
    model = load_model(path)
    digest = digest_of(path)
    card = Card(model.config["backbone"], model.size, "not stated", "not stated", count_parameters(model), digest)

    def run(batch: Image) -> Floats:
        with torch.inference_mode():
            vectors: Floats = model(torch.from_numpy(batch)).numpy()
        return vectors

    return Source(path, digest, card, onnx_graph(model), in_batches(run, stacked), network_layers(model))


def _open_embedder(path: Path) -> Source:
    card = Embedder(path, "cpu").card  # follows the contract
    if (card.precision, card.colour, card.batch) != ("fp32", "rgb", 0):
        raise ModelError(
            f"{path}: is {card.precision}, {card.colour}, batch {card.batch or 'dynamic'}; other forms are made of an "
            "fp32, rgb, dynamic one or of the checkpoint"
        )
    graph = whole(onnx.load(path))
    run = session_run(open_session(path, "cpu"))
    kept = replace(card, scores={})  # measured on another file
    return Source(path, digest_of(path), kept, graph, in_batches(run, stacked), graph_layers(graph, stacked))


def count_parameters(model: EmbeddingModel) -> int:
    """Learned numbers of the part that is exported: no classifier, no local branch."""
    exported = [one for name, one in model.named_parameters() if not name.startswith(("classifier.", "stripes."))]
    return sum(one.numel() for one in exported)


def onnx_graph(model: EmbeddingModel) -> onnx.ModelProto:
    """The network as an ONNX graph in float32: batch and crop size free, normalisation folded.

    Args:
        model: on the CPU, in ``eval`` mode.
    """
    n, h, w = (torch.export.Dim(name, min=1) for name in ("n", "h", "w"))
    height, width = model.size
    # unequal numbers, so that none is taken as fixed
    crops = torch.zeros(2, height + 3, width + 5, 3, dtype=torch.uint8)
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
    return slim
