"""CUHK01 (Li et al., ACCV 2012): 971 people, two pictures from each of two views.

::

    CUHK01/
        campus/        0001003.png: person 1, picture 3; pictures 1 and 2 are of the first view, 3 and 4 of the second
        splits.json    torchreid's; may be absent

Ten splits in halves. The set has no official ones: splits.json is followed where it is, otherwise they are random, and
the number of the split is the seed. The first view asks, the second is the gallery.
"""

import re
from pathlib import Path

from reid.datasets.read import base_of, image_set, images_in
from reid.datasets.splits import halves
from reid.datasets.types import Split
from reid.errors import DataError

SPLITS = 10
_NAME = re.compile(r"(\d{4})(\d{3})\.")


def cuhk01(folder: Path, split: int) -> Split:
    """Load CUHK01: 485 people to train on, 486 to test on."""
    base = base_of(folder, "campus", "0001001.png")
    found = [(path, _NAME.match(path.name)) for path in images_in(base, "campus/ or pictures named like 0001001.png")]
    images = image_set((path, int(match[1]), (int(match[2]) + 1) // 2) for path, match in found if match)
    if not len(images):
        raise DataError(f"{base}: no picture named like 0001001.png; is it the right data set?")
    return halves(images, split, folder)
