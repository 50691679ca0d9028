"""``reidtrack import-model``: somebody else's ONNX file becomes an embedder."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.cli.export import draw_calibration, measured_on, measuring
from tracker.cli.learn import FOLDER
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.foreign import Preprocessing


@click.command(cls=ManyValues)
@click.argument("file", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="The .onnx file to write.")
@click.option("--like", help="Preprocessing of torchreid (RGB, ImageNet) or openvino (BGR, 0..255).")
@click.option("--size", metavar="HxW", help="Height and width of its images. [default: what the file says]")
@click.option("--colour", help="Order of its channels: rgb or bgr.")
@click.option("--mean", metavar="A:B:C", help="Subtracted from pixels of 0..255: one number or three.")
@click.option("--std", metavar="A:B:C", help="What pixels are then divided by: one number or three.")
@click.option("--trained-on", default="not stated", show_default=True, help="Training data in words, for the file.")
@click.option("--licence", default="not stated", show_default=True, help="Its terms in words, for the file.")
@measuring
def import_model(
    file: Path,
    out: Path,
    trained_on: str,
    licence: str,
    calibrate: tuple[str, ...],
    score: tuple[str, ...],
    hold_out: int,
    false_match: float,
    runtimes: tuple[str, ...],
    **declared: str | None,
) -> int:
    """Make an embedder of somebody else's ONNX file, proven equal to it.

    FILE takes images (n, 3, height, width) float32, resized and normalised as the options say, and gives a vector for
    each. What is written takes crops as they are, and serves wherever an embedder does.

    \b
    reidtrack import-model osnet.onnx --like torchreid --out mine.onnx --calibrate market1501=Market-1501-v15.09.15
    reidtrack import-model net.onnx --size 256x128 --colour bgr --mean 0 --std 255 --out mine.onnx
    """
    from export.foreign import check_kind
    from export.foreign import import_model as import_file
    from export.placing import check_target

    check_kind(file)
    check_target(out, ".onnx", file)
    preprocessing = declare(file, {name: text for name, text in declared.items() if text is not None})
    sites, splits = measured_on(calibrate, score, hold_out, false_match)
    note = Progress().note
    found = import_file(file, preprocessing, out, trained_on, licence, splits, sites, false_match, runtimes, note)
    draw_calibration(found, out, note)
    if found.measured is None:
        note("not calibrated, so `run` will not take it: import it with --calibrate, such as market1501=FOLDER")
    click.echo(out)
    return 0


def declare(file: Path, options: dict[str, str]) -> "Preprocessing":
    """What the command's options say of an ONNX file's preprocessing.

    Raises:
        BadInputError: an option is unknown, malformed or missing.
    """
    from reid.foreign import parse_declaration

    for name, text in options.items():
        if "," in text:
            raise BadInputError(f"--{name} {text}; join by colons, such as 123.675:116.28:103.53")
    declared = parse_declaration(",".join([str(file), *(f"{name}={text}" for name, text in options.items())]))
    if declared is None:
        raise BadInputError(f"{file}: say how it wants its crops: --like torchreid, or --colour, --mean and --std")
    return declared[1]
