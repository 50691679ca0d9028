"""What every data set promises."""

import numpy as np
import pytest

from reid.datasets import DATASETS, ImageSet, Split, TrackletSet, join, load_dataset
from reid.datasets.types import DISTRACTOR, JUNK
from reid.errors import BadInputError, DataError
from tests.datasets.miniatures import MINIATURES


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_that_is_absent_empty_or_of_another_set_is_one_clear_line(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign" / "bounding_box_train").mkdir(parents=True)
    (tmp_path / "foreign" / "bounding_box_train" / "Thumbs.db").touch()
    (tmp_path / "foreign" / "bounding_box_train" / "0002_c1s1_000451_03.txt").touch()
    for folder in ("absent", "empty", "foreign"):
        with pytest.raises(DataError) as caught:
            load_dataset(name, tmp_path / folder)
        assert str(tmp_path / folder) in str(caught.value)
        assert "expected" in str(caught.value) or ";" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", DATASETS)
def test_a_miniature_loads(name, tmp_path):
    folder = MINIATURES[name](tmp_path)
    source = DATASETS[name]
    for number in {0, source.splits - 1}:
        split = load_dataset(name, folder, number)
        assert isinstance(split, Split)
        for part in (split.train, split.query, split.gallery):
            assert isinstance(part, ImageSet | TrackletSet)
            assert len(part)
            assert (part.pid.dtype, part.camera.dtype) == (np.int64, np.int64)
            assert all(path.is_file() for path in part.images().paths)
        assert split.train.pid.min() > DISTRACTOR
        assert split.query.pid.min() > DISTRACTOR
        assert split.gallery.pid.min() >= JUNK
        assert set(split.query.pid) <= set(split.gallery.pid)
        assert not set(split.train.images().paths) & set(split.gallery.images().paths)
        assert join([split.train]).pid.min() == 0
        if source.protocol == "single_shot":
            assert set(split.query.camera) == {1}
            assert set(split.gallery.camera) == {2}
        assert (split.search is not None) == (source.protocol == "search")


@pytest.mark.parametrize("name", [name for name, source in DATASETS.items() if source.splits > 1])
def test_splits_differ_and_are_repeatable(name, tmp_path):
    folder = MINIATURES[name](tmp_path)
    tested = [tuple(np.unique(load_dataset(name, folder, number).query.pid)) for number in range(DATASETS[name].splits)]
    again = [tuple(np.unique(load_dataset(name, folder, number).query.pid)) for number in range(DATASETS[name].splits)]
    assert tested == again
    assert len(set(tested)) > 1


@pytest.mark.parametrize("name", DATASETS)
def test_a_split_that_is_not_there_is_bad_input(name, tmp_path):
    for number in (-1, DATASETS[name].splits):
        with pytest.raises(BadInputError, match=f"{name} has no split {number}; choose one of 0"):
            load_dataset(name, tmp_path, number)


@pytest.mark.parametrize(("name", "source"), DATASETS.items())
def test_help_is_a_line_of_words(name, source):
    assert 10 < len(source.about) < 80
    assert "\n" not in source.about


def test_every_set_has_a_miniature():
    assert set(MINIATURES) == set(DATASETS)


def test_an_unknown_set_is_bad_input(tmp_path):
    with pytest.raises(BadInputError, match="'cifar' is unknown; choose one of market1501"):
        load_dataset("cifar", tmp_path)
