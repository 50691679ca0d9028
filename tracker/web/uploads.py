"""Pictures from visitors: bounded in bytes and in pixels before anything decodes them, and kept for a while."""

import io
import shutil
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from reid.errors import DataError
from reid.images import decode_image
from tracker.types import Image

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
MAX_PICTURES = 10  # of one search
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
KEPT = 100  # searches whose pictures are kept

_warned = threading.Lock()


def checked(data: bytes, name: str) -> Image:
    """A visitor's picture, decoded: (h, w, 3) uint8 RGB, upright.

    Raises:
        DataError: it is too large in bytes or pixels, or no picture.
    """
    shown = name[-80:] or "the picture"
    if len(data) > MAX_BYTES:
        raise DataError(f"{shown}: {len(data) / 1e6:.0f} MB; give a picture of at most {MAX_BYTES / 1e6:.0f} MB")
    width, height = _size(data, shown)
    if width * height > MAX_PIXELS:
        raise DataError(f"{shown}: {width}x{height} pixels; give one of at most {MAX_PIXELS / 1e6:.0f} megapixels")
    try:
        image = decode_image(np.frombuffer(data, np.uint8))
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{shown}: cannot be decoded; give another copy of the picture")
    return image


def _size(data: bytes, shown: str) -> tuple[int, int]:
    """Width and height as the picture's head says, without decoding it."""
    try:
        with _warned, warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            with Pillow.open(io.BytesIO(data), formats=KINDS) as head:
                return head.size
    except Pillow.DecompressionBombError:
        raise DataError(
            f"{shown}: has too many pixels; give a picture of at most {MAX_PIXELS / 1e6:.0f} megapixels"
        ) from None
    except (OSError, ValueError, SyntaxError, TypeError, ImportError):
        # Pillow's readers raise the first four; once ultralytics is imported, it looks for a further reader
        raise DataError(f"{shown}: not a picture; give a JPEG, PNG, WebP, BMP or TIFF file") from None


def keep(folder: Path, name: str, pictures: Sequence[bytes]) -> list[Path]:
    """Write a search's pictures to a folder of their own, and remove those of the oldest searches."""
    own = folder / name
    own.mkdir(parents=True)
    paths = [own / f"{number}.picture" for number in range(len(pictures))]
    for path, data in zip(paths, pictures, strict=True):
        path.write_bytes(data)
    others = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for old in others[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return paths
