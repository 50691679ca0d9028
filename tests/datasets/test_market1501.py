"""Market-1501 and the sets in its layout."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from reid.datasets import load_dataset
from reid.datasets.types import DISTRACTOR, JUNK
from reid.errors import DataError
from tests.datasets import miniatures
from tests.datasets.miniatures import pictures
from tests.helpers import market_folder


def test_market1501(tmp_path):
    split = load_dataset("market1501", market_folder(tmp_path, images=3))
    assert len(split.train) == 12
    assert split.train.pid.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert split.train.camera.tolist() == [1, 1, 2] * 4
    assert split.train.labels().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert split.query.pid.tolist() == [1, 2, 3, 4]
    assert sorted(split.gallery.pid.tolist()) == [JUNK, DISTRACTOR, 1, 2, 3, 4]  # the evaluator treats both
    assert split.multi_query is None
    assert split.search is None


def test_multi_query_images_are_those_of_a_query_s_identity_and_camera(tmp_path):
    split = load_dataset("market1501", miniatures.market1501(tmp_path))
    assert [path.name for path in split.multi_query.paths] == ["0001_c1s1_000001_00.jpg"]
    assert (split.multi_query.pid.tolist(), split.multi_query.camera.tolist()) == ([1], [1])


def test_market1501_without_its_query_is_named(tmp_path):
    pictures(tmp_path / "bounding_box_train", "0002_c1s1_000451_03.jpg")
    with pytest.raises(DataError, match="query: no such folder"):
        load_dataset("market1501", tmp_path)


def test_other_files_in_the_folder_are_passed_over(tmp_path):
    folder = market_folder(tmp_path)
    (folder / "query" / "Thumbs.db").touch()
    (folder / "query" / "readme.txt").touch()
    (folder / "query" / "0002_c1s1_000451_03.txt").touch()
    assert len(load_dataset("market1501", folder).query) == 4


def test_a_folder_without_one_image_of_the_set_is_named(tmp_path):
    pictures(tmp_path / "bounding_box_train", "portrait.jpg")
    with pytest.raises(DataError, match=r"bounding_box_train: no image named like .*right data set"):
        load_dataset("market1501", tmp_path)


def names(tracklets):
    return [[path.name for path in frames] for frames in tracklets.frames]


def test_images_of_one_person_camera_and_sequence_are_a_tracklet_in_order_of_time(tmp_path):
    split = load_dataset("market1501_tracklets", miniatures.market1501_tracklets(tmp_path))
    assert names(split.train) == [
        ["0001_c1s1_000002_01.jpg", "0001_c1s1_000010_01.jpg"],
        ["0001_c2s1_000001_00.jpg"],
        ["0002_c1s1_000001_00.jpg"],
    ]
    assert (split.train.pid.tolist(), split.train.camera.tolist()) == ([1, 1, 2], [1, 2, 1])


def test_the_gallery_is_every_test_tracklet_distractors_alone_and_junk_left_out(tmp_path):
    gallery = load_dataset("market1501_tracklets", miniatures.market1501_tracklets(tmp_path)).gallery
    assert names(gallery) == [
        ["0000_c1s1_000001_02.jpg"],
        ["0000_c1s1_000001_03.jpg"],
        ["0003_c1s1_000001_01.jpg", "0003_c1s1_000051_01.jpg"],
        ["0003_c1s2_000001_01.jpg"],
        ["0003_c2s1_000001_01.jpg"],
    ]
    assert all(path.parent.name == "bounding_box_test" for path in gallery.images().paths)


def test_one_tracklet_of_each_person_and_camera_is_a_query(tmp_path):
    split = load_dataset("market1501_tracklets", miniatures.market1501_tracklets(tmp_path))
    assert (split.query.pid.tolist(), split.query.camera.tolist()) == ([3, 3], [1, 2])
    assert names(split.query) == [names(split.gallery)[2], names(split.gallery)[4]]


def test_a_name_without_a_sequence_is_named(tmp_path):
    folder = miniatures.market1501_tracklets(tmp_path)
    pictures(folder / "bounding_box_train", "0007_c1_000001.jpg")
    with pytest.raises(DataError, match=r"0007_c1_000001.jpg: no sequence in its name"):
        load_dataset("market1501_tracklets", folder)


def test_dukemtmc_reid(tmp_path):
    split = load_dataset("dukemtmc_reid", miniatures.dukemtmc_reid(tmp_path))
    assert (split.train.pid.tolist(), split.train.camera.tolist()) == ([1, 1, 7], [2, 8, 2])
    assert (split.gallery.pid.tolist(), split.gallery.camera.tolist()) == ([5, 7000], [5, 1])


@pytest.mark.parametrize("folder", ["", "MSMT17_V1"])
def test_msmt17_by_its_lists(tmp_path, folder):
    miniatures.msmt17(tmp_path / folder)
    split = load_dataset("msmt17", tmp_path)
    assert split.train.pid.tolist() == [1, 2, 2]  # train and val; 0 on disk is a person, not a distractor
    assert split.train.camera.tolist() == [1, 2, 15]
    assert (split.query.pid.tolist(), split.query.camera.tolist()) == ([1], [5])
    assert (split.gallery.pid.tolist(), split.gallery.camera.tolist()) == ([1, 2], [14, 5])
    assert split.query.paths[0] == tmp_path / folder / "test/0000/0000_000_05_0303morning_0018_0.jpg"


def test_msmt17_with_blurred_faces(tmp_path):
    miniatures.msmt17(tmp_path / "MSMT17_V2", "mask_train_v2", "mask_test_v2")
    split = load_dataset("msmt17", tmp_path)
    assert all(path.is_file() for part in (split.train, split.query, split.gallery) for path in part.paths)


def test_msmt17_in_market1501_s_layout(tmp_path):
    pictures(tmp_path / "bounding_box_train", "0000_c1_0000.jpg", "0001_c14_0001.jpg")
    pictures(tmp_path / "query", "0000_c1_0000.jpg")
    pictures(tmp_path / "bounding_box_test", "0000_c11_0001.jpg", "0006_c1_0013.jpg")
    split = load_dataset("msmt17", tmp_path)
    assert (split.train.pid.tolist(), split.train.camera.tolist()) == ([1, 2], [1, 14])
    assert (split.query.pid.tolist(), split.gallery.pid.tolist()) == ([1], [1, 7])


def test_msmt17_s_lists_are_checked(tmp_path):
    miniatures.msmt17(tmp_path)
    (tmp_path / "list_query.txt").write_text("0000/portrait.jpg 0\n")
    with pytest.raises(DataError, match=r"list_query.txt: '0000/portrait.jpg 0' is not a line such as"):
        load_dataset("msmt17", tmp_path)
    (tmp_path / "list_query.txt").unlink()
    with pytest.raises(DataError, match=r"list_query.txt: no such file"):
        load_dataset("msmt17", tmp_path)
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(DataError, match="expected the folders train and test in it"):
        load_dataset("msmt17", tmp_path)


MARKET = Path(__file__).parents[3] / "shared" / "data" / "market1501.tar.gz"


@pytest.mark.skipif(not MARKET.is_file(), reason="Market-1501 is not on this machine")
def test_market1501_itself(tmp_path):
    """The published counts, on the names in the archive: the pictures need not be unpacked."""
    with tarfile.open(MARKET) as archive:
        names = [Path(name) for name in archive.getnames() if name.endswith(".jpg")]
    for folder in {name.parent for name in names}:
        (tmp_path / folder).mkdir(parents=True)
    for name in names:
        (tmp_path / name).touch()
    root = next(tmp_path.rglob("query")).parent
    tracklets = load_dataset("market1501_tracklets", root)
    assert (len(tracklets.train), len(tracklets.query), len(tracklets.gallery)) == (3_541, 3_354, 6_416)
    queries = np.stack([tracklets.query.pid, tracklets.query.camera], 1)
    assert len(np.unique(queries, axis=0)) == len(queries)
    split = load_dataset("market1501", root)
    assert (len(split.train), len(split.query), len(split.gallery)) == (12_936, 3_368, 19_732)
    assert (len(np.unique(split.train.pid)), len(np.unique(split.query.pid))) == (751, 750)
    assert ((split.gallery.pid == DISTRACTOR).sum(), (split.gallery.pid == JUNK).sum()) == (2_798, 3_819)
    assert set(split.gallery.camera) == set(range(1, 7))
