"""How far apart one person's pictures are, and two people's (figure 3 of the MSML paper, arXiv:1710.00478)."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reid.figures.style import BLUE, INK, QUIET, VERMILLION, WIDTH, Floats, legend, new_axes, new_figure, save


def distance_histograms(
    path: Path, edges: npt.ArrayLike, positive: npt.ArrayLike, negative: npt.ArrayLike, threshold: float | None = None
) -> Path:
    """Densities of the distances of pairs of one person and of two, with their overlap and a threshold.

    The overlap is the share that the two densities, each of area 1, have in common.

    Args:
        path: of the PNG.
        edges: (b + 1,) ascending.
        positive, negative: (b,) counts of pairs in each bin.
        threshold: the distance to mark; None marks the crossing: the edge for which the share of positives beyond it
            plus the share of negatives below it is smallest.

    Raises:
        ValueError: shapes that do not fit, edges that do not ascend, negative counts, or no pair of a kind.
    """
    bounds, same, other = (np.asarray(values, np.float64) for values in (edges, positive, negative))
    _check(bounds, same, other)
    widths = np.diff(bounds)
    same_share, other_share = same / same.sum(), other / other.sum()
    common = np.minimum(same_share, other_share)
    figure = new_figure(WIDTH, 3.6)
    (axes,) = new_axes(figure, grid="y")
    for share, color in ((same_share, BLUE), (other_share, VERMILLION)):
        axes.stairs(share / widths, bounds, fill=True, color=color, alpha=0.22)
    hatched: dict[str, Any] = {"fc": "#BBBBBB", "ec": QUIET, "hatch": "/////", "lw": 0}
    handles = [axes.stairs(common / widths, bounds, fill=True, **hatched, label=f"overlap {common.sum():.1%}")]
    for share, color, name in (
        (other_share, VERMILLION, f"two people, {other.sum():,.0f} pairs"),
        (same_share, BLUE, f"one person, {same.sum():,.0f} pairs"),
    ):
        handles.append(axes.stairs(share / widths, bounds, color=color, lw=1.4, label=name))
    name = "crossing" if threshold is None else "threshold"
    mark = _crossing(bounds, same_share, other_share) if threshold is None else threshold
    line = axes.axvline(mark, color=INK, lw=1.2, ls="--", label=f"{name} {mark:.3f}")
    filled = np.flatnonzero(same + other)
    low, high = min(bounds[filled[0]], mark), max(bounds[filled[-1] + 1], mark)
    axes.set(xlabel="distance", ylabel="density", xlim=(low, high), ylim=(0, None))
    legend(axes, handles=[*handles[::-1], line])
    return save(figure, path)


def _check(edges: Floats, positive: Floats, negative: Floats) -> None:
    bins = (len(edges) - 1,) if edges.ndim == 1 else ()
    if not bins or bins[0] < 1 or positive.shape != bins or negative.shape != bins:
        shapes = f"{edges.shape}, {positive.shape} and {negative.shape}"
        raise ValueError(f"expected edges (b + 1,), positive (b,) and negative (b,), got {shapes}")
    if not (np.diff(edges) > 0).all():
        raise ValueError("edges: expected ascending values")
    for name, counts in (("positive", positive), ("negative", negative)):
        if not (counts >= 0).all() or not 0 < counts.sum() < np.inf:
            raise ValueError(f"{name}: expected counts of at least one pair and none below 0")


def _crossing(edges: Floats, positive: Floats, negative: Floats) -> float:
    """The edge with the most positives and the fewest negatives below it; of several the middle one."""
    gain = np.cumsum(positive - negative)
    best = np.flatnonzero(gain > gain.max() - 1e-12)
    return float(edges[1 + best[len(best) // 2]])
