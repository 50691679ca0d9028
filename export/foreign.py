"""Somebody else's network becomes an embedder's: crops in, preprocessing as declared, unit vectors out.

It is an ONNX file, a TorchScript file (``export.foreign_torch``) or one of timm's (``export.foreign_timm``), and stays
in float32. What comes of it passes the same gate as an export, against the original itself. There crops of other sizes
than the network's are stretched bilinearly, which is what the new file does with them; ``reid.embed`` and
``reid.foreign`` both shrink crops by area before, so between them there is no difference.
"""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.nn import functional

from export.foreign_graph import check_scaling, declared_batch, free_batch, read_network, wrap
from export.foreign_timm import PREFIX, check_timm, open_timm
from export.foreign_torch import is_torchscript, open_torchscript
from export.foreign_weights import is_weights, refuse_weights
from export.gate import GateError, GateReport, Reference, Report, run_gate
from export.gate.candidates import in_batches, open_candidate
from export.onnx import write_report
from export.original import TRIED, Original, independent
from export.placing import placed, writing
from export.source import digest_of
from reid.datasets import Split
from reid.embed import INPUT, Card, Embedder
from reid.errors import BadInputError, ModelError
from reid.foreign import ForeignEmbedder, Preprocessing
from reid.graphs import Floats, Run, open_graph
from reid.images import Image
from reid.runtime import open_session

_log = logging.getLogger(__name__)

IMPORTED_FROM = "reidtrack.imported_from"  # metadata: the file's name and what was declared of it
EXPORT_THERE = (
    "export it where its network is defined: torch.onnx.export(model.eval(), (images,), 'FILE.onnx', dynamo=True, "
    "dynamic_shapes=({0: 'n'},))"
)


def import_model(
    model: str | Path,
    preprocessing: Preprocessing,
    out: Path,
    training_data: str = "not stated",
    licence: str = "not stated",
    splits: Mapping[str, Split] = {},
    sites: Mapping[str, Split] = {},
    false_match: float = 1e-3,
    runtimes: Sequence[str] = (),
    report: Report = _log.info,
    weights: Path | None = None,
) -> GateReport:
    """Make an embedder of somebody else's network, and put it at ``out`` only if it passes the gate.

    The gate's report goes beside it. Where the network's batch is fixed and cannot be made free, so is the embedder's.

    Args:
        model: an ``.onnx`` file or one of ``torch.jit.save``, or ``timm:NAME``, that takes images (n, 3, h, w) float32
            and gives a vector for each.
        preprocessing: what the network does not say of itself.
        out: the file to write; one that is there is replaced only by one that passed.
        training_data: what the network was trained on, in words; travels in the file.
        licence: the terms of the training data, in words; travels in the file.
        splits: by name, data sets to score on; the scores travel in the file.
        sites: by name, data sets to calibrate on; without them the file's similarities mean nothing to a run.
        false_match: the false-match rate whose thresholds are compared.
        runtimes: names of those to try it on; none means all that work here.
        report: called with lines of progress.
        weights: of a network of timm's, which needs them.

    Returns:
        What the gate found.

    Raises:
        ModelError: the file is absent, is of another kind, or its vectors depend on what else is in the batch; or what
            came of it did not pass the gate.
        BadInputError: the size is missing or is not the file's, the declared scaling cannot be meant, or ``out`` cannot
            be written.
        DataError: as ``run_gate``.
    """
    check_kind(model, weights)
    original = _open(model, preprocessing, weights)
    report(f"{original.said}: takes images as {original.preprocessing}")
    graph, batch = _embedder(original)
    name = re.sub(r"[^\w.-]+", "_", original.name)
    card = Card(name, original.size, training_data, licence, original.parameters, original.digest, batch=batch)
    with placed(out) as unproven:
        _save(graph, card, original, unproven, out)
        Embedder(unproven, "cpu")  # follows the contract
        candidate = open_candidate(unproven, batch, name=str(out), only=runtimes)
        reference = reference_of(original.run, original.preprocessing, original.size)
        with _own_remedy(original.said):
            found = run_gate(candidate, reference, original.size, "fp32", splits, false_match, report, sites=sites)
        calibration = found.measured.calibration if found.measured else None
        _save(graph, replace(card, scores=found.file_scores, calibration=calibration), original, unproven, out)
        write_report(found, out, digest_of(unproven))
    report(f"{out}: passed {len(found.checks)} checks, lowest cosine {found.cosine:.7f}; {out}.report.json")
    return found


def reference_of(run: Run, preprocessing: Preprocessing, size: tuple[int, int]) -> Reference:
    """What an imported file must equal: the original, behind preprocessing by PyTorch and NumPy.

    Args:
        run: the original, (n, 3, *size) float32 to a vector for each.
        preprocessing: what it wants.
        size: (height, width) that it works at.
    """
    order = [2, 1, 0] if preprocessing.colour == "bgr" else [0, 1, 2]
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))

    def prepare(crops: Sequence[Image]) -> Floats:
        planes = torch.from_numpy(np.stack(crops)[..., order].transpose(0, 3, 1, 2).astype(np.float32))
        pixels = functional.interpolate(planes, size, mode="bilinear", align_corners=False).numpy()
        images: Floats = ((pixels - mean) / std).astype(np.float32)
        return images

    def unit(images: Floats) -> Floats:
        vectors = run(images).reshape(len(images), -1)
        norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        divided: Floats = (vectors / norms).astype(np.float32)
        return divided

    return in_batches(unit, prepare)


def check_kind(model: str | Path, weights: Path | None = None) -> None:
    """Refuse what cannot be imported, and an ONNX file that is an embedder of ours already.

    Args:
        model, weights: as for ``import_model``.

    Raises:
        ModelError: with what to do instead.
        BadInputError: weights are missing, or are named beside a file that has its own.
    """
    if str(model).startswith(PREFIX):
        check_timm(str(model).removeprefix(PREFIX), weights)
        return
    path = Path(model)
    if weights is not None:
        raise BadInputError(f"--weights: goes with {PREFIX}NAME; {path} brings its own, leave it out")
    if not path.is_file():
        raise ModelError(f"{path}: no such model; check the path")
    if is_torchscript(path):
        return
    if path.suffix == ".xml":
        raise ModelError(
            f"{path}: an OpenVINO IR cannot be turned into ONNX; import the ONNX file that it was made from, or use it "
            f"as it is: `reidtrack bench models {path},like=openvino`, `reidtrack train --teacher {path},like=openvino`"
        )
    if is_weights(path):
        refuse_weights(path, EXPORT_THERE)
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: expected an .onnx file, TorchScript or {PREFIX}NAME; {EXPORT_THERE}")
    taken = open_session(path, "cpu").get_inputs()
    if len(taken) == 1 and (taken[0].name, taken[0].type) == (INPUT, "tensor(uint8)"):
        raise ModelError(f"{path}: is an embedder of reidtrack already; use it as it is, with --embedder")


def _open(model: str | Path, preprocessing: Preprocessing, weights: Path | None) -> Original:
    if weights is not None:
        return open_timm(str(model).removeprefix(PREFIX), weights, preprocessing)
    path = Path(model)
    return open_torchscript(path, preprocessing) if is_torchscript(path) else _open_onnx(path, preprocessing)


def _open_onnx(path: Path, preprocessing: Preprocessing) -> Original:
    one = ForeignEmbedder(path, preprocessing, "cpu")
    run = open_graph(path, "cpu").load(one.size)
    network, digest = read_network(path), digest_of(path)
    return Original(
        str(path), path.stem, path.name, digest, network, run, one.preprocessing, one.size, one.dim, one.parameters,
        EXPORT_THERE,
    )  # fmt: skip


def _embedder(original: Original) -> tuple[onnx.ModelProto, int]:
    """The wrapped graph, and the batch that it is fixed to, 0 where free."""
    network, said = original.network, original.said
    check_scaling(said, network, original.preprocessing)
    batch = declared_batch(network)
    images = original.noise(max(batch, TRIED))
    free = free_batch(network, original.run, images[:TRIED])
    if free is None and not independent(original.run, images[: batch or TRIED]):
        raise ModelError(
            f"{said}: gives an image another vector when others are in the batch, as a network in training mode does; "
            f"{original.remedy}"
        )
    if free is None and not batch:
        raise ModelError(f"{said}: its graph gives other vectors than it does itself; {EXPORT_THERE}, and import that")
    kept, fixed = (network, batch) if free is None else (free, 0)
    return wrap(kept, original.preprocessing, original.size, original.dim, fixed), fixed


@contextlib.contextmanager
def _own_remedy(said: str) -> Iterator[None]:
    """What the gate advises is for exports; what came from elsewhere is made anew there."""
    try:
        yield
    except GateError as error:
        failed = str(error).rpartition("; ")[0]
        remedy = "leave that runtime out with --runtimes, or export it anew where it came from, with another opset"
        raise GateError(f"{failed}; {said} is not computed alike: {remedy}") from None


def _save(graph: onnx.ModelProto, card: Card, original: Original, partial: Path, out: Path) -> None:
    source = f"{original.source},{original.preprocessing}"
    onnx.helper.set_model_props(graph, card.to_metadata() | {IMPORTED_FROM: source})
    with writing(out):
        onnx.save(graph, partial)
