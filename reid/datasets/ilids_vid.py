"""iLIDS-VID (Wang et al., ECCV 2014): 300 people, a tracklet from each of two cameras.

::

    iLIDS-VID/
        i-LIDS-VID/sequences/
            cam1/person001/              cam1_person001_00317.png ...
            cam2/person001/
        train-test people splits/
            train_test_splits_ilidsvid.mat

Ten official splits, 150 people to train on and 150 to test on. Camera 1 asks, camera 2 is the gallery.
"""

import re
from pathlib import Path

import numpy as np

from reid.datasets.read import base_of, frames_in, listed, tracklet_set
from reid.datasets.splits import by_identity, first_half
from reid.datasets.types import Split
from reid.errors import DataError

SPLITS = 10
_LISTS = "train-test people splits"
_NAME = re.compile(r"person(\d+)")


def ilids_vid(folder: Path, split: int) -> Split:
    """Load a split of iLIDS-VID. The lists may also lie in ``i-LIDS-VID``."""
    sequences = base_of(folder, "i-LIDS-VID", "sequences") / "sequences"
    tracklets = tracklet_set(
        (frames_in(path), int(match[1]), camera)
        for camera in (1, 2)
        for path in listed(sequences / f"cam{camera}", "folders named like person001")
        if (match := _NAME.fullmatch(path.name))
    )
    if not len(tracklets):
        raise DataError(f"{sequences}: no folder named like cam1/person001; is it the right data set?")
    lists = base_of(folder, "i-LIDS-VID", _LISTS) / _LISTS
    tested = first_half(lists / "train_test_splits_ilidsvid.mat", np.unique(tracklets.pid), split)
    return by_identity(tracklets, tested, folder)
