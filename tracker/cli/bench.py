"""``reidtrack bench``: side-by-side measurements."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import EMBEDDERS_DEVICE, ManyValues
from tracker.cli.bench_library import library
from tracker.cli.bench_linking import linking
from tracker.cli.bench_runtime import runtime
from tracker.cli.bench_trackers import trackers
from tracker.cli.learn import FOLDER, parse_data, parse_schedule, parse_weights
from tracker.cli.show import table
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.bench.models import Row
    from reid.datasets.splits import Part


@click.group()
def bench() -> None:
    """Measure, side by side, in one run."""


bench.add_command(trackers)


bench.add_command(linking)


bench.add_command(library)


bench.add_command(runtime)


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


@bench.command()
@click.option("--data", required=True, metavar="NAME=FOLDER", help="Tracklets that are scored as MARS.")
@click.option("--embedder", help="As for evaluate's --model. [default: shipped]")
@click.option("--out", type=FOLDER, help="Folder for scores.json and a picture.")
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
def pooling(data: str, embedder: str | None, out: Path | None, device: str) -> int:
    """Ways to pool a tracklet's frames, on tracklets as they are, short, and with damaged frames.

    \b
    reidtrack bench pooling --data market1501_tracklets=Market-1501-v15.09.15
    """
    from reid.bench.pooling import TRACKLETS, bench_pooling
    from reid.datasets import DATASETS, load_dataset
    from reid.figures import LossRow, loss_table
    from tracker.cli.evaluate import open_embedder

    name, folder = parse_data(data)
    if name in DATASETS and DATASETS[name].protocol != "mars":
        fitting = [other for other, source in DATASETS.items() if source.protocol == "mars"]
        raise BadInputError(f"--data: {name} is not scored as MARS; choose from {', '.join(fitting)}")
    model = open_embedder(embedder, device)
    rows = bench_pooling(load_dataset(name, folder), model, Progress().note)
    shown = ["mAP", "R1", "R5", "mINP"]
    lines = [[row.tracklets, row.pooling, *(f"{row.scores.figures()[figure]:.2%}" for figure in shown)] for row in rows]
    click.echo("\n".join([f"model {model.model_id}", table(["tracklets", "pooling", *shown], lines)]))
    for kind, meaning in TRACKLETS.items():
        click.echo(f"{kind}: {meaning}")
    if out is not None:
        scores = [{"tracklets": row.tracklets, "pooling": row.pooling, **row.scores.figures()} for row in rows]
        out.mkdir(parents=True, exist_ok=True)
        content = {"model": model.model_id, "dataset": name, "scores": scores}
        (out / "scores.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        bars = [LossRow(f"{r.tracklets}: {r.pooling}", [r.scores.mean_ap], [r.scores.rank(1)]) for r in rows]
        Progress().note(f"picture: {loss_table(out / 'pooling.png', bars)}")
    return 0


@bench.command(cls=ManyValues)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--data", multiple=True, metavar="NAME=FOLDER...", help="Data sets to score on. [default: none]")
@click.option(
    "--part", type=click.Choice(["test", "train"]), default="test", show_default=True, help="As for evaluate."
)
@click.option("--hold-out", default=0, help="As for evaluate.")
@click.option("--threads", default=1, show_default=True, help="Of the CPU; 0 for one per core.")
@click.option("--rounds", default=5, show_default=True, help="Of the measurement of speed.")
@click.option("--out", type=FOLDER, help="Folder for the table, the picture and the scores, which are kept.")
@click.option("--device", default="cpu", show_default=True, help=EMBEDDERS_DEVICE)
def models(
    models: tuple[str, ...],
    data: tuple[str, ...],
    part: "Part",
    hold_out: int,
    threads: int,
    rounds: int,
    out: Path | None,
    device: str,
) -> int:
    """Embedders side by side, ours and other people's: size, milliseconds a crop, mAP and rank 1.

    A MODEL is a shipped name, an exported .onnx, a training's last.pt, or somebody else's .onnx or OpenVINO .xml with
    its preprocessing: FILE,like=torchreid, FILE,like=openvino, or FILE,size=256x128,colour=bgr,mean=0,std=1 (mean and
    std one number or three joined by colons, for pixels of 0..255). NAME=MODEL names it. Default: all shipped ones.
    With --out, the same command continues after an interruption.

    \b
    reidtrack bench models standard osnet=osnet_x0_25.onnx,like=torchreid --data market1501=Market-1501-v15.09.15
    """
    from reid.bench.models import bench_models, open_models
    from reid.embed import EMBEDDERS
    from reid.figures.models import ModelPoint, model_chart

    folders = dict(map(parse_data, data))
    if len(folders) < len(data):
        raise BadInputError("--data: one data set is named twice; give it one folder")
    if threads < 0:
        raise BadInputError(f"--threads {threads}: 0 for one per core, or more")
    progress = Progress()
    opened = open_models(models or tuple(EMBEDDERS), device, threads)
    rows = bench_models(opened, folders, rounds, out, progress.note, progress.stage, part, hold_out)
    click.echo(model_table(rows))
    if out is not None:
        write_models(out / "models.json", rows)
        if folders:
            points = [
                ModelPoint(
                    row.name,
                    row.speed.batched,
                    row.model.parameters,
                    {name: score.mean_ap for name, score in row.scores.items()},
                )
                for row in rows
            ]
            own = [row.name for row in rows if row.model.own]
            progress.note(f"picture: {model_chart(out / 'models.png', points, own)}")
    return 0


def model_table(rows: "Sequence[Row]") -> str:
    """One line a model; the times' ratios are to the first."""
    first = rows[0].speed
    sets = list(rows[0].scores)
    header = ["model", "parameters", "MB", "dim", "input", "ms, 1 crop", "ratio", "ms, of 16", "ratio"]
    lines = [
        [
            row.name,
            f"{row.model.parameters / 1e6:.2f} M",
            f"{row.model.size_bytes / 1e6:.1f}",
            str(row.model.dim),
            "x".join(map(str, row.model.input)),
            f"{row.speed.single:.2f}",
            f"{row.speed.single / first.single:.2f}",
            f"{row.speed.batched:.2f}",
            f"{row.speed.batched / first.batched:.2f}",
            *(f"{row.scores[name].mean_ap * 100:.1f} / {row.scores[name].rank1 * 100:.1f}" for name in sets),
        ]
        for row in rows
    ]
    return table([*header, *(f"{name} mAP / R1" for name in sets)], lines)


def write_models(path: Path, rows: "Sequence[Row]") -> None:
    """The table for programs."""
    record = [
        {
            "model": row.name,
            "parameters": row.model.parameters,
            "bytes": row.model.size_bytes,
            "dim": row.model.dim,
            "input": row.model.input,
            "ms_single": row.speed.single,
            "ms_of_16": row.speed.batched,
            "scores": {name: score._asdict() for name, score in row.scores.items()},
        }
        for row in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def spread(scores: tuple[float, ...]) -> str:
    """Mean in percent, and how far the seeds lie from it at most.

    >>> spread((0.5, 0.52)), spread((0.5,))
    ('51.0 ± 1.0', '50.0')
    """
    mean = sum(scores) / len(scores)
    text = f"{mean * 100:.1f}"
    return text if len(scores) == 1 else f"{text} ± {max(abs(score - mean) for score in scores) * 100:.1f}"
