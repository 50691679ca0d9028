"""``reidtrack run``: the main job."""

from pathlib import Path

import click

from reid.embed import DEFAULT_EMBEDDER
from tracker.associate import DEFAULT_TRACKER, TRACKERS
from tracker.cli import EMBEDDERS_DEVICE, ManyValues
from tracker.detect import DEFAULT_DETECTOR
from tracker.linking.agglomeration import MIN_PROBABILITY


@click.command(cls=ManyValues)
@click.option("--videos", multiple=True, metavar="PATH...", help="Files, folders or patterns.")
@click.option("--images", multiple=True, metavar="FOLDER...", help="Folders of photos, each an album.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="reidtrack-out", show_default=True, help="Run directory."
)
@click.option(
    "--detector", default=DEFAULT_DETECTOR, show_default=True, help="An ultralytics model name, or a .pt or .onnx file."
)
@click.option("--tracker", default=DEFAULT_TRACKER, show_default=True, help=f"One of {', '.join(TRACKERS)}.")
@click.option(
    "--embedder",
    default=DEFAULT_EMBEDDER,
    show_default=True,
    help="A shipped model's name, or an .onnx file made by `reidtrack export`.",
)
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
@click.option("--fps", default="native", show_default=True, help="Frames a second to look at: native, or a number.")
@click.option(
    "--cameras",
    multiple=True,
    metavar="NAME...",
    help="Camera names, one per recording, videos first. [default: file names]",
)
@click.option(
    "--start-times",
    multiple=True,
    metavar="TIME...",
    help="When each video starts: clock times (2026-03-01T22:15:00, UTC unless it says otherwise) or seconds.",
)
@click.option(
    "--render",
    is_flag=True,
    help="Also write videos and photos with boxes and identities, now and at every later `reidtrack link`.",
)
@click.option(
    "--min-probability",
    type=float,
    help="Link tracklets that are one person at least this probably, 0 to 1; lower joins more."
    f" [default: the run's own, {MIN_PROBABILITY} in a new one]",
)
@click.option(
    "--disjoint",
    multiple=True,
    metavar="CAMERA...",
    help="Cameras that see no place in common: nobody is in two of them at one moment. all: no two see one.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="JSON file that says where pictures of cameras that see one place are on its ground.",
)
def run(
    videos: tuple[str, ...],
    images: tuple[str, ...],
    out: Path,
    detector: str,
    tracker: str,
    embedder: str,
    device: str,
    fps: str,
    cameras: tuple[str, ...],
    start_times: tuple[str, ...],
    render: bool,
    min_probability: float | None,
    disjoint: tuple[str, ...],
    calibration: Path | None,
) -> int:
    """Who is on these recordings, and who is the same person from camera to camera.

    \b
    reidtrack run --videos cam1.mp4 cam2.mp4
    reidtrack run --videos recordings/ --fps 5 --out monday --render
    reidtrack run --images album/

    Prints a table of identities; the run directory holds the report (report.html), tracks, crops and tables. The same
    command continues after an interruption; naming more recordings later adds them. What is wrong in the result is put
    right by `reidtrack link`.
    """
    from tracker.cli.show import identity_table
    from tracker.linking.homography import read_homographies
    from tracker.options import RunOptions
    from tracker.pipeline import run as run_pipeline
    from tracker.progress import Progress
    from tracker.recordings import albums, expand, parse_starts

    if not videos and not images:
        raise click.UsageError("nothing to look at; give --videos, --images or both")
    paths, folders = expand(videos), albums(images)
    starts, absolute = parse_starts(start_times, len(paths))
    options = RunOptions(
        videos=tuple(paths),
        images=tuple(folders),
        out=out,
        detector=detector,
        tracker=tracker,
        embedder=embedder,
        device=device,
        fps=parse_fps(fps),
        cameras=cameras,
        starts=(*starts, *[0.0] * len(folders)),  # photos have no clock
        absolute=absolute,
        render=render,
        min_probability=min_probability,
        disjoint=disjoint,
        calibration=read_homographies(calibration) if calibration else {},
    )
    progress = Progress()
    result = run_pipeline(options, progress)
    click.echo(identity_table(result.sightings, absolute=result.absolute))
    for warning in result.warnings:
        progress.note(f"warning: {warning}")
    if result.failed:
        what = "some recordings or photos" if folders else f"{len(result.failed)} of {len(paths)} recordings"
        progress.note(f"error: {what} could not be read; the others are done")
    progress.note(f"report: {out / 'report.html'}")
    return 1 if result.failed else 0


def parse_fps(text: str) -> float | None:
    """The sample rate: None for ``native``.

    >>> parse_fps("native"), parse_fps("7.5")
    (None, 7.5)
    """
    if text == "native":
        return None
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"--fps: {text!r} is neither native nor a number") from None
