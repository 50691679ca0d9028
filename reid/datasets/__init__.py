"""Data sets on disk, as lists of labelled images or tracklets.

A loader takes the set's folder and the number of the split, and returns a ``Split``. To add one, write its module in
this folder, with the layout that it expects in the docstring, and a line in ``DATASETS``: the commands' choices and the
contract tests iterate this dict.
"""

from pathlib import Path

from reid.datasets import cuhk01, cuhk03, cuhk03_np, folders, ilids_vid, prid2011, viper
from reid.datasets.cuhk_sysu import cuhk_sysu
from reid.datasets.dukemtmc_videoreid import dukemtmc_videoreid
from reid.datasets.market1501 import dukemtmc_reid, market1501, market1501_tracklets
from reid.datasets.mars import mars
from reid.datasets.msmt17 import msmt17
from reid.datasets.types import DatasetSource, ImageSet, Labelled, SearchSet, Split, TrackletSet, join
from reid.errors import BadInputError

__all__ = [
    "DATASETS",
    "DatasetSource",
    "ImageSet",
    "Labelled",
    "SearchSet",
    "Split",
    "TrackletSet",
    "join",
    "load_dataset",
]

DATASETS: dict[str, DatasetSource] = {
    "market1501": DatasetSource(market1501, "Market-1501: 1,501 people, 6 cameras"),
    "market1501_tracklets": DatasetSource(
        market1501_tracklets, "Market-1501's images grouped into tracklets, scored as MARS", protocol="mars"
    ),
    "dukemtmc_reid": DatasetSource(dukemtmc_reid, "DukeMTMC-reID: 1,404 people, 8 cameras"),
    "msmt17": DatasetSource(msmt17, "MSMT17: 4,101 people, 15 cameras"),
    "cuhk03_np": DatasetSource(cuhk03_np.cuhk03_np, "CUHK03, new protocol, as folders"),
    "cuhk03_np_labeled": DatasetSource(
        cuhk03_np.cuhk03_np_labeled, "CUHK03, new protocol, crops by hand, from cuhk-03.mat"
    ),
    "cuhk03_np_detected": DatasetSource(
        cuhk03_np.cuhk03_np_detected, "CUHK03, new protocol, a detector's crops, from cuhk-03.mat"
    ),
    "cuhk03_labeled": DatasetSource(
        cuhk03.cuhk03_labeled, "CUHK03, old protocol, crops by hand", cuhk03.SPLITS, "single_shot"
    ),
    "cuhk03_detected": DatasetSource(
        cuhk03.cuhk03_detected, "CUHK03, old protocol, a detector's crops", cuhk03.SPLITS, "single_shot"
    ),
    "viper": DatasetSource(viper.viper, "VIPeR: 632 people, 2 cameras", viper.SPLITS, "single_shot"),
    "cuhk01": DatasetSource(cuhk01.cuhk01, "CUHK01: 971 people, 2 views", cuhk01.SPLITS, "single_shot"),
    "cuhk_sysu": DatasetSource(cuhk_sysu, "CUHK-SYSU: 8,432 people to find in whole frames", protocol="search"),
    "mars": DatasetSource(mars, "MARS: tracklets of 1,261 people, 6 cameras", protocol="mars"),
    "dukemtmc_videoreid": DatasetSource(dukemtmc_videoreid, "DukeMTMC-VideoReID: tracklets of 1,812 people, 8 cameras"),
    "prid2011": DatasetSource(
        prid2011.prid2011, "PRID 2011: tracklets of 178 people, 2 cameras", prid2011.SPLITS, "single_shot"
    ),
    "ilids_vid": DatasetSource(
        ilids_vid.ilids_vid, "iLIDS-VID: tracklets of 300 people, 2 cameras", ilids_vid.SPLITS, "single_shot"
    ),
    "folder": DatasetSource(folders.folder, "your own images, named PID_cCAM_anything.jpg"),
    "tracklet_folder": DatasetSource(folders.tracklet_folder, "your own tracklets, folders named PID_cCAM_anything"),
}


def load_dataset(name: str, folder: Path, split: int = 0) -> Split:
    """Load a set by its name in ``DATASETS``.

    Args:
        name: of the set.
        folder: where it lies, in its official layout.
        split: for sets with several, which one, from 0.

    Raises:
        BadInputError: the name is unknown, or the set has no such split.
        DataError: the folder is absent or not laid out as that set is.
    """
    if name not in DATASETS:
        raise BadInputError(f"data set {name!r} is unknown; choose one of {', '.join(DATASETS)}")
    source = DATASETS[name]
    if not 0 <= split < source.splits:
        raise BadInputError(f"{name} has no split {split}; choose one of 0..{source.splits - 1}")
    return source.load(folder, split)
