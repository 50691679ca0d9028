"""A gate's report as a picture: how far each check stays from its limit."""

import textwrap
from pathlib import Path

import numpy as np

from export.gate.types import Check, GateReport
from reid.figures.style import (
    FAINT,
    FONT,
    INK,
    QUIET,
    SIZE,
    SMALL,
    WIDTH,
    legend,
    line_style,
    new_axes,
    new_figure,
    save,
)

_CHARACTERS = 110  # that fit below the picture
_LEAST = 1e-9  # a difference of cosine below it is drawn there
_ROW, _LINE = 0.2, 0.12  # inches


def gate_picture(path: Path, report: GateReport) -> Path:
    """Draw every comparison of vectors by runtime: 1 - cosine on a logarithmic axis, with the limit; scores below.

    Args:
        path: the PNG to write.
        report: of an artifact.
    """
    cosines = [check for check in report.checks if check.at_least]
    names = list(dict.fromkeys(check.name for check in cosines))
    said = _scores(report)
    figure = new_figure(WIDTH, 1.3 + _ROW * len(names) + _LINE * said.count("\n"))
    (axes,) = new_axes(figure, "x")
    providers = list(dict.fromkeys(check.provider for check in cosines))
    for number, provider in enumerate(providers):
        mine = [check for check in cosines if check.provider == provider]
        style = {"marker": "os^Dv"[number % 5], "color": line_style(number)["color"]}
        beside = 0.3 * (number - (len(providers) - 1) / 2)  # equal points do not cover each other
        rows = [names.index(check.name) + beside for check in mine]
        axes.plot([_drawn(check) for check in mine], rows, ls="", ms=4, label=provider, **style)
    limit = 1 - cosines[0].limit
    axes.axvline(limit, color=INK, lw=1, ls="--", label=f"limit of {report.precision}: {cosines[0].limit:g}")
    axes.set_xscale("log")
    axes.set_xlim(_LEAST / 2, max(10 * limit, 2 * max(map(_drawn, cosines))))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.set_xlabel("1 - lowest cosine similarity to the reference; left is better")
    figure.suptitle(_title(report), size=SIZE, color=INK, family=FONT, parse_math=False)
    figure.supxlabel(said, size=SMALL, color=QUIET, family=FONT, parse_math=False)
    legend(axes, loc="best")
    return save(figure, path)


def _drawn(check: Check) -> float:
    return float(np.clip(1 - check.measured, _LEAST, 2))


def _title(report: GateReport) -> str:
    state = "passed" if report.passed else "did not pass"
    return f"{Path(report.name).name}: {state} {len(report.checks)} checks for {report.precision}"


def _scores(report: GateReport) -> str:
    """What moved, a paragraph for each runtime."""
    moved: dict[str, list[str]] = {}
    for check in report.checks:
        if not check.at_least:
            moved.setdefault(check.provider, []).append(f"{check.name} by {check.measured:.2f}")
    for provider, drifts in report.drift.items():
        moved.setdefault(provider, []).extend(f"threshold of {kind} by {value:.4f}" for kind, value in drifts.items())
    said = [textwrap.fill(f"{name} moves {', '.join(words)}", _CHARACTERS) for name, words in moved.items() if words]
    return "\n".join(said) or "no data set was given to score or calibrate on"
