"""VIPeR (Gray et al., PETS 2007): 632 people, one picture from each of two cameras.

::

    VIPeR/
        cam_a/         000_45.bmp: person 0, seen from 45 degrees
        cam_b/
        splits.json    torchreid's; may be absent, and may lie beside VIPeR/

Ten splits in halves. The set has no official ones: splits.json is followed where it is, otherwise they are random, and
the number of the split is the seed. Camera a asks, camera b is the gallery.
"""

import re
from pathlib import Path

from reid.datasets.read import base_of, image_set, images_in
from reid.datasets.splits import halves
from reid.datasets.types import Split
from reid.errors import DataError

SPLITS = 10
_NAME = re.compile(r"(\d+)_\d+\.")


def viper(folder: Path, split: int) -> Split:
    """Load VIPeR: 316 people to train on, 316 to test on. Identities are one higher than on disk."""
    base = base_of(folder, "VIPeR", "cam_a")
    images = image_set(
        (path, int(match[1]) + 1, camera)
        for camera, name in ((1, "cam_a"), (2, "cam_b"))
        for path in images_in(base / name, "pictures named like 000_45.bmp")
        if (match := _NAME.match(path.name))
    )
    if not len(images):
        raise DataError(f"{base}: no picture named like cam_a/000_45.bmp; is it the right data set?")
    return halves(images, split, folder)
