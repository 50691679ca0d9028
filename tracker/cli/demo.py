"""``reidtrack demo``: the main job on clips whose people are known."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracker.cli import EMBEDDERS_DEVICE

if TYPE_CHECKING:
    from tracker.compare import Person


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="reidtrack-demo", show_default=True, help="Clips and run go here."
)
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
@click.option("--render", is_flag=True, help="Also write videos with boxes and identities.")
def demo(out: Path, device: str, render: bool) -> int:
    """Make two short clips with known people, run the main job on them, compare.

    Prints what was found beside the truth, and where the report is.
    """
    from tracker.cli.show import identity_table, table
    from tracker.compare import compare
    from tracker.demo import render_demo
    from tracker.options import RunOptions
    from tracker.pipeline import run
    from tracker.progress import Progress
    from tracker.scoring.boxes import read_mot_lines

    progress = Progress()
    progress.note("drawing two clips of people walking through a corridor and a street")
    scene = render_demo(out / "clips")
    paths = " ".join(str(path) for path in scene.videos)
    folder = out / "run"
    progress.note(f"running: reidtrack run --videos {paths} --out {folder}{' --render' if render else ''}")
    result = run(RunOptions(videos=scene.videos, out=folder, device=device, render=render), progress)
    cameras = [path.stem for path in scene.videos]
    truth = {camera: read_mot_lines(path).boxes for camera, path in zip(cameras, scene.truth, strict=True)}
    found = {camera: read_mot_lines(folder / "tracks" / f"{camera}.txt").boxes for camera in cameras}
    people = compare(truth, found)
    click.echo(identity_table(result.sightings, absolute=False))
    click.echo()
    click.echo(table(["known person", *cameras, "verdict"], [_row(person, people, cameras) for person in people]))
    click.echo(f"\nreport: {folder / 'report.html'}")
    return 0


def _row(person: "Person", people: "list[Person]", cameras: list[str]) -> list[str]:
    cells = []
    for camera in cameras:
        shares = person.identities.get(camera, {})
        total = max(person.frames.get(camera, 0), 1)
        ranked = sorted(shares, key=lambda identity: -shares[identity])
        cells.append(", ".join(f"identity {i} ({shares[i] / total:.0%} of the time)" for i in ranked) or "not found")
    return [str(person.truth), *cells, verdict(person, people, cameras)]


def verdict(person: "Person", people: "list[Person]", cameras: list[str]) -> str:
    """In words: found in every camera under one identity that nobody else has, or what went wrong."""
    mine = {person.main_identity(camera) for camera in cameras}
    others = {other.main_identity(camera) for other in people if other is not person for camera in cameras}
    if None in mine:
        return "missed"
    if len(mine) > 1:
        return "split"
    return "merged with another" if mine & others else "right"
