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

from reid.datasets.read import read_folder
from reid.datasets.types import ImageSet, Split

_NAME = re.compile(r"(-?\d+)_c(\d+)")
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
