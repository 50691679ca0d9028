import numpy as np
import pytest
from scipy.io import savemat

from reid.datasets import load_dataset
from reid.datasets.types import DISTRACTOR
from reid.errors import DataError
from tests.datasets.miniatures import cuhk_sysu, located, struct


def names(paths):
    return [path.name for path in paths]


def test_training_crops(tmp_path):
    train = load_dataset("cuhk_sysu", cuhk_sysu(tmp_path)).train
    assert names(train.paths) == ["s1.jpg", "s2.jpg", "s1.jpg"]
    assert train.pid.tolist() == [1, 1, 2]
    assert train.boxes.tolist() == [[0, 0, 2, 4], [1, 1, 3, 6], [2, 2, 4, 8]]  # width and height became right, bottom
    assert train.read(1).shape == (5, 2, 3)
    assert train.camera[0] == train.camera[2] != train.camera[1]  # a frame is a camera


def test_search_in_frames(tmp_path):
    search = load_dataset("cuhk_sysu", cuhk_sysu(tmp_path)).search
    assert names(search.frames) == ["s3.jpg", "s4.jpg", "s5.jpg", "s6.jpg"]
    assert [boxes.tolist() for boxes in search.boxes] == [
        [[0, 1, 2, 7], [2, 0, 3, 8]],
        [[0, 0, 2, 7], [2, 1, 4, 8]],  # a box without area is nobody
        [[1, 2, 3, 7]],
        [[1, 1, 4, 7]],
    ]
    assert [pids.tolist() for pids in search.pids] == [[1, DISTRACTOR], [1, 2], [2], [DISTRACTOR]]
    assert search.query_frame.tolist() == [0, 1]
    assert search.query_box.tolist() == [[0, 1, 2, 7], [2, 1, 4, 8]]
    assert search.query_pid.tolist() == [1, 2]


def test_galleries_by_size(tmp_path):
    galleries = load_dataset("cuhk_sysu", cuhk_sysu(tmp_path)).search.galleries
    assert list(galleries) == [50, 100]
    assert len(galleries) == 2
    assert [rows.tolist() for rows in galleries[50]] == [[1, 3], [2, 0]]
    assert [rows.tolist() for rows in galleries[100]] == [[1, 3, 3], [2, 0, 3]]
    assert galleries[100] is galleries[100]  # read once
    assert 500 not in galleries


def test_crops_for_an_embedder_alone(tmp_path):
    split = load_dataset("cuhk_sysu", cuhk_sysu(tmp_path))
    assert (names(split.query.paths), split.query.pid.tolist()) == (["s3.jpg", "s4.jpg"], [1, 2])
    assert (names(split.gallery.paths), split.gallery.pid.tolist()) == (["s4.jpg", "s5.jpg"], [1, 2])
    assert split.query.camera.tolist() == [0, 1]
    assert split.gallery.camera.tolist() == [1, 2]
    assert split.gallery.boxes.tolist() == [[0, 0, 2, 7], [1, 2, 3, 7]]


def test_it_may_lie_in_a_folder_of_its_own(tmp_path):
    cuhk_sysu(tmp_path / "CUHK-SYSU")
    assert len(load_dataset("cuhk_sysu", tmp_path).search.frames) == 4


def test_boxes_are_large_numbers_in_small_types(tmp_path):
    """MATLAB stores uint16 or even uint8: left + width must not wrap around."""
    folder = cuhk_sysu(tmp_path)
    boxes = {f"s{n}.jpg": [np.array([200, 250, 100, 60], np.uint8)] for n in range(1, 7)}
    people = [struct(*((box, 0) for box in rows), names=("idlocate", "ishard")) for rows in boxes.values()]
    images = struct(*((n, 1, p) for n, p in zip(boxes, people, strict=True)), names=("imname", "nAppear", "box"))
    savemat(folder / "annotation" / "Images.mat", {"Img": images})
    search = load_dataset("cuhk_sysu", folder).search
    assert [200, 250, 300, 310] in search.boxes[3].tolist()


def test_what_does_not_belong_together_is_named(tmp_path):
    folder = cuhk_sysu(tmp_path)
    tests = folder / "annotation" / "test" / "train_test"
    rows = [(located(("s3.jpg", [0, 1, 2, 6])), located(("s9.jpg", [])))]
    savemat(tests / "TestG100.mat", {"TestG100": struct(*rows, names=("Query", "Gallery"))})
    galleries = load_dataset("cuhk_sysu", folder).search.galleries
    with pytest.raises(DataError, match=r"TestG100.mat: does not belong to pool.mat .*s9.jpg"):
        galleries[100]
    rows = [(located(("s3.jpg", [0, 1, 2, 6])), located(("s4.jpg", [0, 0, 2, 7])))]
    savemat(tests / "TestG100.mat", {"TestG100": struct(*rows, names=("Query", "Gallery"))})
    with pytest.raises(DataError, match=r"TestG100.mat: has 1 queries where others have 2"):
        load_dataset("cuhk_sysu", folder).search.galleries[100]
    savemat(folder / "annotation" / "pool.mat", {"pool": np.array(["s3.jpg", "s9.jpg"], object)})
    with pytest.raises(DataError, match="annotation: these are not CUHK-SYSU's files"):
        load_dataset("cuhk_sysu", folder)


@pytest.mark.parametrize("missing", ["Images.mat", "pool.mat", "test/train_test/Train.mat"])
def test_a_missing_list_is_named(tmp_path, missing):
    folder = cuhk_sysu(tmp_path)
    (folder / "annotation" / missing).unlink()
    with pytest.raises(DataError, match=f"{missing.rpartition('/')[2]}: no such file"):
        load_dataset("cuhk_sysu", folder)


def test_without_any_gallery_the_first_is_named(tmp_path):
    folder = cuhk_sysu(tmp_path)
    for size in (50, 100):
        (folder / "annotation" / "test" / "train_test" / f"TestG{size}.mat").unlink()
    with pytest.raises(DataError, match=r"TestG50.mat: no such file"):
        load_dataset("cuhk_sysu", folder)
