"""Somebody else's ONNX file becomes an embedder's: crops in, preprocessing as declared, unit vectors out.

The network stays as it is, in float32. What comes of it passes the same gate as an export, against the file itself.
There crops of other sizes than the network's are stretched bilinearly, which is what the new file does with them;
``reid.embed`` and ``reid.foreign`` both shrink crops by area before, so between them there is no difference.
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
from export.gate import GateError, GateReport, Reference, Report, run_gate
from export.gate.candidates import in_batches, open_candidate
from export.onnx import write_report
from export.placing import placed, writing
from export.source import digest_of
from reid.datasets import Split
from reid.embed import INPUT, Card, Embedder
from reid.errors import ModelError
from reid.foreign import ForeignEmbedder, Preprocessing
from reid.graphs import Floats, Run, open_graph
from reid.images import Image
from reid.runtime import open_session

_log = logging.getLogger(__name__)

_TRIED = 3  # images that show whether a batch is free
IMPORTED_FROM = "reidtrack.imported_from"  # metadata: the file's name and what was declared of it
_WEIGHTS = (".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors")
_EXPORT_THERE = (
    "export it where its network is defined: torch.onnx.export(model.eval(), (images,), 'FILE.onnx', dynamo=True, "
    "dynamic_shapes=({0: 'n'},))"
)


def import_model(
    path: Path,
    preprocessing: Preprocessing,
    out: Path,
    training_data: str = "not stated",
    licence: str = "not stated",
    splits: Mapping[str, Split] = {},
    sites: Mapping[str, Split] = {},
    false_match: float = 1e-3,
    runtimes: Sequence[str] = (),
    report: Report = _log.info,
) -> GateReport:
    """Make an embedder of somebody else's ONNX file, and put it at ``out`` only if it passes the gate.

    The gate's report goes beside it. Where the file's batch is fixed and cannot be made free, so is the embedder's.

    Args:
        path: an ``.onnx`` file that takes images (n, 3, h, w) float32 and gives a vector for each.
        preprocessing: what the file does not say of itself.
        out: the file to write; one that is there is replaced only by one that passed.
        training_data: what the network was trained on, in words; travels in the file.
        licence: the terms of the training data, in words; travels in the file.
        splits: by name, data sets to score on; the scores travel in the file.
        sites: by name, data sets to calibrate on; without them the file's similarities mean nothing to a run.
        false_match: the false-match rate whose thresholds are compared.
        runtimes: names of those to try it on; none means all that work here.
        report: called with lines of progress.

    Returns:
        What the gate found.

    Raises:
        ModelError: the file is absent, is of another kind, or its vectors depend on what else is in the batch; or what
            came of it did not pass the gate.
        BadInputError: the size is missing or is not the file's, the declared scaling cannot be meant, or ``out`` cannot
            be written.
        DataError: as ``run_gate``.
    """
    check_kind(path)
    original = ForeignEmbedder(path, preprocessing, "cpu")
    run = open_graph(path, "cpu").load(original.size)
    graph, batch = _embedder(path, original, run)
    name = re.sub(r"[^\w.-]+", "_", path.stem)
    card = Card(name, original.size, training_data, licence, original.parameters, digest_of(path), batch=batch)
    with placed(out) as unproven:
        _save(graph, card, original, unproven, out)
        Embedder(unproven, "cpu")  # follows the contract
        candidate = open_candidate(unproven, batch, name=str(out), only=runtimes)
        reference = reference_of(run, original.preprocessing, original.size)
        with _own_remedy(path):
            found = run_gate(candidate, reference, original.size, "fp32", splits, false_match, report, sites=sites)
        calibration = found.measured.calibration if found.measured else None
        _save(graph, replace(card, scores=found.scores, calibration=calibration), original, unproven, out)
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


def check_kind(path: Path) -> None:
    """Refuse what is no ONNX file, and an ONNX file that is an embedder of ours already.

    Raises:
        ModelError: with what to do instead.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model; check the path")
    if path.suffix == ".xml":
        raise ModelError(
            f"{path}: an OpenVINO IR cannot be turned into ONNX; import the ONNX file that it was made from, or use it "
            f"as it is: `reidtrack bench models {path},like=openvino`, `reidtrack train --teacher {path},like=openvino`"
        )
    if path.suffix in _WEIGHTS:
        raise ModelError(f"{path}: weights without their network; {_EXPORT_THERE}, and import that")
    if path.suffix != ".onnx":
        raise ModelError(f"{path}: expected a file that ends in .onnx; {_EXPORT_THERE}")
    taken = open_session(path, "cpu").get_inputs()
    if len(taken) == 1 and (taken[0].name, taken[0].type) == (INPUT, "tensor(uint8)"):
        raise ModelError(f"{path}: is an embedder of reidtrack already; use it as it is, with --embedder")


def _embedder(path: Path, original: ForeignEmbedder, run: Run) -> tuple[onnx.ModelProto, int]:
    """The wrapped graph, and the batch that it is fixed to, 0 where free."""
    network = read_network(path)
    check_scaling(path, network, original.preprocessing)
    batch = declared_batch(network)
    noise = np.random.default_rng(0).integers(0, 256, (max(batch, _TRIED), *original.size, 3), np.uint8)
    images = original.preprocessing(list(noise), original.size)
    free = free_batch(network, run, images[:_TRIED])
    if free is None and (not batch or not _independent(run, images[:batch])):
        raise ModelError(
            f"{path}: gives an image another vector when others are in the batch, as a network in training mode does; "
            f"{_EXPORT_THERE}"
        )
    kept, fixed = (network, batch) if free is None else (free, 0)
    return wrap(kept, original.preprocessing, original.size, original.dim, fixed), fixed


def _independent(run: Run, images: Floats) -> bool:
    """Whether a file of a fixed batch gives the first image the same vector whatever else is in the batch."""
    together, alone = run(images), run(images[:1])  # filled up with black
    return bool(np.allclose(together[0], alone[0], rtol=1e-3, atol=1e-4 * np.abs(alone).max()))


@contextlib.contextmanager
def _own_remedy(path: Path) -> Iterator[None]:
    """What the gate advises is for exports; a file that came from elsewhere is made anew there."""
    try:
        yield
    except GateError as error:
        said = str(error).rpartition("; ")[0]
        remedy = "leave that runtime out with --runtimes, or export it anew where it came from, with another opset"
        raise GateError(f"{said}; {path} is not computed alike: {remedy}") from None


def _save(graph: onnx.ModelProto, card: Card, original: ForeignEmbedder, partial: Path, out: Path) -> None:
    source = f"{original.path.name},{original.preprocessing}"
    onnx.helper.set_model_props(graph, card.to_metadata() | {IMPORTED_FROM: source})
    with writing(out):
        onnx.save(graph, partial)
