"""CUHK-SYSU person search (Xiao et al., CVPR 2017): find a person in whole frames.

::

    CUHK-SYSU/                         or a folder that holds it
        Image/SSM/s1.jpg               18,184 frames
        annotation/
            Images.mat                 everyone in every frame: left, top, width, height
            pool.mat                   the 6,978 test frames; the others train
            test/train_test/
                Train.mat              5,532 people with their boxes
                TestG50.mat            2,900 queries, each with its own 50 gallery frames; also
                                       TestG100, TestG500, TestG1000, TestG2000, TestG4000
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reid.datasets.read import base_of, load_mat
from reid.datasets.types import DISTRACTOR, ImageSet, Integers, SearchSet, Split
from reid.errors import DataError

SIZES = (50, 100, 500, 1000, 2000, 4000)

Box = tuple[int, int, int, int]  # left, top, right, bottom
Crop = tuple[str, Box, int]  # frame, box, identity

_TESTS = Path("test", "train_test")


def cuhk_sysu(folder: Path, split: int) -> Split:
    """Load CUHK-SYSU.

    ``search`` is the published task; its galleries are read when they are asked for, the largest takes minutes.
    ``train`` holds the crops of the 5,532 training people. ``query`` and ``gallery`` are the 2,900 queries and the
    other crops of the same people, to score an embedder alone. There are no cameras: every frame counts as one, so
    that whatever stands in the query's own frame is junk.
    """
    base = base_of(folder, "CUHK-SYSU", "annotation")
    lists, images = base / "annotation", base / "Image" / "SSM"
    if not lists.is_dir() or not images.is_dir():
        raise DataError(f"{base}: expected the folders annotation and Image/SSM in it; is it CUHK-SYSU?")
    try:
        return _load(lists, images)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise DataError(f"{lists}: these are not CUHK-SYSU's files, or of two releases ({error}); fetch them") from None


def _load(lists: Path, images: Path) -> Split:
    pool = [str(name) for name in np.atleast_1d(load_mat(lists / "pool.mat", "pool"))]
    number = {name: index for index, name in enumerate(pool)}
    first = next((size for size in SIZES if _listing(lists, size).is_file()), SIZES[0])
    queries, others = _test_people(_listing(lists, first))
    galleries = _Galleries(lists, number, len(queries))
    learned = _train_people(lists / _TESTS / "Train.mat")
    return Split(
        train=_crops(images, learned, {name: index for index, (name, _, _) in enumerate(learned)}),
        query=_crops(images, queries, number),
        gallery=_crops(images, others, number),
        search=_search_set(images, pool, _everyone(lists / "Images.mat"), queries, others, galleries),
    )


class _Galleries(Mapping[int, tuple[Integers, ...]]):
    """Size to frame indices by query, read on demand: there are 11.6 million entries in TestG4000.mat."""

    def __init__(self, lists: Path, number: dict[str, int], queries: int) -> None:
        self._lists, self._number, self._queries = lists, number, queries
        self._sizes = [size for size in SIZES if _listing(lists, size).is_file()]
        self._read: dict[int, tuple[Integers, ...]] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, size: object) -> bool:
        return size in self._sizes  # without reading it

    def __getitem__(self, size: int) -> tuple[Integers, ...]:
        if size not in self._sizes:
            raise KeyError(size)
        if size not in self._read:
            self._read[size] = self._read_listing(_listing(self._lists, size))
        return self._read[size]

    def _read_listing(self, listing: Path) -> tuple[Integers, ...]:
        try:
            names = [[str(entry[0]) for entry in np.atleast_1d(item["Gallery"])] for item in _tests(listing)]
            found = tuple(np.array([self._number[name] for name in row], np.int64) for row in names)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DataError(f"{listing}: does not belong to pool.mat ({error}); fetch both again") from None
        if len(found) != self._queries:
            raise DataError(f"{listing}: has {len(found)} queries where others have {self._queries}; fetch it again")
        return found


def _listing(lists: Path, size: int) -> Path:
    return lists / _TESTS / f"TestG{size}.mat"


def _tests(listing: Path) -> Any:
    """A row for each query: Query and Gallery, of (frame, box, whether it is hard to recognise)."""
    return np.atleast_1d(load_mat(listing, listing.stem))


def _test_people(listing: Path) -> tuple[list[Crop], list[Crop]]:
    """The queries, and where else in the test frames the same people are; identity 1 is the first query's."""
    queries: list[Crop] = []
    others: list[Crop] = []
    for pid, item in enumerate(_tests(listing), 1):
        asked = np.atleast_1d(item["Query"])[0]
        box = _box(asked[1])
        if box is None:
            raise DataError(f"{listing}: query {pid} has no box; fetch it again")
        queries.append((str(asked[0]), box, pid))
        others += _located(item["Gallery"], pid)
    return queries, others


def _train_people(listing: Path) -> list[Crop]:
    """Rows of Train.mat: name, number of scenes, scenes."""
    people = np.atleast_1d(load_mat(listing, "Train"))
    return [crop for pid, person in enumerate(people, 1) for crop in _located(np.atleast_1d(person)[0][2], pid)]


def _located(entries: Any, pid: int) -> list[Crop]:
    """Those of a list of (frame, box, ...) that have a box: the others are frames without the person."""
    return [(str(entry[0]), box, pid) for entry in np.atleast_1d(entries) if (box := _box(entry[1]))]


def _everyone(listing: Path) -> dict[str, list[Box]]:
    """Frame to the boxes of all people in it; rows of Images.mat: frame, number of people, people."""
    return {
        str(row[0]): [box for entry in np.atleast_1d(row[2]) if (box := _box(entry[0]))]
        for row in np.atleast_1d(load_mat(listing, "Img"))
    }


def _box(located: Any) -> Box | None:
    """Left, top, right, bottom from left, top, width, height; None for an empty one."""
    numbers = [int(value) for value in np.ravel(located)]
    if len(numbers) != 4 or min(numbers[2:]) <= 0:
        return None
    left, top, width, height = numbers
    return left, top, left + width, top + height


def _search_set(
    images: Path,
    pool: list[str],
    everyone: dict[str, list[Box]],
    queries: list[Crop],
    others: list[Crop],
    galleries: Mapping[int, tuple[Integers, ...]],
) -> SearchSet:
    known: dict[str, dict[Box, int]] = {name: dict.fromkeys(everyone[name], DISTRACTOR) for name in pool}
    for name, box, pid in (*queries, *others):
        known[name][box] = pid
    number = {name: index for index, name in enumerate(pool)}
    return SearchSet(
        frames=tuple(images / name for name in pool),
        boxes=tuple(np.array(list(known[name]), np.int64).reshape(-1, 4) for name in pool),
        pids=tuple(np.array(list(known[name].values()), np.int64) for name in pool),
        query_frame=np.array([number[name] for name, _, _ in queries], np.int64),
        query_box=np.array([box for _, box, _ in queries], np.int64).reshape(-1, 4),
        query_pid=np.array([pid for _, _, pid in queries], np.int64),
        galleries=galleries,
    )


def _crops(images: Path, crops: list[Crop], camera: dict[str, int]) -> ImageSet:
    return ImageSet(
        tuple(images / name for name, _, _ in crops),
        np.array([pid for _, _, pid in crops], np.int64),
        np.array([camera[name] for name, _, _ in crops], np.int64),
        np.array([box for _, box, _ in crops], np.int64).reshape(-1, 4),
    )
