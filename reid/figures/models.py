"""Embedders side by side: accuracy against time, with the number of parameters as the area of the mark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reid.figures.style import (
    BLUE,
    FONT,
    INK,
    QUIET,
    SMALL,
    VERMILLION,
    WIDTH,
    all_shares,
    legend,
    new_axes,
    new_figure,
    save,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

AREA, LARGEST = 220.0, 1500.0  # square points of a mark of a million parameters; of any mark
_PANEL = 3.1  # inches
_SIDES: tuple[tuple[int, int, str, str], ...] = (
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
)


class ModelPoint(NamedTuple):
    """A model with its milliseconds a crop, its parameters, and its mAP, 0..1, by data set."""

    name: str
    ms: float
    parameters: int
    mean_ap: Mapping[str, float]


def model_chart(path: Path, points: Sequence[ModelPoint], own: Sequence[str] = ()) -> Path:
    """Accuracy (mAP) over milliseconds a crop, a panel a data set; what stands to the upper left is better.

    Args:
        path: of the PNG.
        points: at least one, all with the same data sets, at least one.
        own: names of the points to draw in another colour.

    Raises:
        ValueError: no point or no data set, times or parameters that are not positive, or scores outside 0..1.
    """
    sets = list(points[0].mean_ap) if points else []
    if not sets:
        raise ValueError("expected at least one model and one data set, got none")
    for point in points:
        if not (point.ms > 0 and point.parameters > 0 and all_shares(list(point.mean_ap.values()))):
            raise ValueError(f"{point.name}: expected a time, parameters and scores within 0..1, got {point}")
    figure = new_figure(WIDTH, 0.6 + _PANEL * len(sets))
    panels = new_axes(figure, heights=(1,) * len(sets))
    ordered = sorted(points, key=lambda point: -point.parameters)  # small marks lie on large ones
    scale = min(AREA, LARGEST / (ordered[0].parameters / 1e6)) / 1e6
    for axes, name in zip(panels, sets, strict=True):
        for mine, color in ((False, BLUE), (True, VERMILLION)):
            shown = [point for point in ordered if (point.name in own) is mine]
            axes.scatter(
                [point.ms for point in shown],
                [point.mean_ap[name] * 100 for point in shown],
                [point.parameters * scale for point in shown],
                color=color,
                alpha=0.55,
                zorder=2 + mine,
            )
        _limit(axes, points, name)
        axes.set_ylabel(f"mAP on {name}, %", parse_math=False)
    panels[-1].set_xlabel("milliseconds a crop; area: parameters")
    if 0 < len(set(own) & {point.name for point in points}) < len(points):
        legend(figure, loc="outside lower center", ncols=2, handles=_handles())
    figure.draw_without_rendering()  # places the axes; labels need to know where
    for axes, name in zip(panels, sets, strict=True):
        _name_points(axes, ordered, name, scale)
    return save(figure, path)


def _limit(axes: "Axes", points: Sequence[ModelPoint], name: str) -> None:
    """A logarithmic axis with round numbers written out, and room for the marks and their names."""
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    times = [point.ms for point in points]
    scores = [point.mean_ap[name] * 100 for point in points]
    axes.set(xscale="log", xlim=(min(times) / 1.8, max(times) * 1.8))
    axes.set_ylim(max(min(scores) - 8, 0) if min(scores) > 12 else -4, max(scores) + 8)
    low, high = axes.get_xlim()
    ticks = [step * 10.0**power for power in range(-4, 6) for step in (1, 2, 5)]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", color=QUIET, width=0.4, length=2)


def _handles() -> "list[Line2D]":
    """Marks of one size for the legend."""
    from matplotlib.lines import Line2D

    how: dict[str, Any] = {"marker": "o", "ls": "none", "ms": 6, "alpha": 0.55}
    return [Line2D([], [], color=BLUE, label="others", **how), Line2D([], [], color=VERMILLION, label="ours", **how)]


def _name_points(axes: "Axes", points: Sequence[ModelPoint], name: str, scale: float) -> None:
    """Write each name on the first of four sides where it covers neither a mark nor another name."""
    taken = [_box_of(axes, point, name, scale) for point in points]
    for point in points:
        reach = np.sqrt(point.parameters * scale / np.pi) + 2
        text = f"{point.name} ({point.parameters / 1e6:.2g} M)"
        tried: list[tuple[int, int, Annotation, Bbox]] = []
        for right, up, across, along in _SIDES:
            label = axes.annotate(
                text,
                (point.ms, point.mean_ap[name] * 100),
                (right * reach, up * reach),
                textcoords="offset points",
                ha=across,
                va=along,
                color=INK,
                size=SMALL,
                family=FONT,
                parse_math=False,
                annotation_clip=False,
                zorder=5,
            )
            box = label.get_window_extent()
            covered = sum(box.overlaps(other) for other in taken)
            outside = not (axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1)
            tried.append((covered + 10 * outside, len(tried), label, box))
            label.remove()
        _, _, label, box = min(tried, key=lambda one: one[:2])
        axes.add_artist(label)
        taken.append(box)


def _box_of(axes: "Axes", point: ModelPoint, name: str, scale: float) -> "Bbox":
    """The mark's square on the canvas, in pixels."""
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform((point.ms, point.mean_ap[name] * 100))
    reach = np.sqrt(point.parameters * scale / np.pi) * axes.figure.dpi / 72
    return Bbox.from_extents(x - reach, y - reach, x + reach, y + reach)
