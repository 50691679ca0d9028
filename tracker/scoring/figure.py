"""One picture of a run's scores: where identity score was lost, and which identity holds whom."""

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
    new_axes,
    new_figure,
    save,
)
from tracker.scoring.job import RunScores
from tracker.types import Integers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

MOST = 40  # people and identities that one picture can show legibly


def draw_scores(path: Path, scores: RunScores) -> Path:
    """Bars from 1 down to the IDF1 that the run has, and the boxes of each person under each identity.

    An identity's column is where its person is, the frame marks the pairs that IDF1 takes as right. Of more than
    ``MOST`` people or identities those with the most boxes are shown, and the picture says so. Where no box is on
    anybody there are the bars alone.

    Args:
        path: of the PNG.
        scores: of the run.
    """
    people, numbers, counts = _largest(scores)
    losses = scores.attribution.losses()
    bars, cells = 0.5 + 0.22 * (len(losses) + 2), 0.9 + 0.19 * max(len(people), 3)
    if not numbers:
        figure = new_figure(WIDTH, bars)
        (axes,) = new_axes(figure, grid="x")
        _draw_losses(axes, scores.attribution.idf1, losses)
        return save(figure, path)
    figure = new_figure(WIDTH, bars + cells)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(bars, cells)).flat
    (axes,) = new_axes(upper, grid="x")
    _draw_losses(axes, scores.attribution.idf1, losses)
    (axes,) = new_axes(lower)
    _draw_confusion(axes, people, numbers, counts, scores.confusion.shape)
    return save(figure, path)


def _draw_losses(axes: "Axes", idf1: float, losses: dict[str, float]) -> None:
    names = ["IDF1 across cameras", *(f"lost by {name}" for name in losses)]
    widths = np.array([idf1, *losses.values()]) * 100
    starts = np.cumsum(widths) - widths
    places = np.arange(len(names))
    axes.barh(places, widths, 0.66, starts, color=[BLUE] + [VERMILLION] * len(losses))
    for place, (start, width) in enumerate(zip(starts, widths, strict=True)):
        inside = start + width > 90
        at, side = (start - 1, "right") if inside and start > 12 else (start + width + 1, "left")
        words = f"{width:.1f}"
        axes.text(at, place, words, ha=side, va="center_baseline", size=SMALL, color=INK, family=FONT)
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 100), ylim=(len(names) - 0.45, -0.55), xlabel="%, each stage replaced by the truth in turn")


def _largest(scores: RunScores) -> tuple[list[str], list[str], Integers]:
    """Names and counts of what is shown, identities in order of their person."""
    counts = scores.confusion
    rows = np.sort(np.argsort(-counts.sum(1), kind="stable")[:MOST])
    columns = np.argsort(-counts.sum(0), kind="stable")[:MOST]
    columns = columns[counts[:, columns].sum(0) > 0]
    counts = counts[rows][:, columns]
    order = np.lexsort((-counts.max(0, initial=0), counts.argmax(0)))
    names = [str(scores.labels.people[row]) for row in rows]
    return names, [str(scores.numbers[columns[place]]) for place in order], counts[:, order]


def _draw_confusion(
    axes: "Axes", people: list[str], numbers: list[str], counts: Integers, whole: tuple[int, ...]
) -> None:
    from scipy.optimize import linear_sum_assignment

    axes.grid(visible=False)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.35, aspect="auto")
    for row, column in zip(*np.nonzero(counts), strict=True):
        words, dark = str(counts[row, column]), shares[row, column] > 0.8
        color = "white" if dark else INK
        axes.text(column, row, words, ha="center", va="center", size=SMALL - 1, color=color, family=FONT)
    for row, column in zip(*linear_sum_assignment(-counts), strict=True):
        if counts[row, column]:
            axes.add_patch(_frame(row, column))
    axes.set_yticks(np.arange(len(people)), people)
    axes.set_xticks(np.arange(len(numbers)), numbers)
    axes.tick_params(labelsize=SMALL - 0.5)
    sizes = ((len(people), whole[0], "people"), (len(numbers), whole[1], "identities"))
    left = [f"{shown} of {there} {what}" for shown, there, what in sizes if shown == MOST < there]
    words = "identity; numbers are boxes, colour is the share of the person's, framed pairs are the right ones of IDF1"
    axes.set_xlabel("\n".join([words, *left]), fontsize=SMALL, color=QUIET)
    axes.set_ylabel("person", fontsize=SIZE)


def _frame(row: int, column: int) -> "Patch":
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=VERMILLION, lw=1)
