"""A served library of the demo's people, whose clips carry their frame numbers, and a real browser that visits it."""

import itertools
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.library.conftest import demo  # noqa: F401 - a fixture
from tracker.cli import main
from tracker.compare import compare
from tracker.demo_scenes import CAMERAS
from tracker.encode import VideoWriter
from tracker.scoring.boxes import Boxes, read_mot_lines
from tracker.video import VideoReader

PATIENCE_MS, LONG_MS = 60_000, 240_000  # machines differ; what takes models or encodes video is long
BITS, CELL = 10, 20  # squares of so many pixels in the top left corner: white is 1, the lowest bit first


def numbered(source: Path, out: Path) -> Path:
    """The same clip with every frame's number in its corner."""
    with VideoReader(source) as video:
        info = video.info
        with VideoWriter(out, info.width, info.height, info.rate) as writer:
            for frame in video:
                for bit in range(BITS):
                    frame.image[:CELL, bit * CELL : (bit + 1) * CELL] = 255 * (frame.index >> bit & 1)
                writer.write(frame.image, (frame.index - 1) / info.rate)
    return out


@dataclass(frozen=True)
class Served:
    """A library that `reidtrack serve` shows.

    Attributes:
        folder: holds the library ``lib``, the run ``monday`` and the clips.
        address: of the server.
        identities: number in the run by person of the truth.
        picture: of person 1, from a moment of the camera ``street``.
    """

    folder: Path
    address: str
    identities: dict[int, int]
    picture: Path


def stock(folder: Path, drawn: Path) -> tuple[dict[int, int], Path]:
    """Make a library of the demo's people in a folder: their numbers by person of the truth, and person 1's picture."""
    clips = [numbered(drawn / f"{camera.name}.mp4", folder / f"{camera.name}.mp4") for camera in CAMERAS]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = [clip.name for clip in clips]
        assert main(["run", "--videos", *names, "--fps", "5", "--embedder", "edge", "--out", "monday"]) == 0
        assert main(["index", "lib", "monday"]) == 0
    truth = {clip.stem: read_mot_lines(drawn / f"truth/{clip.stem}.txt").boxes for clip in clips}
    found = {camera: read_mot_lines(folder / f"monday/tracks/{camera}.txt").boxes for camera in truth}
    looked_at = {camera: np.isin(boxes.frame, found[camera].frame) for camera, boxes in truth.items()}
    people = compare({camera: boxes.take(looked_at[camera]) for camera, boxes in truth.items()}, found)
    identities = {}
    for person in people:
        numbers = {person.main_identity(camera) for camera in truth} - {None}
        if len(numbers) == 1:
            identities[person.truth] = numbers.pop()
    return identities, _picture(folder, truth["street"].take(~looked_at["street"]))


def _picture(folder: Path, truth: Boxes) -> Path:
    """Person 1 where the box is largest, of frames that the run did not look at."""
    row = max(np.flatnonzero(truth.id == 1), key=lambda row: truth.area[row])
    left, top, right, bottom = truth.xyxy[row].round().astype(int)
    with VideoReader(folder / "street.mp4") as video:
        (image,) = (frame.image for frame in video if frame.index == truth.frame[row])
    path = folder / "person.jpg"
    cv2.imwrite(str(path), image[max(top, 0) : bottom, max(left, 0) : right])
    return path


@pytest.fixture(scope="session")
def served(tmp_path_factory, demo):  # noqa: F811
    """`reidtrack serve` in a process of its own, as a user starts it."""
    folder = tmp_path_factory.mktemp("served")
    identities, picture = stock(folder, demo)
    command = [sys.executable, "-m", "tracker", "serve", "lib", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = itertools.takewhile(bool, iter(server.stdout.readline, ""))
            address = next(found[0] for line in lines if (found := re.search(r"http://[^\s/]+", line)))
            yield Served(folder, address, identities, picture)
        finally:
            server.kill()


@pytest.fixture(scope="session")
def chromium():
    """A browser without a window."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed: pip install 'reidtrack[test]'")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium, served):
    """A page of a fresh visitor; nothing may be asked from elsewhere, and no script may fail."""
    context = chromium.new_context(base_url=served.address, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda line: failed.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    elsewhere = [url for url in asked if not url.startswith((served.address, "blob:", "data:"))]
    assert elsewhere == []
    assert failed == []
