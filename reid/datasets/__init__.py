"""Data sets on disk, as lists of labelled images.

A loader takes the set's folder and returns a ``Split``. To add one, write its module in this folder and a line in
``DATASETS``: the commands' choices and the contract tests iterate this dict.
"""

from collections.abc import Callable
from pathlib import Path

from reid.datasets.cuhk03 import cuhk03_np
from reid.datasets.market1501 import market1501
from reid.datasets.types import ImageSet, Split, join
from reid.errors import BadInputError

__all__ = ["DATASETS", "ImageSet", "Split", "join", "load_dataset"]

DATASETS: dict[str, Callable[[Path], Split]] = {
    "market1501": market1501,
    "cuhk03_np": cuhk03_np,
}


def load_dataset(name: str, folder: Path) -> Split:
    """Load a set by its name in ``DATASETS``.

    Raises:
        BadInputError: the name is unknown.
        DataError: the folder is absent or not laid out as that set is.
    """
    if name not in DATASETS:
        raise BadInputError(f"data set {name!r} is unknown; choose one of {', '.join(DATASETS)}")
    return DATASETS[name](folder)
