"""``reidtrack train``: from images to an embedder."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.datasets import Split
    from reid.recipe import Stage

FOLDER = click.Path(path_type=Path)


@click.command(cls=ManyValues)
@click.option(
    "--data", multiple=True, required=True, metavar="NAME=FOLDER...", help="Data sets to train on together, by name."
)
@click.option("--out", type=FOLDER, default="reidtrack-training", show_default=True, help="Checkpoint and log go here.")
@click.option(
    "--recipe",
    default="standard",
    show_default=True,
    help="standard, edge or large: what every option below is unless it is given.",
)
@click.option(
    "--pretrained",
    help="What the backbone starts from: a weights file, or imagenet to fetch torchvision's. [default: scratch]",
)
@click.option("--hold-out", default=0, help="People of each set without a test part to keep out of training.")
@click.option("--backbone", help="A network; an unknown name lists them.")
@click.option("--pool", help="Feature map to vector: average or gem.")
@click.option("--head", help="bnneck, or fc as in the MSML paper.")
@click.option("--dim", type=int, help="Length of the embedding; 0 keeps the backbone's.")
@click.option(
    "--loss", help="Weighted terms with their options, such as cls:1,msml:1,margin=0.3; an unknown name lists them."
)
@click.option("--networks", type=int, help="Networks that learn from each other (mutual losses).")
@click.option(
    "--teacher",
    help="What a distillation loss learns from: a trained checkpoint, or any embedder's FILE,like=openvino.",
)
@click.option("--schedule", help="Input sizes with their epochs, such as 128x64:11,192x96:2.")
@click.option("--augmentation", help="An unknown name lists them.")
@click.option("--erase", type=float, help="Probability of random erasing.")
@click.option("--p", type=int, help="Identities a batch.")
@click.option("--k", type=int, help="Images of each.")
@click.option("--camera-aware/--any-camera", default=None, help="An identity's images in a batch: of several cameras.")
@click.option("--lr", type=float, help="Peak learning rate.")
@click.option("--average", type=float, help="Result is the running average of the weights that keeps this share.")
@click.option("--seed", type=int, help="Of weights, batches and augmentation.")
@click.option("--workers", type=int, help="Processes that decode images.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
def train(
    data: tuple[str, ...],
    out: Path,
    recipe: str,
    loss: str | None,
    schedule: str | None,
    pretrained: str | None,
    hold_out: int,
    device: str,
    **given: Any,
) -> int:
    """Train an embedder; the same command continues after an interruption.

    \b
    reidtrack train --recipe standard --data market1501=Market-1501-v15.09.15 cuhk03_np=cuhk03_np --out first
    reidtrack train --recipe edge --teacher first/last.pt --data market1501=Market-1501-v15.09.15 --out second
    """
    from reid.datasets import join, load_dataset
    from reid.datasets.splits import training_part
    from reid.figures import training_curves
    from reid.objective import parse_losses
    from reid.recipe import describe, named_recipe
    from reid.runtime import resolve_device
    from reid.train import read_log
    from reid.train import train as train_embedder

    device = resolve_device(device)
    changes = {name: value for name, value in given.items() if value is not None}
    if schedule is not None:
        changes["schedule"] = parse_schedule(schedule)
    if loss is not None:
        changes["losses"] = parse_losses(loss)
    chosen = replace(named_recipe(recipe), **changes, bf16=device != "cpu")
    if not (out / "last.pt").exists():
        chosen = replace(chosen, pretrained=parse_weights(pretrained, chosen.backbone))
    images = join([training_part(load_dataset(*parse_data(item)), hold_out) for item in data])
    progress = Progress()
    progress.note(f"recipe {recipe}: {describe(chosen)}")
    progress.note(f"{len(images)} images of {images.labels().max() + 1} identities")
    checkpoint = train_embedder(chosen, images, out, progress.note, device)
    progress.note(f"curves: {training_curves(out / 'curves.png', read_log(out))}")
    click.echo(checkpoint)
    return 0


def load_tests(items: tuple[str, ...], hold_out: int) -> "dict[str, Split]":
    """Data sets by name, to score on; one given twice has its folder behind it."""
    from reid.datasets import load_dataset
    from reid.datasets.splits import choose_part

    splits: dict[str, Split] = {}
    for name, folder in map(parse_data, items):
        splits[name if name not in splits else f"{name} {folder}"] = choose_part(
            name, load_dataset(name, folder), "test", hold_out
        )
    return splits


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
