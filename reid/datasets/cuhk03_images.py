"""CUHK03's images (Li et al., CVPR 2014), which both of its protocols use.

::

    cuhk03/
        cuhk-03.mat         or cuhk03_release/cuhk-03.mat; MATLAB 7.3 with the pictures and 20 lists of test people
        images_labeled/     1_001_2_08.png: camera pair 1, person 1, view 2, picture 8
        images_detected/

The pictures are taken out of cuhk-03.mat once, under torchreid's names; where their folders are there already, the .mat
is not needed for them.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from reid.datasets.read import base_of, image_set, images_in
from reid.datasets.types import ImageSet
from reid.errors import DataError
from reid.images import Image

Boxes = Literal["labeled", "detected"]

NAME = re.compile(r"(\d)_(\d{3})_([12])_(\d\d)\.png")
PICTURES = 10  # of a person: 1 to 5 from the pair's first view, 6 to 10 from its second; some are missing
_FOREIGN = (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError)  # what h5py raises at other files


def cuhk03_images(folder: Path, boxes: Boxes) -> ImageSet:
    """All pictures of one kind; identity = ``identity(pair, person)``, camera 1 or 2 is the view within the pair.

    Raises:
        DataError: there are neither the pictures nor cuhk-03.mat, or they cannot be read or written.
    """
    pictures = folder / f"images_{boxes}"
    if not pictures.is_dir():
        _extract(release(folder), boxes, pictures)
    found = [(path, NAME.fullmatch(path.name)) for path in images_in(pictures, "pictures named like 1_001_2_08.png")]
    images = image_set((path, identity(match[1], match[2]), int(match[3])) for path, match in found if match)
    if not len(images):
        raise DataError(f"{pictures}: no picture named like 1_001_2_08.png; delete the folder to extract it again")
    return images


def identity(pair: str | int, person: str | int) -> int:
    """One number for a camera pair's person.

    >>> identity(3, 17)
    3017
    """
    return int(pair) * 1000 + int(person)


def release(folder: Path) -> Path:
    """Where cuhk-03.mat is or would be."""
    return base_of(folder, "cuhk03_release", "cuhk-03.mat") / "cuhk-03.mat"


def people_to_test(mat: Path, split: int) -> set[int]:
    """The 100 identities of one of the 20 test sets in cuhk-03.mat.

    Raises:
        DataError: the file is absent or something else.
    """
    import h5py

    try:
        with h5py.File(mat) as content:
            cell = content[np.ravel(content["testsets"][()])[split]]
            return {identity(int(pair), int(person)) for pair, person in cell[()].T}
    except _FOREIGN as error:
        raise _not_the_release(mat, error) from None


def _extract(mat: Path, boxes: Boxes, folder: Path) -> None:
    """Write the pictures into ``folder``, which appears when it is complete."""
    if not mat.is_file():
        raise DataError(f"{folder.parent}: expected cuhk-03.mat, cuhk03_release/cuhk-03.mat or {folder.name} in it")
    unfinished = folder.with_name(folder.name + ".unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name, picture in _pictures(mat, boxes):
            encoded = cv2.imencode(".png", picture[:, :, ::-1])[1]
            (unfinished / name).write_bytes(encoded.tobytes())
        unfinished.rename(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror}); {mat.name} is unpacked there once") from None


def _pictures(mat: Path, boxes: Boxes) -> Iterator[tuple[str, Image]]:
    """(file name, RGB) of all pictures of one kind."""
    import h5py

    try:
        with h5py.File(mat) as content:
            for pair, reference in enumerate(np.ravel(content[boxes][()]), 1):
                cells = content[reference][()]  # (pictures, people): MATLAB's axes come in reverse
                for person, number in np.ndindex(cells.shape[1], PICTURES):
                    picture = content[cells[number, person]][()]
                    if picture.ndim == 3:  # an empty cell holds its dimensions instead
                        view = 1 if number < PICTURES // 2 else 2
                        yield f"{pair}_{person + 1:03}_{view}_{number + 1:02}.png", picture.T
    except _FOREIGN as error:
        raise _not_the_release(mat, error) from None


def _not_the_release(mat: Path, error: Exception) -> DataError:
    return DataError(f"{mat}: cannot be read as CUHK03's MATLAB 7.3 file ({error}); fetch it again")
