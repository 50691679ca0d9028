"""The look of all pictures: colours, fonts, axes, legends, and how they are written.

Colours are Okabe and Ito's (2008), which colour-blind readers tell apart, and nothing is said by colour alone. Only
matplotlib's object interface is used: nothing is left behind in pyplot. It is imported inside the functions because it
is slow.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
INK, QUIET, FAINT = "#222222", "#666666", "#E4E4E4"
FONT, MONO = "DejaVu Sans", "DejaVu Sans Mono"  # matplotlib brings both along
SIZE, SMALL = 8, 6.5
WIDTH = 6.6
DPI = 256  # a power of two: whole pixels stay whole on the way through inches

_CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
_DASHES = ("-", "--", ":", "-.")  # 4 with 7 colours: 28 lines before one looks like another


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> "Figure":
    """An empty picture, in inches of 256 pixels."""
    from matplotlib.figure import Figure

    return Figure((width, height), DPI, facecolor="white", layout=layout)


def new_axes(
    figure: "Figure", grid: Literal["both", "x", "y"] = "both", heights: Sequence[float] = (1,)
) -> "list[Axes]":
    """Plots one above the other, of the relative ``heights``, with a common horizontal axis."""
    panels: list[Axes] = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights).flat)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(QUIET)
        axes.set_axisbelow(True)
        axes.grid(axis=grid, color=FAINT, lw=0.6)
        axes.tick_params(colors=QUIET, labelcolor=INK, labelsize=SMALL, labelfontfamily=FONT, width=0.6, length=3)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(size=SIZE, color=INK, family=FONT)
    return panels


def legend(where: "Axes | Figure", family: str = FONT, **how: Any) -> None:
    """A legend of the labelled lines; names stand as they are: a dollar in one begins no formula."""
    box = where.legend(prop={"family": family, "size": SMALL}, labelcolor=INK, edgecolor="none", framealpha=0.85, **how)
    for text in box.get_texts():
        text.set_parse_math(False)


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the n-th line."""
    return {"color": _CYCLE[number % len(_CYCLE)], "ls": _DASHES[number % len(_DASHES)], "lw": 1.4}


def all_shares(values: npt.ArrayLike) -> bool:
    """Whether every value lies within 0..1; NaN does not."""
    array = np.asarray(values, np.float64)
    return bool(((array >= 0) & (array <= 1)).all())


def save(figure: "Figure", path: Path) -> Path:
    """Write the PNG under another name and move it into place; equal pictures are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
