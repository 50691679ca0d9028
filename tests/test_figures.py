import subprocess
import sys

import cv2
import numpy as np
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from reid.figures import (
    LossRow,
    Match,
    RankedList,
    cmc_curves,
    distance_histograms,
    loss_table,
    ranked_lists,
    training_curves,
)
from reid.figures import ranked as layout
from reid.figures.style import BLUE, GREEN, VERMILLION, line_style
from reid.images import read_image, resize_crop

BORDER_AREA = layout.CELL[0] * layout.CELL[1] - layout.CROP[0] * layout.CROP[1]

LOG = [
    {"epoch": 1, "size": [128, 64], "lr": 1e-5, "cls": 7.3, "trihard": 0.98, "accuracy": 0.01, "images_per_s": 216.5,
     "waiting_for_data": 0.01},
    {"epoch": 2, "size": [128, 64], "lr": 5e-4, "cls": 5.1, "trihard": 0.5, "accuracy": 0.2, "images_per_s": 208.0,
     "waiting_for_data": 0.01},
    {"epoch": 3, "size": [192, 96], "lr": 3e-4, "cls": 2.25, "trihard": 0.125, "accuracy": 0.755, "images_per_s": 99.0,
     "waiting_for_data": 0.02},
]  # fmt: skip


def crop(seed=0, size=(128, 64)):
    return np.random.default_rng(seed).integers(0, 250, (*size, 3), dtype=np.uint8)


def ranked_list(flags=(True, False, True), title="query 1", camera=3, distance=0.25):
    return RankedList(crop(99), title, [Match(crop(i), flag, distance, camera) for i, flag in enumerate(flags)])


PICTURES = {
    "ranked_lists": lambda path: ranked_lists(path, [ranked_list()]),
    "distance_histograms": lambda path: distance_histograms(path, [0, 1, 2, 3], [3, 2, 0], [0, 1, 4]),
    "cmc_curves": lambda path: cmc_curves(path, {"one": [0.5, 0.75], "other": np.linspace(0.6, 1, 50)}),
    "training_curves": lambda path: training_curves(path, LOG),
    "loss_table": lambda path: loss_table(path, [LossRow("cls", [0.4, 0.44], [0.6, 0.7], (0.41, 0.66))]),
}
every_picture = pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES.keys())


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures that were written, in order; in few pixels, for speed."""
    figures, write = [], Figure.savefig

    def savefig(figure, name, **how):
        write(figure, name, **{**how, "dpi": 40})
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def count(image, color):
    return int((image == list(bytes.fromhex(color[1:]))).all(2).sum())


@every_picture
def test_one_png_and_nothing_else_is_written(draw, tmp_path):
    path = tmp_path / "new" / "picture.png"
    assert draw(path) == path
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert 5_000 < path.stat().st_size < 1_000_000
    height, width, _ = read_image(path).shape
    assert 900 < width < 1800
    assert 250 < height < 1500


@every_picture
def test_equal_data_make_equal_bytes(draw, tmp_path):
    assert draw(tmp_path / "a.png").read_bytes() == draw(tmp_path / "b.png").read_bytes()


@every_picture
def test_the_background_is_white(draw, tmp_path):
    image = read_image(draw(tmp_path / "a.png"))
    assert (image[:8] == 255).all()
    assert (image == 255).all(2).mean() > 0.2


@every_picture
def test_a_failure_leaves_what_was_there(draw, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"before")

    def full_disk(figure, name, **how):
        name.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full_disk)
    with pytest.raises(OSError, match="No space"):
        draw(path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.png", b"before")]


def test_nothing_global_changes_and_matplotlib_comes_late(tmp_path):
    script = """
import sys
from pathlib import Path
from reid.figures import cmc_curves
assert "matplotlib" not in sys.modules
import matplotlib
def settings():
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}  # it imports pyplot
before = settings()
cmc_curves(Path(sys.argv[1]), {"one": [0.5, 1.0]})
assert "matplotlib.pyplot" not in sys.modules
assert settings() == before
"""
    made = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.png")], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("name", [r"$\frac$", "price $5 and $6", "a_b^c"])
def test_names_stand_as_they_are(name, tmp_path, drawn):
    ranked_lists(tmp_path / "a.png", [ranked_list(title=name)])
    cmc_curves(tmp_path / "b.png", {name: [0.5]})
    training_curves(tmp_path / "c.png", [{"epoch": 1, "lr": 0.1, "accuracy": 0.5, name: 1.0}])
    loss_table(tmp_path / "d.png", [LossRow(name, [0.5], [0.5])])
    for figure in drawn:
        texts = [text for text in figure.findobj(Text) if name in text.get_text()]
        assert texts
        assert not any(text.get_parse_math() for text in texts)


class TestRankedLists:
    def test_borders_count_right_and_wrong(self, tmp_path):
        images = {}
        for right in (0, 1, 4):
            row = ranked_list([True] * right + [False] * (4 - right))
            images[right] = read_image(ranked_lists(tmp_path / "a.png", [row]))
        for color, share in ((GREEN, lambda right: right), (VERMILLION, lambda right: 4 - right)):
            counts = {right: count(image, color) for right, image in images.items()}
            for right, pixels in counts.items():  # beyond the borders there are only the marks and the legend
                assert 0 <= pixels - share(right) * BORDER_AREA < 0.5 * BORDER_AREA
        assert {count(image, BLUE) for image in images.values()} == {count(images[0], BLUE)}
        assert count(images[0], BLUE) >= BORDER_AREA

    def test_marks_differ_without_colour(self, tmp_path):
        marks = []
        for right in (True, False):
            image = read_image(ranked_lists(tmp_path / "a.png", [ranked_list([right])]))
            below = layout.MARGIN + layout.LEGEND + layout.TITLE + layout.CELL[0]
            marks.append((image[below : below + layout.CAPTION] < 160).any(2))
        assert marks[0].shape == marks[1].shape
        assert (marks[0] ^ marks[1]).sum() > 30

    def test_crops_are_shown_pixel_by_pixel(self, tmp_path):
        rows = [ranked_list([True, False]), ranked_list([False])]
        image = read_image(ranked_lists(tmp_path / "a.png", rows))
        for number, row in enumerate(rows):
            top = layout.MARGIN + layout.LEGEND + number * layout.PITCH + layout.TITLE + layout.BORDER
            lefts = [0, *(layout.GAP + place * (layout.CELL[1] + layout.GAP) for place in (1, 2))]
            shown = [row.query, *(match.image for match in row.matches)]
            for left, pixels in zip(lefts, shown, strict=False):
                x = layout.MARGIN + layout.BORDER + left
                cell = image[top : top + layout.CROP[0], x : x + layout.CROP[1]]
                assert np.array_equal(cell, resize_crop(pixels, layout.CROP))

    def test_captions(self, tmp_path, drawn):
        ranked_lists(tmp_path / "a.png", [ranked_list([True, False], "0001 in c2", camera=12, distance=0.12345)])
        assert words(drawn[0]).count("c12  0.123") == 2
        assert {"0001 in c2", "✓", "✗"} <= set(words(drawn[0]))

    def test_a_page_grows_by_rows_and_columns(self, tmp_path):
        def size(rows):
            return read_image(ranked_lists(tmp_path / "a.png", rows)).shape[:2]

        one, two = size([ranked_list()]), size([ranked_list()] * 2)
        assert (two[0] - one[0], two[1] - one[1]) == (layout.PITCH, 0)
        full = size([ranked_list(), ranked_list([True] * 10)])
        assert full == (two[0], 2 * layout.MARGIN + 11 * (layout.CELL[1] + layout.GAP))

    @pytest.mark.parametrize("shape", [(20, 10, 3), (500, 300, 3), (1, 1, 3)])
    def test_any_size_of_crop(self, shape, tmp_path):
        image = np.full(shape, 200, np.uint8)
        ranked_lists(tmp_path / "a.png", [RankedList(image, "", [Match(image, True, 0.0, 1)])])

    @pytest.mark.parametrize(
        "image",
        [crop()[:, :, 0], crop()[:, :, :2], crop() / 255, crop()[:0]],
        ids=["grey", "two channels", "float", "empty"],
    )
    def test_refuses_what_is_no_image(self, image, tmp_path):
        with pytest.raises(ValueError, match=r"expected an image \(h, w, 3\) uint8"):
            ranked_lists(tmp_path / "a.png", [RankedList(image, "", [Match(crop(), True, 0.0, 1)])])
        with pytest.raises(ValueError, match=r"expected an image \(h, w, 3\) uint8"):
            ranked_lists(tmp_path / "a.png", [RankedList(crop(), "", [Match(image, True, 0.0, 1)])])
        assert not list(tmp_path.iterdir())

    def test_refuses_too_few_and_too_many(self, tmp_path):
        with pytest.raises(ValueError, match="at least one ranked list"):
            ranked_lists(tmp_path / "a.png", [])
        with pytest.raises(ValueError, match=r"1\.\.10 matches, got 0"):
            ranked_lists(tmp_path / "a.png", [ranked_list(()), ranked_list()])
        with pytest.raises(ValueError, match=r"1\.\.10 matches, got 11"):
            ranked_lists(tmp_path / "a.png", [ranked_list([True] * 11)])


class TestDistanceHistograms:
    @pytest.mark.parametrize(
        ("positive", "negative", "overlap", "crossing"),
        [
            ([3, 2, 0, 0], [0, 10, 40, 0], "20.0%", "2.000"),  # shares .6 .4 and .2 .8
            ([5, 0, 0, 0], [0, 0, 0, 7], "0.0%", "2.000"),  # any of 1, 2, 3: the middle of the gap
            ([1, 1, 1, 1], [2, 2, 2, 2], "100.0%", "3.000"),  # no edge is better than another
        ],
    )
    def test_overlap_and_crossing(self, positive, negative, overlap, crossing, tmp_path, drawn):
        distance_histograms(tmp_path / "a.png", [0, 1, 2, 3, 4], positive, negative)
        assert {f"overlap {overlap}", f"crossing {crossing}"} <= set(words(drawn[0]))

    def test_a_given_threshold_is_marked_in_place_of_the_crossing(self, tmp_path, drawn):
        distance_histograms(tmp_path / "a.png", [0, 1, 2, 3], [3, 2, 0], [0, 1, 4], 1.25)
        (line,) = drawn[0].axes[0].lines
        assert list(line.get_xdata()) == [1.25, 1.25]
        assert "threshold 1.250" in words(drawn[0])
        assert not any("crossing" in text for text in words(drawn[0]))

    def test_areas_are_one_and_the_overlap_in_uneven_bins(self, tmp_path, drawn):
        edges = np.array([0, 0.1, 0.5, 2])
        distance_histograms(tmp_path / "a.png", edges, [60, 40, 0], [0, 200, 800])
        areas = [float(patch.get_data().values @ np.diff(edges)) for patch in drawn[0].axes[0].patches]
        assert sorted(areas) == pytest.approx([0.2, 1, 1, 1, 1])

    def test_pairs_are_counted_and_empty_bins_cut_off(self, tmp_path, drawn):
        distance_histograms(tmp_path / "a.png", np.arange(9), [0, 0, 3000, 2, 0, 0, 0, 0], [0, 0, 0, 1, 4, 0, 0, 0])
        assert {"one person, 3,002 pairs", "two people, 5 pairs"} <= set(words(drawn[0]))
        assert drawn[0].axes[0].get_xlim() == (2, 5)

    @pytest.mark.parametrize(
        ("edges", "positive", "negative", "message"),
        [
            ([0, 1, 2], [1, 1], [1, 1, 1], r"got \(3,\), \(2,\) and \(3,\)"),
            ([0, 1], [1, 1], [1, 1], "expected edges"),
            ([0], [], [], "expected edges"),
            ([], [], [], "expected edges"),
            ([[0, 1]], [1], [1], "expected edges"),
            ([0, 2, 1], [1, 1], [1, 1], "ascending"),
            ([0, 1, 2], [0, 0], [1, 1], "positive: expected counts of at least one"),
            ([0, 1, 2], [1, 1], [3, -1], "negative: expected counts of at least one"),
            ([0, 1, 2], [1, np.nan], [3, 1], "positive"),
        ],
    )
    def test_refuses(self, edges, positive, negative, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            distance_histograms(tmp_path / "a.png", edges, positive, negative)


class TestCmcCurves:
    def test_values_are_named(self, tmp_path, drawn):
        curve = [0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.95, 1]
        cmc_curves(tmp_path / "a.png", {"a": curve, "long name": curve[:6]})
        texts = words(drawn[0])
        assert "a          R1 50.0  R5 90.0  R10 95.0" in texts
        assert "long name  R1 50.0  R5 90.0" in texts

    def test_lines_follow_the_data_up_to_rank_50(self, tmp_path, drawn):
        curve = np.linspace(0.31, 0.9, 80)
        cmc_curves(tmp_path / "a.png", {"a": curve, "b": [0.5]})
        long, short = drawn[0].axes[0].lines
        assert np.array_equal(long.get_xdata(), np.arange(1, 51))
        assert np.allclose(long.get_ydata(), curve[:50] * 100)
        assert len(short.get_xdata()) == 1

    @pytest.mark.parametrize(("lowest", "floor"), [(0.31, 25), (0.30, 25), (0.89, 85), (0.01, 0), (1.0, 95)])
    def test_the_axis_starts_below_the_lowest_value(self, lowest, floor, tmp_path, drawn):
        cmc_curves(tmp_path / "a.png", {"a": [lowest, 1.0], "b": [1.0, 1.0]})
        bottom, top = drawn[0].axes[0].get_ylim()
        assert bottom == floor
        assert 100 < top < 101

    def test_28_lines_look_different(self):
        looks = [tuple(line_style(number).values()) for number in range(28)]
        assert len(set(looks)) == 28

    @pytest.mark.parametrize("curve", [[], [0.5, 0.4], [0.5, 50.0], [-0.1], [np.nan, 1], [[0.5, 0.6]]])
    def test_refuses_what_is_no_cmc(self, curve, tmp_path):
        with pytest.raises(ValueError, match="'b': expected values within"):
            cmc_curves(tmp_path / "a.png", {"a": [0.5], "b": curve})

    def test_refuses_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="at least one CMC"):
            cmc_curves(tmp_path / "a.png", {})


class TestTrainingCurves:
    def test_panels_show_losses_accuracy_and_rate(self, tmp_path, drawn):
        training_curves(tmp_path / "a.png", LOG)
        upper, middle, lower = drawn[0].axes
        assert [line.get_label() for line in upper.lines[:2]] == ["cls  2.25", "trihard  0.125"]
        assert [list(line.get_ydata()) for line in upper.lines[:2]] == [[7.3, 5.1, 2.25], [0.98, 0.5, 0.125]]
        assert list(middle.lines[0].get_ydata()) == pytest.approx([1, 20, 75.5])
        assert list(lower.lines[0].get_ydata()) == [1e-5, 5e-4, 3e-4]
        assert upper.get_xlim() == middle.get_xlim() == lower.get_xlim() == (0.5, 3.5)

    def test_crop_sizes_are_written_where_they_begin(self, tmp_path, drawn):
        training_curves(tmp_path / "a.png", LOG)
        noted = {text.get_text(): text.get_position()[0] for text in drawn[0].axes[0].texts}
        assert noted == {"128x64": 1, "192x96": 3}
        assert [list(axes.lines[-1].get_xdata()) for axes in drawn[0].axes] == [[3, 3]] * 3

    @pytest.mark.parametrize(
        ("losses", "scale"),
        [([7, 0.1], "log"), ([7, 0.0], "log"), ([0.0, 0.0], "linear"), ([7, -0.1], "linear"), ([7, np.nan], "log")],
    )
    def test_losses_are_on_a_logarithmic_scale_unless_one_is_negative(self, losses, scale, tmp_path, drawn):
        lines = [{"epoch": i, "lr": 0.1, "accuracy": 0.5, "cls": loss} for i, loss in enumerate(losses, 1)]
        training_curves(tmp_path / "a.png", lines)
        assert drawn[0].axes[0].get_yscale() == scale

    def test_one_epoch_is_seen(self, tmp_path, drawn):
        training_curves(tmp_path / "a.png", LOG[:1])  # a line of one point has no length
        assert {line.get_marker() for axes in drawn[0].axes for line in axes.lines} == {"o"}
        axes = drawn[0].axes[-1]
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]

    def test_a_loss_may_begin_late(self, tmp_path, drawn):
        training_curves(tmp_path / "a.png", [LOG[0], LOG[1] | {"center": 0.5}])
        values = drawn[0].axes[0].lines[2].get_ydata()
        assert np.isnan(values[0])
        assert values[1] == 0.5

    @pytest.mark.parametrize("name", ["epoch", "lr", "accuracy"])
    def test_refuses_lines_of_something_else(self, name, tmp_path):
        broken = [LOG[0], {key: value for key, value in LOG[1].items() if key != name}]
        with pytest.raises(ValueError, match=f"without {name}"):
            training_curves(tmp_path / "a.png", broken)

    def test_refuses_no_line_and_no_loss(self, tmp_path):
        with pytest.raises(ValueError, match="at least one line"):
            training_curves(tmp_path / "a.png", [])
        with pytest.raises(ValueError, match="without a loss"):
            training_curves(tmp_path / "a.png", [{"epoch": 1, "lr": 0.1, "accuracy": 0.5}])


class TestLossTable:
    ROWS = (
        LossRow("cls", [0.40, 0.42, 0.50], [0.60, 0.70, 0.65], (0.41, 0.66)),
        LossRow("cls + msml", [0.60], [0.80]),
    )

    def test_bars_and_dots_are_means(self, tmp_path, drawn):
        loss_table(tmp_path / "a.png", self.ROWS)
        (axes,) = drawn[0].axes
        (bars,) = [one for one in axes.containers if isinstance(one, BarContainer)]
        assert [bar.get_width() for bar in bars] == pytest.approx([44, 60])
        (dots,) = [line for line in axes.lines if line.get_label() == "R1"]
        assert list(dots.get_xdata()) == pytest.approx([65, 80])
        assert {"44.0", "60.0", "65.0", "80.0", "cls", "cls + msml"} <= set(words(drawn[0]))

    def test_whiskers_reach_from_the_lowest_to_the_highest(self, tmp_path, drawn):
        loss_table(tmp_path / "a.png", self.ROWS)
        (axes,) = drawn[0].axes
        whiskers = [one.lines[2][0].get_segments() for one in axes.containers if isinstance(one, ErrorbarContainer)]
        reach = [[segment[:, 0].tolist() for segment in segments] for segments in whiskers]
        assert reach == [
            [pytest.approx([40, 50]), pytest.approx([60, 60])],
            [pytest.approx([60, 70]), pytest.approx([80, 80])],
        ]
        assert "%, means of 1 to 3 seeds, whiskers from lowest to highest" in words(drawn[0])

    def test_published_figures_are_hollow(self, tmp_path, drawn):
        loss_table(tmp_path / "a.png", self.ROWS)
        loss_table(tmp_path / "b.png", self.ROWS[1:])
        hollow = [
            {line.get_label(): list(line.get_xdata()) for line in figure.axes[0].lines if line.get_mfc() == "none"}
            for figure in drawn
        ]
        assert hollow == [{"mAP, published": [41], "R1, published": [66]}, {}]

    def test_rows_stand_from_top_to_bottom_and_make_it_taller(self, tmp_path, drawn):
        one = read_image(loss_table(tmp_path / "a.png", self.ROWS[:1]))
        two = read_image(loss_table(tmp_path / "b.png", self.ROWS))
        assert two.shape[0] > one.shape[0]
        bottom, top = drawn[1].axes[0].get_ylim()
        assert bottom > top
        assert [label.get_text() for label in drawn[1].axes[0].get_yticklabels()] == ["cls", "cls + msml"]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (LossRow("x", [], []), "x: expected an mAP and an R1 of each seed, got 0 and 0"),
            (LossRow("x", [0.5], [0.5, 0.6]), "got 1 and 2"),
            (LossRow("x", [57.6], [0.5]), r"within 0\.\.1"),
            (LossRow("x", [0.5], [np.nan]), r"within 0\.\.1"),
            (LossRow("x", [0.5], [0.5], (69.6, 85.2)), r"within 0\.\.1"),
        ],
    )
    def test_refuses(self, row, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            loss_table(tmp_path / "a.png", [*self.ROWS, row])

    def test_refuses_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="at least one loss"):
            loss_table(tmp_path / "a.png", [])


def test_bars_grow_with_their_values(tmp_path):
    low, high = (
        cv2.imread(str(loss_table(tmp_path / "a.png", [LossRow("x", [value], [0.9])]))) for value in (0.2, 0.8)
    )
    filled = [int((image[:, :, 0].astype(int) - image[:, :, 2] > 60).sum()) for image in (low, high)]
    assert filled[1] == pytest.approx(4 * filled[0], rel=0.1)
