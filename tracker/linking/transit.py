"""How soon people get from one camera to another, learned from the links that are sure.

A first linking without it yields the transits: people's consecutive sightings in two cameras, where the join that
brought both together was sure. They say how soon people arrive, per ordered pair of cameras, whatever the way. A link
that has somebody arrive sooner than nearly all of them is suspicious; one that has somebody arrive late is not, because
people stop on their way. So the share of transits that were at least as quick is a p-value for "this is one person".
With k of n at least as quick it is taken as (k + 1) / (n + 2), so that a few transits say little and nothing is ever
impossible; wrong links among them, which are broad, weaken it further. A join is tested on several ways at once and the
quickest counts, so p is that of the least of ``WAYS`` (Sidak, JASA 62, 1967). The least that the Bayes factor can be is
-e p ln p, and 1 where p > 1/e (Sellke, Bayarri and Berger, The American Statistician 55, 2001); its logarithm is the
gate.
(Inter-camera time as evidence: Javed et al., ICCV 2003; Makris et al., CVPR 2004.)
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tracker.linking.agglomeration import Group
from tracker.linking.gates import Gate
from tracker.linking.overlap import SURE
from tracker.types import Times, Tracklet

Transits = Mapping[tuple[str, str], Times]

LEAST_TRANSITS = 10  # between two cameras: fewer tell nothing
WAYS = 5  # that a join is tested on at once; with 1, one person's links between many cameras suffer
_USUAL = 1 - (1 - math.exp(-1)) ** (1 / WAYS)  # the share of quicker transits from which on nothing speaks against


class Usual(NamedTuple):
    """Seconds from leaving one camera's sight to appearing in another's: what 5, 50 and 95% of people take at most.

    Negative where people are in the sight of both at once.
    """

    p5: float
    p50: float
    p95: float


def learn(tracklets: Sequence[Tracklet], groups: Sequence[Group]) -> dict[tuple[str, str], Times]:
    """Transits by ordered pair of cameras, ascending, in seconds; pairs with fewer than ``LEAST_TRANSITS`` left out.

    Args:
        tracklets: n, on clocks that can be compared; those of photos, which have none, are passed over.
        groups: of their rows, from ``agglomerate``.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for group in groups:
        filmed = [row for row in group.members if not tracklets[row].photo]
        order = sorted(filmed, key=lambda row: (tracklets[row].start_s, row))
        following = dict(itertools.pairwise(order))
        for merge in group.merges:
            if merge.probability < SURE:
                continue
            left, right = set(merge.left), set(merge.right)
            for row in [*merge.left, *merge.right]:
                after = following.get(row)
                if after is not None and (after in right if row in left else after in left):
                    a, b = tracklets[row], tracklets[after]
                    if a.camera != b.camera:
                        found[a.camera, b.camera].append(b.start_s - a.end_s)
    return {pair: np.sort(np.array(took)) for pair, took in sorted(found.items()) if len(took) >= LEAST_TRANSITS}


def usual(transits: Transits, camera_a: str, camera_b: str) -> Usual | None:
    """How long people take from one camera to another; None where too little is known."""
    took = transits.get((camera_a, camera_b))
    return None if took is None else Usual(*np.quantile(took, [0.05, 0.5, 0.95]).tolist())


def against(quicker: int, known: int) -> float:
    """What speaks against one person, 0 or less, where so many of the known transits were at least as quick.

    >>> [round(against(quicker, 1000), 2) for quicker in (0, 10, 50, 500)]
    [-2.63, -0.85, -0.08, 0.0]
    """
    p = 1 - (1 - (quicker + 1) / (known + 2)) ** WAYS
    return 0.0 if p >= math.exp(-1) else 1 + math.log(p) + math.log(-math.log(p))


def too_soon(tracklets: Sequence[Tracklet], transits: Transits, at_once: npt.NDArray[np.float64] | None = None) -> Gate:
    """Of all pairs of two groups' tracklets the one that had the least time to get from camera to camera.

    Args:
        tracklets: n, of which groups name the rows.
        transits: from ``learn``.
        at_once: (c, c) what it says by itself that both were seen at one moment, by their cameras' places in the sorted
            names; see ``overlap``. None: nothing.
    """
    start = np.array([tracklet.start_s for tracklet in tracklets])
    end = np.array([tracklet.end_s for tracklet in tracklets])
    photo = np.array([bool(tracklet.photo) for tracklet in tracklets])
    names, camera = np.unique([tracklet.camera for tracklet in tracklets], return_inverse=True)
    known: list[list[Times]] = [[np.zeros(0)] * len(names) for _ in names]
    shared = np.zeros((len(names), len(names))) if at_once is None else at_once
    in_time = np.full((len(names), len(names)), -np.inf)  # from here on nothing speaks against
    for i, a in enumerate(names.tolist()):
        for j, b in enumerate(names.tolist()):
            if (a, b) in transits:
                known[i][j] = took = transits[a, b]
                slowest = math.ceil(_USUAL * (len(took) + 2)) - 2  # of the transits that must be at least as quick
                in_time[i, j] = took[slowest] if slowest >= 0 else -np.inf

    def gate(left: Sequence[int], right: Sequence[int]) -> float:
        a, b = np.asarray(left)[:, None], np.asarray(right)[None, :]
        first = (start[a] < start[b]) | ((start[a] == start[b]) & (a < b))
        delay = np.where(first, start[b] - end[a], start[a] - end[b])
        source, target = np.where(first, camera[a], camera[b]), np.where(first, camera[b], camera[a])
        filmed = ~(photo[a] | photo[b])
        together = (start[a] <= end[b]) & (start[b] <= end[a]) & filmed
        least = float(np.where(together, shared[source, target], 0).min())
        soon = (delay < in_time[source, target]) & filmed
        for i, j, took in zip(source[soon].tolist(), target[soon].tolist(), delay[soon].tolist(), strict=True):
            transit = known[i][j]
            least = min(least, against(int(np.searchsorted(transit, took, "right")), len(transit)))
        return least

    return gate
