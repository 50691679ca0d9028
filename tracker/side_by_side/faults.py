"""What makes a crop poor evidence, in words for people."""

import cv2
import numpy as np

from reid.images import sharpness
from tracker.tracklets import EDGE_PIXELS
from tracker.types import Floats, Image

SMALL = 64  # pixels of height, half of those from which on size adds nothing
DARK = 40.0  # mean grey level, of 255
BLURRED = 0.1  # sharpness
STANDING = 1.2  # height over width: less is no person from head to feet


def faults(image: Image, *, cut: bool = False) -> tuple[str, ...]:
    """What is wrong with a crop, (h, w, 3) uint8 RGB; nothing where all is well.

    Args:
        image: the crop.
        cut: its box touched the edge of the frame; a crop alone does not tell.
    """
    height, width = image.shape[:2]
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    found = {
        "small": height < SMALL,
        "dark": float(grey.mean()) < DARK,
        "blurred": sharpness(grey) < BLURRED,
        "cut by the edge of the frame": cut,
        "not the shape of a standing person": height < STANDING * width,
    }
    return tuple(words for words, is_so in found.items() if is_so)


def at_the_edge(box: Floats, width: int, height: int) -> bool:
    """Whether a box, (4,) xyxy pixels, touches the edge of a frame of this size."""
    x1, y1, x2, y2 = box
    return bool(min(x1, y1) < EDGE_PIXELS or x2 > width - EDGE_PIXELS or y2 > height - EDGE_PIXELS)
