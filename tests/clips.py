"""Small clips for tests: the demo's people, cut short, so that a real detector finds real people."""

from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np

from tracker.encode import VideoWriter
from tracker.video import VideoReader


def cut(source: Path, out: Path, first: int, last: int) -> Path:
    """Frames ``first`` to ``last`` (1-based, inclusive) of a video as a clip of its own, starting at 0."""
    with VideoReader(source) as video:
        info = video.info
        with VideoWriter(out, info.width, info.height, info.rate) as writer:
            for frame in video:
                if first <= frame.index <= last:
                    writer.write(frame.image, (frame.index - first) / info.rate)
    return out


def empty_room(out: Path, frames=12, rate=10, size=(120, 160), noise=0) -> Path:
    """A clip without people; ``noise`` makes its file large."""
    rng = np.random.default_rng(0)
    with VideoWriter(out, size[1], size[0], rate) as writer:
        for number in range(frames):
            writer.write(rng.integers(90 - noise, 91 + noise, (*size, 3), np.uint8), number / rate)
    return out


def silence(out: Path) -> Path:
    """A file with sound only."""
    with av.open(str(out), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        for number in range(10):
            frame.pts = number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out


def photograph(name: str) -> np.ndarray:
    """A picture that the ultralytics package carries, (h, w, 3) uint8 BGR."""
    folder = Path(find_spec("ultralytics").origin).parent / "assets"
    return cv2.imread(str(folder / name))
