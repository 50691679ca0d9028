"""Milliseconds a crop of several embedders, measured fairly on a machine that does other things as well."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from reid.images import Image

Embed = Callable[[Sequence[Image]], npt.NDArray[np.floating]]
Report = Callable[[str], None]
Key = TypeVar("Key")

CROP = (128, 64)  # height, width of the crops that are timed
BATCHES = (1, 16)


class Speed(NamedTuple):
    """Milliseconds a crop, from uint8 to the unit vector, where crops come singly and 16 at a time."""

    single: float
    batched: float


def measure_speed(models: Mapping[str, Embed], rounds: int, report: Report) -> dict[str, Speed]:
    """Time every model in turn in every round, so that whatever else the machine does strikes all alike.

    Args:
        models: by name.
        rounds: at least 1; one more before them warms up and does not count.
        report: called with lines of progress.

    Returns:
        Medians over the rounds, in milliseconds a crop of 128x64.
    """
    times = measure_batches(models, BATCHES, rounds, report)
    return {name: Speed(*values) for name, values in times.items()}


def measure_batches(
    models: Mapping[Key, Embed], batches: Sequence[int], rounds: int, report: Report
) -> dict[Key, list[float]]:
    """As ``measure_speed``, for batches of choice, each at least 1: medians in their order.

    A batch is repeated as often as it fits into the largest.
    """
    crops = noise_crops(max(batches))
    times: dict[Key, list[list[float]]] = {name: [] for name in models}
    for number in range(rounds + 1):
        for name, embed in models.items():
            took = [_time(embed, crops[: len(crops) // batch * batch], batch) for batch in batches]
            if number:
                times[name].append(took)
        if number:
            report(f"speed: round {number} of {rounds}")
    return {name: np.median(rows, axis=0).tolist() for name, rows in times.items()}


def noise_crops(count: int) -> list[Image]:
    """The crops that are timed: always the same."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*CROP, 3), dtype=np.uint8) for _ in range(count)]


def _time(embed: Embed, crops: Sequence[Image], batch: int) -> float:
    """Milliseconds a crop."""
    began = time.perf_counter()
    for start in range(0, len(crops), batch):
        embed(crops[start : start + batch])
    return (time.perf_counter() - began) / len(crops) * 1000
