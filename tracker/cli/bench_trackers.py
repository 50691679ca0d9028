"""``reidtrack bench trackers``: trackers side by side on clips with known people."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracker.cli import EMBEDDERS_DEVICE, ManyValues
from tracker.cli.learn import FOLDER
from tracker.cli.show import table
from tracker.progress import Progress

if TYPE_CHECKING:
    from tracker.bench.trackers import TrackerRow


@click.command(cls=ManyValues)
@click.option("--data", multiple=True, required=True, metavar="CLIP...", help="Folders or videos with known people.")
@click.option("--out", type=FOLDER, default="tracker-table", show_default=True, help="Folder that keeps detections.")
@click.option("--detector", default="yolov8n", show_default=True, help="Whose boxes all trackers get.")
@click.option("--embedder", help="For the repairs: a shipped name or an exported .onnx. [default: shipped]")
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trackers(data: tuple[str, ...], out: Path, detector: str, embedder: str | None, device: str, as_json: bool) -> int:
    """Trackers side by side on the same detections, with this application's settings and as published; then what a run
    makes of the default's tracks: collected into tracklets, each repair alone, and all of them.

    A CLIP is a folder of MOT-Challenge's layout (img1/, gt/gt.txt), or a video and its truth: VIDEO,truth=FILE. Add
    ,rate=14 where a folder has no seqinfo.ini that tells frames a second. Detections are kept in --out and made once.

    \b
    reidtrack bench trackers --data TUD-Campus ETH-Sunnyday,rate=14 vtest.avi,truth=vtest.txt
    """
    from reid.embed import DEFAULT_EMBEDDER, Embedder, calibration_of
    from reid.runtime import resolve_device
    from tracker.bench.clips import open_clip
    from tracker.bench.trackers import bench_trackers
    from tracker.detect import YoloDetector

    clips = [open_clip(text) for text in data]
    model = Embedder(embedder or DEFAULT_EMBEDDER, device)
    calibration = calibration_of(model)
    finder = YoloDetector(detector, resolve_device(device))
    rows = bench_trackers(clips, finder, model, calibration.tracklets, out, Progress().stage)
    if as_json:
        click.echo(json.dumps([{"clip": r.clip, "what": r.what, "ms": r.ms, **asdict(r.scores)} for r in rows]))
    else:
        click.echo(tracker_table(rows))
    return 0


def tracker_table(rows: "Sequence[TrackerRow]") -> str:
    """One line a tracker and step, clip by clip."""
    shares = {"hota": "HOTA", "det_a": "DetA", "ass_a": "AssA", "idf1": "IDF1", "mota": "MOTA"}
    counts = ("switches", "false", "missed")
    lines = [
        [
            row.clip,
            row.what,
            *(f"{getattr(row.scores, name):.2%}" for name in shares),
            *(str(getattr(row.scores, name)) for name in counts),
            "-" if row.ms is None else f"{row.ms:.1f}",
        ]
        for row in rows
    ]
    return table(["clip", "tracker", *shares.values(), *counts, "ms a frame"], lines)
