"""CUHK03 by the new protocol (Zhong et al., CVPR 2017): 767 people to train on, 700 to test on, Market-1501's rules.

::

    cuhk03_np/                                        its folder form, labeled or detected
        bounding_box_train/   0001_c1_p1_01.jpg: identity 1, camera 1
        query/                may be absent together with bounding_box_test: then the set only trains
        bounding_box_test/

    cuhk03/                                           from the release and Zhong's lists
        cuhk03_new_protocol_config_labeled.mat
        cuhk03_new_protocol_config_detected.mat
        cuhk-03.mat or images_labeled/, images_detected/: see reid/datasets/cuhk03_images.py
"""

import re
from pathlib import Path

import numpy as np

from reid.datasets.cuhk03_images import NAME, Boxes, cuhk03_images
from reid.datasets.read import image_set, load_mat, one_higher, read_folder
from reid.datasets.types import ImageSet, Split
from reid.errors import DataError

_NAME = re.compile(r"(\d+)_c(\d+)")
_EXAMPLE = "0001_c1_p1_01.jpg"


def cuhk03_np(folder: Path, split: int) -> Split:
    """Load the folder form: ``bounding_box_train`` and, where both are there, ``query`` and ``bounding_box_test``.

    Identities are one higher than on disk: some copies count from 0, which is a distractor here.
    """

    def part(name: str) -> ImageSet:
        return one_higher(read_folder(folder / name, _NAME, _EXAMPLE))

    if (folder / "query").is_dir() and (folder / "bounding_box_test").is_dir():
        return Split(part("bounding_box_train"), part("query"), part("bounding_box_test"))
    return Split(part("bounding_box_train"))


def cuhk03_np_labeled(folder: Path, split: int) -> Split:
    """Load the crops drawn by hand: 7,368 images to train on, 1,400 queries, 5,328 in the gallery."""
    return _new_protocol(folder, "labeled")


def cuhk03_np_detected(folder: Path, split: int) -> Split:
    """Load the detector's crops: 7,365 images to train on, 1,400 queries, 5,332 in the gallery."""
    return _new_protocol(folder, "detected")


def _new_protocol(folder: Path, boxes: Boxes) -> Split:
    lists = folder / f"cuhk03_new_protocol_config_{boxes}.mat"
    if not lists.is_file():
        raise DataError(f"{lists}: no such file; expected it from github.com/zhunzhong07/person-re-ranking")
    names = [str(name) for name in np.atleast_1d(load_mat(lists, "filelist"))]
    people = np.atleast_1d(load_mat(lists, "labels"))
    pictures = cuhk03_images(folder, boxes)
    paths = {path.name: path for path in pictures.paths}
    if len(people) != len(names) or (missing := [name for name in names if name not in paths]):
        raise DataError(f"{lists}: lists other images than {folder} has, such as {missing[0]}; is either incomplete?")

    def part(variable: str) -> ImageSet:
        rows = np.atleast_1d(load_mat(lists, variable)).astype(np.int64) - 1
        return image_set((paths[names[i]], int(people[i]), _view(names[i])) for i in rows)

    return Split(part("train_idx"), part("query_idx"), part("gallery_idx"))


def _view(name: str) -> int:
    match = NAME.fullmatch(name)
    assert match  # the folder was read by this pattern
    return int(match[3])
