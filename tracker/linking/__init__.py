"""From tracklets to identities: agglomeration of evidence under constraints.

- ``evidence``: what resemblance says of two groups of tracklets, as log-likelihood ratios,
- ``expansion``: once their nearest neighbours have added to their looks.
- ``gates``: what speaks against, whatever they look like: two people at one moment in one camera, a user's correction.
- ``ground``: what places on the ground say, where overlapping cameras are calibrated.
- ``agglomeration``: joins the groups with the most evidence, while that outweighs the prior odds against it.
- ``overlap``: which cameras see no place in common, and
- ``transit``: how soon people get from camera to camera, learned from a first linking, and a gate for the second.

``link`` puts them together and says why each join was made.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reid.calibration import Curve
from tracker.linking.agglomeration import MIN_PROBABILITY, Group, Merge, agglomerate
from tracker.linking.evidence import Appearance, reliability
from tracker.linking.expansion import expanded, flattened
from tracker.linking.gates import LOOSE, Gate, kept_apart, never_at_once
from tracker.linking.ground import Ground
from tracker.linking.homography import Homographies
from tracker.linking.overlap import at_once
from tracker.linking.rivals import rivals_of
from tracker.linking.transit import Transits, learn, too_soon, usual
from tracker.types import Floats, Identity, Link, Tracklet, TrackletKey

Pair = tuple[TrackletKey, TrackletKey]


@dataclass(frozen=True)
class Known:
    """What is known beforehand about who is who; keys of tracklets that are absent are passed over.

    Attributes:
        same: pairs that are one person, whatever gates say.
        different: pairs that are two people.
        before: identities' numbers of an earlier linking, by tracklet. An identity gets the number that most of its
            tracklets had, and new ones are numbered after the highest.
        settled: those of the earlier numbers whose tracklets stay together and are joined only by new ones.
        loose: those whose tracklets may join only each other.
        disjoint: groups of cameras no two of which see a place in common, so that nobody is in two at once.
        ground: homographies from picture to ground, by camera, of cameras that see one place; see ``ground``.
    """

    same: Sequence[Pair] = ()
    different: Sequence[Pair] = ()
    before: Mapping[TrackletKey, int] = field(default_factory=dict)
    settled: Collection[int] = ()
    loose: Collection[int] = ()
    disjoint: Sequence[Collection[str]] = ()
    ground: Homographies = field(default_factory=dict)


NOTHING = Known()


def link(
    tracklets: Sequence[Tracklet],
    vectors: Floats,
    curve: Curve,
    min_probability: float = MIN_PROBABILITY,
    known: Known = NOTHING,
) -> list[Identity]:
    """Identities of all recordings, by number; numbered from 1 in order of first appearance where ``known`` has none.

    The order in which tracklets are given does not matter.

    Args:
        tracklets: n, of any recordings and cameras.
        vectors: (n, d) unit vectors, row by row, centred on their cameras.
        curve: of the embedder's tracklets.
        min_probability: see ``agglomerate``.
        known: what is known beforehand.
    """
    order = sorted(range(len(tracklets)), key=lambda row: (tracklets[row].start_s, tracklets[row].key))
    ordered, vectors = [tracklets[row] for row in order], vectors[order]
    keys = [tracklet.key for tracklet in ordered]
    same, different = _rows(known.same, keys), _rows(known.different, keys)
    labels = [_label(known.before.get(key), known) for key in keys]
    gates = {
        "both were seen at one moment": never_at_once(ordered, known.disjoint),
        "they are known to be two people": kept_apart(different),
    }
    appearance = looks_of(ordered, vectors, curve, list(gates.values()))
    gates["an earlier linking is kept"] = kept_apart((), labels)
    joined = [*same, *_settled(appearance, labels)]
    ground = Ground(ordered, known.ground)
    gates["their places on the ground differ"] = ground.gate
    met = ground.meetings(appearance, list(gates.values()), joined, min_probability)
    joined += met
    groups = agglomerate(appearance, list(gates.values()), joined, min_probability)
    transits, shared = learn(ordered, groups), at_once(ordered, groups)
    if transits or shared.any():
        gates["nobody gets from camera to camera so soon"] = too_soon(ordered, transits, shared)
        groups = agglomerate(appearance, list(gates.values()), joined, min_probability)
    ground.weigh(groups, met)
    numbers = _numbers(groups, keys, known.before)
    others = rivals_of(appearance, groups, numbers, keys, gates)
    certain = [(keys[a], keys[b]) for a, b in same]
    identities = [
        Identity(
            number,
            tuple(keys[row] for row in group.members),
            tuple(_explained(merge, ordered, vectors, certain, transits) for merge in group.merges),
            rivals,
        )
        for number, group, rivals in zip(numbers, groups, others, strict=True)
    ]
    return sorted(identities, key=lambda identity: identity.id)


def looks_of(tracklets: Sequence[Tracklet], vectors: Floats, curve: Curve, gates: Sequence[Gate]) -> Appearance:
    """What (n) tracklets look like, their neighbours taken into account.

    Args:
        tracklets: n.
        vectors: (n, d) unit vectors, centred.
        curve: of such vectors.
        gates: whom one forbids is no neighbour.
    """
    reliable = reliability([tracklet.quality for tracklet in tracklets])
    looks, added = expanded(vectors, gates)
    return Appearance.of(looks, reliable, flattened(curve, added))


def _rows(pairs: Iterable[Pair], keys: Sequence[TrackletKey]) -> list[tuple[int, int]]:
    rows = {key: row for row, key in enumerate(keys)}
    return [(rows[a], rows[b]) for a, b in pairs if a in rows and b in rows]


def _label(number: int | None, known: Known) -> int:
    if number in known.settled:
        return number or 0
    return LOOSE if number in known.loose else 0


def _settled(appearance: Appearance, labels: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs that build the settled identities, the strongest evidence of each first."""
    pairs = []
    members = np.asarray(labels, np.int64)
    for number in sorted(set(labels) - {0, LOOSE}):
        rows = np.flatnonzero(members == number)
        (group,) = agglomerate(appearance.of_rows(rows), min_probability=0)
        pairs += [(int(rows[merge.left[0]]), int(rows[merge.right[0]])) for merge in group.merges]
    return pairs


def _numbers(groups: Sequence[Group], keys: Sequence[TrackletKey], before: Mapping[TrackletKey, int]) -> list[int]:
    """Each group's number: the earlier one that it has most tracklets of, while no group has more of it; else new."""
    claims = []
    for place, group in enumerate(groups):
        counts = Counter(before[keys[row]] for row in group.members if keys[row] in before)
        claims += [(-count, place, number) for number, count in counts.items()]
    numbers: dict[int, int] = {}
    taken: set[int] = set()
    for _, place, number in sorted(claims):
        if place not in numbers and number not in taken:
            numbers[place] = number
            taken.add(number)
    new = max(before.values(), default=0)
    for place in range(len(groups)):
        if place not in numbers:
            numbers[place] = new = new + 1
    return [numbers[place] for place in range(len(groups))]


def _explained(
    merge: Merge, tracklets: Sequence[Tracklet], vectors: Floats, certain: Collection[Pair], transits: Transits
) -> Link:
    apart = np.clip(1 - vectors[merge.left] @ vectors[merge.right].T, 0, 2)  # rounding reaches beyond
    a, b = np.unravel_index(int(apart.argmin()), apart.shape)
    pair = tracklets[merge.left[a]], tracklets[merge.right[b]]
    first, second = sorted(pair, key=lambda tracklet: tracklet.start_s)
    took = usual(transits, first.camera, second.camera)
    left, right = ({tracklets[row].key for row in rows} for rows in (merge.left, merge.right))
    told = any((x in left and y in right) or (y in left and x in right) for x, y in certain)
    return Link(
        pair[0].key,
        pair[1].key,
        float(apart.mean()),
        float(apart[a, b]),
        1.0 if told else merge.probability,
        given=merge.given,
        usual_s=(took.p5, took.p95) if took else None,
    )
