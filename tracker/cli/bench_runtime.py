"""``reidtrack bench runtime``: embedders on every runtime of this machine."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.cli.show import table
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.bench.runtime import RuntimeRow


@click.command(cls=ManyValues)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--runtimes", multiple=True, metavar="NAME...", help="An unknown name lists them. [default: all here]")
@click.option("--batches", multiple=True, type=int, default=(1, 16, 32), show_default=True, help="Crops in a call.")
@click.option("--rounds", default=5, show_default=True, help="Of the measurement of speed.")
@click.option("--threads", default=1, show_default=True, help="Of the CPU; 0 for one per core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runtime(
    models: tuple[str, ...],
    runtimes: tuple[str, ...],
    batches: tuple[int, ...],
    rounds: int,
    threads: int,
    as_json: bool,
) -> int:
    """Embedders on every runtime that works here: milliseconds a crop, crops a second, memory.

    A MODEL is as for `reidtrack bench models`; .onnx files also run through OpenVINO where it is installed. A file is
    computed in its own precision (no runtime rounds float32 further), from uint8 crops to unit vectors. Ratios are to
    the first line of the same batch; MB is what a fresh process has more in memory once runtime and model are loaded
    and the largest batch went through.

    \b
    reidtrack bench runtime standard edge --batches 1 16 32
    reidtrack bench runtime fp32.onnx int8.onnx --runtimes onnxruntime-cpu openvino
    """
    from reid.bench.runtime import bench_runtime
    from reid.embed import EMBEDDERS

    if threads < 0:
        raise BadInputError(f"--threads {threads}: 0 for one per core, or more")
    chosen = tuple(dict.fromkeys(batches))
    rows = bench_runtime(models or tuple(EMBEDDERS), runtimes, chosen, rounds, threads, Progress().note)
    click.echo(json.dumps(list(_records(rows)), indent=1) if as_json else runtime_table(rows))
    return 0


def runtime_table(rows: "Sequence[RuntimeRow]") -> str:
    """One line a model, runtime and batch."""
    lines = [
        [
            record["model"],
            record["runtime"],
            str(record["batch"]),
            f"{record['ms_a_crop']:.2f}",
            f"{record['crops_a_second']:.0f}",
            f"{record['ratio']:.2f}",
            "not told" if record["added_mb"] is None else f"{record['added_mb']:.0f}",
        ]
        for record in _records(rows)
    ]
    return table(["model", "runtime", "batch", "ms a crop", "crops/s", "ratio", "MB"], lines)


def _records(rows: "Sequence[RuntimeRow]") -> Iterator[dict[str, Any]]:
    """The table's lines for programs."""
    for row in rows:
        for batch, ms in row.ms.items():
            yield {
                "model": row.model,
                "runtime": row.runtime,
                "batch": batch,
                "ms_a_crop": ms,
                "crops_a_second": 1000 / ms,
                "ratio": ms / rows[0].ms[batch],
                "added_mb": row.added_mb,
            }
