"""What a data set is to the rest of ``reid``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.images import Image, read_image

Integers = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_]
Protocol = Literal["market1501", "single_shot", "mars", "search"]

JUNK = -1  # Market-1501's own convention: never scored
DISTRACTOR = 0  # a person or background in the gallery who is nobody's match: scored as a negative

_EVERYTHING = (0, 0, 2**31 - 1, 2**31 - 1)  # the box of an image that is a crop already


@dataclass(frozen=True)
class ImageSet:
    """Images with identities and cameras.

    Attributes:
        paths: n image files.
        pid: (n,) int64 identities; ``JUNK`` and ``DISTRACTOR`` as above in a gallery.
        camera: (n,) int64 cameras.
        boxes: (n, 4) int64 left, top, right, bottom in pixels, right and bottom not included, where the files show
            more than the person; None where each file is one crop.
    """

    paths: tuple[Path, ...]
    pid: Integers
    camera: Integers
    boxes: Integers | None = None

    def __post_init__(self) -> None:
        _check_labels(len(self.paths), self.pid, self.camera)
        if self.boxes is not None and self.boxes.shape != (len(self.paths), 4):
            raise ValueError(f"expected boxes ({len(self.paths)}, 4), got {self.boxes.shape}")

    def __len__(self) -> int:
        return len(self.paths)

    def labels(self) -> Integers:
        """(n,) identities renumbered 0..C-1 in ascending order."""
        return _renumbered(self.pid)

    def images(self) -> "ImageSet":
        """Itself: every kind of set has its images."""
        return self

    def take(self, rows: Rows) -> "ImageSet":
        """The images at ``rows`` (indices or a mask), in that order."""
        at = np.arange(len(self))[rows]
        boxes = None if self.boxes is None else self.boxes[at]
        return ImageSet(tuple(self.paths[i] for i in at), self.pid[at], self.camera[at], boxes)

    def read(self, index: int) -> Image:
        """Decode one person: RGB (h, w, 3) uint8, cropped where there are boxes. A box is clipped to the image.

        Raises:
            DataError: the file is absent or no image, or the box lies outside it.
        """
        image = read_image(self.paths[index])
        if self.boxes is None:
            return image
        left, top, right, bottom = (int(edge) for edge in self.boxes[index])
        crop = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if not crop.size:
            raise DataError(
                f"{self.paths[index]}: the box {left}, {top}, {right}, {bottom} lies outside this image of"
                f" {image.shape[1]}x{image.shape[0]} pixels; the annotations belong to other files"
            )
        return np.ascontiguousarray(crop)


@dataclass(frozen=True)
class TrackletSet:
    """Tracklets with identities and cameras: frames of one person, from one camera, in order.

    Attributes:
        frames: for each of n tracklets its image files, at least one.
        pid: (n,) int64 identities; ``JUNK`` and ``DISTRACTOR`` as above in a gallery.
        camera: (n,) int64 cameras.
    """

    frames: tuple[tuple[Path, ...], ...]
    pid: Integers
    camera: Integers

    def __post_init__(self) -> None:
        _check_labels(len(self.frames), self.pid, self.camera)
        if not all(self.frames):
            raise ValueError("expected at least one frame in every tracklet, got an empty one")

    def __len__(self) -> int:
        return len(self.frames)

    def images(self) -> ImageSet:
        """All frames as one set of images, tracklet after tracklet."""
        lengths = [len(frames) for frames in self.frames]
        paths = tuple(path for frames in self.frames for path in frames)
        return ImageSet(paths, np.repeat(self.pid, lengths), np.repeat(self.camera, lengths))

    def take(self, rows: Rows) -> "TrackletSet":
        """The tracklets at ``rows`` (indices or a mask), in that order."""
        at = np.arange(len(self))[rows]
        return TrackletSet(tuple(self.frames[i] for i in at), self.pid[at], self.camera[at])


@dataclass(frozen=True)
class SearchSet:
    """Person search: find a person in whole frames. Every query has its own gallery of frames.

    Attributes:
        frames: m image files.
        boxes: for each frame (k, 4) int64 left, top, right, bottom in pixels of everyone in it.
        pids: for each frame (k,) int64 identities; ``DISTRACTOR`` for who has none.
        query_frame: (q,) int64 index into ``frames``.
        query_box: (q, 4) int64 box of the person sought.
        query_pid: (q,) int64 identities.
        galleries: by size, for each query the int64 indices of its gallery frames. A mapping other than a dict may
            read them on demand, and validates them itself.
    """

    frames: tuple[Path, ...]
    boxes: tuple[Integers, ...]
    pids: tuple[Integers, ...]
    query_frame: Integers
    query_box: Integers
    query_pid: Integers
    galleries: Mapping[int, tuple[Integers, ...]]

    def __post_init__(self) -> None:
        n, q = len(self.frames), len(self.query_frame)
        if len(self.boxes) != n or len(self.pids) != n:
            raise ValueError(f"expected boxes and pids of {n} frames, got {len(self.boxes)} and {len(self.pids)}")
        for boxes, pids in zip(self.boxes, self.pids, strict=True):
            if boxes.shape != (len(pids), 4) or pids.ndim != 1:
                raise ValueError(f"expected boxes (k, 4) and pids (k,) of a frame, got {boxes.shape} and {pids.shape}")
        if self.query_box.shape != (q, 4) or self.query_pid.shape != (q,):
            raise ValueError(
                f"expected query_box ({q}, 4) and query_pid ({q},), got {self.query_box.shape}, {self.query_pid.shape}"
            )
        galleries = self.galleries if isinstance(self.galleries, dict) else {}
        for size, rows in galleries.items():
            if len(rows) != q:
                raise ValueError(f"expected {q} galleries of size {size}, got {len(rows)}")
        for indices in (self.query_frame, *(row for rows in galleries.values() for row in rows)):
            if len(indices) and not 0 <= indices.min() <= indices.max() < n:
                raise ValueError(f"expected frame indices below {n}, got {indices.min()}..{indices.max()}")


Labelled = ImageSet | TrackletSet


@dataclass(frozen=True)
class Split:
    """A data set's parts.

    Attributes:
        train: to learn from; empty for a set that only tests.
        query, gallery: None for a set that only trains.
        multi_query: further images of the queries' identities in the queries' cameras, for multi-query scoring.
        search: whole frames to search in.
    """

    train: Labelled
    query: Labelled | None = None
    gallery: Labelled | None = None
    multi_query: ImageSet | None = None
    search: SearchSet | None = None


@dataclass(frozen=True)
class DatasetSource:
    """How a set is read and scored.

    Attributes:
        load: from the set's folder and the number of the split, 0 up to ``splits`` - 1.
        about: a line of words for help.
        splits: published results are the mean over this many.
        protocol: how it is scored. ``market1501``: every query ranks the gallery, images of its identity from its own
            camera are junk; tracklet sets too. ``single_shot``: queries from one camera, against one random image (or
            the only tracklet) of each identity from the other. ``mars``: MARS' own, the queries are in the gallery.
            ``search``: person search in whole frames.
    """

    load: Callable[[Path, int], Split]
    about: str
    splits: int = 1
    protocol: Protocol = "market1501"


def join(sets: Sequence[Labelled]) -> ImageSet:
    """Several training sets as one set of images, identities and cameras kept apart.

    Raises:
        DataError: there is not one image in them.
    """
    parts = [part for part in (labelled.images() for labelled in sets) if len(part)]
    if not parts:
        raise DataError("there are no images to train on; choose a data set that has a training part")
    pids, cameras = [], []
    next_pid = next_camera = 0
    for part in parts:
        labels, numbers = part.labels(), _renumbered(part.camera)
        pids.append(labels + next_pid)
        cameras.append(numbers + next_camera)
        next_pid += int(labels.max()) + 1
        next_camera += int(numbers.max()) + 1
    paths = tuple(path for part in parts for path in part.paths)
    return ImageSet(paths, np.concatenate(pids), np.concatenate(cameras), _joined_boxes(parts))


def _joined_boxes(parts: Sequence[ImageSet]) -> Integers | None:
    if all(part.boxes is None for part in parts):
        return None
    whole = np.array([_EVERYTHING], np.int64)
    return np.concatenate([whole.repeat(len(part), 0) if part.boxes is None else part.boxes for part in parts])


def _renumbered(values: Integers) -> Integers:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _check_labels(length: int, pid: Integers, camera: Integers) -> None:
    expected = (length,)
    if pid.shape != expected or camera.shape != expected:
        raise ValueError(f"expected pid and camera {expected}, got {pid.shape} and {camera.shape}")
