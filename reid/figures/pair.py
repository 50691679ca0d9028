"""Two pictures side by side, and the probability that they show one person."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from reid.figures.style import BLUE, DPI, FONT, INK, QUIET, SIZE, SMALL, new_figure, save
from reid.images import Image

# In pixels: pictures are placed exactly, so that they are resampled once.
CELL = (512, 384)  # height, width that a picture fits into
BORDER = 6
GAP = 32
MARGIN = 32
CAPTION = 44
ANSWER = 84
BASIS = 40
WIDE = 27  # letters of a name; of a longer one the end is shown, which tells files of one folder apart


def crop_pair(path: Path, left: Image, right: Image, names: tuple[str, str], answer: str, basis: str) -> Path:
    """Pictures A and B, neither stretched, their names under them, the answer large below, and what it rests on.

    Args:
        path: of the PNG.
        left, right: RGB (h, w, 3) uint8.
        names: one line each.
        answer: such as "93% the same person".
        basis: one line.

    Raises:
        ValueError: an image that is not (h, w, 3) uint8, or is empty.
    """
    height = 2 * MARGIN + CELL[0] + 2 * BORDER + CAPTION + ANSWER + BASIS
    width = 2 * MARGIN + 2 * (CELL[1] + 2 * BORDER) + GAP
    pixels = np.full((height, width, 3), 255, np.uint8)
    figure = new_figure(width / DPI, height / DPI, layout=None)

    def write(x: float, y: float, words: str, **how: Any) -> None:
        how = {"color": INK, "family": FONT, "ha": "center", "va": "center", "parse_math": False, **how}
        figure.text(x / width, 1 - y / height, words, **how)

    below = MARGIN + CELL[0] + 2 * BORDER
    for number, (letter, image, name) in enumerate(zip("AB", (left, right), names, strict=True)):
        middle = MARGIN + CELL[1] // 2 + BORDER + number * (CELL[1] + 2 * BORDER + GAP)
        _paste(pixels, middle, image)
        shown = name if len(name) <= WIDE else f"…{name[1 - WIDE :]}"
        write(middle, below + CAPTION / 2, f"{letter}: {shown}", color=QUIET, size=SMALL)
    write(width / 2, below + CAPTION + ANSWER / 2, answer, size=2 * SIZE, weight="bold")
    write(width / 2, below + CAPTION + ANSWER + BASIS / 2, basis, color=QUIET, size=SMALL)
    figure.figimage(pixels)
    return save(figure, path)


def _paste(pixels: Image, middle: int, image: Image) -> None:
    """A bordered image, as large as its cell allows, standing on the cells' common floor."""
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
        raise ValueError(f"expected an image (h, w, 3) uint8, got {image.shape} {image.dtype}")
    scale = min(CELL[0] / image.shape[0], CELL[1] / image.shape[1])
    height, width = (min(max(round(side * scale), 1), room) for side, room in zip(image.shape, CELL, strict=False))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    bottom, start = MARGIN + BORDER + CELL[0], middle - width // 2
    frame = pixels[bottom - height - BORDER : bottom + BORDER, start - BORDER : start + width + BORDER]
    frame[:] = list(bytes.fromhex(BLUE[1:]))
    frame[BORDER:-BORDER, BORDER:-BORDER] = cv2.resize(image, (width, height), interpolation=how)
