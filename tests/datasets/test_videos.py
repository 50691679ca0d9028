"""MARS and DukeMTMC-VideoReID."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from reid.datasets import load_dataset
from reid.datasets.mars import mars_rows
from reid.datasets.types import DISTRACTOR, JUNK
from reid.errors import DataError
from tests.datasets.miniatures import dukemtmc_videoreid, mars, pictures


def test_mars(tmp_path):
    split = load_dataset("mars", mars(tmp_path))
    assert split.train.pid.tolist() == [1, 1, 3]
    assert split.train.camera.tolist() == [1, 2, 6]
    assert [[path.name for path in frames] for frames in split.train.frames] == [
        ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg"],
        ["0001C2T0001F001.jpg"],
        ["0003C6T0002F001.jpg", "0003C6T0002F002.jpg", "0003C6T0002F003.jpg"],
    ]
    assert split.gallery.pid.tolist() == [JUNK, DISTRACTOR, 2, 2, 2, 4]
    assert split.gallery.camera.tolist() == [1, 3, 1, 2, 1, 5]
    assert split.gallery.frames[0][0] == tmp_path / "bbox_test" / "00-1" / "00-1C1T0001F001.jpg"


def test_mars_queries_are_gallery_rows(tmp_path):
    split = load_dataset("mars", mars(tmp_path))
    assert (split.query.pid.tolist(), split.query.camera.tolist()) == ([2, 2], [1, 2])
    assert split.query.frames == split.gallery.frames[2:4]
    assert all(mine is theirs for mine, theirs in zip(split.query.frames, split.gallery.frames[2:4], strict=True))


def test_mars_lists_do_without_images(tmp_path):
    rows = mars_rows(mars(tmp_path) / "info")
    assert rows.train.tolist() == [[0, 1, 1, 1], [2, 2, 1, 2], [3, 5, 3, 6]]
    assert rows.query.tolist() == [2, 3]
    assert len(rows.test_names) == 11


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ([[1, 2, 1, 1], [3, 3, 1, 2], [4, 7, 3, 6]], "a tracklet from name 4 to 7, but train_name.txt has 6"),
        ([[0, 2, 1, 1]], "a tracklet from name 0 to 2"),
        ([[1, 2, 2, 1]], "identity 2 in camera 1, but its frame is 0001C1T0001F001.jpg"),
        ([[1, 3, 1, 1]], "identity 1 in camera 1, but its frame is 0001C2T0001F001.jpg"),
        ([[1, 2, 1]], "expected rows of 4 numbers"),
    ],
)
def test_mars_lists_are_checked(tmp_path, changed, message):
    info = mars(tmp_path) / "info"
    savemat(info / "tracks_train_info.mat", {"track_train_info": np.array(changed, np.int32)})
    with pytest.raises(DataError, match=f"tracks_train_info.mat: .*{message}"):
        mars_rows(info)


def test_mars_query_rows_are_checked(tmp_path):
    info = mars(tmp_path) / "info"
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([[7]])})
    with pytest.raises(DataError, match=r"query_IDX.mat: does not belong to 6 test tracklets"):
        mars_rows(info)


def test_mars_without_images_is_named(tmp_path):
    shutil.rmtree(mars(tmp_path) / "bbox_test" / "0000")
    with pytest.raises(DataError, match="bbox_test: no folder 0000, 1 missing in all"):
        load_dataset("mars", tmp_path)
    shutil.rmtree(tmp_path / "bbox_train")
    with pytest.raises(DataError, match="bbox_train: no such folder"):
        load_dataset("mars", tmp_path)


LISTS = Path(__file__).parents[3] / "shared" / "data" / "mars_protocol.tar.xz"


@pytest.mark.skipif(not LISTS.is_file(), reason="MARS' lists are not on this machine")
def test_mars_lists_themselves(tmp_path):
    """The published counts."""
    with tarfile.open(LISTS) as archive:
        archive.extractall(tmp_path, filter="data")
    rows = mars_rows(tmp_path / "mars_protocol")
    assert (len(rows.train), len(rows.test), len(rows.query)) == (8_298, 12_180, 1_980)
    assert (len(rows.train_names), len(rows.test_names)) == (509_914, 681_089)
    pid = rows.test[:, 2]
    assert ((pid == JUNK).sum(), (pid == DISTRACTOR).sum()) == (870, 3_248)
    assert (len(np.unique(rows.train[:, 2])), len(np.unique(pid[pid > 0])), len(np.unique(pid[rows.query]))) == (
        625,
        634,
        626,
    )
    pairs = rows.test[rows.query][:, 2:]
    assert len(np.unique(pairs, axis=0)) == 1_980  # one query for each identity and camera
    for table, names in ((rows.train, rows.train_names), (rows.test, rows.test_names)):
        assert table[0, 0] == 0
        assert table[-1, 1] == len(names) - 1
        assert (table[1:, 0] == table[:-1, 1] + 1).all()  # every frame is in one tracklet


def test_dukemtmc_videoreid(tmp_path):
    split = load_dataset("dukemtmc_videoreid", dukemtmc_videoreid(tmp_path))
    assert (split.train.pid.tolist(), split.train.camera.tolist()) == ([1, 1], [6, 1])
    assert (split.query.pid.tolist(), split.query.camera.tolist()) == ([2], [6])  # the older names
    assert (split.gallery.pid.tolist(), split.gallery.camera.tolist()) == ([2, 7000], [8, 1])
    assert [path.name for path in split.train.frames[0]] == ["0001_C6_F0002_X30823.jpg", "0001_C6_F0010_X30823.jpg"]


def test_dukemtmc_videoreid_may_lie_in_a_folder_of_its_own(tmp_path):
    dukemtmc_videoreid(tmp_path / "DukeMTMC-VideoReID")
    (tmp_path / "DukeMTMC-VideoReID" / "train" / ".DS_Store").touch()
    assert len(load_dataset("dukemtmc_videoreid", tmp_path).train) == 2


def test_foreign_frames_are_named(tmp_path):
    pictures(dukemtmc_videoreid(tmp_path) / "query" / "0002" / "0012", "a.jpg")
    with pytest.raises(DataError, match=r"a.jpg: expected a name such as 0001/0003/0001_C6_F0099_X30823.jpg"):
        load_dataset("dukemtmc_videoreid", tmp_path)
    (tmp_path / "query" / "0002" / "0012" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"0012: no image in it; expected the frames of a tracklet"):
        load_dataset("dukemtmc_videoreid", tmp_path)
