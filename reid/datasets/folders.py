"""Your own pictures, as plain folders.

::

    folder/                            tracklet_folder/
        0001_c1_anything.jpg               0001_c1_anything/    the frames of one tracklet, in order of their names
        0001_c2_anything.jpg               0001_c2_anything/
        query/      may be absent,         query/
        gallery/    both of them           gallery/

Names begin with the identity and the camera: ``0001_c1`` is person 1 in camera 1. In a gallery, identity 0 is nobody's
match and -1 is not scored. With ``query`` and ``gallery``, the rest may be empty: the set then only tests.
"""

import re
from collections.abc import Callable
from pathlib import Path

from reid.datasets.read import frames_in, image_set, images_in, listed, tracklet_set
from reid.datasets.types import ImageSet, Labelled, Split, TrackletSet
from reid.errors import DataError

_NAME = re.compile(r"(-?\d+)_c(\d+)(?!\d)")


def folder(folder: Path, split: int) -> Split:
    """Load images named ``PID_cCAM_*``."""
    return _parts(folder, _images, "images named like 0001_c1_anything.jpg")


def tracklet_folder(folder: Path, split: int) -> Split:
    """Load tracklets: folders of frames named ``PID_cCAM_*``."""
    return _parts(folder, _tracklets, "folders of frames named like 0001_c1_anything")


def _parts(folder: Path, read: Callable[[Path, str], Labelled], expected: str) -> Split:
    train = read(folder, expected)
    query, gallery = folder / "query", folder / "gallery"
    if query.is_dir() and gallery.is_dir():
        return Split(train, _not_empty(query, read, expected), _not_empty(gallery, read, expected))
    return Split(_not_empty(folder, read, expected))


def _not_empty(folder: Path, read: Callable[[Path, str], Labelled], expected: str) -> Labelled:
    found = read(folder, expected)
    if not len(found):
        raise DataError(f"{folder}: expected {expected} in it, and found none")
    return found


def _images(folder: Path, expected: str) -> ImageSet:
    found = [(path, _NAME.match(path.name)) for path in images_in(folder, expected)]
    return image_set((path, int(match[1]), int(match[2])) for path, match in found if match)


def _tracklets(folder: Path, expected: str) -> TrackletSet:
    found = [(path, _NAME.match(path.name)) for path in listed(folder, expected) if path.is_dir()]
    return tracklet_set((frames_in(path), int(match[1]), int(match[2])) for path, match in found if match)
