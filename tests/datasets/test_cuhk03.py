import json
import shutil

import numpy as np
import pytest

from reid.datasets import load_dataset
from reid.errors import DataError
from reid.images import read_image
from tests.datasets import miniatures
from tests.datasets.miniatures import cuhk03, cuhk03_new, cuhk03_np, cuhk03_pictures, torchreid_splits


def test_the_folder_form(tmp_path):
    split = load_dataset("cuhk03_np", cuhk03_np(tmp_path))
    for part in (split.train, split.query, split.gallery):
        assert part.pid.tolist() == [1, 1, 2, 2]  # 0 on disk is a person, not a distractor
        assert part.camera.tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize("parts", [["bounding_box_train"], ["bounding_box_train", "query"]])
def test_the_folder_form_may_only_train(tmp_path, parts):
    split = load_dataset("cuhk03_np", cuhk03_np(tmp_path, parts))
    assert len(split.train) == 4
    assert split.query is None
    assert split.gallery is None


@pytest.mark.parametrize(("kind", "blue"), [("labeled", 200), ("detected", 100)])
def test_pictures_come_out_of_the_release_as_they_are(tmp_path, kind, blue):
    load_dataset(f"cuhk03_{kind}", cuhk03(tmp_path))
    names = sorted(path.name for path in (tmp_path / f"images_{kind}").iterdir())
    assert len(names) == 5 * 10 - 1  # one cell is empty
    assert "1_001_1_01.png" in names
    assert "1_001_1_02.png" not in names  # it keeps its number: the next one is 3
    assert {name for name in names if name.startswith("2_002")} == {
        f"2_002_{1 if n <= 5 else 2}_{n:02}.png" for n in range(1, 11)
    }
    picture = read_image(tmp_path / f"images_{kind}" / "2_002_2_08.png")
    assert picture.shape == (6, 4, 3)
    assert (picture == (101, 140, blue)).all()  # pair 2, second person, eighth picture


def test_the_old_protocol(tmp_path):
    split = load_dataset("cuhk03_labeled", cuhk03(tmp_path), 0)
    assert set(split.train.pid) == {1002, 1003, 2001}
    assert len(split.train) == 30  # both views
    assert set(split.train.camera) == {1, 2}
    assert set(split.query.pid) == set(split.gallery.pid) == {1001, 2002}  # pair 1's first, pair 2's second
    assert (len(split.query), len(split.gallery)) == (9, 10)
    assert set(split.query.camera) == {1}
    assert set(split.gallery.camera) == {2}
    assert set(load_dataset("cuhk03_labeled", tmp_path, 1).query.pid) == {1003, 2001}


def test_pictures_are_taken_out_once(tmp_path):
    load_dataset("cuhk03_detected", cuhk03(tmp_path))
    kept = tmp_path / "images_detected" / "1_001_1_01.png"
    kept.write_bytes(b"mine")
    load_dataset("cuhk03_detected", tmp_path, 1)
    assert kept.read_bytes() == b"mine"
    assert not (tmp_path / "images_labeled").exists()  # only what is asked for


def test_an_interrupted_extraction_begins_again(tmp_path):
    unfinished = tmp_path / "images_labeled.unfinished"
    unfinished.mkdir()
    (unfinished / "9_999_1_01.png").touch()
    split = load_dataset("cuhk03_labeled", cuhk03(tmp_path))
    assert not unfinished.exists()
    assert len(split.train) == 30


def test_the_release_may_lie_in_its_own_folder(tmp_path):
    cuhk03(tmp_path / "cuhk03_release")
    assert len(load_dataset("cuhk03_labeled", tmp_path).train) == 30
    assert (tmp_path / "images_labeled").is_dir()


def test_torchreid_s_pictures_and_splits_do_without_the_release(tmp_path):
    folder = cuhk03_pictures(tmp_path, "labeled")
    with pytest.raises(DataError, match=r"expected cuhk-03.mat or splits_classic_labeled.json in it; they say which"):
        load_dataset("cuhk03_labeled", folder)
    tests = [[("1_002_1_01.png", "1_002_2_06.png")], [("2_001_1_02.png", "2_001_2_06.png")]]
    torchreid_splits(folder / "splits_classic_labeled.json", tests)
    for number, person in enumerate((1002, 2001)):
        split = load_dataset("cuhk03_labeled", folder, number)
        assert (split.query.pid.tolist(), split.gallery.pid.tolist()) == ([person] * 2, [person])
        assert person not in split.train.pid
        assert len(split.train) == 6
    with pytest.raises(DataError, match=r"splits_classic_labeled.json: no split 2|has no split 2"):
        load_dataset("cuhk03_labeled", folder, 2)


@pytest.mark.parametrize("content", [b"not a file of MATLAB's", b""])
def test_a_file_that_is_not_the_release_is_one_clear_line(tmp_path, content):
    (tmp_path / "cuhk-03.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"cuhk-03.mat: cannot be read as CUHK03's MATLAB 7.3 file") as caught:
        load_dataset("cuhk03_labeled", tmp_path)
    assert "\n" not in str(caught.value)
    cuhk03_pictures(tmp_path, "labeled")
    with pytest.raises(DataError, match=r"cuhk-03.mat: cannot be read"):  # it also says whom to test on
        load_dataset("cuhk03_labeled", tmp_path)


@pytest.mark.parametrize("kind", ["labeled", "detected"])
def test_the_new_protocol(tmp_path, kind):
    split = load_dataset(f"cuhk03_np_{kind}", cuhk03_new(kind)(tmp_path))
    assert [path.name for path in split.query.paths] == ["1_001_1_01.png", "1_002_1_01.png"]
    assert (split.query.pid.tolist(), split.query.camera.tolist()) == ([1, 2], [1, 1])
    assert (split.gallery.pid.tolist(), split.gallery.camera.tolist()) == ([1, 1, 2, 2], [1, 2, 1, 2])
    assert (split.train.pid.tolist(), split.train.camera.tolist()) == ([3, 3, 3], [1, 1, 2])


def test_the_new_protocol_from_the_release(tmp_path):
    cuhk03_new("labeled")(tmp_path)
    shutil.rmtree(tmp_path / "images_labeled")
    cuhk03(tmp_path)
    with pytest.raises(DataError, match=r"lists other images than .* such as 1_001_1_02.png"):  # the empty cell
        load_dataset("cuhk03_np_labeled", tmp_path)
    miniatures.pictures(tmp_path / "images_labeled", "1_001_1_02.png")
    assert len(load_dataset("cuhk03_np_labeled", tmp_path).gallery) == 4


def test_the_new_protocol_without_its_lists(tmp_path):
    cuhk03_pictures(tmp_path, "labeled")
    with pytest.raises(DataError, match=r"config_labeled.mat: no such file; expected it from github.com/zhunzhong07"):
        load_dataset("cuhk03_np_labeled", tmp_path)
    (tmp_path / "cuhk03_new_protocol_config_labeled.mat").write_bytes(b"no MATLAB file, though it is long enough " * 9)
    with pytest.raises(DataError, match="cannot be read as a MATLAB file with filelist"):
        load_dataset("cuhk03_np_labeled", tmp_path)


def test_identities_are_the_same_in_every_split_and_kind(tmp_path):
    cuhk03(tmp_path)
    everyone = [
        np.unique(np.concatenate([split.train.pid, split.query.pid]))
        for split in (
            load_dataset(f"cuhk03_{kind}", tmp_path, number) for kind in ("labeled", "detected") for number in (0, 1)
        )
    ]
    assert all(pids.tolist() == [1001, 1002, 1003, 2001, 2002] for pids in everyone)


def test_a_json_that_is_none_is_one_clear_line(tmp_path):
    cuhk03_pictures(tmp_path, "labeled")
    for content in ("{", "{}", "[1]", json.dumps([{"train": []}]), json.dumps([{"query": [1], "gallery": []}])):
        (tmp_path / "splits_classic_labeled.json").write_text(content)
        with pytest.raises(DataError, match=r"splits_classic_labeled.json: .*delete it"):
            load_dataset("cuhk03_labeled", tmp_path)
