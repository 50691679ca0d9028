"""Whether calibrated probabilities come true, and the similarities behind them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reid.figures.style import (
    BLUE,
    FONT,
    INK,
    QUIET,
    SIZE,
    SMALL,
    VERMILLION,
    WIDTH,
    legend,
    line_style,
    new_axes,
    new_figure,
    save,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reid.calibrate import Sample

BARS = 100  # of the histograms, over similarities -1..1


def reliability_diagram(path: Path, samples: "Mapping[str, Sample]") -> Path:
    """For each kind of pair: predicted against observed probability, and both histograms with the thresholds.

    Each half of the identities is a line, under the curve of the other half; the larger a dot, the more pairs it stands
    for. Histograms are densities, each of area 1.

    Args:
        path: of the PNG.
        samples: by kind, such as tracklets and single crops: what ``reid.calibrate`` measured.

    Raises:
        ValueError: no sample.
    """
    if not samples:
        raise ValueError("expected at least one kind of pairs, got none")
    figure = new_figure(WIDTH * max(len(samples), 1.5) / 2, 5.6)
    parts = figure.subfigures(2, len(samples), squeeze=False, height_ratios=(1.25, 1))
    for column, (kind, sample) in enumerate(samples.items()):
        (upper,), (lower,) = new_axes(parts[0, column]), new_axes(parts[1, column], grid="y")
        upper.set_title(kind, fontsize=SIZE + 1, family=FONT, color=INK)
        _draw_reliability(upper, sample)
        _draw_histograms(lower, sample)
    return save(figure, path)


def _draw_reliability(axes: "Axes", sample: "Sample") -> None:
    axes.plot([0, 1], [0, 1], color=QUIET, lw=0.8, ls="--")
    for number, (weight, predicted, observed) in enumerate(sample.halves):
        style, filled = line_style(number), weight > 0
        axes.plot(predicted[filled], observed[filled], **style, label=("one half", "other half")[number])
        axes.scatter(predicted[filled], observed[filled], 4 + 60 * np.sqrt(weight[filled]), style["color"], zorder=3)
    error = "not measured" if sample.curve.error is None else f"{sample.curve.error:.4f}"
    people = f"{sample.curve.identities:,} identities"
    words = f"expected calibration error {error}\n{people},\neach half under the other's curve"
    axes.text(0.03, 0.97, words, transform=axes.transAxes, va="top", size=SMALL, color=INK, family=FONT)
    axes.set(xlabel="predicted probability of one person", ylabel="share that is one person")
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
    legend(axes, loc="lower right")


def _draw_histograms(axes: "Axes", sample: "Sample") -> None:
    edges = np.linspace(-1, 1, BARS + 1)
    one, two = sample.curve.pairs
    highest = 0.0
    for name, shares, color in (
        (f"one person, {one:,} pairs", sample.one, BLUE),
        (f"two people, {two:,} pairs", sample.two, VERMILLION),
    ):
        density = shares.reshape(BARS, -1).sum(1) * BARS / 2
        axes.stairs(density, edges, fill=True, color=color, alpha=0.22)
        axes.stairs(density, edges, color=color, lw=1.2, label=name)
        highest = max(highest, density.max())
    for number, point in enumerate(sample.curve.points):
        label = None if number else "thresholds, by false-match rate"
        axes.axvline(point.similarity, color=INK, lw=0.8, ls=":", label=label)
        where, words = axes.get_xaxis_transform(), f"{point.false_match_rate:g}"
        axes.text(point.similarity, 1.01, words, transform=where, rotation=40, size=SMALL, color=INK, family=FONT)
    filled = np.flatnonzero(sample.one + sample.two)
    bounds = -1 + (filled[[0, -1]] + (0, 1)) * 2 / len(sample.one)
    axes.set(xlabel="cosine similarity", ylabel="density", xlim=(bounds[0], bounds[1]), ylim=(0, highest * 1.45))
    legend(axes, loc="upper left")
