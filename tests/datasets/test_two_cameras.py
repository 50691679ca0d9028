"""Sets that are split at random, or by lists: VIPeR, CUHK01, PRID 2011, iLIDS-VID."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from reid.datasets import load_dataset
from reid.datasets.splits import half_of
from reid.errors import DataError
from tests.datasets.miniatures import cuhk01, ilids_vid, pictures, prid2011, torchreid_splits, viper


def test_viper(tmp_path):
    split = load_dataset("viper", viper(tmp_path))
    assert len(set(split.train.pid)) == 3  # of 7; the larger half tests
    assert split.query.pid.tolist() == split.gallery.pid.tolist()
    assert len(split.query) == 4
    assert set(split.train.pid) | set(split.query.pid) == set(range(1, 8))  # 0 on disk is a person, not a distractor
    assert split.train.camera.tolist() == [1, 1, 1, 2, 2, 2]
    assert {path.parent.name for path in split.gallery.paths} == {"cam_b"}


def test_viper_by_torchreid_s_splits(tmp_path):
    tests = [[("002_45.bmp", "002_90.bmp")], [("000_45.bmp", "000_90.bmp"), ("006_45.bmp", "006_90.bmp")]]
    torchreid_splits(viper(tmp_path) / "splits.json", tests, both_directions=True)
    assert load_dataset("viper", tmp_path, 0).query.pid.tolist() == [3]
    assert load_dataset("viper", tmp_path, 1).query.pid.tolist() == [1, 7]
    with pytest.raises(DataError, match=r"splits.json: .*no split 2"):
        load_dataset("viper", tmp_path, 2)


def test_cuhk01(tmp_path):
    split = load_dataset("cuhk01", cuhk01(tmp_path))
    assert (len(set(split.train.pid)), len(set(split.query.pid))) == (2, 3)
    assert len(split.train) == 8
    for part, numbers in ((split.query, "12"), (split.gallery, "34")):
        assert len(part) == 6
        assert {path.stem[-1] for path in part.paths} == set(numbers)  # pictures 1 and 2 are of the first view
    assert set(split.query.pid) == set(split.gallery.pid)


def test_cuhk01_by_torchreid_s_splits(tmp_path):
    torchreid_splits(cuhk01(tmp_path) / "splits.json", [[("0002001.png", "0002003.png")]])
    assert load_dataset("cuhk01", tmp_path).query.pid.tolist() == [2, 2]


def test_halves_are_random_but_the_same_everywhere():
    assert half_of(np.array([3, 1, 2, 4, 4, 1]), 0) == half_of(np.array([4, 3, 2, 1]), 0)
    drawn = [half_of(np.arange(100), split) for split in range(10)]
    assert all(len(half) == 50 for half in drawn)
    assert len({frozenset(half) for half in drawn}) == 10
    assert len(half_of(np.arange(9), 3)) == 5
    assert sorted(half_of(np.arange(1, 9), 0)) == [1, 4, 5, 6]  # on every machine, for good


def test_prid2011_takes_who_has_27_frames_in_both_cameras(tmp_path):
    split = load_dataset("prid2011", prid2011(tmp_path))
    everyone = set(split.train.pid) | set(split.query.pid)
    assert everyone == {1, 2, 3, 4, 5, 7}  # 6 is too short, 201 two different people
    assert len(split.query) == len(split.gallery) == 3
    assert split.query.pid.tolist() == split.gallery.pid.tolist()
    assert len(split.train) == 6
    assert [path.name for path in split.query.frames[0]][:2] == ["0001.png", "0002.png"]
    assert "cam_a" in str(split.query.frames[0][0])
    assert "cam_b" in str(split.gallery.frames[0][0])


@pytest.mark.parametrize("where", [".", "prid_2011"])
def test_prid2011_by_torchreid_s_splits(tmp_path, where):
    prid2011(tmp_path)
    entries = [
        {"train": ["person_0001"], "test": ["person_0002", "person_0007"]},
        {"train": ["person_0005"], "test": ["person_0006"]},
    ]
    (tmp_path / where / "splits_prid2011.json").write_text(json.dumps(entries))
    split = load_dataset("prid2011", tmp_path, 0)
    assert split.query.pid.tolist() == [2, 7]
    assert split.train.pid.tolist() == [1, 1]  # who is in neither list does not train
    assert load_dataset("prid2011", tmp_path, 1).query.pid.tolist() == [6]  # the list knows better than the length
    with pytest.raises(DataError, match=r"splits_prid2011.json: has 2 splits, none with number 2"):
        load_dataset("prid2011", tmp_path, 2)


def test_prid2011_by_ilids_vid_s_lists(tmp_path):
    prid2011(tmp_path)
    rows = np.array([[6, 1, 3, 2, 4, 5], [1, 2, 3, 4, 5, 6]])  # positions among the six people; the first half tests
    savemat(tmp_path / "train_test_splits_prid.mat", {"ls_set": rows})
    assert load_dataset("prid2011", tmp_path, 0).query.pid.tolist() == [1, 3, 7]
    assert load_dataset("prid2011", tmp_path, 1).query.pid.tolist() == [1, 2, 3]
    savemat(tmp_path / "train_test_splits_prid.mat", {"ls_set": rows[:, :4]})
    with pytest.raises(DataError, match="has 2 splits of 4 identities, but there are 6 here"):
        load_dataset("prid2011", tmp_path)


def test_prid2011_with_nobody_left_is_named(tmp_path):
    for camera in "ab":
        pictures(tmp_path / "multi_shot" / f"cam_{camera}" / "person_0001", "0001.png")
    with pytest.raises(DataError, match="nobody with 27 frames in both cameras"):
        load_dataset("prid2011", tmp_path)


def test_ilids_vid(tmp_path):
    split = load_dataset("ilids_vid", ilids_vid(tmp_path), 0)
    assert split.query.pid.tolist() == split.gallery.pid.tolist() == [1, 5]  # first and third of 1, 2, 5, 9
    assert sorted(split.train.pid) == [2, 2, 9, 9]
    assert [path.name for path in split.gallery.frames[1]] == ["cam2_person005_00317.png", "cam2_person005_00318.png"]
    assert load_dataset("ilids_vid", tmp_path, 1).query.pid.tolist() == [5, 9]


def test_ilids_vid_s_lists_may_lie_within(tmp_path):
    ilids_vid(tmp_path)
    (tmp_path / "train-test people splits").rename(tmp_path / "i-LIDS-VID" / "train-test people splits")
    assert load_dataset("ilids_vid", tmp_path / "i-LIDS-VID").query.pid.tolist() == [1, 5]
    assert load_dataset("ilids_vid", tmp_path).query.pid.tolist() == [1, 5]


def test_ilids_vid_incomplete_is_named(tmp_path):
    ilids_vid(tmp_path, people=(1, 2, 5))
    with pytest.raises(DataError, match="10 splits of 4 identities, but there are 3 here; is the data set complete"):
        load_dataset("ilids_vid", tmp_path)


def test_a_split_without_a_camera_is_named(tmp_path):
    ilids_vid(tmp_path)
    for home in (tmp_path / "i-LIDS-VID" / "sequences" / "cam2").iterdir():
        home.rename(home.with_name("x" + home.name))
    with pytest.raises(DataError, match="this split has 2 to train on, 2 queries and 0 in the gallery"):
        load_dataset("ilids_vid", tmp_path)
