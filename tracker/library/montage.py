"""A search's results as pictures: the examples on top, then each identity with its sightings' best crops."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from reid.figures.style import BLUE, DPI, FAINT, FONT, INK, QUIET, SIZE, SMALL, new_figure, save
from reid.images import Image
from tracker.progress import Progress

# In pixels: pictures are placed exactly, so that they are resampled once.
CROP = (256, 188)  # height, width that a picture fits into
GAP = 20
PITCH = CROP[1] + GAP
MARGIN = 32
HEADING = 56
TITLE = 60
WORDS = 34  # a line of a caption
COLUMNS = 10
LETTERS = 13  # that fit under a picture
SIGHTINGS = 2 * COLUMNS  # shown of an identity
ROWS = 24  # of pictures, on a page


class Cell(NamedTuple):
    """A picture, RGB (h, w, 3) uint8, and what stands under it, line by line."""

    image: Image
    words: Sequence[str]


class Band(NamedTuple):
    """Pictures that belong together, under a title."""

    title: str
    cells: Sequence[Cell]


def montage(
    path: Path, heading: str, examples: Band, found: Sequence[Band], progress: Progress | None = None
) -> list[Path]:
    """Draw what was looked for and what was found.

    Args:
        path: of the PNG. What takes more than one page goes on in ``NAME_2.png`` and so on beside it.
        heading: a line at the top of every page.
        examples: what was looked for; may be without pictures.
        found: in their order. Of more than 20 pictures the last are left out, and it is said how many.
        progress: of several pages; None for none.

    Returns:
        The files written, whole or not at all each.

    Raises:
        ValueError: a picture that is not (h, w, 3) uint8, or is empty.
    """
    bands = [part for band in (examples, *map(_shortened, found)) for part in _rows(band)]
    starts = range(0, len(bands), ROWS)
    shown = progress if progress is not None and len(starts) > 1 else Progress(quiet=True)
    written = []
    with shown.stage("montage", len(starts), "pages") as advance:
        for number, start in enumerate(starts, 1):
            name = path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")
            title = heading if number == 1 else f"{heading}, page {number}"
            written.append(_page(name, title, bands[start : start + ROWS]))
            advance(1)
    return written


def _shortened(band: Band) -> Band:
    left = len(band.cells) - SIGHTINGS
    return Band(f"{band.title}   (+ {left} more)", band.cells[:SIGHTINGS]) if left > 0 else band


def _rows(band: Band) -> Iterator[Band]:
    """The same in rows that are not too wide; only the first has the title."""
    yield Band(band.title, band.cells[:COLUMNS])
    for start in range(COLUMNS, len(band.cells), COLUMNS):
        yield Band("", band.cells[start : start + COLUMNS])


def _height(row: Band) -> int:
    """Of a row, from its title to the gap below it."""
    lines = max((len(cell.words) for cell in row.cells), default=0)
    return TITLE * bool(row.title) + (CROP[0] + lines * WORDS + GAP) * bool(row.cells)


def _page(path: Path, heading: str, rows: Sequence[Band]) -> Path:
    width = 2 * MARGIN + COLUMNS * PITCH - GAP
    height = 2 * MARGIN + HEADING + sum(map(_height, rows))
    pixels = np.full((height, width, 3), 255, np.uint8)
    figure = new_figure(width / DPI, height / DPI, layout=None)

    def write(x: float, y: float, words: str, **how: Any) -> None:
        how = {"color": INK, "family": FONT, "va": "center", "parse_math": False, **how}
        figure.text(x / width, 1 - y / height, words, **how)

    write(MARGIN, MARGIN + HEADING / 3, heading, size=SIZE, color=QUIET)
    top = MARGIN + HEADING
    for row in rows:
        y = top
        if row.title:
            pixels[y : y + 2, MARGIN:-MARGIN] = _rgb(FAINT)
            write(MARGIN, y + TITLE / 2, row.title, size=SIZE, weight="bold")
            y += TITLE
        for place, cell in enumerate(row.cells):
            left = MARGIN + place * PITCH
            _paste(pixels[y : y + CROP[0], left : left + CROP[1]], cell.image)
            for number, words in enumerate(cell.words):
                style = {"weight": "bold", "color": BLUE} if number == 0 else {"color": QUIET}
                write(left, y + CROP[0] + (number + 0.6) * WORDS, _cut(words), size=SMALL, **style)
        top += _height(row)
    figure.figimage(pixels)
    return save(figure, path)


def _paste(room: Image, image: Image) -> None:
    """A picture as large as its room allows, standing on its floor, at the left."""
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
        raise ValueError(f"expected an image (h, w, 3) uint8, got {image.shape} {image.dtype}")
    scale = min(room.shape[0] / image.shape[0], room.shape[1] / image.shape[1])
    height, width = (min(max(round(image.shape[axis] * scale), 1), room.shape[axis]) for axis in (0, 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    room[room.shape[0] - height :, :width] = cv2.resize(image, (width, height), interpolation=how)


def _cut(words: str) -> str:
    """Shortened in the middle, which tells names that begin or end alike apart.

    >>> _cut("entrance-hall-camera")
    'entran…camera'
    """
    half = LETTERS // 2
    return words if len(words) <= LETTERS else f"{words[:half]}…{words[-half:]}"


def _rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))
