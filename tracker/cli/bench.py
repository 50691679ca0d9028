"""``reidtrack bench``: side-by-side measurements."""

from pathlib import Path
from typing import Any

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.cli.learn import FOLDER, parse_data, parse_schedule, parse_weights
from tracker.cli.show import table
from tracker.progress import Progress


@click.group()
def bench() -> None:
    """Measure, side by side, in one run."""


@bench.command(cls=ManyValues)
@click.option("--data", required=True, metavar="NAME=FOLDER", help="A data set with query and gallery.")
@click.option("--out", type=FOLDER, default="loss-table", show_default=True, help="Trainings, results and picture.")
@click.option("--losses", multiple=True, metavar="NAME...", help="Rows of the table. [default: all]")
@click.option("--seeds", default=2, show_default=True, help="Trainings of each loss.")
@click.option("--backbone", default="osnet_x0_25", show_default=True, help="A network; an unknown name lists them.")
@click.option("--pretrained", help="A weights file, or imagenet to fetch torchvision's. [default: scratch]")
@click.option("--schedule", default="128x64:60", show_default=True, help="Input sizes with their epochs.")
@click.option("--augmentation", default="msml", show_default=True, help="An unknown name lists them.")
@click.option("--erase", default=0.0, show_default=True, help="Probability of random erasing.")
@click.option("--p", default=16, show_default=True, help="Identities a batch.")
@click.option("--k", default=4, show_default=True, help="Images of each.")
@click.option("--lr", default=5e-4, show_default=True, help="Peak learning rate.")
@click.option("--workers", default=1, show_default=True, help="Processes that decode images.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
def losses(
    data: str,
    out: Path,
    losses: tuple[str, ...],
    seeds: int,
    schedule: str,
    pretrained: str | None,
    device: str,
    **recipe: Any,
) -> int:
    """Every loss under one recipe: mAP and rank 1 with their spread over seeds, beside the papers' own.

    The same command continues after an interruption.

    \b
    reidtrack bench losses --data market1501=Market-1501-v15.09.15
    """
    from reid.bench.losses import ENTRIES, bench_losses
    from reid.datasets import load_dataset
    from reid.figures import LossRow, loss_table
    from reid.recipe import Recipe
    from reid.runtime import resolve_device

    if seeds < 1:
        raise BadInputError(f"--seeds {seeds}: at least 1")
    device = resolve_device(device)
    chosen = Recipe(
        **recipe,
        pretrained=parse_weights(pretrained, recipe["backbone"]),
        schedule=parse_schedule(schedule),
        bf16=device != "cpu",
    )
    split = load_dataset(*parse_data(data))
    names = losses or tuple(ENTRIES)
    rows = bench_losses(chosen, split, out, names, range(seeds), Progress().note, device)
    lines = []
    for row in rows:
        paper = row.entry.published
        lines.append(
            [
                row.name,
                spread(row.mean_ap),
                spread(row.rank1),
                str(len(row.mean_ap)),
                f"{paper[0]:.1f} / {paper[1]:.1f}" if paper else "-",
                row.entry.source,
            ]
        )
    click.echo(table(["loss", "mAP", "R1", "seeds", "published mAP / R1", "by"], lines))
    bars = [LossRow(row.name, row.mean_ap, row.rank1, row.entry.published_shares) for row in rows]
    Progress().note(f"picture: {loss_table(out / 'loss-table.png', bars)}")
    return 0


@bench.command()
@click.option("--data", required=True, metavar="NAME=FOLDER", help="A data set to train on.")
@click.option("--backbone", default="osnet_x0_25", show_default=True, help="A network; an unknown name lists them.")
@click.option("--size", default="128x64", show_default=True, help="Input size, HEIGHTxWIDTH.")
@click.option("--rounds", default=3, show_default=True, help="Epochs of ours, and of the bare loop, in turn.")
@click.option("--workers", default=1, show_default=True, help="Processes that decode images.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
def training(data: str, backbone: str, size: str, rounds: int, workers: int, device: str) -> int:
    """Images a second of the training loop over a bare loop of the same network on synthetic tensors.

    \b
    reidtrack bench training --data market1501=Market-1501-v15.09.15
    """
    from reid.bench.training import bench_training
    from reid.datasets import load_dataset
    from reid.recipe import Recipe
    from reid.runtime import resolve_device

    on = resolve_device(device)
    recipe = Recipe(backbone=backbone, schedule=parse_schedule(f"{size}:1"), bf16=on != "cpu", workers=workers)
    images = load_dataset(*parse_data(data)).train.images()
    speed = bench_training(recipe, images, rounds, Progress().note, on)
    lines = [
        [str(number), f"{ours:.1f}", f"{bare:.1f}", f"{ours / bare:.3f}"]
        for number, (ours, bare) in enumerate(zip(speed.ours, speed.bare, strict=True), 1)
    ]
    click.echo(table(["round", "our loop, images/s", "bare loop, images/s", "ratio"], lines))
    click.echo(f"median ratio {speed.ratio:.3f}")
    return 0


def spread(scores: tuple[float, ...]) -> str:
    """Mean in percent, and how far the seeds lie from it at most.

    >>> spread((0.5, 0.52)), spread((0.5,))
    ('51.0 ± 1.0', '50.0')
    """
    mean = sum(scores) / len(scores)
    text = f"{mean * 100:.1f}"
    return text if len(scores) == 1 else f"{text} ± {max(abs(score - mean) for score in scores) * 100:.1f}"
