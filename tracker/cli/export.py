"""``reidtrack export``: a trained model becomes a file that another machine can trust."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.cli.learn import FOLDER, load_tests
from tracker.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.gate import GateReport
    from export.onnx import Form
    from reid.datasets import Split
    from reid.images import Image

DETECTOR = "--detector"
MOST_TOGETHER = 256  # crops in a call: with more nothing is faster, and the gate runs out of memory
CROPS = 512  # to quantise with: more change no layer's range by much

_MEASURING = (
    click.option(
        "--calibrate",
        multiple=True,
        metavar="NAME=FOLDER...",
        help="Measure what similarities mean, which `run` needs, on these data sets' test parts; they weigh the same.",
    ),
    click.option(
        "--score", multiple=True, metavar="NAME=FOLDER...", help="Compare and note mAP and R1 on these, by runtime."
    ),
    click.option(
        "--hold-out",
        type=click.IntRange(0),
        default=0,
        help="Of sets without a test part: the N people that `train` held out.",
    ),
    click.option(
        "--false-match", default=1e-3, show_default=True, help="False-match rate whose thresholds are compared."
    ),
    click.option(
        "--runtimes", multiple=True, metavar="NAME...", help="Try it on these only. [default: all that work here]"
    ),
)


def measuring(command: "Callable[..., int]") -> "Callable[..., int]":
    """Give a command the options of what is measured on a file that it writes."""
    for option in reversed(_MEASURING):
        command = option(command)
    return command


@click.command(cls=ManyValues)
@click.argument("model", required=False)
@click.option("--out", type=FOLDER, required=True, help="The file to write.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "openvino", "tensorrt"]),
    default="onnx",
    show_default=True,
    help="What runs it.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    show_default=True,
    help="What it computes in.",
)
@click.option(
    "--calibrate-on",
    multiple=True,
    type=FOLDER,
    metavar="FOLDER...",
    help="Runs or folders of people's pictures that int8 takes its ranges from; best your own cameras'.",
)
@click.option("--colour", type=click.Choice(["rgb", "bgr"]), default="rgb", show_default=True, help="What it takes.")
@click.option("--batch", default="dynamic", show_default=True, metavar="dynamic|N", help="Crops at a time.")
@click.option("--opset", type=click.IntRange(1), help="Version of ONNX's operators. [default: 18; 19 for int8]")
@click.option("--plain", is_flag=True, help="Without preprocessing, for runtimes that bring their own.")
@click.option("--full-weights", is_flag=True, help="Store fp32 weights in float32, not in half as is enough for most.")
@click.option("--trained-on", help="Training data in words, for the file.")
@click.option("--licence", help="Its terms in words, for the file.")
@measuring
@click.option(DETECTOR, metavar="NAME|FILE", help="Export a person detector instead of MODEL.")
@click.option("--size", default=640, show_default=True, help="Of a detector: longest side of its pictures.")
def export(
    model: str | None,
    out: Path,
    kind: str,
    calibrate_on: tuple[Path, ...],
    trained_on: str | None,
    licence: str | None,
    calibrate: tuple[str, ...],
    score: tuple[str, ...],
    hold_out: int,
    false_match: float,
    runtimes: tuple[str, ...],
    detector: str | None,
    size: int,
    batch: str,
    **asked: "str | int | bool | None",
) -> int:
    """Turn a trained model into a file with preprocessing inside, proven equal to it.

    MODEL is a training's checkpoint, an embedder's .onnx, or the name of a shipped one. Nothing is left in place that
    differs from it: what was compared, and how near it came, is in OUT.report.json and OUT.report.png.

    \b
    reidtrack export first/last.pt --out first.onnx --calibrate market1501=Market-1501-v15.09.15
    reidtrack export standard --precision int8 --calibrate-on my-run --out small.onnx
    reidtrack export --detector yolov8n --out person.onnx
    """
    note = Progress().note
    if (model is None) == (detector is None):
        raise BadInputError("name a model to export, or a detector with --detector; one of them")
    _refuse_unused(detector is not None)
    from export.placing import check_target

    if detector is not None:
        return _export_detector(detector, out, size, note)
    check_target(out, {"onnx": ".onnx", "openvino": ".xml"}.get(kind, ""), str(model))
    form = _form(batch, asked)
    sites, splits = measured_on(calibrate, score, hold_out, false_match)
    crops = _crops(form.precision, calibrate_on)
    from export.source import open_source

    gated = {"crops": crops, "splits": splits, "sites": sites, "false_match": false_match, "runtimes": runtimes}
    note(f"reading {model}")
    found = _writer(kind)(open_source(str(model), trained_on, licence), out, form, report=note, **gated)
    draw_calibration(found, out, note)
    click.echo(found.name)
    if found.name != str(out):
        click.echo(out.with_name(f"{out.name}.trtexec.sh"))
        note(f"no engine was built here: copy both to where it is to run, and run the script; it makes {out.name}")
    return 0


def _refuse_unused(of_detector: bool) -> None:
    """Refuse an option that would be left unused: of embedders with a detector, a detector's size without one."""
    context = click.get_current_context()
    for one in context.command.params:
        given = one.name is not None and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
        if given and of_detector and one.name not in ("out", "size", "detector"):
            raise BadInputError(f"{one.opts[0]}: is for embedders; leave it out with --detector")
        if given and not of_detector and one.name == "size":
            raise BadInputError("--size: is a detector's; it goes with --detector")


def _form(batch: str, asked: "dict[str, str | int | bool | None]") -> "Form":
    from export.onnx import Form

    if batch != "dynamic" and not (batch.isdecimal() and 0 < int(batch) <= MOST_TOGETHER):
        raise BadInputError(f"--batch {batch}: write dynamic, or how many crops at a time, 1 to {MOST_TOGETHER}")
    return Form(batch=0 if batch == "dynamic" else int(batch), **asked)  # type: ignore[arg-type]


def measured_on(
    calibrate: tuple[str, ...], score: tuple[str, ...], hold_out: int, false_match: float
) -> "tuple[dict[str, Split], dict[str, Split]]":
    """To calibrate and to score on; what is wrong with them is told before the work."""
    from reid.calibrate import RATES, tracklet_rows
    from reid.datasets import DATASETS
    from reid.evaluation.images import query_and_gallery

    if false_match not in RATES:
        raise BadInputError(f"--false-match {false_match:g}: choose from {', '.join(f'{rate:g}' for rate in RATES)}")
    sites, splits = load_tests(calibrate, hold_out), load_tests(score, hold_out)
    for name, split in sites.items():
        tracklet_rows(name, split)
    for name, split in splits.items():
        query_and_gallery(split)
        if DATASETS[name.split()[0]].protocol != "market1501":
            raise BadInputError(f"--score: {name} has a protocol of its own; see `reidtrack evaluate {name}`")
    return sites, splits


def _crops(precision: str, folders: tuple[Path, ...]) -> "list[Image]":
    from export.crops import read_crops

    if precision == "int8":
        if not folders:
            raise BadInputError("--precision int8: name a run or a folder of people's pictures with --calibrate-on")
        return read_crops(folders, CROPS)
    if folders:
        raise BadInputError(f"--calibrate-on: {precision} needs no crops; say --precision int8 or leave it out")
    return []


def _writer(kind: str) -> "Callable[..., GateReport]":
    from export.formats import export_openvino, export_tensorrt
    from export.onnx import export_onnx

    writers: dict[str, Callable[..., GateReport]] = {
        "onnx": export_onnx,
        "openvino": export_openvino,
        "tensorrt": export_tensorrt,
    }
    return writers[kind]


def draw_calibration(found: "GateReport", out: Path, note: "Callable[[str], None]") -> None:
    """Draw how well the probabilities of a calibration come true, beside the file, where there was one."""
    from reid.figures import reliability_diagram

    if found.measured is not None:
        samples = {"tracklets": found.measured.tracklets, "single crops": found.measured.crops}
        note(f"calibration: {reliability_diagram(out.with_name(f'{out.stem}.calibration.png'), samples)}")


def _export_detector(detector: str, out: Path, size: int, note: "Callable[[str], None]") -> int:
    from export.detector import export_detector
    from tracker.detect import find_weights, import_ultralytics

    import_ultralytics()
    click.echo(export_detector(find_weights(detector), out, size, note))
    return 0
