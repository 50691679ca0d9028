from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.datasets import ImageSet, SearchSet, TrackletSet, join
from reid.errors import DataError
from tests.helpers import write_image


def images(pids, cameras, stem="", boxes=None):
    paths = tuple(Path(f"{stem}{i}") for i in range(len(pids)))
    return ImageSet(paths, np.array(pids, np.int64), np.array(cameras, np.int64), boxes)


def tracklets(pids, cameras, lengths, stem=""):
    frames = tuple(tuple(Path(f"{stem}{i}/{j}") for j in range(length)) for i, length in enumerate(lengths))
    return TrackletSet(frames, np.array(pids, np.int64), np.array(cameras, np.int64))


def test_labels_are_consecutive():
    assert images([9, 2, 9, 5], [1, 1, 2, 1]).labels().tolist() == [2, 0, 2, 1]


def test_labels_must_fit_the_images():
    with pytest.raises(ValueError, match=r"expected pid and camera \(1,\), got \(2,\) and \(1,\)"):
        ImageSet((Path("a"),), np.array([1, 2]), np.array([1]))
    with pytest.raises(ValueError, match=r"expected boxes \(2, 4\), got \(2, 3\)"):
        images([1, 2], [1, 1], boxes=np.zeros((2, 3), np.int64))


def test_tracklets_must_fit_and_have_frames():
    with pytest.raises(ValueError, match=r"expected pid and camera \(2,\), got \(1,\) and \(2,\)"):
        tracklets([1], [1, 1], [1, 1])
    with pytest.raises(ValueError, match="at least one frame"):
        tracklets([1, 2], [1, 1], [1, 0])


def test_images_of_tracklets_are_all_their_frames():
    flat = tracklets([7, -1], [1, 2], [2, 3]).images()
    assert [str(path) for path in flat.paths] == ["0/0", "0/1", "1/0", "1/1", "1/2"]
    assert flat.pid.tolist() == [7, 7, -1, -1, -1]
    assert flat.camera.tolist() == [1, 1, 2, 2, 2]
    assert flat.images() is flat


def test_take_by_rows_or_by_mask():
    boxes = np.arange(12).reshape(3, 4)
    whole = images([4, 5, 6], [1, 2, 3], boxes=boxes)
    assert whole.take(np.array([2, 0, 2])).pid.tolist() == [6, 4, 6]
    chosen = whole.take(np.array([False, True, True]))
    assert (chosen.pid.tolist(), chosen.camera.tolist()) == ([5, 6], [2, 3])
    assert chosen.boxes.tolist() == boxes[1:].tolist()
    assert [path.name for path in chosen.paths] == ["1", "2"]
    sequence = tracklets([4, 5], [1, 2], [1, 2]).take(np.array([1]))
    assert (len(sequence), len(sequence.frames[0]), sequence.pid.tolist()) == (1, 2, [5])


def test_read_crops_to_the_box(tmp_path):
    write_image(tmp_path / "frame.png", (200, 40, 40), size=(20, 10))

    def read(*box):
        return ImageSet((tmp_path / "frame.png",), np.array([1]), np.array([1]), np.array([box])).read(0)

    whole = ImageSet((tmp_path / "frame.png",), np.array([1]), np.array([1])).read(0)
    assert whole.shape == (20, 10, 3)
    assert np.array_equal(read(2, 5, 6, 15), whole[5:15, 2:6])
    assert np.array_equal(read(-3, -3, 4, 99), whole[:, :4])  # clipped to the image
    assert read(2, 5, 6, 15).flags.c_contiguous
    for outside in ((10, 0, 20, 5), (-9, 0, 0, 5), (3, 3, 3, 9)):
        with pytest.raises(DataError, match=r"frame.png: the box .* lies outside this image of 10x20 pixels"):
            read(*outside)


def test_join_keeps_identities_and_cameras_apart():
    joined = join([images([5, 5, 9], [1, 2, 1]), images([5, 7], [1, 1])])
    assert joined.pid.tolist() == [0, 0, 1, 2, 3]
    assert joined.camera.tolist() == [0, 1, 0, 2, 2]
    assert len(joined) == 5
    assert joined.boxes is None


parts = st.lists(st.tuples(st.integers(-1, 9), st.integers(0, 4), st.integers(1, 3)), max_size=8)


@given(st.lists(st.tuples(st.booleans(), parts), min_size=1, max_size=4))
def test_join_properties(specification):
    sets = []
    for number, (is_video, rows) in enumerate(specification):
        pids, cameras, lengths = zip(*rows, strict=True) if rows else ((), (), ())
        stem = f"{number}-"
        sets.append(tracklets(pids, cameras, lengths, stem) if is_video else images(pids, cameras, stem))
    if not any(map(len, sets)):
        with pytest.raises(DataError, match="no images to train on"):
            join(sets)
        return
    joined = join(sets)
    flat = [part.images() for part in sets]
    assert joined.paths == tuple(path for part in flat for path in part.paths)
    assert sorted(set(joined.pid)) == list(range(sum(len(set(part.pid)) for part in flat)))  # consecutive
    assert sorted(set(joined.camera)) == list(range(sum(len(set(part.camera)) for part in flat)))
    source = np.repeat(np.arange(len(flat)), [len(part) for part in flat])
    for before, after in (("pid", joined.pid), ("camera", joined.camera)):
        known = np.concatenate([getattr(part, before) for part in flat])
        same = (known[:, None] == known) & (source[:, None] == source)
        assert np.array_equal(after[:, None] == after, same)  # one before is one after, and only then


def test_join_keeps_boxes_and_whole_images(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, (200, 40, 40), size=(20, 10))
    boxed = ImageSet((tmp_path / "a.png",), np.array([1]), np.array([1]), np.array([[1, 2, 4, 9]]))
    plain = ImageSet((tmp_path / "b.png",), np.array([1]), np.array([1]))
    for joined, shapes in ((join([boxed, plain]), [(7, 3, 3), (20, 10, 3)]), (join([boxed]), [(7, 3, 3)])):
        assert [joined.read(i).shape for i in range(len(joined))] == shapes
    assert join([plain]).boxes is None


def search_set(**changed):
    values = {
        "frames": (Path("a"), Path("b")),
        "boxes": (np.zeros((2, 4), np.int64), np.zeros((0, 4), np.int64)),
        "pids": (np.array([1, 0]), np.zeros(0, np.int64)),
        "query_frame": np.array([0]),
        "query_box": np.zeros((1, 4), np.int64),
        "query_pid": np.array([1]),
        "galleries": {1: (np.array([1]),)},
    }
    return SearchSet(**(values | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"boxes": (np.zeros((2, 4)),)}, "expected boxes and pids of 2 frames, got 1 and 2"),
        ({"pids": (np.array([1]), np.zeros(0))}, r"expected boxes \(k, 4\) and pids \(k,\) of a frame"),
        ({"query_box": np.zeros((2, 4))}, r"expected query_box \(1, 4\) and query_pid \(1,\)"),
        ({"query_frame": np.array([2])}, "expected frame indices below 2, got 2..2"),
        ({"galleries": {1: ()}}, "expected 1 galleries of size 1, got 0"),
        ({"galleries": {1: (np.array([-1]),)}}, "expected frame indices below 2, got -1"),
    ],
)
def test_search_sets_are_checked(changed, message):
    assert search_set().query_pid.tolist() == [1]
    with pytest.raises(ValueError, match=message):
        search_set(**changed)
