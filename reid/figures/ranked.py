"""Ranked lists: queries with their nearest gallery images, right and wrong ones marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reid.figures.style import BLUE, DPI, FONT, GREEN, INK, QUIET, SIZE, SMALL, VERMILLION, new_figure, save
from reid.images import Image, resize_crop

MATCHES = 10

# Everything in pixels: a page is drawn exactly, so that no crop is resampled twice.
CROP = (256, 128)
BORDER = 6
CELL = (CROP[0] + 2 * BORDER, CROP[1] + 2 * BORDER)
GAP = 10
MARGIN = 24
LEGEND = 44
TITLE = 36
CAPTION = 32
PITCH = TITLE + CELL[0] + CAPTION + GAP
COLUMNS = 6  # the fewest: the legend needs them


class Match(NamedTuple):
    """One place of a ranked list: RGB (h, w, 3) uint8, whether it shows the query's person, distance and camera."""

    image: Image
    right: bool
    distance: float
    camera: int


class RankedList(NamedTuple):
    """A query, RGB (h, w, 3) uint8, with a line of words about it and up to 10 matches, nearest first."""

    query: Image
    title: str
    matches: Sequence[Match]


def ranked_lists(path: Path, rows: Sequence[RankedList]) -> Path:
    """Queries, bordered blue, and their matches, green with a tick or vermillion with a cross.

    Args:
        path: of the PNG.
        rows: from top to bottom; 8 to 12 make a page. Images are stretched to 256x128 pixels.

    Raises:
        ValueError: no row, a row without matches or with more than 10, or an image that is not (h, w, 3) uint8.
    """
    if not rows:
        raise ValueError("expected at least one ranked list, got none")
    for _, title, matches in rows:
        if not 1 <= len(matches) <= MATCHES:
            raise ValueError(f"{title!r}: expected 1..{MATCHES} matches, got {len(matches)}")
    page = _Page(len(rows), max(len(matches) for _, _, matches in rows))
    for number, (query, title, matches) in enumerate(rows):
        top = MARGIN + LEGEND + number * PITCH
        below = top + TITLE + CELL[0] + CAPTION / 2
        page.write(MARGIN, top + TITLE / 2 - 3, title, size=SIZE)
        page.paste(MARGIN, top + TITLE, query, BLUE)
        page.write(MARGIN + CELL[1] / 2, below, "query", color=BLUE, ha="center")
        for place, (image, right, distance, camera) in enumerate(matches, 1):
            left = MARGIN + GAP + place * (CELL[1] + GAP)
            color, mark = (GREEN, "✓") if right else (VERMILLION, "✗")
            page.paste(left, top + TITLE, image, color)
            page.write(left, below, mark, color=color, weight="bold", size=SIZE)
            page.write(left + CELL[1], below, f"c{camera}  {distance:.3f}", color=QUIET, ha="right")
    return page.save(path)


class _Page:
    """Pixels and words, both placed from the top left."""

    def __init__(self, rows: int, columns: int) -> None:
        self.width = 2 * MARGIN + (1 + max(columns, COLUMNS)) * (CELL[1] + GAP)
        self.height = 2 * MARGIN + LEGEND + rows * PITCH - GAP
        self.pixels = np.full((self.height, self.width, 3), 255, np.uint8)
        self.figure = new_figure(self.width / DPI, self.height / DPI, layout=None)
        self.write(MARGIN, MARGIN + 12, "■ query", color=BLUE, weight="bold")
        self.write(MARGIN + 150, MARGIN + 12, "✓ same person", color=GREEN, weight="bold")
        self.write(MARGIN + 375, MARGIN + 12, "✗ another person", color=VERMILLION, weight="bold")
        self.write(self.width - MARGIN, MARGIN + 12, "below each: camera, distance", color=QUIET, ha="right")

    def write(self, x: float, y: float, words: str, **how: Any) -> None:
        """Words whose middle is at height ``y``."""
        how = {"color": INK, "size": SMALL, "family": FONT, "va": "center", "parse_math": False, **how}
        self.figure.text(x / self.width, 1 - y / self.height, words, **how)

    def paste(self, x: int, y: int, image: Image, color: str) -> None:
        """An image with a border whose outer top left corner is (x, y)."""
        if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
            raise ValueError(f"expected an image (h, w, 3) uint8, got {image.shape} {image.dtype}")
        cell = self.pixels[y : y + CELL[0], x : x + CELL[1]]
        cell[:] = list(bytes.fromhex(color[1:]))
        cell[BORDER:-BORDER, BORDER:-BORDER] = resize_crop(image, CROP)

    def save(self, path: Path) -> Path:
        self.figure.figimage(self.pixels)
        return save(self.figure, path)
