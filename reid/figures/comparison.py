"""Losses side by side, as in table 1 of the MSML paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reid.figures.style import (
    FONT,
    INK,
    SKY,
    SMALL,
    VERMILLION,
    WIDTH,
    Floats,
    all_shares,
    legend,
    new_axes,
    new_figure,
    save,
)


class LossRow(NamedTuple):
    """A loss with its mAP and R1, 0..1, one of each a seed; ``published`` is a paper's (mAP, R1)."""

    name: str
    mean_ap: Sequence[float]
    rank1: Sequence[float]
    published: tuple[float, float] | None = None


def loss_table(path: Path, rows: Sequence[LossRow]) -> Path:
    """Bars of mAP and dots of R1, means over the seeds, with whiskers from the lowest to the highest.

    Published figures are hollow marks, a square for mAP and a circle for R1.

    Args:
        path: of the PNG.
        rows: from top to bottom.

    Raises:
        ValueError: no row, a row without a seed or with unequal numbers of them, or scores outside 0..1.
    """
    if not rows:
        raise ValueError("expected at least one loss, got none")
    for row in rows:
        _check(row)
    figure = new_figure(WIDTH, 0.8 + 0.3 * len(rows))
    (axes,) = new_axes(figure, grid="x")
    places = np.arange(len(rows))
    mean_ap, mean_ap_reach = _spread([row.mean_ap for row in rows])
    rank1, rank1_reach = _spread([row.rank1 for row in rows])
    handles = [
        axes.barh(places, mean_ap, 0.62, color=SKY, alpha=0.7, label="mAP"),
        *axes.plot(rank1, places, "o", color=VERMILLION, ms=4.5, clip_on=False, label="R1"),
    ]
    axes.errorbar(mean_ap, places, xerr=mean_ap_reach, fmt="none", ecolor=INK, elinewidth=1.4)
    axes.errorbar(rank1, places, xerr=rank1_reach, fmt="none", ecolor=VERMILLION, elinewidth=1.4)
    printed = [(place, row.published) for place, row in enumerate(rows) if row.published]
    for column, (marker, name) in enumerate((("s", "mAP, published"), ("o", "R1, published"))):
        if printed:
            values, at = [pair[column] * 100 for _, pair in printed], [place for place, _ in printed]
            handles += axes.plot(values, at, marker, mfc="none", mec=INK, ms=6, clip_on=False, label=name)
    how: dict[str, Any] = {"size": SMALL, "color": INK, "family": FONT, "ha": "right"}
    for right, name, means in ((1.075, "mAP", mean_ap), (1.15, "R1", rank1)):
        axes.text(right, 1, name, transform=axes.transAxes, weight="bold", va="bottom", **how)
        for place, mean in enumerate(means):
            across = axes.get_yaxis_transform()
            axes.text(right, place, f"{mean:.1f}", transform=across, va="center_baseline", **how)
    axes.set_yticks(places, [row.name for row in rows], parse_math=False)
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.45, -0.55), xlabel=_explanation(rows))
    legend(figure, loc="outside lower center", ncols=len(handles), handles=handles)
    return save(figure, path)


def _check(row: LossRow) -> None:
    name, mean_ap, rank1, published = row
    if len(mean_ap) != len(rank1) or not len(mean_ap):
        raise ValueError(f"{name}: expected an mAP and an R1 of each seed, got {len(mean_ap)} and {len(rank1)}")
    if not all(map(all_shares, (mean_ap, rank1, published or ()))):
        raise ValueError(f"{name}: expected scores within 0..1, got {mean_ap}, {rank1}, {published}")


def _spread(scores: Sequence[Sequence[float]]) -> tuple[Floats, Floats]:
    """Means (n,) and how far below and above them the seeds reach, (2, n), in percent."""
    means = np.array([np.mean(seeds) for seeds in scores])
    low, high = np.array([min(seeds) for seeds in scores]), np.array([max(seeds) for seeds in scores])
    return means * 100, np.stack([means - low, high - means]).clip(0) * 100


def _explanation(rows: Sequence[LossRow]) -> str:
    fewest, most = (f(len(row.mean_ap) for row in rows) for f in (min, max))
    if most == 1:
        return "%"
    return f"%, means of {fewest if fewest == most else f'{fewest} to {most}'} seeds, whiskers from lowest to highest"
