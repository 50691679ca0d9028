"""Crops to calibrate on: of a run's own people, or any folder of pictures of people."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from reid.datasets.read import SUFFIXES
from reid.errors import BadInputError, DataError
from reid.images import Image, read_image

FEWEST = 32  # pictures; of fewer, a layer's range hangs on what one of them shows


def read_crops(paths: Sequence[Path], limit: int) -> list[Image]:
    """Read pictures of people, as many of every camera as of the others as far as they go.

    Args:
        paths: run directories, whose ``crops`` are taken, and folders of pictures, with the folders inside them. Every
            folder that holds pictures counts as a camera; of one, the pictures are spread evenly over its names in
            order, which in a run is time.
        limit: pictures at most, at least ``FEWEST``.

    Returns:
        RGB crops (h, w, 3) uint8 of their own sizes, folder by folder.

    Raises:
        BadInputError: no path, or one that is no folder.
        DataError: there are fewer than ``FEWEST`` pictures, or one is not an image.
    """
    if limit < FEWEST:
        raise ValueError(f"limit: expected at least {FEWEST}, got {limit}")
    if not paths:
        raise BadInputError("INT8 is calibrated on crops; name a run directory or a folder of pictures of people")
    folders = [found for path in paths for found in _folders(path)]
    total = sum(map(len, folders))
    if total < FEWEST:
        named = ", ".join(map(str, paths))
        raise DataError(
            f"{named}: {total} pictures, where calibration needs at least {FEWEST}; name more runs or folders"
        )
    shares = _shares([len(folder) for folder in folders], limit)
    return [
        read_image(folder[i])
        for folder, share in zip(folders, shares, strict=True)
        for i in np.linspace(0, len(folder) - 1, share).round().astype(int)
    ]


def _folders(path: Path) -> list[list[Path]]:
    """The pictures of every folder that has some, in order of their names."""
    if not path.is_dir():
        raise BadInputError(f"{path}: no such folder; name a run directory or a folder of pictures of people")
    is_run = (path / "run.json").is_file()
    base = path / "crops" if is_run else path
    found: dict[Path, list[Path]] = {}
    for one in _visible(base):
        if one.suffix.lower() in SUFFIXES:
            found.setdefault(one.parent, []).append(one)
    return [sorted(found[folder]) for folder in sorted(found)]


def _visible(base: Path) -> Iterable[Path]:
    """All files below, without hidden ones: some systems leave a hidden file beside every picture."""
    return (
        path
        for path in base.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(base).parts)
    )


def _shares(counts: Sequence[int], limit: int) -> list[int]:
    """How many of each: equal shares, where what a small one cannot give is shared by the others.

    >>> _shares([100, 2, 100], 11)
    [5, 2, 4]
    """
    shares = [0] * len(counts)
    left = min(limit, sum(counts))
    while left:
        for i, count in enumerate(counts):
            if left and shares[i] < count:
                shares[i] += 1
                left -= 1
    return shares
