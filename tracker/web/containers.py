"""A recording's file opened for reading in its middle, on the time line that ``tracker.video`` gives its frames."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from tracker.video import VideoReader

_BROADCAST = {"mpegts", "mpeg", "mpegtsraw"}  # whose clocks start anywhere


@dataclass(frozen=True)
class Opened:
    """An open file: its container, its video stream, and what its stamps are ahead of its own time line, seconds."""

    container: Any
    stream: Any
    origin_s: float

    def seek(self, time_s: float) -> None:
        """Go to the key frame before a moment."""
        self.container.seek(int((time_s + self.origin_s) / self.stream.time_base), stream=self.stream, backward=True)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a recording's file.

    Raises:
        VideoError: it is absent, or no video.
    """
    with VideoReader(path):
        pass  # says what is wrong with a file that is no video
    with av.open(str(path), metadata_errors="replace") as container:
        attached = av.stream.Disposition.attached_pic
        stream = next(one for one in container.streams.video if not one.disposition & attached)
        stream.thread_type = "AUTO"
        broadcast = container.format.name in _BROADCAST and container.start_time is not None
        yield Opened(container, stream, container.start_time / av.time_base if broadcast else 0.0)
