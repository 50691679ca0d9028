"""``reidtrack index``: finished runs gathered in a library."""

from pathlib import Path

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues
from tracker.progress import Progress


@click.command(cls=ManyValues)
@click.argument("library")
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@click.option(
    "--remove", multiple=True, metavar="RUN...", help="Take runs out: each by its folder, its folder's name, or its id."
)
def index(library: str, runs: tuple[Path, ...], remove: tuple[str, ...]) -> int:
    """Gather the finished runs RUN in LIBRARY, a folder or an s3:// URL, for `reidtrack search`.

    \b
    reidtrack index weeks monday tuesday
    reidtrack index weeks --remove monday
    reidtrack index weeks

    By itself it lists the runs that the library holds, and brings a library of an earlier version up to date. Adding a
    run again changes nothing, or replaces it where it was linked again. All runs of a library are of one embedder.
    """
    from tracker.library import indexing

    progress = Progress()
    if runs and remove:
        raise BadInputError("--remove and runs to add: do one after the other, in two commands")
    if remove:
        indexing.remove(library, remove, progress.note)
    elif runs:
        indexing.index(library, runs, progress.note, progress)
    else:
        indexing.update(library, progress.note)
    click.echo(_listed(library))
    return 0


def _listed(name: str) -> str:
    from tracker.cli.show import table
    from tracker.library.store import Library

    meta = Library.open(name).meta
    entries = sorted(meta.runs.values(), key=lambda entry: entry.path)
    rows = [[entry.id, Path(entry.path).name, str(entry.tracklets), entry.path] for entry in entries]
    total = sum(entry.tracklets for entry in entries)
    summary = f"{len(rows)} run{'s' * (len(rows) != 1)}, {total} tracklets, embedder {meta.model_id}"
    return "\n".join([*([table(["run", "name", "tracklets", "folder"], rows)] if rows else []), summary])
