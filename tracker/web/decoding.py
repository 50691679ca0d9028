"""One frame of a recording, exactly."""

import math

import av
import cv2
import numpy as np

from tracker.album import read_photo
from tracker.errors import VideoError
from tracker.types import Image, Recording, Times
from tracker.video import VideoReader, upright
from tracker.web.clock import EXACT_S
from tracker.web.containers import opened

JPEG_QUALITY = 92
MARGIN_S = 0.5  # decoders may hand out pictures after a seek that their file's index places a little later


def frame(recording: Recording, number: int, times: Times | None) -> Image | None:
    """A frame, upright, (h, w, 3) uint8 BGR; None where there is none of this number, or it cannot be decoded.

    Args:
        recording: a video or an album.
        number: from 1; of an album, the photo's.
        times: of a video's frames, from ``Clocks``.

    Raises:
        VideoError: the file is absent or no video.
    """
    if recording.photos:
        there = 1 <= number <= len(recording.photos)
        return read_photo(recording.path / recording.photos[number - 1]) if there else None
    if times is None or not 1 <= number <= len(times) or math.isnan(times[number - 1]):
        return None
    time_s = float(times[number - 1])
    for begin_s in (time_s, time_s - 10, None):  # None: from the beginning, however long that takes
        found = _from(recording, time_s, begin_s)
        if found is not None:
            return found
    return next((one.image for one in VideoReader(recording.path) if one.index == number), None)


def _from(recording: Recording, time_s: float, begin_s: float | None) -> Image | None:
    """The frame of a moment, decoding from the key frame before ``begin_s``; None where that is passed over."""
    try:
        with opened(recording.path) as file:
            if begin_s is not None:
                file.seek(begin_s)
            for picture in file.container.decode(file.stream):
                if picture.time is None or picture.time - file.origin_s > time_s + MARGIN_S:
                    return None
                if abs(picture.time - file.origin_s - time_s) <= EXACT_S:
                    return upright(picture)
    except (av.error.FFmpegError, OSError):
        return None
    return None


def jpeg(image: Image) -> bytes:
    """A BGR picture as JPEG.

    Raises:
        VideoError: it is too large for that.
    """
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise VideoError(f"a picture of {image.shape[1]}x{image.shape[0]} pixels cannot be shown")
    return np.asarray(encoded).tobytes()


def png(image: Image) -> bytes:
    """A BGR picture as PNG, which loses nothing."""
    return np.asarray(cv2.imencode(".png", image)[1]).tobytes()
