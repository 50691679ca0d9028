"""A trained model becomes one ONNX file, in the form that is asked for, once the gate has let it through."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx

from export.forms import convert_opset, describe, fix_batch, swap_colours
from export.gate import Candidate, GateError, GateReport, Prepare, run_gate
from export.gate.batches import gate_batches
from export.gate.candidates import open_candidate, stacked
from export.gate.picture import gate_picture
from export.placing import placed, writing
from export.plain import plain_graph, plain_metadata
from export.precision import half_precision, halved
from export.source import OPSET, Source, digest_of, open_source
from reid.datasets import Split
from reid.embed import Card, Embedder
from reid.errors import BadInputError
from reid.foreign import Preprocessing
from reid.images import Image, resize_crop

_log = logging.getLogger(__name__)

_INT8_OPSET = 19
_KEPT = "what similarities mean is kept from the model that it was made of, not measured on this file: see --calibrate"


@dataclass(frozen=True)
class Form:
    """What an ONNX file is to be like.

    Attributes:
        precision: a name in ``reid.embed.PRECISIONS``.
        colour: order of the channels that it takes, ``rgb`` or ``bgr``.
        batch: crops at a time; 0 for any number.
        opset: version of ONNX's operators; None for 18, or 19 for int8, which ONNX's reference runs from there on.
        plain: leave out the preprocessing, for a runtime that brings its own.
        full_weights: store weights in float32 where they are computed in it; they are stored in half otherwise.
        symmetric: quantise as TensorRT wants it.
    """

    precision: str = "fp32"
    colour: str = "rgb"
    batch: int = 0
    opset: int | None = None
    plain: bool = False
    full_weights: bool = False
    symmetric: bool = False


def export_onnx(
    model: str | Path | Source,
    out: Path,
    form: Form = Form(),
    training_data: str | None = None,
    licence: str | None = None,
    *,
    crops: Sequence[Image] = (),
    splits: Mapping[str, Split] = {},
    sites: Mapping[str, Split] = {},
    false_match: float = 1e-3,
    runtimes: Sequence[str] = (),
    report: Callable[[str], None] = _log.info,
) -> GateReport:
    """Export a trained model, and put it at ``out`` only if it passes the gate; the gate's report goes beside it.

    Args:
        model: what ``reidtrack train`` wrote, an embedder's file, the name of a shipped one; or one of them opened.
        out: the file to write; one that is there is replaced only by one that passed.
        form: what it is to be like.
        training_data: what the network was trained on, in words; travels in the file.
        licence: the terms of the training data, in words; travels in the file.
        crops: RGB uint8, to quantise with; int8 needs them.
        splits: by name, data sets to score on; the scores travel in the file.
        sites: by name, data sets to calibrate on; the table travels in the file.
        false_match: as for ``run_gate``.
        runtimes: names of those to try it on; none means all that work here.
        report: called with lines of progress.

    Returns:
        What the gate found.

    Raises:
        ModelError: the model is absent or none.
        GateError: the file did not pass.
        BadInputError: ``out`` cannot be written, or the form cannot be had.
    """
    with placed(out) as unproven:
        source = model if isinstance(model, Source) else open_source(model, training_data, licence)
        report(f"exporting {source.path}")
        result = write_onnx(
            source,
            unproven,
            form,
            str(out),
            crops=crops,
            splits=splits,
            sites=sites,
            false_match=false_match,
            runtimes=runtimes,
            report=report,
        )
        write_report(result, out, digest_of(unproven))
    report(f"{out}: passed {len(result.checks)} checks, lowest cosine {result.cosine:.7f}; {out}.report.json")
    return result


def write_onnx(
    source: Source,
    path: Path,
    form: Form,
    name: str,
    *,
    crops: Sequence[Image] = (),
    splits: Mapping[str, Split] = {},
    sites: Mapping[str, Split] = {},
    false_match: float = 1e-3,
    runtimes: Sequence[str] = (),
    report: Callable[[str], None] = _log.info,
) -> GateReport:
    """Write a file that is not yet in place, called ``name`` in messages; as ``export_onnx``, without its report."""
    graph, outside = shaped(source, form, crops, report)
    card = replace(source.card, precision=form.precision, colour=form.colour, batch=form.batch)
    extra = plain_metadata(outside) if outside else {}
    _write(graph, card, extra, path, name)
    if not form.plain:
        Embedder(path, "cpu")  # follows the contract
    candidate = open_candidate(path, form.batch, prepare(form.colour, outside), name, runtimes)
    result = gate(candidate, source, form, splits, sites, false_match, report)
    if digest_of(source.path) != source.digest:
        raise GateError(f"{name}: {source.path} changed while it was exported; export it again")
    calibration = result.measured.calibration if result.measured else card.calibration
    if calibration is not None and result.measured is None:
        report(f"{name}: {_KEPT}")
        result = replace(result, notes=(*result.notes, _KEPT))
    _write(graph, replace(card, scores=result.file_scores, calibration=calibration), extra, path, name)
    return result


def shaped(
    source: Source, form: Form, crops: Sequence[Image], report: Callable[[str], None]
) -> tuple[onnx.ModelProto, Preprocessing | None]:
    """A source's graph in a form, and what it leaves to be done to crops; arguments and errors as above."""
    graph = onnx.ModelProto()
    graph.CopyFrom(source.graph)
    del graph.metadata_props[:]
    graph = convert_opset(graph, form.opset or (_INT8_OPSET if form.precision == "int8" else OPSET))
    if form.precision == "int8":
        from export.int8 import quantise

        if not crops:
            raise BadInputError("--precision int8: needs crops; give a run or a folder of pictures to --calibrate-on")
        graph = quantise(graph, crops, source.reference, report, symmetric=form.symmetric)
    elif form.precision == "fp16":
        graph = half_precision(graph, _range_finders(source.card.size), report)
    outside = None
    if form.plain:
        graph, outside = plain_graph(graph, source.card)
    if form.colour == "bgr":
        graph = swap_colours(graph, axis=1 if form.plain else 3)
        outside = outside and replace(outside, colour="bgr", mean=outside.mean[::-1], std=outside.std[::-1])
    if form.batch:
        graph = fix_batch(graph, form.batch)
    if form.precision == "fp32" and not form.full_weights:
        graph = halved(graph)
    describe(graph, form.colour, source.card.size, form.plain)
    return graph, outside


def prepare(colour: str, outside: Preprocessing | None) -> Prepare:
    """How crops of one size become the input of a graph that takes this colour order and leaves this to be done."""
    if outside is None:
        return partial(stacked, colour=colour)
    assert outside.size is not None  # ``plain_graph`` gives it
    return partial(outside, size=outside.size)


def gate(
    candidate: Candidate,
    source: Source,
    form: Form,
    splits: Mapping[str, Split],
    sites: Mapping[str, Split],
    false_match: float,
    report: Callable[[str], None],
) -> GateReport:
    """``run_gate`` for something made of a source; a plain form is compared with what its reference gives for crops
    that were stretched as the application does it, for it takes no others.
    """
    size, reference, layers = source.card.size, source.reference, source.layers
    if form.plain:
        reference = _stretched(reference, size)
        layers = _stretched(layers, size)
    return run_gate(candidate, reference, size, form.precision, splits, false_match, report, sites=sites, layers=layers)


def write_report(result: GateReport, out: Path, digest: str) -> None:
    """``OUT.report.json`` and ``OUT.report.png`` beside an artifact that passed; both or none.

    Raises:
        BadInputError: they cannot be written.
    """
    words, picture = (out.with_name(f"{out.name}.report.{ending}") for ending in ("json", "png"))
    with placed(words) as text, placed(picture) as drawing, writing(out):
        text.write_text(result.to_json(digest), encoding="utf-8")
        gate_picture(drawing, result)


_Result = TypeVar("_Result")


def _stretched(
    call: Callable[[Sequence[Image]], _Result], size: tuple[int, int]
) -> Callable[[Sequence[Image]], _Result]:
    return lambda crops: call([resize_crop(crop, size) for crop in crops])


def _range_finders(size: tuple[int, int]) -> Image:
    """Crops of the gate at the network's size, to see how large its values become."""
    batches = [crops for _, crops in gate_batches(size) if crops[0].shape[:2] == size and len(crops) < 32]
    return np.stack([crop for crops in batches for crop in crops])


def _write(graph: onnx.ModelProto, card: Card, extra: Mapping[str, str], path: Path, name: str) -> None:
    onnx.helper.set_model_props(graph, {**card.to_metadata(), **extra})
    with writing(Path(name)):
        onnx.save(graph, path)
