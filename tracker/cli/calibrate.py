"""``reidtrack calibrate``: what similarities mean at a run's own site."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reid.calibration import Curve
    from tracker.store import Run
    from tracker.types import Floats
    from tracker.unlabelled import Pairs


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--false-match-rate",
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="Share of pairs of two people that the threshold may take for one.",
)
@click.option("--reset", is_flag=True, help="Go back to the embedder's own probabilities.")
def calibrate(run: Path, false_match_rate: float, reset: bool) -> int:
    """Fit probabilities to the site of the finished run RUN, without labels.

    \b
    reidtrack calibrate monday
    reidtrack calibrate monday --false-match-rate 0.001
    reidtrack calibrate monday --reset

    Two tracklets in one frame are two people, two halves of one tracklet are one. The threshold is the similarity that
    no more than the given share of pairs of two people reaches. Writes calibration.json, which every later `run` and
    `link` of this run uses, and calibration.png with both kinds of pairs, the curve before and after, and the
    threshold.
    """
    from tracker.lock import only_writer
    from tracker.manifest import read_manifest
    from tracker.store import Run

    if read_manifest(run) is None:
        Run.open(run)  # refuses it
    with only_writer(run, run):
        if reset:
            return _reset(run)
        _calibrate(Run.open(run), false_match_rate)
    click.echo(f"`reidtrack link {run}` applies this to the finished run")
    return 0


def _reset(run: Path) -> int:
    from tracker import site
    from tracker.manifest import read_manifest

    manifest = read_manifest(run) or {}
    if not site.remove(run, manifest):
        click.echo(f"{run}: its probabilities are the embedder's own already")
    elif manifest.get("status") == "complete":
        click.echo(f"`reidtrack link {run}` applies the embedder's own curve to the finished run")
    else:
        click.echo("the command that was interrupted, given again, finishes the run by the embedder's own curve")
    return 0


def _calibrate(run: "Run", rate: float) -> None:
    from reid.embed import Embedder
    from reid.errors import ModelError
    from reid.figures import site_curve
    from tracker import site
    from tracker.files import writing
    from tracker.material import Curves, gather, works_of
    from tracker.unlabelled import collect

    model_id = run.manifest["embedder"]
    embedder = Embedder(run.manifest["options"]["embedder"], "cpu")
    if embedder.model_id != model_id or embedder.calibration is None:
        raise ModelError(
            f"{embedder.path}: is {embedder.model_id}, and the run was made with {model_id}; give its `reidtrack run`"
            " command again"
        )
    before = embedder.calibration.tracklets
    site.threshold(before, rate)  # refused before the work
    works = works_of(run.path, run.manifest)
    pairs = collect(works, gather(works, model_id, Curves(before, before)))
    after = site.fit(before, pairs)
    least = site.threshold(after, rate)
    site.write(run.path, model_id, embedder.calibration, after, pairs)
    with writing(run.path / site.PICTURE):
        site_curve(run.path / site.PICTURE, pairs.one, pairs.two, before, after, least, rate)
    click.echo(_described(before, after, pairs, rate))


def _described(before: "Curve", after: "Curve", pairs: "Pairs", rate: float) -> str:
    from tracker import site
    from tracker.cli.show import table

    ends = [(name, curve, site.threshold(curve, rate)) for name, curve in (("before", before), ("after", after))]
    rows = [
        [
            name,
            f"{curve.slope:.2f}",
            f"{curve.intercept:.2f}",
            f"{-curve.intercept / curve.slope:.3f}",
            f"{least:.3f}",
            f"{float(curve.probability(least)):.3f}",
        ]
        for name, curve, least in ends
    ]
    least = ends[1][2]
    usual = site.usual_spread(before)
    lines = [
        f"two people: {len(pairs.two)} pairs in one frame, of {pairs.tracklets} tracklets; their similarities spread by"
        f" {pairs.spread:.3f}, {usual:.3f} where the embedder was calibrated; {_above(pairs.two, least)} above the"
        " threshold",
    ]
    if len(pairs.one):
        lines.append(
            f"one person: {len(pairs.one)} tracklets in halves, alike by {pairs.alike:.3f};"
            f" {_above(pairs.one, least)} above the threshold"
        )
    else:
        lines.append("one person: no tracklet is long enough to be halved")
    header = ["curve", "slope", "intercept", "even at", f"threshold at {rate:g}", "probability there"]
    return "\n".join([*lines, "", table(header, rows), ""])


def _above(similarities: "Floats", least: float) -> str:
    return f"{float((similarities >= least).mean()):.1%}"
