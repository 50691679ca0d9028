"""Curves: match by rank, and the course of a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reid.figures.style import (
    BLUE,
    FONT,
    INK,
    MONO,
    QUIET,
    SMALL,
    WIDTH,
    Floats,
    all_shares,
    legend,
    line_style,
    new_axes,
    new_figure,
    save,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RANKS = 50
NAMED_RANKS = (1, 5, 10)
NO_LOSSES = ("epoch", "size", "lr", "accuracy", "images_per_s", "waiting_for_data")
DOTTED = 40  # up to so many epochs, each is a dot on the line


def cmc_curves(path: Path, curves: Mapping[str, Sequence[float]]) -> Path:
    """Cumulative match characteristics, one line each, with the values at ranks 1, 5 and 10.

    Args:
        path: of the PNG.
        curves: label to the CMC at ranks 1, 2, ..., 0..1; ranks beyond 50 are left out.

    Raises:
        ValueError: no curve, an empty one, values outside 0..1, or a curve that falls.
    """
    if not curves:
        raise ValueError("expected at least one CMC curve, got none")
    figure = new_figure(WIDTH, 4)
    (axes,) = new_axes(figure)
    room, last, lowest = max(map(len, curves)), 0, 1.0
    for number, (label, curve) in enumerate(curves.items()):
        values = np.asarray(curve, np.float64)[:RANKS]
        if values.ndim != 1 or not len(values) or not all_shares(values) or (np.diff(values) < 0).any():
            raise ValueError(f"{label!r}: expected values within 0..1 that never fall, got {curve!r}")
        named = [rank for rank in NAMED_RANKS if rank <= len(values)]
        words = f"{label:{room}}" + "".join(f"  R{rank} {values[rank - 1] * 100:.1f}" for rank in named)
        ranks, dots = np.arange(1, len(values) + 1), [rank - 1 for rank in named]
        axes.plot(ranks, values * 100, **line_style(number), marker="o", ms=3.5, markevery=dots, label=words)
        last, lowest = max(last, len(values)), min(lowest, values[0])
    floor = max(0, np.floor((lowest - 0.02) * 20) * 5)
    axes.set(xlabel="rank", ylabel="queries with a match, %", xlim=(0.5, last + 0.5), ylim=(floor, 100.3))
    axes.set_xticks(range(1, last + 1) if last <= 10 else [r for r in (1, 5, 10, 20, 30, 40, 50) if r <= last])
    legend(axes, family=MONO)
    return save(figure, path)


def training_curves(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """Losses, accuracy and learning rate by epoch, each loss with its last value; crop sizes stand above.

    Args:
        path: of the PNG.
        lines: of ``log.jsonl``, as ``reid.train`` writes it; what is none of its own columns is a loss.

    Raises:
        ValueError: no line, or one without epoch, learning rate and accuracy, or no loss in any.
    """
    from matplotlib.ticker import MaxNLocator

    if not lines:
        raise ValueError("expected at least one line of a training's log, got none")
    missing = [name for name in ("epoch", "lr", "accuracy") if any(name not in line for line in lines)]
    losses = list(dict.fromkeys(name for line in lines for name in line if name not in NO_LOSSES))
    if missing or not losses:
        raise ValueError(f"expected the lines of a training's log, got some without {', '.join(missing) or 'a loss'}")
    figure = new_figure(WIDTH, 5.2)
    upper, middle, lower = new_axes(figure, heights=(3, 2, 1.2))
    epochs, rates, accuracy = (np.array([line[name] for line in lines]) for name in ("epoch", "lr", "accuracy"))
    dots: dict[str, Any] = {"marker": "o" if len(lines) <= DOTTED else "", "ms": 2.5}
    values = np.array([[line.get(name, np.nan) for line in lines] for name in losses], np.float64)
    for number, (name, row) in enumerate(zip(losses, values, strict=True)):
        upper.plot(epochs, row, **line_style(number), **dots, label=f"{name}  {row[-1]:.4g}")
    _scale_losses(upper, values[np.isfinite(values)])
    middle.plot(epochs, accuracy * 100, color=BLUE, lw=1.4, **dots, label=f"accuracy  {accuracy[-1]:.1%}")
    lower.plot(epochs, rates, color=INK, lw=1.4, **dots)
    upper.set(ylabel="loss")
    middle.set(ylabel="accuracy, %", ylim=(0, 102))
    lower.set(ylabel="learning rate", xlabel="epoch", ylim=(0, None), xlim=(epochs.min() - 0.5, epochs.max() + 0.5))
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    lower.yaxis.set_major_formatter("{x:g}")
    _mark_sizes([upper, middle, lower], lines)
    legend(upper)
    legend(middle, loc="lower right")  # where accuracy ends it is high
    return save(figure, path)


def _scale_losses(axes: "Axes", values: Floats) -> None:
    """Logarithmic where no loss is negative: terms differ by orders of magnitude. Zeros fall off the bottom."""
    from matplotlib.ticker import LogLocator

    above = values[values > 0]
    if not len(above) or (values < 0).any():
        return
    low, high = above.min() / 1.25, above.max() * 1.25
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1000 else (1,)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def _mark_sizes(panels: "list[Axes]", lines: Sequence[Mapping[str, Any]]) -> None:
    """Write the crops' size above where it begins, with a line through all panels where it changes."""
    before = None
    for line in lines:
        size, epoch = line.get("size"), line["epoch"]
        if size and size != before:
            words = "x".join(map(str, size))
            above = panels[0].get_xaxis_transform()
            panels[0].text(epoch, 1.03, words, transform=above, size=SMALL, color=QUIET, family=FONT)
            if before:
                for axes in panels:
                    axes.axvline(epoch, color=QUIET, lw=0.7, ls=":")
            before = size
