"""``reidtrack train`` and ``export``: from images to an embedder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.recipe import Stage

FOLDER = click.Path(path_type=Path)


@click.command(cls=ManyValues)
@click.option(
    "--data", multiple=True, required=True, metavar="NAME=FOLDER...", help="Data sets to train on together, by name."
)
@click.option("--out", type=FOLDER, default="reidtrack-training", show_default=True, help="Checkpoint and log go here.")
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="A network; an unknown name lists them.")
@click.option(
    "--pretrained",
    help="What the backbone starts from: a weights file, or imagenet to fetch torchvision's. [default: scratch]",
)
@click.option("--pool", default="average", show_default=True, help="Feature map to vector: average or gem.")
@click.option("--head", default="bnneck", show_default=True, help="bnneck, or fc as in the MSML paper.")
@click.option("--dim", default=256, show_default=True, help="Length of the embedding; 0 keeps the backbone's.")
@click.option(
    "--loss",
    default="cls:1,trihard:1,soft=1,normalize=0",
    show_default=True,
    help="Weighted terms with their options, such as cls:1,msml:1,margin=0.3; an unknown name lists them.",
)
@click.option("--networks", default=1, show_default=True, help="Networks that learn from each other (mutual losses).")
@click.option("--teacher", type=FOLDER, help="Trained checkpoint that a distillation loss learns from.")
@click.option("--schedule", default="128x64:11,192x96:2", show_default=True, help="Input sizes with their epochs.")
@click.option("--augmentation", default="cross_camera", show_default=True, help="An unknown name lists them.")
@click.option("--erase", default=0.3, show_default=True, help="Probability of random erasing.")
@click.option("--p", default=16, show_default=True, help="Identities a batch.")
@click.option("--k", default=4, show_default=True, help="Images of each.")
@click.option("--camera-aware", is_flag=True, help="An identity's images in a batch come from different cameras.")
@click.option("--lr", default=5e-4, show_default=True, help="Peak learning rate.")
@click.option("--average", default=0.0, show_default=True, help="Result is the running average that keeps this share.")
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and augmentation.")
@click.option("--workers", default=1, show_default=True, help="Processes that decode images.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
def train(
    data: tuple[str, ...], out: Path, loss: str, schedule: str, pretrained: str | None, device: str, **recipe: Any
) -> int:
    """Train an embedder; the same command continues after an interruption.

    \b
    reidtrack train --data market1501=Market-1501-v15.09.15 cuhk03_np=cuhk03_np --out first
    """
    from reid.datasets import join, load_dataset
    from reid.figures import training_curves
    from reid.objective import parse_losses
    from reid.recipe import Recipe
    from reid.runtime import resolve_device
    from reid.train import read_log
    from reid.train import train as train_embedder

    device = resolve_device(device)
    chosen = Recipe(
        **recipe,
        schedule=parse_schedule(schedule),
        losses=parse_losses(loss),
        pretrained=None if (out / "last.pt").exists() else parse_weights(pretrained, recipe["backbone"]),
        bf16=device != "cpu",
    )
    images = join([load_dataset(*parse_data(item)).train for item in data])
    progress = Progress()
    progress.note(f"{len(images)} images of {images.labels().max() + 1} identities")
    checkpoint = train_embedder(chosen, images, out, progress.note, device)
    progress.note(f"curves: {training_curves(out / 'curves.png', read_log(out))}")
    click.echo(checkpoint)
    return 0


@click.command()
@click.argument("checkpoint", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="The .onnx file to write.")
@click.option("--trained-on", default="not stated", show_default=True, help="Training data in words, for the file.")
@click.option("--calibrate", metavar="NAME=FOLDER", help="Measure what similarities mean on this data set's test part.")
def export(checkpoint: Path, out: Path, trained_on: str, calibrate: str | None) -> int:
    """Turn a trained checkpoint into one ONNX file with preprocessing inside, proven equal to the network.

    \b
    reidtrack export first/last.pt --out first.onnx --calibrate market1501=Market-1501-v15.09.15
    """
    from export.onnx import export_onnx
    from reid.calibrate import calibrate as measure
    from reid.datasets import load_dataset

    note = Progress().note
    split = load_dataset(*parse_data(calibrate)) if calibrate else None
    calibration = (lambda embedder: measure(split, embedder, note)) if split else None
    click.echo(export_onnx(checkpoint, out, trained_on, calibration, note))
    return 0


def parse_data(text: str) -> tuple[str, Path]:
    """``market1501=folder`` to name and folder.

    >>> parse_data("market1501=data/market")[0]
    'market1501'
    """
    name, equals, folder = text.partition("=")
    if not equals or not folder:
        raise BadInputError(f"{text!r}: write a data set as NAME=FOLDER, for example market1501=Market-1501-v15.09.15")
    return name, Path(folder)


def parse_weights(text: str | None, backbone: str) -> Path | None:
    """What ``--pretrained`` says: a file, torchvision's ImageNet weights by name, or nothing."""
    from reid.pretrained import imagenet

    if text == "imagenet":
        return imagenet(backbone)
    return Path(text) if text else None


def parse_schedule(text: str) -> "tuple[Stage, ...]":
    """Input sizes with their epochs.

    >>> parse_schedule("128x64:26,192x96:8")
    (((128, 64), 26), ((192, 96), 8))
    """
    try:
        stages = []
        for part in text.split(","):
            size, _, epochs = part.partition(":")
            height, width = map(int, size.split("x"))
            if min(height, width, int(epochs)) < 1:
                raise ValueError
            stages.append(((height, width), int(epochs)))
    except ValueError:
        raise BadInputError(f"--schedule: {text!r}; write HEIGHTxWIDTH:EPOCHS such as 128x64:26,192x96:8") from None
    return tuple(stages)
