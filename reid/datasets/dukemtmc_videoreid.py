"""DukeMTMC-VideoReID (Wu et al., CVPR 2018): tracklets, a frame every 12, from 8 cameras. Withdrawn in 2019.

::

    DukeMTMC-VideoReID/
        train/0001/0003/      0001_C6_F0099_X30823.jpg: person 1, camera 6, frame 99 of the tracklet
        query/                older copies have names like 0001C6F0099X30823.jpg
        gallery/
"""

import re
from pathlib import Path

from reid.datasets.read import base_of, frames_in, listed, tracklet_set
from reid.datasets.types import Split, TrackletSet
from reid.errors import DataError

_NAME = re.compile(r"(\d+)_?C(\d)_?F\d+")
_EXAMPLE = "0001/0003/0001_C6_F0099_X30823.jpg"


def dukemtmc_videoreid(folder: Path, split: int) -> Split:
    """Load DukeMTMC-VideoReID: 2,196 tracklets of 702 people to train on, 2,636 of 702 people and 408 others to test.

    The others have identities of their own, which no query has.
    """
    base = base_of(folder, "DukeMTMC-VideoReID", "train")
    return Split(_tracklets(base / "train"), _tracklets(base / "query"), _tracklets(base / "gallery"))


def _tracklets(folder: Path) -> TrackletSet:
    entries = []
    for person in listed(folder, f"tracklets such as {_EXAMPLE}"):
        if not person.is_dir():
            continue
        for tracklet in listed(person, "tracklets"):
            frames = frames_in(tracklet)
            match = _NAME.match(frames[0].name)
            if not match:
                raise DataError(f"{frames[0]}: expected a name such as {_EXAMPLE}; is it the right data set?")
            entries.append((frames, int(match[1]), int(match[2])))
    if not entries:
        raise DataError(f"{folder}: no tracklet such as {_EXAMPLE} in it; is it the right data set?")
    return tracklet_set(entries)
