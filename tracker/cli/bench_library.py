"""``reidtrack bench library``: how fast a library is searched, what its index misses, and what memory that takes."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from reid.errors import BadInputError
from tracker.cli.show import table
from tracker.progress import Progress

if TYPE_CHECKING:
    from tracker.bench.library import LibraryScores


@click.command()
@click.argument("library", required=False)
@click.option("--tracklets", default=1_000_000, show_default=True, help="Of the drawn library.")
@click.option("--people", default=50_000, show_default=True, help="Who walk through it.")
@click.option("--cameras", default=50, show_default=True, help="That see them.")
@click.option("--dim", default=256, show_default=True, help="Numbers of a vector.")
@click.option("--out", default="drawn-library", show_default=True, help="Folder that keeps it.")
@click.option("--queries", default=200, show_default=True, help="Searches of each kind.")
@click.option("--recall", default=50, show_default=True, help="Of them, those whose true neighbours are looked up.")
@click.option("--seed", default=0, show_default=True, help="Of the library and of the queries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def library(
    library: str | None,
    tracklets: int,
    people: int,
    cameras: int,
    dim: int,
    out: str,
    queries: int,
    recall: int,
    seed: int,
    as_json: bool,
) -> int:
    """Search LIBRARY, or a drawn one, with tracklets of its own: latency, recall and memory.

    Recall is the share of the 10 most similar tracklets, known from comparing with all, that a search finds for its
    comparison. LIBRARY is not changed. Without it, one is drawn in --out, with vectors that resemble each other as the
    shipped embedder's do, and kept: the same command measures it again.

    \b
    reidtrack bench library weeks --recall 200
    reidtrack bench library --tracklets 1000000
    """
    from tracker.bench.drawn_library import draw_library
    from tracker.bench.library import bench_library

    least = {"tracklets": 1, "people": 1, "cameras": 1, "dim": 2, "queries": 1, "recall": 0, "seed": 0}
    for name, bound in least.items():
        if locals()[name] < bound:
            raise BadInputError(f"--{name} {locals()[name]}: give {bound} or more")
    progress = Progress()
    if library is None:
        draw_library(out, tracklets, people, cameras, dim, progress, seed)
    scores = bench_library(library or out, queries, recall, progress, seed)
    click.echo(json.dumps(asdict(scores), indent=1) if as_json else library_table(scores))
    return 0


def library_table(scores: "LibraryScores") -> str:
    """A line a kind of search, what the kinds are, and what the library takes."""
    from tracker.bench.library import KINDS

    header = ["search", "searches", "passing", "p50, ms", "p95, ms", "CPU, ms", "recall@10"]
    lines = [
        [
            row.kind,
            str(row.searches),
            f"{row.share:.2%}",
            f"{row.p50_ms:.1f}",
            f"{row.p95_ms:.1f}",
            f"{row.cpu_ms:.1f}",
            "-" if row.recall is None else f"{row.recall:.4f}",
        ]
        for row in scores.rows
    ]
    memory = [
        "not told" if size is None else f"{size / 2**20:.0f} MiB"
        for size in (scores.warm_bytes, scores.end_bytes, scores.peak_bytes)
    ]
    index = "an index" if scores.indexed else "no index: all vectors are compared"
    load = "" if scores.load is None else f"; load {scores.load:.1f}"
    return "\n".join(
        [
            f"{scores.tracklets} tracklets, {scores.vectors} vectors of {scores.dim} numbers, {index}",
            table(header, lines),
            *(f"{kind}: {meaning}" for kind, meaning in KINDS.items()),
            f"opened in {scores.open_s:.1f} s; memory {memory[0]} before the searches, {memory[1]} after, "
            f"{memory[2]} at most{load}",
        ]
    )
