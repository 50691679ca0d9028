from pathlib import Path

import numpy as np
import pytest

from reid.datasets import DATASETS, ImageSet, join, load_dataset
from reid.datasets.types import DISTRACTOR, JUNK
from reid.errors import BadInputError, DataError
from reid.images import read_image, resize_crop
from tests.helpers import market_folder, write_image


def test_market1501(tmp_path):
    split = load_dataset("market1501", market_folder(tmp_path, images=3))
    assert len(split.train) == 12
    assert split.train.pid.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert split.train.camera.tolist() == [1, 1, 2] * 4
    assert split.train.labels().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert split.query.pid.tolist() == [1, 2, 3, 4]
    assert sorted(split.gallery.pid.tolist()) == [JUNK, DISTRACTOR, 1, 2, 3, 4]  # the evaluator treats both
    assert all(path.is_file() for path in split.gallery.paths)


def cuhk03_folder(folder, parts=("bounding_box_train", "query", "bounding_box_test")):
    for part in parts:
        for person in (1, 2):
            for camera in (1, 2):
                write_image(folder / part / f"{person:04}_c{camera}_p1_{camera:02}.jpg", (50, 60, 70))
    return folder


def test_cuhk03(tmp_path):
    split = load_dataset("cuhk03_np", cuhk03_folder(tmp_path))
    for part in (split.train, split.query, split.gallery):
        assert part.pid.tolist() == [1, 1, 2, 2]
        assert part.camera.tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize("parts", [["bounding_box_train"], ["bounding_box_train", "query"]])
def test_cuhk03_may_only_train(tmp_path, parts):
    split = load_dataset("cuhk03_np", cuhk03_folder(tmp_path, parts))
    assert len(split.train) == 4
    assert split.query is None
    assert split.gallery is None


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_or_foreign_folder_is_one_clear_line(name, tmp_path):
    with pytest.raises(DataError, match="no such folder; expected images named like"):
        load_dataset(name, tmp_path / "absent")
    (tmp_path / "bounding_box_train").mkdir()
    (tmp_path / "bounding_box_train" / "Thumbs.db").touch()
    (tmp_path / "bounding_box_train" / "0002_c1s1_000451_03.txt").touch()
    with pytest.raises(DataError, match=r"bounding_box_train: no image named like .*right data set") as caught:
        load_dataset(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_market1501_without_its_query_is_named(tmp_path):
    write_image(tmp_path / "bounding_box_train" / "0002_c1s1_000451_03.jpg", (1, 2, 3))
    with pytest.raises(DataError, match="query: no such folder"):
        load_dataset("market1501", tmp_path)


def test_other_files_in_the_folder_are_passed_over(tmp_path):
    folder = market_folder(tmp_path)
    (folder / "query" / "Thumbs.db").touch()
    (folder / "query" / "readme.txt").touch()
    assert len(load_dataset("market1501", folder).query) == 4


def test_an_unknown_set_is_bad_input(tmp_path):
    with pytest.raises(BadInputError, match="'mars' is unknown; choose one of market1501"):
        load_dataset("mars", tmp_path)


def test_join_keeps_identities_and_cameras_apart():
    def images(pids, cameras):
        return ImageSet(tuple(Path(str(i)) for i in range(len(pids))), np.array(pids), np.array(cameras))

    joined = join([images([5, 5, 9], [1, 2, 1]), images([5, 7], [1, 1])])
    assert joined.pid.tolist() == [0, 0, 1, 2, 3]
    assert joined.camera.tolist() == [0, 1, 0, 2, 2]
    assert len(joined) == 5


def test_labels_must_fit_the_images():
    with pytest.raises(ValueError, match=r"expected pid and camera \(1,\), got \(2,\) and \(1,\)"):
        ImageSet((Path("a"),), np.array([1, 2]), np.array([1]))


def test_read_image_is_rgb(tmp_path):
    write_image(tmp_path / "red.png", (230, 30, 30), size=(20, 10))
    image = read_image(tmp_path / "red.png")
    assert image.shape == (20, 10, 3)
    assert image.dtype == np.uint8
    assert image[..., 0].mean() > 200
    assert image[..., 2].mean() < 60


def test_an_unreadable_image_is_one_clear_line(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"not an image")
    (tmp_path / "b.jpg").touch()
    for name in ("a.jpg", "b.jpg"):
        with pytest.raises(DataError, match=f"{name}: not an image"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match=r"absent.jpg: cannot be read"):
        read_image(tmp_path / "absent.jpg")


@pytest.mark.parametrize("size", [(64, 32), (300, 10), (7, 5), (1, 1)])
def test_resize_crop(size):
    image = np.full((64, 32, 3), (10, 20, 30), np.uint8)
    resized = resize_crop(image, size)
    assert resized.shape == (*size, 3)
    assert (resized == image[0, 0]).all()
