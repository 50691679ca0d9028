"""Recordings for browsers: which they play as they are, and the others as H.264 while it is made.

What browsers play: H.264 of 8 bits 4:2:0 in MP4 or QuickTime, VP8, VP9 and AV1 in WebM, VP9 and AV1 in MP4. A file that
only looks like a recording is never sent as it is: it has to be one of these.
"""

import contextlib
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from tracker.types import Image, Recording, Times
from tracker.video import upright
from tracker.web.clock import EXACT_S
from tracker.web.containers import Opened, opened

MP4, WEBM = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
PLAIN = {"yuv420p", "yuvj420p"}
PLAYED = {MP4: {"h264", "vp9", "av1"}, WEBM: {"vp8", "vp9", "av1"}}
TYPES = {MP4: "video/mp4", WEBM: "video/webm"}
AT_ONCE = 4  # recordings that are being transcoded
TICKS = 90_000
FRAGMENT_S = 1.0
FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"

_room = threading.BoundedSemaphore(AT_ONCE)


def played_as(path: Path) -> str | None:
    """The media type of a file that browsers play as it is; None for all others.

    Raises:
        VideoError: it is absent or no video.
    """
    with opened(path) as file:
        codec, kind = file.stream.codec_context.codec.canonical_name, file.container.format.name
        plain = file.stream.codec_context.pix_fmt in PLAIN
    return TYPES[kind] if plain and codec in PLAYED.get(kind, ()) else None


def transcoded(recording: Recording, times: Times, number: int) -> Iterator[bytes]:
    """A recording as fragmented MP4, made while it is taken; its time line begins with frame ``number``.

    Frames that cannot be decoded are passed over. There is no sound.

    Args:
        recording: a video.
        times: of its frames, from ``Clocks``.
        number: from 1.

    Raises:
        VideoError: the file is absent or no video.
    """
    begin_s = float(times[number - 1])
    output = _Output()
    container: Any = None
    stream: Any = None
    try:
        for picture, time_s, rate in _pictures_from(recording.path, begin_s):
            image = _even(upright(picture))
            if container is None:
                container = av.open(output, "w", format="mp4", options={"movflags": FRAGMENTED})
                stream = _stream(container, image, rate)
            container.mux(stream.encode(_stamped(image, time_s - begin_s)))
            yield from output.taken()
        if container is not None:
            container.mux(stream.encode(None))
    finally:
        if container is not None:
            container.close()
    yield from output.taken()


def room() -> bool:
    """Take a place among those that are served transcoded at once; ``leave`` gives it back."""
    return _room.acquire(blocking=False)


def leave() -> None:
    """Give the place back."""
    _room.release()


class _Output:
    """Where a muxer writes to that cannot go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts


def _pictures_from(path: Path, begin_s: float) -> Iterator[tuple[VideoFrame, float, Fraction | None]]:
    """Pictures from a moment on, with their times and the file's rate.

    A file without an index may be sought to a place after the one that was meant: then from earlier, or the beginning.
    """
    for back_s in (0.0, 10.0, None):
        reached = False
        with opened(path) as file:
            if back_s is not None:
                with contextlib.suppress(av.error.FFmpegError, OSError):
                    file.seek(begin_s - back_s)
            for picture in _pictures(file):
                time_s = picture.time - file.origin_s
                if not reached and back_s is not None and time_s > begin_s + EXACT_S:
                    break
                reached = True
                if time_s >= begin_s - EXACT_S:
                    yield picture, time_s, file.stream.average_rate
        if reached:
            return


def _pictures(file: Opened) -> Iterator[VideoFrame]:
    """All that can be decoded."""
    packets = file.container.demux(file.stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            packet = None
        pictures: list[VideoFrame] = []
        with contextlib.suppress(av.error.FFmpegError, OSError):
            pictures = file.stream.codec_context.decode(packet)
        yield from (picture for picture in pictures if picture.time is not None)
        if packet is None:
            return


def _even(image: Image) -> Image:
    """As 4:2:0 colour needs it."""
    bottom, right = image.shape[0] % 2, image.shape[1] % 2
    if not (bottom or right):
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def _stream(container: Any, image: Image, rate: Fraction | None) -> Any:
    nominal = Fraction(rate or 25).limit_denominator(1001)
    options = {"crf": "23", "preset": "ultrafast", "tune": "zerolatency"}
    stream = container.add_stream("libx264", rate=nominal, options=options)
    stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    stream.codec_context.gop_size = max(round(float(nominal) * FRAGMENT_S), 1)
    return stream


def _stamped(image: Image, time_s: float) -> VideoFrame:
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
    picture.time_base, picture.pts = Fraction(1, TICKS), round(time_s * TICKS)
    return picture
