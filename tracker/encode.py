"""Writing video with PyAV: H.264 that browsers play, whole or not at all."""

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from tracker.errors import RunError
from tracker.types import Image


class VideoWriter:
    """An H.264 MP4 that browsers play, written beside its final name and moved there when closed without an error.

    Args:
        path: of the finished file.
        width, height: of the pictures; odd sizes are padded by one pixel, as 4:2:0 colour needs.
        rate: nominal frames per second; true times come with each frame.

    Raises:
        RunError: the file cannot be written.
    """

    TICKS = 90_000  # a second; fine enough for any frame rate

    def __init__(self, path: Path, width: int, height: int, rate: float) -> None:
        self.path = path
        self._partial = path.with_suffix(".partial")
        self._pad = (height % 2, width % 2)
        self._last = -1
        try:
            self._partial.touch()  # the container opens it only with the first picture
            self._container = av.open(str(self._partial), "w", format="mp4", options={"movflags": "+faststart"})
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror}); choose another --out") from None
        nominal = Fraction(rate or 25).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=nominal, options={"crf": "23", "preset": "veryfast"})
        self._stream.width, self._stream.height = width + self._pad[1], height + self._pad[0]
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, self.TICKS)

    def write(self, image: Image, time_s: float) -> None:
        """Add a picture, (height, width, 3) uint8 BGR, shown at ``time_s`` seconds from the start."""
        if any(self._pad):
            image = cv2.copyMakeBorder(image, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE)  # type: ignore[assignment]
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        picture.time_base = Fraction(1, self.TICKS)
        picture.pts = self._last = max(round(time_s * self.TICKS), self._last + 1)
        self._mux(picture)

    def _mux(self, picture: VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except OSError as error:
            raise self._full(error) from None

    def _full(self, error: OSError) -> RunError:
        return RunError(f"{self.path}: cannot be written ({error.strerror}); free some disk space")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done = False
        try:
            if kind is None:
                self._mux(None)
                self._close()
                self._partial.replace(self.path)
                done = True
        finally:
            if not done:
                with contextlib.suppress(OSError):
                    self._container.close()
                self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            self._container.close()
        except OSError as error:
            raise self._full(error) from None
