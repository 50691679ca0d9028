"""A curve refitted to a site: the pairs that it was fitted to, the curve before and after, and a threshold."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from reid.calibration import Curve
from reid.figures.style import BLUE, FONT, INK, QUIET, SMALL, VERMILLION, WIDTH, legend, new_axes, new_figure, save

BARS = 50  # over similarities -1..1


def site_curve(
    path: Path, one: npt.ArrayLike, two: npt.ArrayLike, before: Curve, after: Curve, threshold: float, rate: float
) -> Path:
    """Above, both curves; below, densities of both kinds of pairs, each of area 1; through both, the threshold.

    Args:
        path: of the PNG.
        one: (m,) similarities of one tracklet's halves; there may be none.
        two: (n,) similarities of simultaneous tracklets.
        before, after: the embedder's curve and the site's.
        threshold: the similarity to mark.
        rate: the false-match rate that it is for.

    Raises:
        ValueError: no pair of two people, or similarities that are not finite.
    """
    same, other = np.asarray(one, np.float64), np.asarray(two, np.float64)
    if same.ndim != 1 or other.ndim != 1 or not len(other) or not np.isfinite([*same, *other]).all():
        raise ValueError(f"expected finite similarities (m,) and (n,), n > 0, got {same.shape} and {other.shape}")
    figure = new_figure(WIDTH, 4.6)
    upper, lower = new_axes(figure, heights=(1, 1.25))
    grid = np.linspace(-1, 1, 401)
    upper.plot(grid, before.probability(grid), color=QUIET, lw=1.2, ls="--", label="before: the embedder's curve")
    upper.plot(grid, after.probability(grid), color=INK, lw=1.6, label="after: this site's curve")
    upper.set(ylabel="probability of one person", ylim=(-0.03, 1.03))
    edges, highest = np.linspace(-1, 1, BARS + 1), 0.0
    for values, name, color in (
        (same, "one person: halves of a tracklet", BLUE),
        (other, "two people: in one frame", VERMILLION),
    ):
        if len(values):
            density = np.histogram(np.clip(values, -1, 1), edges, density=True)[0]
            lower.stairs(density, edges, fill=True, color=color, alpha=0.22)
            lower.stairs(density, edges, color=color, lw=1.2, label=f"{name}, {len(values):,} pairs")
            highest = max(highest, density.max())
    for axes in (upper, lower):
        axes.axvline(threshold, color=INK, lw=0.9, ls=":")
    words = f"threshold {threshold:.3f},\n{rate:g} false matches"
    side, at = ("right", threshold - 0.012) if threshold > 0.6 else ("left", threshold + 0.012)
    lower.text(at, highest * 1.3, words, size=SMALL, color=INK, family=FONT, ha=side, va="top")
    low = min(-0.5, float(other.min()) - 0.05)
    lower.set(xlabel="cosine similarity, centred on cameras", ylabel="density", xlim=(low, 1), ylim=(0, highest * 1.35))
    legend(upper, loc="upper left")
    legend(lower, loc="upper left")
    return save(figure, path)
