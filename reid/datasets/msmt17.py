"""MSMT17 (Wei et al., CVPR 2018).

::

    MSMT17_V1/                 or MSMT17_V2, faces blurred, with mask_train_v2/ and mask_test_v2/
        list_train.txt         lines such as 0000/0000_000_01_0303morning_0015_0.jpg 0: camera 1, identity 0
        list_val.txt
        list_query.txt
        list_gallery.txt
        train/
        test/

Many use it rearranged in Market-1501's layout, which is read as well::

    MSMT17/
        bounding_box_train/    0000_c1_0000.jpg: identity 0, camera 1
        query/
        bounding_box_test/
"""

from pathlib import Path

from reid.datasets.market1501 import market_layout
from reid.datasets.read import image_set, one_higher
from reid.datasets.types import Split
from reid.errors import DataError

_IMAGES = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
_LINE = "0000/0000_000_01_0303morning_0015_0.jpg 0"


def msmt17(folder: Path, split: int) -> Split:
    """Load MSMT17: 32,621 images to train on, 11,659 queries, 82,161 in the gallery, 15 cameras.

    The training images are list_train and list_val together, the paper's 32,621; torchreid leaves list_val out.
    Identities are one higher than on disk: the set counts from 0, which is a distractor here.
    """
    for base in (folder, folder / "MSMT17_V1", folder / "MSMT17_V2"):
        if (base / "list_train.txt").is_file():
            return _from_lists(base)
        if (base / "bounding_box_train").is_dir():
            train, query, gallery = (one_higher(part) for part in market_layout(base, "0000_c1_0000.jpg"))
            return Split(train, query, gallery)
    raise DataError(f"{folder}: expected list_train.txt or bounding_box_train in it; is it MSMT17's folder?")


def _from_lists(base: Path) -> Split:
    for train, test in _IMAGES:
        if (base / train).is_dir() and (base / test).is_dir():
            learned = [row for name in ("train", "val") for row in _listed(base / f"list_{name}.txt", base / train)]
            query, gallery = (
                image_set(_listed(base / f"list_{name}.txt", base / test)) for name in ("query", "gallery")
            )
            return Split(one_higher(image_set(learned)), one_higher(query), one_higher(gallery))
    raise DataError(f"{base}: expected the folders train and test in it, or mask_train_v2 and mask_test_v2")


def _listed(path: Path, images: Path) -> list[tuple[Path, int, int]]:
    """(image, identity, camera) of a list's lines."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; it comes with the data set")
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            name, pid = line.split()
            rows.append((images / name, int(pid), int(Path(name).name.split("_")[2])))
        except (ValueError, IndexError):
            raise DataError(f"{path}: {line!r} is not a line such as {_LINE!r}") from None
    return rows
