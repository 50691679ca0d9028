"""The formats of other runtimes, made of an ONNX file that has passed the gate, and taken through it once more."""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from export.gate import Candidate, GateReport, Reference
from export.gate.candidates import OPENVINO, in_batches, openvino_run
from export.onnx import Form, gate, prepare, write_onnx, write_report
from export.openvino import write_openvino
from export.placing import writing
from export.plain import plain_graph
from export.source import Source, digest_of
from export.tensorrt import open_engine, write_tensorrt
from reid.foreign import Preprocessing
from reid.images import Image

_log = logging.getLogger(__name__)

TENSORRT = "TensorRT"
LARGEST_BATCH = 32  # that an engine is built for; the gate's largest


def export_openvino(
    source: Source, out: Path, form: Form, report: Callable[[str], None] = _log.info, **gated: Any
) -> GateReport:
    """Export as an OpenVINO IR, ``out`` and the ``.bin`` beside it; its report goes beside it too.

    Args:
        source: what is exported.
        out: the ``.xml``.
        form: what it is to be like; fp16 is what weights are stored in.
        report: called with lines of progress.
        gated: as the keyword arguments of ``export.onnx.write_onnx``.

    Raises:
        ModelError: as ``write_onnx`` and ``write_openvino``, GateError among them.
        BadInputError: likewise.
    """
    computed = replace(form, precision="fp32" if form.precision == "fp16" else form.precision, full_weights=True)
    found: dict[Path, GateReport] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, first = _computed(source, folder, computed, out, form.precision, report, gated)

        def check(made: Path) -> None:
            run = in_batches(openvino_run(made), prepare(form.colour, _outside(source, form)), form.batch)
            found[out] = _again(first, source, form, made, {OPENVINO: run}, out, report)
            write_report(found[out], out, digest_of(made.with_suffix(".bin")))

        write_openvino(path, out, report, form.precision, check)
    return found[out]


def export_tensorrt(
    source: Source, out: Path, form: Form, report: Callable[[str], None] = _log.info, **gated: Any
) -> GateReport:
    """Export as a TensorRT engine where one can be built, and else as what builds one; always the plain variant.

    Arguments and errors as ``export_openvino``; ``out`` is the engine. The report's name and checks are those of
    what was tried: the graph, ``out`` with ``.onnx`` behind it, or the engine made of it.
    """
    computed = replace(
        form,
        precision="int8" if form.precision == "int8" else "fp32",
        plain=True,
        full_weights=True,
        symmetric=True,
        batch=0,
    )
    crops: Sequence[Image] = gated.get("crops", ())
    batches = (form.batch,) * 3 if form.batch else (1, LARGEST_BATCH // 2, LARGEST_BATCH)
    found: dict[Path, GateReport] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, first = _computed(source, folder, computed, out, form.precision, report, gated)

        def check(made: Path) -> None:
            run = in_batches(open_engine(made), prepare(form.colour, _outside(source, computed)), form.batch)
            shaped = replace(computed, precision=form.precision, batch=form.batch)
            found[out] = _again(first, source, shaped, made, {TENSORRT: run}, out, report)
            write_report(found[out], out, digest_of(made))

        if write_tensorrt(path, out, form.precision, batches, crops, report, check) is None:
            graph = out.with_name(f"{out.name}.onnx")
            found[out] = replace(first, name=str(graph))
            write_report(found[out], out, digest_of(graph))
    return found[out]


def _computed(
    source: Source,
    folder: str,
    form: Form,
    out: Path,
    precision: str,
    report: Callable[[str], None],
    gated: Mapping[str, Any],
) -> tuple[Path, GateReport]:
    """An ONNX file that passed the gate, for ``out`` to be made of; its card says the precision of that."""
    path = Path(folder, "model.onnx")
    found = write_onnx(source, path, form, str(out), report=report, **gated)
    graph = onnx.load(path)
    entries = {entry.key: entry.value for entry in graph.metadata_props}
    onnx.helper.set_model_props(graph, {**entries, "reidtrack.precision": precision})
    with writing(path):
        onnx.save(graph, path)
    return path, found


def _again(
    first: GateReport,
    source: Source,
    form: Form,
    made: Path,
    runs: Mapping[str, Reference],
    out: Path,
    report: Callable[[str], None],
) -> GateReport:
    """The gate for what was made of a file that had passed; scores and thresholds are that file's."""
    candidate = Candidate(made, runs, batch=form.batch, name=str(out))
    second = gate(candidate, source, form, {}, {}, first.false_match, report)
    note = "mAP, R1 and thresholds are those of the ONNX file that it was made of, on the runtimes named with them"
    notes = (*first.notes, note) if first.scores or first.measured else first.notes
    moved = [check for check in first.checks if not check.at_least]
    return replace(first, precision=form.precision, checks=(*second.checks, *moved), notes=notes)


def _outside(source: Source, form: Form) -> Preprocessing | None:
    """What a form leaves to be done to crops."""
    if not form.plain:
        return None
    _, outside = plain_graph(source.graph, source.card)
    return (
        replace(outside, colour="bgr", mean=outside.mean[::-1], std=outside.std[::-1])
        if form.colour == "bgr"
        else outside
    )
