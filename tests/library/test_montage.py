"""`reidtrack search --montage`: what was looked for and what was found, in a picture."""

import numpy as np
import pytest

from reid.images import read_image
from tests.helpers import write_image
from tracker.cli import main
from tracker.library import montage as module
from tracker.library.montage import (
    COLUMNS,
    CROP,
    GAP,
    HEADING,
    MARGIN,
    PITCH,
    ROWS,
    SIGHTINGS,
    TITLE,
    WORDS,
    Band,
    Cell,
    _shortened,
    montage,
)
from tracker.library.store import Library


def cell(colour=(200, 30, 30), size=(128, 64), words=("0.93", "gate", "22:00:05")):
    return Cell(np.full((*size, 3), colour, np.uint8), words)


def test_pictures_stand_on_the_floor_of_their_cells_unstretched(tmp_path):
    (path,) = montage(tmp_path / "m.png", "x", Band("looked for", [cell(), cell((30, 30, 200), (50, 100))]), [])
    page = read_image(path)
    top, left = MARGIN + HEADING + TITLE, MARGIN
    assert (page[top : top + CROP[0], left : left + CROP[0] // 2] == (200, 30, 30)).all()  # twice as high as wide
    assert (page[top : top + CROP[0], left + CROP[0] // 2 : left + PITCH] == 255).all()
    left += PITCH
    height = CROP[1] // 2  # twice as wide as high
    assert (page[top + CROP[0] - height : top + CROP[0], left : left + CROP[1]] == (30, 30, 200)).all()
    assert (page[top : top + CROP[0] - height, left : left + CROP[1]] == 255).all()


def test_a_row_that_is_full_goes_on_below(tmp_path):
    colours = [(10 * number, 255 - 10 * number, 50) for number in range(COLUMNS + 1)]
    (path,) = montage(tmp_path / "m.png", "x", Band("", []), [Band("1", [cell(colour) for colour in colours])])
    page = read_image(path)
    last = np.argwhere((page == colours[-1]).all(2))
    first = np.argwhere((page == colours[0]).all(2))
    assert last[:, 1].min() == first[:, 1].min() == MARGIN
    assert last[:, 0].min() > first[:, 0].max()


def test_of_many_sightings_the_first_are_shown_and_the_others_counted():
    shown = _shortened(Band("1 gate", [cell()] * (SIGHTINGS + 31)))
    assert (len(shown.cells), shown.title) == (SIGHTINGS, "1 gate   (+ 31 more)")
    assert _shortened(Band("1 gate", [cell()] * SIGHTINGS)).title == "1 gate"


def test_many_identities_take_several_pages_of_bounded_size(tmp_path, monkeypatch):
    assert ROWS * (TITLE + CROP[0] + 4 * WORDS + GAP) + HEADING + 2 * MARGIN < 2**16  # what matplotlib can draw
    monkeypatch.setattr(module, "ROWS", 3)
    found = [Band(f"{number}", [cell((number, 10, 250), (16, 8), ())]) for number in range(7)]
    written = montage(tmp_path / "m.png", "x", Band("", []), found)
    assert [path.name for path in written] == ["m.png", "m_2.png", "m_3.png"]
    pages = [read_image(path) for path in written]
    seen = [sorted(set(page[(page[:, :, 1:] == (10, 250)).all(2)][:, 0].tolist())) for page in pages]
    assert seen == [[0, 1], [2, 3, 4], [5, 6]]  # the examples take a row


def test_equal_results_are_equal_bytes_and_no_pictures_are_fine(tmp_path):
    for name in "ab":
        montage(tmp_path / f"{name}.png", "x", Band("looked for   upper red", []), [Band("1", [cell()])])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("image", [np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5)), np.zeros((5, 5, 3))])
def test_what_is_no_picture_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="expected an image"):
        montage(tmp_path / "m.png", "x", Band("", []), [Band("1", [Cell(image, ())])])
    assert not list(tmp_path.iterdir())


@pytest.fixture
def indexed(desk):
    assert main(["index", "lib", "monday", "tuesday"]) == 0
    return desk


def test_the_command_draws_examples_and_best_crops(indexed, capsys):
    rows = Library.open("lib").tracklets.to_arrow().to_pylist()
    write_image(indexed / "wanted.png", (250, 0, 250), size=(128, 64))
    crop = rows[0]["crop"]
    folder = Library.open("lib").meta.runs[rows[0]["run"]].path
    args = ["search", "lib", "--image", f"{folder}/{crop}", "--track", rows[1]["key"], "--montage", "m.png"]
    assert main(args) == 0
    assert "m.png: written" in capsys.readouterr().err
    page = read_image(indexed / "m.png").astype(int)
    top, left = MARGIN + HEADING + TITLE, MARGIN
    best = read_image(indexed / folder / crop)
    height, width = (min(round(side * min(CROP[0] / best.shape[0], CROP[1] / best.shape[1])), most)
                     for side, most in zip(best.shape[:2], CROP, strict=True))  # fmt: skip
    drawn = page[top + CROP[0] - height : top + CROP[0], left : left + width]
    assert np.abs(drawn.mean((0, 1)) - best.mean((0, 1))).max() < 3


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("m.jpg", 2, "--montage m.jpg: it is written as PNG"), ("a.mp4/m.png", 1, "a.mp4/m.png: cannot be written")],
)
def test_a_montage_that_cannot_be_drawn_is_one_line(indexed, capsys, name, code, said):
    key = Library.open("lib").tracklets.to_arrow()["key"][0].as_py()
    capsys.readouterr()
    assert main(["search", "lib", "--track", key, "--montage", name]) == code
    shown = capsys.readouterr()
    assert said in shown.err.splitlines()[-1]
    assert bool(shown.out) == (code == 1)  # what was found is not lost
