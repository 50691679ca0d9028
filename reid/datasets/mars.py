"""MARS (Zheng et al., ECCV 2016): tracklets from Market-1501's six cameras.

::

    MARS/
        bbox_train/0001/            0001C1T0001F001.jpg: person 1, camera 1, tracklet 1, frame 1
        bbox_test/0002/             also 00-1/, junk, and 0000/, distractors
        info/                       from github.com/liangzheng06/MARS-evaluation
            train_name.txt          509,914 file names
            test_name.txt           681,089
            tracks_train_info.mat   a row for each tracklet: first name, last name, identity, camera; counted from 1
            tracks_test_info.mat
            query_IDX.mat           the test rows that are queries; counted from 1
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid.datasets.read import listed, load_mat
from reid.datasets.types import Integers, Split, TrackletSet
from reid.errors import DataError


@dataclass(frozen=True)
class MarsRows:
    """What MARS' lists say.

    Attributes:
        train, test: (n, 4) int64, a row for each tracklet: its first and its last name, both included and counted from
            0, identity (-1 junk, 0 distractor) and camera 1..6.
        query: (q,) int64, the test rows that are queries, counted from 0.
        train_names, test_names: file names of all frames.
    """

    train: Integers
    test: Integers
    query: Integers
    train_names: tuple[str, ...]
    test_names: tuple[str, ...]


def mars(folder: Path, split: int) -> Split:
    """Load MARS: 8,298 tracklets of 625 people to train on, 1,980 queries, 12,180 in the gallery.

    The gallery is the official one, ALL test rows: junk, distractors and the queries themselves. The same tuple of
    frames stands in ``query`` and ``gallery``, so that a query's row can be found.
    """
    rows = mars_rows(folder / "info")
    train = _tracklets(rows.train, rows.train_names, folder / "bbox_train")
    gallery = _tracklets(rows.test, rows.test_names, folder / "bbox_test")
    return Split(train, gallery.take(rows.query), gallery)


def mars_rows(info: Path) -> MarsRows:
    """Read MARS' lists; the images need not be there.

    Raises:
        DataError: a list is absent, malformed, or contradicts the file names.
    """
    train_names, train = _rows(info, "train")
    test_names, test = _rows(info, "test")
    query = np.atleast_1d(load_mat(info / "query_IDX.mat", "query_IDX")).astype(np.int64) - 1
    if query.ndim != 1 or query.min() < 0 or query.max() >= len(test):
        raise DataError(f"{info / 'query_IDX.mat'}: does not belong to {len(test)} test tracklets; fetch it again")
    return MarsRows(train, test, query, train_names, test_names)


def _rows(info: Path, part: str) -> tuple[tuple[str, ...], Integers]:
    """File names and tracklet rows of ``train`` or ``test``."""
    listing, table = info / f"{part}_name.txt", info / f"tracks_{part}_info.mat"
    if not listing.is_file():
        raise DataError(f"{listing}: no such file; info/ comes from github.com/liangzheng06/MARS-evaluation")
    names = tuple(listing.read_text(encoding="ascii", errors="replace").split())
    rows = np.atleast_2d(load_mat(table, f"track_{part}_info")).astype(np.int64)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise DataError(f"{table}: expected rows of 4 numbers; fetch it again")
    rows = rows - np.array([1, 1, 0, 0])
    for first, last, pid, camera in rows.tolist():
        if not 0 <= first <= last < len(names):
            raise DataError(
                f"{table}: a tracklet from name {first + 1} to {last + 1}, but {listing.name} has {len(names)}"
            )
        for name in (names[first], names[last]):
            if name[:6] != f"{'00-1' if pid == -1 else f'{pid:04}'}C{camera}":
                raise DataError(
                    f"{table}: identity {pid} in camera {camera}, but its frame is {name}; fetch both again"
                )
    return names, rows


def _tracklets(rows: Integers, names: tuple[str, ...], folder: Path) -> TrackletSet:
    present = {path.name: path for path in listed(folder, "a folder for each identity, such as 0002")}
    absent = {names[first][:4] for first in rows[:, 0]} - present.keys()
    if absent:
        raise DataError(f"{folder}: no folder {min(absent)}, {len(absent)} missing in all; unpack the whole archive")
    paths = tuple(present[name[:4]] / name for name in names)
    frames = tuple(paths[first : last + 1] for first, last in rows[:, :2].tolist())
    return TrackletSet(frames, rows[:, 2], rows[:, 3])
