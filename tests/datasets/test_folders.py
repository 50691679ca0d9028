"""One's own pictures."""

import pytest

from reid.datasets import join, load_dataset
from reid.errors import DataError
from tests.datasets import miniatures
from tests.datasets.miniatures import pictures


def test_images(tmp_path):
    split = load_dataset("folder", miniatures.folder(tmp_path))
    assert [path.name for path in split.train.paths] == ["0001_c1_a.jpg", "0001_c2_b.jpg", "0012_c1.png"]
    assert (split.train.pid.tolist(), split.train.camera.tolist()) == ([1, 1, 12], [1, 2, 1])
    assert (split.query.pid.tolist(), split.gallery.pid.tolist()) == ([3], [-1, 0, 3])


def test_tracklets(tmp_path):
    split = load_dataset("tracklet_folder", miniatures.tracklet_folder(tmp_path))
    assert (split.train.pid.tolist(), split.train.camera.tolist()) == ([1, 1], [1, 2])
    assert [path.name for path in split.train.frames[0]] == ["1.jpg", "2.jpg"]
    assert (split.query.pid.tolist(), split.gallery.pid.tolist()) == ([3], [-1, 3])


@pytest.mark.parametrize(("name", "picture"), [("folder", "7_c1_a.jpg"), ("tracklet_folder", "7_c1_a/1.jpg")])
def test_without_query_or_gallery_it_only_trains(tmp_path, name, picture):
    pictures(tmp_path, picture)
    pictures(tmp_path / "query", picture)
    split = load_dataset(name, tmp_path)
    assert split.train.pid.tolist() == [7]
    assert split.query is None
    assert split.gallery is None


@pytest.mark.parametrize(("name", "picture"), [("folder", "7_c1_a.jpg"), ("tracklet_folder", "7_c1_a/1.jpg")])
def test_with_nothing_else_it_only_tests(tmp_path, name, picture):
    pictures(tmp_path / "query", picture)
    pictures(tmp_path / "gallery", picture.replace("c1", "c2"))
    split = load_dataset(name, tmp_path)
    assert (len(split.train), len(split.query), len(split.gallery)) == (0, 1, 1)
    with pytest.raises(DataError, match="no images to train on"):
        join([split.train])


@pytest.mark.parametrize("name", ["folder", "tracklet_folder"])
def test_what_is_expected_is_said(tmp_path, name):
    pictures(tmp_path, "holiday.jpg", "0001.jpg", "c1_0001.jpg", "holiday/1.jpg")
    with pytest.raises(DataError, match=r"expected .*named like 0001_c1_anything.* in it, and found none"):
        load_dataset(name, tmp_path)
    pictures(tmp_path / "query", "0001_c1_a.jpg", "0001_c1_a/1.jpg")
    (tmp_path / "gallery").mkdir()
    with pytest.raises(DataError, match="gallery: expected"):
        load_dataset(name, tmp_path)
