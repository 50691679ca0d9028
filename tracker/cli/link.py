"""``reidtrack link``: a finished run linked again, afresh or corrected."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracker.progress import Progress

if TYPE_CHECKING:
    from tracker.types import TrackletKey

TWO = "TRACKLET TRACKLET"


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--same", nargs=2, multiple=True, metavar=TWO, help="These two are one person; repeatable.")
@click.option("--different", nargs=2, multiple=True, metavar=TWO, help="These two are two people; repeatable.")
@click.option(
    "--nobody", multiple=True, metavar="TRACKLET", help="This is no person: it leaves the results; repeatable."
)
@click.option("--undo", multiple=True, type=int, metavar="NUMBER", help="Take a correction back; repeatable.")
@click.option(
    "--min-probability",
    type=float,
    help="Link tracklets that are one person at least this probably, 0 to 1. [default: the run's own]",
)
@click.option("--corrections", is_flag=True, help="List the corrections so far; links nothing.")
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the pairs of crops that the corrections tell to be one person or two, as CSV; by itself links nothing.",
)
def link(
    run: Path,
    same: tuple[tuple[str, str], ...],
    different: tuple[tuple[str, str], ...],
    nobody: tuple[str, ...],
    undo: tuple[int, ...],
    min_probability: float | None,
    corrections: bool,
    pairs: Path | None,
) -> int:
    """Link the finished run RUN again, without detecting or embedding anything again.

    \b
    reidtrack link monday
    reidtrack link monday --min-probability 0.7
    reidtrack link monday --same gate/12 hall/3 --different gate/4 gate/31
    reidtrack link monday --nobody hall/8
    reidtrack link monday --undo 2

    By itself it links everything afresh. With corrections, only the identities that they are about change; all others
    keep their numbers and members. A TRACKLET is written RECORDING/NUMBER, as in identities.json and the report.
    Corrections are kept in the run and hold in every later linking. A run made with --render is rendered again.
    """
    from tracker.cli.show import identity_table
    from tracker.relinking import relink
    from tracker.relinking.asked import Asked
    from tracker.relinking.pairs import write_pairs

    progress = Progress()
    asked = Asked(
        same=[(_key("same", a), _key("same", b)) for a, b in same],
        different=[(_key("different", a), _key("different", b)) for a, b in different],
        nobody=[_key("nobody", name) for name in nobody],
        undo=undo,
        min_probability=min_probability,
    )
    if same or different or nobody or undo or min_probability is not None or not (corrections or pairs):
        result = relink(run, asked, progress)
        click.echo(identity_table(result.sightings, absolute=result.absolute))
        for line in result.changes or ["no identity changed"]:
            click.echo(line)
        progress.note(f"report: {run / 'report.html'}")
    if corrections:
        click.echo(_listed(run, progress))
    if pairs:
        progress.note(f"{write_pairs(run, pairs, progress.note)} pairs of crops: {pairs}")
    return 0


def _key(option: str, text: str) -> "TrackletKey":
    from reid.errors import BadInputError
    from tracker.relinking.corrections import parse_key

    try:
        return parse_key(text)
    except ValueError:
        raise BadInputError(
            f"--{option}: {text!r} names no tracklet; write RECORDING/NUMBER as identities.json does, such as gate/12"
        ) from None


def _listed(folder: Path, progress: "Progress") -> str:
    from tracker.cli.show import table
    from tracker.relinking.corrections import phrase, read_corrections
    from tracker.store import Run

    Run.open(folder)
    found = read_corrections(folder, progress.note)
    by = {one.undoes: one.number for one in found if one.undoes}
    rows = [
        [str(one.number), one.when, phrase(one), f"taken back by {by[one.number]}" if one.number in by else ""]
        for one in found
    ]
    return table(["correction", "when", "what", ""], rows) if rows else "no corrections"
