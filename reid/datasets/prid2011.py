"""PRID 2011, its multi-shot part (Hirzer et al., SCIA 2011): tracklets from two cameras.

::

    prid_2011/                        or a folder that holds it
        multi_shot/
            cam_a/person_0001/        0001.png, 0002.png ...
            cam_b/person_0001/
        splits_prid2011.json          torchreid's, made from the next, it says
        train_test_splits_prid.mat    iLIDS-VID's; both files may be absent, and may lie beside prid_2011/

Persons 1 to 200 are in both cameras. By custom (Wang et al., ECCV 2014) only the 178 with at least 27 frames in each
camera count, 89 to train on and 89 to test on, and the result is the mean over 10 splits. Without either file the
splits are random, and the number of the split is the seed. Camera a asks, camera b is the gallery.
"""

import re
from pathlib import Path

import numpy as np

from reid.datasets.read import base_of, frames_in, listed, tracklet_set
from reid.datasets.splits import by_identity, first_half, half_of, read_splits
from reid.datasets.types import Split, TrackletSet
from reid.errors import DataError

SPLITS = 10
SHARED = 200  # higher numbers are different people in the two cameras
SHORTEST = 27
_NAME = re.compile(r"person_(\d+)")


def prid2011(folder: Path, split: int) -> Split:
    """Load a split of the 178 people.

    Raises:
        DataError: folders, frames or splits are not as above.
    """
    base = base_of(folder, "prid_2011", "multi_shot")
    everyone = _tracklets(base / "multi_shot")
    if listing := _first_file(folder / "splits_prid2011.json", base / "splits_prid2011.json"):
        train, test = _listed(listing, split)
        return by_identity(everyone.take(np.isin(everyone.pid, [*train, *test])), test, folder)
    long = _long_in_both(everyone, folder)
    if listing := _first_file(folder / "train_test_splits_prid.mat", base / "train_test_splits_prid.mat"):
        return by_identity(long, first_half(listing, np.unique(long.pid), split), folder)
    return by_identity(long, half_of(long.pid, split), folder)


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _listed(listing: Path, split: int) -> tuple[set[int], set[int]]:
    """Identities to train on and to test on."""
    entries = read_splits(listing, "train", "test")
    if split >= len(entries):
        raise DataError(f"{listing}: has {len(entries)} splits, none with number {split}; fetch it again")
    train, test = ([_NAME.fullmatch(str(name)) for name in entries[split][part]] for part in ("train", "test"))
    return {int(match[1]) for match in train if match}, {int(match[1]) for match in test if match}


def _tracklets(multi_shot: Path) -> TrackletSet:
    """Those of the people in both cameras, long or short."""
    return tracklet_set(
        (frames_in(path), int(match[1]), camera)
        for camera, name in ((1, "cam_a"), (2, "cam_b"))
        for path in listed(multi_shot / name, "folders named like person_0001")
        if (match := _NAME.fullmatch(path.name)) and int(match[1]) <= SHARED
    )


def _long_in_both(tracklets: TrackletSet, folder: Path) -> TrackletSet:
    """Those of the people whose two tracklets are long enough."""
    enough = np.array([len(frames) >= SHORTEST for frames in tracklets.frames], np.bool_)
    people = [set(tracklets.pid[enough & (tracklets.camera == camera)].tolist()) for camera in (1, 2)]
    found = tracklets.take(np.isin(tracklets.pid, list(people[0] & people[1])))
    if not len(found):
        raise DataError(f"{folder}: nobody with {SHORTEST} frames in both cameras; is the data set complete?")
    return found
