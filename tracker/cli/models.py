"""``reidtrack models``: the embedders that are shipped."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli.show import table
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.bench.speed import Speed
    from reid.calibration import Calibration
    from reid.embed import Embedder

ROUNDS = 3  # of the measurement of speed


@click.command()
@click.argument("name", required=False)
@click.option("--no-speed", is_flag=True, help="Do not measure milliseconds a crop.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(name: str | None, no_speed: bool, as_json: bool) -> int:
    """The shipped embedders: size, speed on this machine, training data and scores.

    With NAME, a shipped one or an exported .onnx: its model card, and what its similarities mean.

    \b
    reidtrack models
    reidtrack models standard
    """
    from reid.bench.speed import measure_speed
    from reid.embed import EMBEDDERS, Embedder

    if name is not None and name not in EMBEDDERS and not Path(name).is_file():
        raise BadInputError(f"{name!r} is no embedder; choose from {', '.join(EMBEDDERS)}, or give an exported .onnx")
    embedders = {one: Embedder(one) for one in ([name] if name else EMBEDDERS)}
    speeds = {} if no_speed else measure_speed(embedders, ROUNDS, Progress().note)
    if as_json:
        records = [describe(one, embedder, speeds.get(one)) for one, embedder in embedders.items()]
        click.echo(json.dumps(records[0] if name else records, indent=1))
    elif name:
        click.echo(page(embedders[name], speeds.get(name)))
    else:
        click.echo(overview(embedders, speeds))
    return 0


def describe(name: str, embedder: "Embedder", speed: "Speed | None") -> dict[str, Any]:
    """All that is known of an embedder, for programs; shares 0..1."""
    from reid.embed import DEFAULT_EMBEDDER

    card = embedder.card
    record: dict[str, Any] = {
        "name": name,
        "default": name == DEFAULT_EMBEDDER,
        "model_id": embedder.model_id,
        "file": str(embedder.path),
        "bytes": embedder.path.stat().st_size,
        "backbone": card.backbone,
        "parameters": card.parameters,
        "input": card.size,
        "dim": embedder.dim,
        "training_data": card.training_data,
        "licence": card.licence,
        "scores": {data: {"mAP": mean_ap, "R1": rank1} for data, (mean_ap, rank1) in card.scores.items()},
        "calibration": json.loads(card.calibration.to_json()) if card.calibration else None,
    }
    return record | ({"ms_single": speed.single, "ms_of_16": speed.batched} if speed else {})


def overview(embedders: "Mapping[str, Embedder]", speeds: "Mapping[str, Speed]") -> str:
    """One row an embedder, and below the table what each was trained on."""
    from reid.embed import DEFAULT_EMBEDDER

    sets = list(dict.fromkeys(data for embedder in embedders.values() for data in embedder.card.scores))
    times = ["ms, 1 crop", "ms, of 16"] if speeds else []
    rows = []
    for name, embedder in embedders.items():
        card = embedder.card
        rows.append(
            [
                f"{name} (default)" if name == DEFAULT_EMBEDDER else name,
                f"{card.parameters / 1e6:.2f} M",
                f"{embedder.path.stat().st_size / 1e6:.1f}",
                "x".join(map(str, card.size)),
                str(embedder.dim),
                *([f"{ms:.2f}" for ms in speeds[name]] if speeds else []),
                *(_score(card.scores.get(data)) for data in sets),
            ]
        )
    header = ["model", "parameters", "MB", "input", "dim", *times, *(f"{data} mAP / R1" for data in sets)]
    notes = [f"{name}: trained on {embedder.card.training_data}" for name, embedder in embedders.items()]
    return "\n".join([table(header, rows), *notes])


def page(embedder: "Embedder", speed: "Speed | None") -> str:
    """The model card beside the file, where there is one, the thresholds, and the speed."""
    from reid.embed import EMBEDDERS

    card = embedder.path.with_suffix(".md")
    if card.is_file() and embedder.path in EMBEDDERS.values():
        about = card.read_text(encoding="utf-8").rstrip()
    else:
        about = f"{embedder.model_id}\ntrained on {embedder.card.training_data}\nlicence: {embedder.card.licence}"
    calibration = embedder.calibration
    lines = [about, "", thresholds(calibration) if calibration else "similarities: never calibrated"]
    if speed:
        lines.append(f"speed here: {speed.single:.2f} ms a crop one by one, {speed.batched:.2f} ms of 16 at a time")
    return "\n".join(lines)


def thresholds(calibration: "Calibration") -> str:
    """From which similarity on a pair counts as one person, by the share of pairs of two people that then do, too."""
    curves = {"tracklets": calibration.tracklets, "crops": calibration.crops}
    rows = [
        [kind, f"{rate:g}", f"{similarity:.3f}", f"{found:.1%}"]
        for kind, curve in curves.items()
        for rate, similarity, found in curve.points
    ]
    lines: Sequence[str] = [
        f"{kind}: probabilities are off by {curve.error:.3f} on average (expected calibration error)"
        for kind, curve in curves.items()
        if curve.error is not None
    ]
    known = [table(["pairs of", "false-match rate", "similarity from", "true-match rate"], rows)] if rows else []
    return "\n".join([*known, *lines])


def _score(score: tuple[float, float] | None) -> str:
    return f"{score[0] * 100:.1f} / {score[1] * 100:.1f}" if score else "-"
