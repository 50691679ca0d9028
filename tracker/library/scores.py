"""Which tracklets of a library a search compares with, and what they say.

Where the index chooses, it names the tracklets with the nearest vectors, and their identities are then scored whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracker.library.examples import Example
from tracker.library.filters import Filters, sql
from tracker.library.nearest import FEW, nearest
from tracker.library.snapshot import Mask
from tracker.library.store import Library
from tracker.linking.agglomeration import strength_against
from tracker.linking.evidence import reliability
from tracker.types import Integers

# Vectors that the index looks for, for each identity asked for. 50 take a fifth longer, for 0.2 % of the identities.
CANDIDATES = 30
Doubles = np.typing.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Log-likelihood ratios of being the person, for n tracklets and their p identities.

    Attributes:
        places: (n,) of the tracklets in the snapshot, in ascending order.
        alone: (n,) of each by itself, once counter-examples have taken away theirs.
        who: (p,) the identities, in ascending order.
        begins: (p + 1,) where each identity's tracklets begin.
        evidence: (p,) of each identity, as ``alone``.
    """

    places: Integers
    alone: Doubles
    who: Integers
    begins: Integers
    evidence: Doubles


def scored(
    library: Library,
    examples: Sequence[Example],
    others: Sequence[Example],
    filters: Filters,
    mask: Mask,
    among: float,
    top: int,
) -> Scores:
    """What tracklets say about who the ``top`` likeliest identities are; arguments as for ``near`` and ``score``."""
    snapshot = library.snapshot
    whose = np.unique(snapshot.who[near(library, examples, filters, mask, top)])
    theirs = snapshot.members(whose)
    return score(library, theirs[mask[theirs]], examples, others, among)


def near(library: Library, examples: Sequence[Example], filters: Filters, mask: Mask, top: int) -> Integers:
    """The tracklets that a search for the ``top`` likeliest identities begins with.

    Args:
        library: where.
        examples: of the person.
        filters: what is searched.
        mask: (n,) the tracklets that pass them, less any that are not wanted.
        top: identities that are asked for.

    Returns:
        Places in the snapshot, in ascending order: of all where they are few or there is no index, else of those with
        the vectors that the index finds nearest.
    """
    snapshot = library.snapshot
    if not snapshot.indexed or np.count_nonzero(mask) <= FEW:
        return np.flatnonzero(mask)
    asked = np.concatenate([example.vectors for example in examples])
    conditions = [one for one in filters.conditions() if not snapshot.passing([one]).all()]  # each costs the index time
    found = snapshot.tracklets_of(nearest(library.vectors, asked, sql(conditions), CANDIDATES * top))
    return found[mask[found]]


def score(
    library: Library, places: Integers, examples: Sequence[Example], others: Sequence[Example], among: float
) -> Scores:
    """What some tracklets, and their identities as far as these are all of them, say.

    Args:
        library: whose.
        places: (n,) in the snapshot, in ascending order.
        examples: of the person.
        others: examples of other people.
        among: so many people.
    """
    snapshot = library.snapshot
    vectors, begins = snapshot.vectors_of(places)
    runs = [library.meta.runs[run] for run in snapshot.runs]
    slope, intercept = (
        np.array([getattr(run, name) for run in runs])[snapshot.run[places]] for name in ("slope", "intercept")
    )
    weight = snapshot.reliable[places].astype(np.float64)

    def evidence(example: Example) -> Doubles:
        if not len(places):
            return np.zeros(0)
        alike = np.maximum.reduceat((vectors @ example.vectors.T).max(1).astype(np.float64), begins)
        return np.asarray(slope * alike + intercept * weight * float(reliability([example.quality])[0]), np.float64)

    weights = reliability([example.quality for example in examples])
    wanted = np.asarray(np.average([evidence(example) for example in examples], axis=0, weights=weights), np.float64)
    against = [evidence(example) for example in others]
    who, first = np.unique(snapshot.who[places], return_index=True)

    def mean(values: Doubles) -> Doubles:
        if not len(first):
            return np.zeros(0)
        return np.asarray(np.add.reduceat(weight * values, first) / np.add.reduceat(weight, first), np.float64)

    identities = weighed(mean(wanted), [mean(one) for one in against], among)
    alone = weighed(wanted, against, among)
    return Scores(places, alone, who, np.append(first, len(places)), identities)


def weighed(wanted: Doubles | float, others: Sequence[Doubles | float], among: float) -> Doubles:
    """The evidence for being the person once counter-examples have taken away theirs.

    The odds of the person against a stranger and the counter-examples: e^wanted / (strangers + sum of e^other).

    Args:
        wanted: (n,) of tracklets or identities, or of one.
        others: (n,) of being each of the counter-examples, or of one.
        among: so many people.

    >>> weighed(3.0, [], 2).item(), round(weighed(3.0, [0.0], 2).item(), 2)
    (3.0, 2.31)
    """
    strangers = strength_against(among)
    against = np.full(np.shape(wanted), strangers)
    for other in others:
        against = np.logaddexp(against, other)
    return np.asarray(wanted + strangers - against, np.float64)
