"""What an identity might have been joined with and was not: its rivals, and what spoke against them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tracker.linking.agglomeration import Group, needed, probability_of, reckoned
from tracker.linking.evidence import Appearance
from tracker.linking.gates import Gate
from tracker.types import Floats, Integers, Rival, TrackletKey

MOST = 3  # told of each identity
LEAST_PROBABILITY = 0.001  # of those worth telling
TELLING = -1.0  # gates that take away less are no reason


def rivals_of(
    appearance: Appearance,
    groups: Sequence[Group],
    numbers: Sequence[int],
    keys: Sequence[TrackletKey],
    gates: Mapping[str, Gate],
) -> list[tuple[Rival, ...]]:
    """For every group the others that it most likely is one person with, by looks, likeliest first.

    Args:
        appearance: of n tracklets, each a group of its own.
        groups: g, that partition them.
        numbers: (g) of the identities they became.
        keys: (n) names of the tracklets.
        gates: by what each finds, in words.
    """
    among = reckoned([len(group.members) for group in groups])
    merged = appearance.of_groups([group.members for group in groups])
    found = []
    for place, (others, evidence) in enumerate(strongest(merged, MOST, needed(LEAST_PROBABILITY, among))):
        own = groups[place].members
        told = []
        for other, value in zip(others.tolist(), evidence.tolist(), strict=True):
            theirs = groups[other].members
            probability = probability_of(value, among)
            left, right = _nearest(appearance.mean, own, theirs)
            told.append(Rival(numbers[other], probability, keys[left], keys[right], _against(gates, own, theirs)))
        found.append(tuple(told))
    return found


def strongest(appearance: Appearance, most: int, least: float) -> Iterator[tuple[Integers, Floats]]:
    """For every row at most so many others with at least so much evidence, and that evidence, strongest first."""
    for start, block in appearance.blocks():
        for row, evidence in enumerate(block, start):
            evidence[row] = -np.inf
            chosen = np.flatnonzero(evidence >= least)
            chosen = chosen[np.argsort(-evidence[chosen], kind="stable")[:most]]
            yield chosen, evidence[chosen]


def _against(gates: Mapping[str, Gate], own: Sequence[int], theirs: Sequence[int]) -> str:
    """The words of the gate that takes most away; "" where none takes away what would matter."""
    found = {words: gate(own, theirs) for words, gate in gates.items()}
    most = min(found, key=lambda words: found[words], default="")
    return most if found.get(most, 0.0) <= TELLING else ""


def _nearest(vectors: Floats, left: Sequence[int], right: Sequence[int]) -> tuple[int, int]:
    alike = vectors[left] @ vectors[right].T
    a, b = divmod(int(alike.argmax()), len(right))
    return left[a], right[b]
