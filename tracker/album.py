"""An album: a folder of photos as a recording, each photo a frame and each person in it a tracklet of one box.

Nothing is followed from photo to photo. Photos have no clock here: cameras' clocks disagree, and edited or forwarded
pictures lost theirs. Photo number i, in natural order of names, is at i seconds, so that two people of an album share a
moment exactly where they share a photo.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tracker.errors import VideoError
from tracker.files import sha256
from tracker.recordings import is_heic, is_photo, natural_order
from tracker.tracklets import BestCrops, geometric_quality
from tracker.types import Detections, Frame, Image, Tracklet, TrackletKey

# No other frame confirms a weak box: of those from 0.3 to 0.4, under four in ten were people (PETS 2009, NLPR_MCT).
MIN_SCORE = 0.4


class Album(NamedTuple):
    """What a folder holds.

    Attributes:
        photos: names of the files in natural order; photo number i is ``photos[i - 1]``.
        content: SHA-256 over their names and contents, hexadecimal.
        failed: one message for what cannot be read and is left out.
    """

    photos: tuple[str, ...]
    content: str
    failed: tuple[str, ...]


def open_album(folder: Path) -> Album:
    """List a folder's photos and take their content's hash; the pictures are not decoded.

    Raises:
        VideoError: no photo in it can be read.
        OSError: the folder cannot be listed.
    """
    names = natural_order(path.name for path in folder.iterdir() if path.is_file())
    failed = []
    if heic := [name for name in names if is_heic(name)]:
        others = f" and {len(heic) - 1} others" if len(heic) > 1 else ""
        failed.append(f"{folder}: HEIC pictures cannot be read ({heic[0]}{others}); convert them to JPEG")
    contents = []
    for name in filter(is_photo, names):
        try:
            contents.append((name, sha256(folder / name)))
        except OSError as error:
            failed.append(f"{folder / name}: cannot be read ({error.strerror}); check its permissions")
    if not contents:
        raise VideoError(failed[0] if failed else f"{folder}: no photos in this folder; give a folder of photos")
    content = hashlib.sha256(repr(contents).encode()).hexdigest()
    return Album(tuple(name for name, _ in contents), content, tuple(failed))


def read_photos(folder: Path, photos: Sequence[str]) -> Iterator[Frame]:
    """The photos that can be decoded, upright, one at a time; ``index`` is the photo's number."""
    for number, name in enumerate(photos, 1):
        image = read_photo(folder / name)
        if image is not None:
            yield Frame(number, float(number), image)


def read_photo(path: Path) -> Image | None:
    """(h, w, 3) uint8 BGR of a picture of any kind, turned as its EXIF says; None where it cannot be decoded."""
    try:
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):  # OpenCV raises for pictures too large, and returns None for others
        return None
    return None if image is None else np.asarray(image, np.uint8)


def people(frame: Frame, found: Detections, recording: str, before: int) -> list[Tracklet]:
    """A tracklet for each person in a photo whom the detector is sure enough of.

    Args:
        frame: the photo.
        found: all its detections.
        recording: the album's name.
        before: the number of the album's last tracklet so far; theirs go on from there.
    """
    quality = geometric_quality(found, found, (frame.image.shape[0], frame.image.shape[1]))
    tracklets: list[Tracklet] = []
    for row in np.flatnonzero(found.score >= MIN_SCORE):
        best = BestCrops(1)
        best.offer(frame, found.xyxy[row], float(quality[row]))
        if crops := best.encode():
            key = TrackletKey(recording, before + len(tracklets) + 1)
            one = slice(row, row + 1)
            index, time_s = np.array([frame.index], np.int64), np.array([frame.time_s], np.float64)
            tracklets.append(Tracklet(key, "", index, time_s, found.xyxy[one], found.score[one], crops))
    return tracklets


def damaged_message(path: Path) -> str:
    """What the user is told of a photo that cannot be decoded."""
    return f"{path}: not a picture that can be decoded; copy it again, convert it to JPEG or remove it"
