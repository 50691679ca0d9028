"""What keeps tracklets apart, whatever they look like.

A gate takes the row numbers of two groups and gives what is to be added to their evidence: 0 where it has nothing to
say, less where something speaks against, minus infinity where they are two people for certain. A union's gate is never
above its parts': ``agglomerate`` relies on that.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tracker.types import Tracklet

Gate = Callable[[Sequence[int], Sequence[int]], float]

FORBIDDEN = -np.inf
LOOSE = -1  # label of tracklets that may only join each other


def never_at_once(tracklets: Sequence[Tracklet], disjoint: Iterable[Iterable[str]] = ()) -> Gate:
    """Nobody is twice in one camera at one moment, nor in two cameras that see no place in common.

    Photos have no clock: they share a moment with what is in the same photo, and with nothing else.

    Args:
        tracklets: n, of which groups name the rows.
        disjoint: groups of cameras no two of which see a place in common.
    """
    start = np.array([tracklet.start_s for tracklet in tracklets])
    end = np.array([tracklet.end_s for tracklet in tracklets])
    names, camera = np.unique([tracklet.camera for tracklet in tracklets], return_inverse=True)
    _, clock = np.unique([one.key.recording if one.photo else "" for one in tracklets], return_inverse=True)
    exclusive = np.eye(len(names), dtype=np.bool_)
    for group in disjoint:
        within = np.isin(names, list(group))
        exclusive |= np.outer(within, within)

    def gate(left: Sequence[int], right: Sequence[int]) -> float:
        a, b = np.asarray(left)[:, None], np.asarray(right)[None, :]
        together = (start[a] <= end[b]) & (start[b] <= end[a]) & exclusive[camera[a], camera[b]]
        return FORBIDDEN if (together & (clock[a] == clock[b])).any() else 0.0

    return gate


def kept_apart(pairs: Iterable[tuple[int, int]], labels: Sequence[int] = ()) -> Gate:
    """Pairs that are two people, and groups that are settled.

    Args:
        pairs: of rows.
        labels: (n,) of rows, or none: 0 joins whatever it likes, ``LOOSE`` only its like, and of two different
            positive numbers neither joins the other.
    """
    others: dict[int, set[int]] = defaultdict(set)
    for a, b in pairs:
        others[a].add(b)
        others[b].add(a)
    label = np.asarray(labels, np.int64)
    settled = bool(label.any())

    def gate(left: Sequence[int], right: Sequence[int]) -> float:
        if others and any(row in others and not others[row].isdisjoint(right) for row in left):
            return FORBIDDEN
        if settled:
            found = set(np.unique(label[[*left, *right]]).tolist())
            if (LOOSE in found and len(found) > 1) or len(found - {0}) > 1:
                return FORBIDDEN
        return 0.0

    return gate
