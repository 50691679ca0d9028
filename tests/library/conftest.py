"""Two small real runs, and libraries of made-up tracklets."""

import shutil

import numpy as np
import pyarrow as pa
import pytest

from tests.clips import cut
from tests.helpers import colour_embedder
from tracker.cli import main
from tracker.demo import render_demo
from tracker.demo_scenes import CAMERAS
from tracker.library.indexing import Rows, _vector_rows
from tracker.library.schema import TRACKLETS_SCHEMA, RunEntry
from tracker.library.store import writer
from tracker.library.words import COLUMNS, VOCABULARY


def run(*clips, out, options=()):
    return main(["run", "--videos", *clips, "--embedder", "colour.onnx", "--out", out, *options])


@pytest.fixture(scope="session")
def demo(shared):
    """A folder with the demo's clips and the truth about them."""
    return shared("demo", render_demo)


@pytest.fixture(scope="session")
def made(shared, demo):
    """A folder with runs ``monday`` of two cameras and ``tuesday`` of one whose clock is known."""

    def make(folder):
        left, right = (demo / f"{camera.name}.mp4" for camera in CAMERAS)
        for name, clip, first in zip(("a.mp4", "b.mp4", "c.mp4"), (left, right, left), (60, 60, 130), strict=True):
            cut(clip, folder / name, first, first + 24)
        colour_embedder(folder / "colour.onnx")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert run("a.mp4", "b.mp4", out="monday") == 0
            assert run("c.mp4", out="tuesday", options=["--start-times", "2026-03-03T22:00:00"]) == 0

    return shared("made", make)


def moved(folder, before):
    """Have the runs of a copied folder name the copied recordings."""
    for path in folder.glob("*/run.json"):
        path.write_text(path.read_text().replace(str(before), str(folder)))


@pytest.fixture
def desk(made, tmp_path, monkeypatch):
    """The same to change, and the folder to work in."""
    shutil.copytree(made, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


def made_up(name, count=40, dim=8, seed=0, model_id="m"):
    """Rows of a run that nobody filmed: several tracklets an identity, one to four vectors a tracklet."""
    rng = np.random.default_rng([seed, *name.encode()])
    people = rng.normal(size=(max(count // 4, 1), dim))
    lines, vectors = [], []
    for number in range(1, count + 1):
        identity = int(rng.integers(len(people)))
        own = people[identity] + 0.6 * rng.normal(size=(int(rng.integers(1, 5)), dim))
        vectors.append((own / np.linalg.norm(own, axis=1, keepdims=True)).astype(np.float32))
        start, length = float(rng.uniform(0, 100)), float(rng.uniform(0, 20))
        recording = ["gate", "hall", "o'clock"][int(rng.integers(3))]
        lines.append(
            dict.fromkeys(("path", "sha256", "photo", "crop"), "")
            | {"key": f"{name}/{recording}/{number}", "run": name, "recording": recording, "track_id": number}
            | {"camera": recording[0], "identity": identity + 1, "start_s": start, "end_s": start + length}
            | {"absolute": bool(rng.integers(2)), "length_s": length, "quality": float(rng.uniform(0.1, 1))}
            | {"file_start_s": start, "first_frame": 1, "last_frame": 2, "boxes": 2, "probability": 1.0}
            | {"jpeg": b"", "model_id": model_id}
            | colours([seed, number, *name.encode()])
        )
    mean = [0.0] * dim
    entry = RunEntry(name, f"/runs/{name}", str(seed), count, 12.0 + seed, -4.0, "colour", 3, mean)
    table = pa.Table.from_pylist(lines, TRACKLETS_SCHEMA)
    return Rows(entry, table, _vector_rows(lines, vectors, dim), model_id, dim)


def colours(seed):
    """Shares of colours that sum to 1, those of the legs sometimes unknown."""
    rng = np.random.default_rng(seed)
    upper, lower = rng.dirichlet(np.full(len(VOCABULARY), 0.4), 2)
    lower = lower.tolist() if rng.random() < 0.8 else [None] * len(VOCABULARY)
    return dict(zip(COLUMNS, [*upper.tolist(), *lower], strict=True))


def add(library, *rows):
    """Write made-up runs to a library."""
    with writer(str(library)) as writing:
        known = dict(writing.begin(rows[0].model_id, rows[0].dim).runs)
        for one in rows:
            writing.add(one.tracklets, one.vectors)
            known[one.entry.id] = one.entry
        writing.commit(known)
