"""``reidtrack import-model``: somebody else's network becomes an embedder."""

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
@click.argument("model")
@click.option("--out", type=FOLDER, required=True, help="The .onnx file to write.")
@click.option("--weights", type=FOLDER, help="Of timm:NAME: its state dict, as .pt, .pth or .safetensors.")
@click.option("--like", help="Preprocessing of torchreid (RGB, ImageNet) or openvino (BGR, 0..255).")
@click.option("--size", metavar="HxW", help="Height and width of its images. [default: what MODEL says]")
@click.option("--colour", help="Order of its channels: rgb or bgr.")
@click.option("--mean", metavar="A:B:C", help="Subtracted from pixels of 0..255: one number or three.")
@click.option("--std", metavar="A:B:C", help="What pixels are then divided by: one number or three.")
@click.option("--trained-on", default="not stated", show_default=True, help="Training data in words, for the file.")
@click.option("--licence", default="not stated", show_default=True, help="Its terms in words, for the file.")
@measuring
def import_model(
    model: str,
    out: Path,
    weights: Path | None,
    trained_on: str,
    licence: str,
    calibrate: tuple[str, ...],
    score: tuple[str, ...],
    hold_out: int,
    false_match: float,
    runtimes: tuple[str, ...],
    **declared: str | None,
) -> int:
    """Make an embedder of somebody else's network, proven equal to it.

    MODEL is an ONNX file, or one that torch.jit.save wrote, that takes images (n, 3, height, width) float32, resized
    and normalised as the options say, and gives a vector for each. Or it is timm:NAME, a network of timm (pip install
    'reidtrack[timm]') with --weights; what the options leave out is as timm's own configuration says. What is written
    takes crops as they are, and serves wherever an embedder does.

    \b
    reidtrack import-model osnet.onnx --like torchreid --out mine.onnx --calibrate market1501=Market-1501-v15.09.15
    reidtrack import-model net.pt --size 256x128 --colour bgr --mean 0 --std 255 --out mine.onnx
    reidtrack import-model timm:resnet18 --weights last.pth --size 256x128 --out mine.onnx
    """
    from export.foreign import check_kind
    from export.foreign import import_model as import_network
    from export.placing import check_target

    check_kind(model, weights)
    check_target(out, ".onnx", weights or model)
    preprocessing = declare(model, {name: text for name, text in declared.items() if text is not None})
    sites, splits = measured_on(calibrate, score, hold_out, false_match)
    note = Progress().note
    measured = (splits, sites, false_match, runtimes)
    found = import_network(model, preprocessing, out, trained_on, licence, *measured, note, weights)
    draw_calibration(found, out, note)
    if found.measured is None:
        note("not calibrated, so `run` will not take it: import it with --calibrate, such as market1501=FOLDER")
    click.echo(out)
    return 0


def declare(model: str, options: dict[str, str]) -> "Preprocessing":
    """What the command's options say of a network's preprocessing; what they do not, timm does of its own.

    Raises:
        BadInputError: an option is unknown, malformed or missing.
    """
    from export.foreign_timm import PREFIX, timm_options
    from reid.foreign import read_options

    for name, text in options.items():
        if "," in text:
            raise BadInputError(f"--{name} {text}; join by colons, such as 123.675:116.28:103.53")
    if model.startswith(PREFIX) and "like" not in options:
        options = timm_options(model.removeprefix(PREFIX)) | options
    if not options:
        raise BadInputError(f"{model}: say how it wants its crops: --like torchreid, or --colour, --mean and --std")
    return read_options(model, options)
