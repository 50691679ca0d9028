"""Which identities a split tests on: drawn at random, or from a file that others wrote."""

import json
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from reid.datasets.read import load_mat
from reid.datasets.types import ImageSet, Integers, Labelled, Split
from reid.errors import DataError


def halves(images: ImageSet, split: int, folder: Path) -> Split:
    """Half of the identities to train on, half to test on: as ``folder``'s splits.json says, else at random."""
    listing = folder / "splits.json"
    test = listed_test(images, split, listing) if listing.is_file() else half_of(images.pid, split)
    return by_identity(images, test, folder)


def half_of(identities: Integers, split: int) -> set[int]:
    """The test identities of a random split: half of them, the larger half of an odd number.

    The number of the split is the seed: the same for everyone who has the same identities.
    """
    ordered = np.unique(identities)
    legacy = np.random.RandomState(split)  # its numbers never change, a Generator's may with numpy's version
    return set(legacy.permutation(ordered)[len(ordered) // 2 :].tolist())


def first_half(listing: Path, identities: Integers, split: int) -> set[int]:
    """The test identities of a split in iLIDS-VID's form of lists, ``ls_set``.

    A row is a permutation of 1..n, positions among the ``identities`` in ascending order; its first half tests.

    Raises:
        DataError: the file is something else, or is for another number of identities.
    """
    rows = np.atleast_2d(load_mat(listing, "ls_set"))
    if rows.shape[1] != len(identities) or split >= len(rows):
        raise DataError(
            f"{listing}: has {len(rows)} splits of {rows.shape[1]} identities, but there are {len(identities)} here;"
            " is the data set complete?"
        )
    return set(identities[rows[split, : rows.shape[1] // 2].astype(np.int64) - 1].tolist())


def listed_test(images: ImageSet, split: int, listing: Path) -> set[int]:
    """The test identities of a split in a ``splits*.json`` that torchreid wrote.

    Pictures are recognised by their file names: their folders may have moved since. Where the file has every split in
    both directions, those whose queries are from the first camera count.

    Raises:
        DataError: the file is not one of torchreid's, or has not so many splits.
    """
    entries = read_splits(listing, "query", "gallery")
    try:
        forward = [entry for entry in entries if min(row[2] for row in entry["query"]) == 0]
        names = {PureWindowsPath(row[0]).name for part in ("query", "gallery") for row in forward[split][part]}
    except (IndexError, TypeError, ValueError, KeyError):
        raise DataError(
            f"{listing}: has no split {split} of the kind torchreid writes; delete it to go without"
        ) from None
    return {int(pid) for path, pid in zip(images.paths, images.pid, strict=True) if path.name in names}


def read_splits(path: Path, *parts: str) -> list[dict[str, Any]]:
    """A JSON list of splits, each with ``parts``.

    Raises:
        DataError: the file is absent or something else.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError:
        raise DataError(f"{path}: not JSON; delete it or fetch it again") from None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and set(parts) <= set(e) for e in entries):
        raise DataError(f"{path}: expected a list of splits with {' and '.join(parts)}; delete it or fetch it again")
    return entries


def by_identity(everything: Labelled, test: set[int], folder: Path) -> Split:
    """Train on the other identities; the test identities in camera 1 are the queries, in camera 2 the gallery.

    Raises:
        DataError: one of the three is empty; ``folder`` is named.
    """
    tested, camera = np.isin(everything.pid, list(test)), everything.camera
    parts = [everything.take(rows) for rows in (~tested, tested & (camera == 1), tested & (camera == 2))]
    if not all(map(len, parts)):
        raise DataError(
            f"{folder}: this split has {len(parts[0])} to train on, {len(parts[1])} queries and {len(parts[2])} in the"
            " gallery; is the data set complete, and is the list of splits its own?"
        )
    return Split(parts[0], parts[1], parts[2])
