"""Market-1501 (Zheng et al., ICCV 2015), and DukeMTMC-reID (Zheng et al., ICCV 2017), which took over its layout.

::

    Market-1501-v15.09.15/
        bounding_box_train/   0002_c1s1_000451_03.jpg: identity 2, camera 1
        query/
        bounding_box_test/    -1_c1s1_000401_03.jpg: -1 is junk, 0000 a distractor
        gt_bbox/              drawn by hand, for multi-query scores; may be absent

    DukeMTMC-reID/            withdrawn by its university in 2019
        bounding_box_train/   0005_c2_f0046985.jpg: identity 5, camera 2
        query/
        bounding_box_test/
"""

import re
from pathlib import Path

import numpy as np

from reid.datasets.read import read_folder, tracklet_set
from reid.datasets.types import DISTRACTOR, JUNK, ImageSet, Integers, Split, TrackletSet
from reid.errors import DataError

_NAME = re.compile(r"(-?\d+)_c(\d+)")
_SEQUENCE = re.compile(r"-?\d+_c\d+s(\d+)")
_MARKET = "0002_c1s1_000451_03.jpg"
_DUKE = "0005_c2_f0046985.jpg"


def market1501(folder: Path, split: int) -> Split:
    """Load Market-1501: 12,936 images to train on, 3,368 queries, 19,732 in the gallery.

    The gallery keeps its 2,798 distractors (identity 0) and 3,819 junk boxes (identity -1); the evaluator treats each
    as the protocol says. ``multi_query`` has what ``gt_bbox`` shows of the queries' identities in their cameras.
    """
    train, query, gallery = market_layout(folder, _MARKET)
    drawn = folder / "gt_bbox"
    multi_query = _seen_like(read_folder(drawn, _NAME, _MARKET), query) if drawn.is_dir() else None
    return Split(train, query, gallery, multi_query)


def market1501_tracklets(folder: Path, split: int) -> Split:
    """Load Market-1501 as tracklets, to be scored as MARS is: 3,541 to train on, 3,354 queries, 6,416 in the gallery.

    The images of one identity, camera and sequence (the ``s1`` in ``c1s1``) are a tracklet, in order of time. They are
    few and far apart, 3.6 on average, and a sequence may show the person twice.

    The test part is ``bounding_box_test`` alone. Its boxes are a detector's, as tracklets' are; the images in ``query``
    were drawn by hand, and nearly all show a person in a frame that the detector's box shows too. As in MARS, every
    test tracklet is in the gallery, and one of each identity and camera is a query: that of the first sequence. Each of
    the 2,798 distractors is a tracklet of its own, because identity 0 is many people. Junk is left out: it is never
    scored.
    """
    train = _by_sequence(read_folder(folder / "bounding_box_train", _NAME, _MARKET))
    gallery = _by_sequence(read_folder(folder / "bounding_box_test", _NAME, _MARKET))
    return Split(train, gallery.take(_first_of_each(gallery)), gallery)


def dukemtmc_reid(folder: Path, split: int) -> Split:
    """Load DukeMTMC-reID: 16,522 images to train on, 2,228 queries, 17,661 in the gallery."""
    return Split(*market_layout(folder, _DUKE))


def market_layout(folder: Path, example: str) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Training, query and gallery images of a set in Market-1501's layout; ``example`` is one of its file names."""
    train, query, gallery = (
        read_folder(folder / part, _NAME, example) for part in ("bounding_box_train", "query", "bounding_box_test")
    )
    return train, query, gallery


def _seen_like(images: ImageSet, query: ImageSet) -> ImageSet:
    """Those of an identity and camera that a query has."""
    wanted = set(zip(query.pid.tolist(), query.camera.tolist(), strict=True))
    return images.take(np.array([pair in wanted for pair in zip(images.pid, images.camera, strict=True)], np.bool_))


def _by_sequence(images: ImageSet) -> TrackletSet:
    """Images of one identity, camera and sequence as tracklets, by these in ascending order; distractors one by one."""
    found: dict[tuple[int, ...], list[Path]] = {}
    for number, path in enumerate(images.paths):  # names, and so a tracklet's, are in order of time
        pid, camera = int(images.pid[number]), int(images.camera[number])
        if pid != JUNK:
            alone = (number,) if pid == DISTRACTOR else ()
            found.setdefault((pid, camera, _sequence(path), *alone), []).append(path)
    return tracklet_set((tuple(found[key]), key[0], key[1]) for key in sorted(found))


def _sequence(path: Path) -> int:
    match = _SEQUENCE.match(path.name)
    if match is None:
        raise DataError(f"{path}: no sequence in its name; expected one like {_MARKET}")
    return int(match[1])


def _first_of_each(tracklets: TrackletSet) -> Integers:
    """(q,) rows: the first tracklet of each identity and camera, distractors left out."""
    pairs = np.stack([tracklets.pid, tracklets.camera], 1)
    rows = np.sort(np.unique(pairs, axis=0, return_index=True)[1])
    return np.asarray(rows[tracklets.pid[rows] != DISTRACTOR], np.int64)
