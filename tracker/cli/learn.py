"""``reidtrack train``, ``evaluate`` and ``export``: the learning line."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.embed import Embedder
    from reid.train import Stage

FOLDER = click.Path(path_type=Path)


@click.command(cls=ManyValues)
@click.option(
    "--data", multiple=True, required=True, metavar="NAME=FOLDER...", help="Data sets to train on together, by name."
)
@click.option("--out", type=FOLDER, default="reidtrack-training", show_default=True, help="Checkpoint and log go here.")
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="A network; an unknown name lists them.")
@click.option("--pretrained", type=FOLDER, help="Weights file that the backbone starts from. [default: from scratch]")
@click.option("--loss", default="cls:1,trihard:1,soft=1", show_default=True, help="Weighted terms: cls:1,trihard:1.")
@click.option("--schedule", default="128x64:11,192x96:2", show_default=True, help="Input sizes with their epochs.")
@click.option("--dim", default=256, show_default=True, help="Length of the embedding.")
@click.option("--p", default=16, show_default=True, help="Identities a batch.")
@click.option("--k", default=4, show_default=True, help="Images of each.")
@click.option("--lr", default=5e-4, show_default=True, help="Peak learning rate.")
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and augmentation.")
@click.option("--workers", default=1, show_default=True, help="Processes that decode images.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
def train(
    data: tuple[str, ...],
    out: Path,
    backbone: str,
    pretrained: Path | None,
    loss: str,
    schedule: str,
    dim: int,
    p: int,
    k: int,
    lr: float,
    seed: int,
    workers: int,
    device: str,
) -> int:
    r"""Train an embedder; the same command continues after an interruption.

    \b
    reidtrack train --data market1501=Market-1501-v15.09.15 cuhk03_np=cuhk03_np --out first
    """
    from reid.datasets import join, load_dataset
    from reid.runtime import resolve_device
    from reid.train import Recipe, parse_losses
    from reid.train import train as train_embedder

    recipe = Recipe(
        backbone=backbone,
        pretrained=pretrained,
        dim=dim,
        schedule=parse_schedule(schedule),
        losses=parse_losses(loss),
        p=p,
        k=k,
        lr=lr,
        bf16=resolve_device(device) != "cpu",
        seed=seed,
        workers=workers,
    )
    images = join([load_dataset(*parse_data(item)).train for item in data])
    progress = Progress()
    progress.note(f"{len(images)} images of {images.labels().max() + 1} identities")
    click.echo(train_embedder(recipe, images, out, progress.note, resolve_device(device)))
    return 0


@click.command()
@click.argument("dataset")
@click.option("--data", type=FOLDER, required=True, help="The data set's folder.")
@click.option("--model", default=None, help="A shipped name, an exported .onnx or a checkpoint. [default: shipped]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(dataset: str, data: Path, model: str | None, device: str, as_json: bool) -> int:
    r"""Score an embedder by a data set's published protocol: mAP, mINP, CMC.

    \b
    reidtrack evaluate market1501 --data Market-1501-v15.09.15
    """
    from dataclasses import asdict

    from reid.datasets import load_dataset
    from reid.evaluate import evaluate_dataset
    from tracker.cli.show import table

    split = load_dataset(dataset, data)
    embedder = open_embedder(model, device)
    scores = evaluate_dataset(split, embedder, Progress().note)
    if as_json:
        click.echo(json.dumps({"model": embedder.model_id, "dataset": dataset, **asdict(scores)}))
        return 0
    header = ["model", "mAP", "mAP (trapezoid)", "mINP", "R1", "R5", "R10", "queries"]
    shares = (scores.mean_ap, scores.mean_ap_trapezoid, scores.mean_inp, *(scores.rank(r) for r in (1, 5, 10)))
    click.echo(table(header, [[embedder.model_id, *(f"{share:.2%}" for share in shares), str(scores.queries)]]))
    return 0


@click.command()
@click.argument("checkpoint", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="The .onnx file to write.")
@click.option("--trained-on", default="not stated", show_default=True, help="Training data in words, for the file.")
@click.option("--calibrate", metavar="NAME=FOLDER", help="Measure what similarities mean on this data set's test part.")
def export(checkpoint: Path, out: Path, trained_on: str, calibrate: str | None) -> int:
    r"""Turn a trained checkpoint into one ONNX file with preprocessing inside, proven equal to the network.

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


def open_embedder(model: str | None, device: str) -> "Embedder":
    """An embedder by shipped name, exported file or training checkpoint (exported on the fly)."""
    import tempfile

    from reid.embed import DEFAULT_EMBEDDER, Embedder

    if model and model.endswith(".pt"):
        from export.onnx import export_onnx

        with tempfile.TemporaryDirectory() as folder:
            return Embedder(export_onnx(Path(model), Path(folder, "model.onnx"), "checkpoint"), device)
    return Embedder(model or DEFAULT_EMBEDDER, device)


def parse_data(text: str) -> tuple[str, Path]:
    """``market1501=folder`` to name and folder.

    >>> parse_data("market1501=data/market")[0]
    'market1501'
    """
    name, equals, folder = text.partition("=")
    if not equals or not folder:
        raise BadInputError(f"{text!r}: write a data set as NAME=FOLDER, for example market1501=Market-1501-v15.09.15")
    return name, Path(folder)


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
