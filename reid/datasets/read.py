"""Reading folders and lists: what the data sets' modules share."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reid.datasets.types import ImageSet, Integers, TrackletSet
from reid.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def image_set(entries: Iterable[tuple[Path, int, int]]) -> ImageSet:
    """A set of (path, identity, camera)."""
    rows = list(entries)
    return ImageSet(tuple(row[0] for row in rows), *_labels(rows))


def tracklet_set(entries: Iterable[tuple[tuple[Path, ...], int, int]]) -> TrackletSet:
    """A set of (frames, identity, camera)."""
    rows = list(entries)
    return TrackletSet(tuple(row[0] for row in rows), *_labels(rows))


def read_folder(folder: Path, pattern: re.Pattern[str], example: str) -> ImageSet:
    """Read a folder whose file names carry identity and camera as the pattern's groups 1 and 2.

    Raises:
        DataError: the folder is absent or no image's name matches.
    """
    found = [(path, pattern.match(path.name)) for path in images_in(folder, f"images named like {example}")]
    images = image_set((path, int(match[1]), int(match[2])) for path, match in found if match)
    if not len(images):
        raise DataError(f"{folder}: no image named like {example}; is it the right data set?")
    return images


def one_higher(images: ImageSet) -> ImageSet:
    """The set with every identity one higher, for those that count from 0: that is a distractor here."""
    return replace(images, pid=images.pid + 1)


def images_in(folder: Path, expected: str) -> list[Path]:
    """The images in a folder, sorted by name; ``expected`` as for ``listed``."""
    return [path for path in listed(folder, expected) if path.suffix.lower() in SUFFIXES]


def listed(folder: Path, expected: str) -> list[Path]:
    """What a folder holds, sorted by name.

    Raises:
        DataError: the folder is absent; ``expected`` says in words what should be in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected {expected} in it")
    return sorted(folder.iterdir())


def frames_in(folder: Path) -> tuple[Path, ...]:
    """A tracklet's frames: the images in its folder, sorted by name.

    Raises:
        DataError: the folder is absent or holds no image.
    """
    frames = images_in(folder, "the frames of a tracklet")
    if not frames:
        raise DataError(f"{folder}: no image in it; expected the frames of a tracklet")
    return tuple(frames)


def base_of(folder: Path, inner: str, marker: str) -> Path:
    """Where a set begins: ``folder / inner`` if ``marker`` is there and not in ``folder``, else ``folder``.

    Archives unpack into a folder of their own, and one may point at that or at the one around it.
    """
    nested = folder / inner
    return nested if (nested / marker).exists() and not (folder / marker).exists() else folder


def load_mat(path: Path, name: str) -> Any:
    """The variable ``name`` of a MATLAB file (before version 7.3), dimensions of length 1 taken away.

    Raises:
        DataError: the file is absent, is no such file, or has no such variable.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(f"{path}: no such file; it comes with the data set and holds {name}")
    try:
        return loadmat(path, squeeze_me=True, variable_names=[name])[name]
    except (ValueError, TypeError, NotImplementedError, OSError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file with {name} ({error}); fetch it again") from None


def _labels(rows: Sequence[tuple[object, int, int]]) -> tuple[Integers, Integers]:
    return np.array([row[1] for row in rows], np.int64), np.array([row[2] for row in rows], np.int64)
