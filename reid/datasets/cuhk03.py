"""CUHK03 by its old protocol (Li et al., CVPR 2014): 20 splits that test on 100 people each.

::

    cuhk03/
        cuhk03_release/cuhk-03.mat      or cuhk-03.mat, or:
        images_labeled/                 see reid/datasets/cuhk03_images.py
        images_detected/
        splits_classic_labeled.json     torchreid's, read where cuhk-03.mat is absent
        splits_classic_detected.json

A person is seen by one pair of cameras. Queries are the first view's pictures of the test people, the gallery is the
second view's; scores are by one random picture of each, repeated, and the mean over the splits. ``labeled`` crops were
drawn by hand, ``detected`` ones are a detector's.
"""

from pathlib import Path

from reid.datasets.cuhk03_images import Boxes, cuhk03_images, people_to_test, release
from reid.datasets.splits import by_identity, listed_test
from reid.datasets.types import Split
from reid.errors import DataError

SPLITS = 20


def cuhk03_labeled(folder: Path, split: int) -> Split:
    """Load a split of the crops drawn by hand: 1,367 people to train on, 100 to test on."""
    return _classic(folder, split, "labeled")


def cuhk03_detected(folder: Path, split: int) -> Split:
    """Load a split of the detector's crops: 1,367 people to train on, 100 to test on."""
    return _classic(folder, split, "detected")


def _classic(folder: Path, split: int, boxes: Boxes) -> Split:
    images = cuhk03_images(folder, boxes)
    mat, listing = release(folder), folder / f"splits_classic_{boxes}.json"
    if mat.is_file():
        tested = people_to_test(mat, split)
    elif listing.is_file():
        tested = listed_test(images, split, listing)
    else:
        raise DataError(f"{folder}: expected cuhk-03.mat or {listing.name} in it; they say which people to test on")
    return by_identity(images, tested, folder)
