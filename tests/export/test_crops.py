import re

import numpy as np
import pytest

from export.crops import FEWEST, read_crops
from reid.errors import BadInputError, DataError
from tests.helpers import write_image


def pictures(folder, count, size=(8, 4)):
    """``count`` grey pictures, each as bright as its number."""
    for number in range(count):
        write_image(folder / f"{number:04}.png", (number + 40,) * 3, size=size, seed=number)
    return folder


def numbers(crops):
    return [round(float(crop.mean())) - 40 for crop in crops]


def test_crops_are_rgb_of_their_own_sizes(tmp_path):
    pictures(tmp_path / "a", FEWEST - 1)
    write_image(tmp_path / "a" / "last.png", (200, 100, 50), size=(16, 8))
    crops = read_crops([tmp_path / "a"], 64)
    assert [crop.shape for crop in crops] == [(8, 4, 3)] * (FEWEST - 1) + [(16, 8, 3)]
    assert crops[-1].dtype == np.uint8
    assert crops[-1].mean((0, 1)) == pytest.approx([200, 100, 50], abs=5)


def test_of_one_folder_they_are_spread_over_the_names_with_both_ends(tmp_path):
    found = numbers(read_crops([pictures(tmp_path / "a", 125)], FEWEST))
    assert found == pytest.approx([4 * i for i in range(FEWEST)], abs=4)
    assert found[0] == pytest.approx(0, abs=3)
    assert found[-1] == pytest.approx(124, abs=3)


def test_of_a_run_its_crops_are_read_as_many_of_each_recording(tmp_path):
    run = tmp_path / "run"
    pictures(run / "crops" / "gate", 60, size=(8, 4))
    pictures(run / "crops" / "hall", 10, size=(9, 4))
    pictures(run / "crops" / "yard", 60, size=(10, 4))
    pictures(run / "rendered" / "album", 60, size=(99, 4))
    (run / "run.json").write_text("{}")
    heights = [len(crop) for crop in read_crops([run], 40)]
    assert heights == [8] * 15 + [9] * 10 + [10] * 15


def test_folders_and_runs_combine_and_hidden_files_do_not_count(tmp_path):
    first, second = pictures(tmp_path / "a", 20), pictures(tmp_path / "b", 20)
    (first / "._0000.jpg").write_bytes(b"left by another system")
    pictures(second / ".trash", 20)
    (second / "notes.txt").write_text("no picture")
    assert len(read_crops([first, second], 1000)) == 40


def test_fewer_than_needed_are_refused_with_both_numbers(tmp_path):
    folder = pictures(tmp_path / "a", FEWEST - 1)
    with pytest.raises(DataError, match=rf"{re.escape(str(folder))}: 31 pictures, where calibration needs at least 32"):
        read_crops([folder], 64)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")  # its crops were deleted
    with pytest.raises(DataError, match="0 pictures"):
        read_crops([tmp_path / "run"], 64)


def test_what_is_no_folder_or_no_picture_is_named(tmp_path):
    with pytest.raises(BadInputError, match="absent: no such folder; name a run directory"):
        read_crops([tmp_path / "absent"], 64)
    with pytest.raises(BadInputError, match="name a run directory or a folder of pictures"):
        read_crops([], 64)
    folder = pictures(tmp_path / "a", FEWEST)
    (folder / "0003.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"0003.png: not an image"):
        read_crops([folder], 64)


def test_a_limit_below_the_fewest_is_a_programmers_mistake(tmp_path):
    with pytest.raises(ValueError, match="expected at least 32, got 31"):
        read_crops([pictures(tmp_path / "a", 40)], FEWEST - 1)
