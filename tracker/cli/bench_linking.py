"""``reidtrack bench linking``: linking against truth, with few people and many, and at a size of choice."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import EMBEDDERS_DEVICE
from tracker.cli.learn import parse_data
from tracker.cli.show import table
from tracker.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.bench.linking import Row, SizeScores

_SETS = ("market1501", "market1501_tracklets")
_LEAST = 40  # drawn tracklets: two people's


@click.command()
@click.option("--data", metavar="market1501=FOLDER", help="Its pictures as recordings.")
@click.option("--synthetic", type=int, metavar="N", help="So many drawn tracklets, of a 20th as many people.")
@click.option("--embedder", help="A shipped name or an exported .onnx, for --data. [default: shipped]")
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
@click.option("--seed", default=0, show_default=True, help="Of the walks, the draws and the drawn vectors.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def linking(
    data: str | None, synthetic: int | None, embedder: str | None, device: str, seed: int, as_json: bool
) -> int:
    """Linking against truth, beside one distance threshold for all; time and memory at a size of choice.

    With --data, Market-1501's people walk past its cameras at made-up times: its test people all at once, and draws of
    few and of many. With --synthetic, people walk past 50 cameras, and vectors are drawn that resemble each other as
    the shipped embedder's do.

    \b
    reidtrack bench linking --data market1501=Market-1501-v15.09.15
    reidtrack bench linking --synthetic 100000
    """
    if data is None and synthetic is None:
        raise BadInputError("nothing to link: give --data market1501=FOLDER or --synthetic N")
    if synthetic is not None and synthetic < _LEAST:
        raise BadInputError(f"--synthetic {synthetic}: at least {_LEAST} tracklets")
    rows = _bench_people(data, embedder, device, seed) if data else []
    size = _bench_size(synthetic, seed) if synthetic else None
    if as_json:
        click.echo(json.dumps({"people": [_row(row) for row in rows], "size": _size(size)}, indent=1))
        return 0
    parts = [people_table(rows)] * bool(rows) + ([size_table(size)] if size else [])
    click.echo("\n\n".join(parts))
    return 0


def _bench_people(data: str, embedder: str | None, device: str, seed: int) -> "Sequence[Row]":
    from reid.datasets import load_dataset
    from reid.embed import DEFAULT_EMBEDDER, Embedder, calibration_of
    from tracker.bench.linking import bench_people
    from tracker.bench.worlds import pictured_world

    name, folder = parse_data(data)
    if name not in _SETS:
        raise BadInputError(f"--data: {name} is not made into recordings; give {_SETS[0]}=FOLDER")
    split = load_dataset("market1501_tracklets", folder)
    model = Embedder(embedder or DEFAULT_EMBEDDER, device)
    calibration = calibration_of(model)
    note = Progress().note
    train = pictured_world(split.train, model, "training people", note, seed)
    test = pictured_world(split.gallery, model, "test people", note, seed + 1)
    return bench_people(train, test, calibration.tracklets, note, seed)


def _bench_size(count: int, seed: int) -> "SizeScores":
    from tracker.bench.linking import bench_size

    return bench_size(count, Progress().note, seed)


def people_table(rows: "Sequence[Row]") -> str:
    """A line a size and method, and what the methods are."""
    from tracker.bench.linking import METHODS

    header = ["people", "draws", "method", "pairs' F1", "precision", "recall", "IDF1", "groups a person"]
    lines = [
        [
            str(row.people),
            str(row.draws),
            row.method,
            *(f"{share:.1%}" for share in (row.pairs.f1, row.pairs.precision, row.pairs.recall, row.idf1)),
            f"{row.groups:.2f}",
        ]
        for row in rows
    ]
    return "\n".join([table(header, lines), *(f"{method}: {meaning}" for method, meaning in METHODS.items())])


def size_table(size: "SizeScores") -> str:
    """One line."""
    header = ["tracklets", "people", "identities", "minutes", "memory", "pairs' F1", "precision", "recall"]
    memory = "not told" if size.peak_bytes is None else f"{size.peak_bytes / 2**30:.1f} GiB"
    shares = [f"{share:.1%}" for share in (size.pairs.f1, size.pairs.precision, size.pairs.recall)]
    counts = [str(size.tracklets), str(size.people), str(size.groups)]
    line = [*counts, f"{size.seconds / 60:.1f}", memory, *shares]
    outcome = "the same groups" if size.same else "OTHER GROUPS"
    return f"{table(header, [line])}\nof {size.sample} tracklets, sparse and exact linking give {outcome}"


def _row(row: "Row") -> dict[str, Any]:
    return asdict(row) | {"pairs": row.pairs._asdict()}


def _size(size: "SizeScores | None") -> dict[str, Any] | None:
    if size is None:
        return None
    curve = {"slope": size.curve.slope, "intercept": size.curve.intercept}
    return asdict(size) | {"pairs": size.pairs._asdict(), "curve": curve}
