"""Market-1501 (Zheng et al., ICCV 2015), in its official folder layout."""

import re
from pathlib import Path

from reid.datasets.types import Split, read_folder

_NAME = re.compile(r"(-?\d+)_c(\d+)")
_EXAMPLE = "0002_c1s1_000451_03.jpg"


def market1501(folder: Path) -> Split:
    """Load ``bounding_box_train``, ``query`` and ``bounding_box_test`` below ``folder``.

    The gallery keeps its 2,798 distractors (identity 0) and 3,819 junk boxes (identity -1); the evaluator treats each
    as the protocol says.
    """
    return Split(
        train=read_folder(folder / "bounding_box_train", _NAME, _EXAMPLE),
        query=read_folder(folder / "query", _NAME, _EXAMPLE),
        gallery=read_folder(folder / "bounding_box_test", _NAME, _EXAMPLE),
    )
