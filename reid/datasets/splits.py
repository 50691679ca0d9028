"""Which identities a split tests on: drawn at random, from a file that others wrote, or held out of the training."""

import json
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np

from reid.datasets.read import load_mat
from reid.datasets.types import ImageSet, Integers, Labelled, Split
from reid.errors import DataError

Part = Literal["test", "train"]


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


def training_part(split: Split, held_out: int) -> ImageSet:
    """The images to train on: without ``held_out`` people where the set has no test part to score on.

    Raises:
        DataError: as ``hold_out``.
    """
    images = split.train.images()
    trains_only = split.gallery is None and split.search is None
    return hold_out(images, held_out)[0] if held_out and trains_only else images


def choose_part(name: str, split: Split, part: Part, held_out: int = 0) -> Split:
    """The identities to score on.

    Args:
        name: of the set, for the error.
        split: of a set of images, as loaded.
        part: ``test`` is the set's own query and gallery; ``train`` makes them of the images to train on.
        held_out: where the set has no test part of its own, those that ``hold_out`` keeps out stand for it.

    Raises:
        DataError: there is nothing of the kind in the set.
    """
    if part == "train":
        return as_test(split.train.images())
    if split.gallery is not None or split.search is not None:
        return split
    if not held_out:
        raise DataError(
            f"{name}: has no test part (query and gallery); score people that were held out of training with --hold-out"
            " N, or, of a model that never saw the set, all of them by `reidtrack evaluate --part train`"
        )
    return as_test(hold_out(split.train.images(), held_out)[1])


def as_test(images: ImageSet, seed: int = 0) -> Split:
    """Query and gallery of images that were made to train on, as CUHK03's new protocol draws its own.

    Of every identity that more than one camera sees, one image a camera is a query, drawn at random; all others are
    the gallery, those of identities from a single camera as well.

    Args:
        images: labelled.
        seed: of the draw.

    Raises:
        DataError: no identity is seen by two cameras, or nothing is left for the gallery.
    """
    rng = np.random.default_rng(seed)
    pairs, owner = np.unique(np.stack([images.pid, images.camera], 1), axis=0, return_inverse=True)
    cameras = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
    asks = cameras[2][cameras[1]] > 1
    shuffled = rng.permutation(len(images))
    first = shuffled[np.unique(owner.ravel()[shuffled], return_index=True)[1]]  # a random image of every pair
    query = np.zeros(len(images), np.bool_)
    query[first[asks]] = True
    if not query.any() or query.all():
        raise DataError("a query and gallery need identities with images in 2 cameras, and more than one there")
    return Split(images.take(np.zeros(0, np.int64)), images.take(query), images.take(~query))


def hold_out(images: ImageSet, identities: int) -> tuple[ImageSet, ImageSet]:
    """What to train on, and ``identities`` people kept out of it, drawn at random but always the same.

    Raises:
        DataError: fewer than 2 people would be left to train on.
    """
    people = np.unique(images.pid)
    if identities > len(people) - 2:
        raise DataError(f"cannot hold out {identities} identities of {len(people)}; leave at least 2 to train on")
    kept_out = np.isin(images.pid, np.random.default_rng(0).permutation(people)[:identities])
    return images.take(~kept_out), images.take(kept_out)
