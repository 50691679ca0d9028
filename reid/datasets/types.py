"""What a data set is to the rest of ``reid``."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reid.errors import DataError

JUNK = -1  # Market-1501's own convention: never scored
DISTRACTOR = 0  # a person or background in the gallery who is nobody's match: scored as a negative


@dataclass(frozen=True)
class ImageSet:
    """Images with identities and cameras.

    Attributes:
        paths: n image files.
        pid: (n,) int64 identities; ``JUNK`` and ``DISTRACTOR`` as above in a gallery.
        camera: (n,) int64 cameras.
    """

    paths: tuple[Path, ...]
    pid: npt.NDArray[np.int64]
    camera: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        expected = (len(self.paths),)
        if self.pid.shape != expected or self.camera.shape != expected:
            raise ValueError(f"expected pid and camera {expected}, got {self.pid.shape} and {self.camera.shape}")

    def __len__(self) -> int:
        return len(self.paths)

    def labels(self) -> npt.NDArray[np.int64]:
        """(n,) identities renumbered 0..C-1 in ascending order."""
        return np.unique(self.pid, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class Split:
    """A data set's parts; ``query`` and ``gallery`` are None for a set that only trains."""

    train: ImageSet
    query: ImageSet | None = None
    gallery: ImageSet | None = None


def join(sets: list[ImageSet]) -> ImageSet:
    """Several training sets as one, identities and cameras kept apart."""
    pids, cameras = [], []
    next_pid = next_camera = 0
    for images in sets:
        labels = images.labels()
        numbers = np.unique(images.camera, return_inverse=True)[1].astype(np.int64)
        pids.append(labels + next_pid)
        cameras.append(numbers + next_camera)
        next_pid += int(labels.max()) + 1
        next_camera += int(numbers.max()) + 1
    paths = tuple(path for images in sets for path in images.paths)
    return ImageSet(paths, np.concatenate(pids), np.concatenate(cameras))


def read_folder(folder: Path, pattern: re.Pattern[str], example: str) -> ImageSet:
    """Read a folder whose file names carry identity and camera as the pattern's groups 1 and 2.

    Raises:
        DataError: the folder is absent or no image's name matches.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected images named like {example} in it")
    paths, pids, cameras = [], [], []
    for path in sorted(folder.iterdir()):
        match = pattern.match(path.name)
        if match and path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            paths.append(path)
            pids.append(int(match[1]))
            cameras.append(int(match[2]))
    if not paths:
        raise DataError(f"{folder}: no image named like {example}; is it the right data set?")
    return ImageSet(tuple(paths), np.array(pids, np.int64), np.array(cameras, np.int64))
