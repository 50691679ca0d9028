"""``reidtrack case``: the cases of a library, and their bundles."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reid.errors import BadInputError
from tracker.progress import Progress

if TYPE_CHECKING:
    from tracker.casefile.cases import Case


@click.command()
@click.argument("library")
@click.argument("name", required=False)
@click.option(
    "--export", "out", type=click.Path(path_type=Path), metavar="OUT", help="Write a bundle: a new folder or .zip."
)
@click.option("--margin", type=float, default=2.0, show_default=True, metavar="S", help="Shown before and after.")
def case(library: str, name: str | None, out: Path | None, margin: float) -> int:
    """The cases of LIBRARY, or what the case NAME holds.

    \b
    reidtrack case weeks
    reidtrack case weeks "stolen bicycle"
    reidtrack case weeks "stolen bicycle" --export bicycle.zip

    Sightings are chosen in `reidtrack serve`. A bundle is a page with clips that opens in any browser, and hashes by
    which `reidtrack verify` tells whether anything was changed.
    """
    from tracker.casefile.bundle import export
    from tracker.casefile.cases import fault, find_case, list_cases
    from tracker.library.store import Library

    opened = Library.open(library)
    if name is None:
        if out is not None:
            raise BadInputError("--export needs the NAME of a case; without, they are listed")
        click.echo(_cases(list_cases(library)))
        return 0
    found = find_case(library, name)
    progress = Progress()
    if why := fault(found):
        progress.note(f"warning: {why}")
    if out is None:
        click.echo(_tray(found))
        return 0
    bundle = export(opened, found, out, progress, margin)
    for line in bundle.lacks:
        progress.note(f"warning: {line}")
    click.echo(f"{bundle.path}\nseal {bundle.seal}")
    return 0


def _cases(cases: "list[Case]") -> str:
    from tracker.cli.show import table

    if not cases:
        return "no cases; they are made in `reidtrack serve`"
    rows = [[one.name, str(len(one.sightings)), str(one.log[-1]["when"])[:19].replace("T", " ")] for one in cases]
    return table(["case", "sightings", "last change (UTC)"], rows)


def _tray(case: "Case") -> str:
    from tracker.casefile.page import when
    from tracker.cli.show import table

    rows = [
        [
            str(one.number),
            one.row["camera"],
            when(one),
            f"{one.row['recording']}/{one.row['track_id']}",
            "" if one.probability is None else f"{one.probability:.2f}",
            one.note.partition("\n")[0][:60],
        ]
        for one in case.sightings
    ]
    noted = [case.note, ""] if case.note else []
    if not rows:
        return "\n".join([*noted, "no sightings"])
    return "\n".join([*noted, table(["number", "camera", "when", "tracklet", "probability", "note"], rows)])
