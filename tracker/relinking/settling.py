"""What stays of an earlier linking when a correction is applied: all but the identities that it is about."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace

from tracker.linking import NOTHING, Known
from tracker.linking.gates import FORBIDDEN, never_at_once
from tracker.relinking.corrections import Correction, Told, components
from tracker.types import Tracklet, TrackletKey

NO_TRACKLET = TrackletKey("", 0)  # in ``before``: its number is the highest ever given, so that none is given twice


def known_of(
    told: Told,
    before: Mapping[TrackletKey, int],
    tracklets: Mapping[TrackletKey, Tracklet],
    scene: Known = NOTHING,
    undone: Correction | None = None,
) -> Known:
    """What is known for the next linking.

    Identities stay as they are, number and members, but for these: two that hold a pair which is one person become the
    one of the lower number; where somebody would then be in two places at once, and in an identity that holds two
    people, the members are to be linked again among themselves.

    Args:
        told: what the corrections in force come to.
        before: the identities there were, number by tracklet.
        tracklets: those that there are, without nobodies.
        scene: what is known of the cameras.
        undone: the correction just taken back, no longer among ``told``. The identities that were before it are there
            again where nothing else has come to their members since; else their members are linked again.
    """
    numbers = {key: number for key, number in before.items() if key in tracklets}
    absent = {key: number for key, number in before.items() if key not in tracklets}
    loose: set[int] = set()
    if undone:
        numbers, loose = _taken_back(undone, numbers, tracklets)
    clash = _Clash(told, tracklets, scene.disjoint)
    for node in {absent[key] for key in told.nobody if key in absent}:  # who may have held two others together
        members = [key for key, number in numbers.items() if number == node]
        if clash.within({key: key for key in members}):
            loose.add(node)
    for group in components((numbers.get(a, a), numbers.get(b, b)) for a, b in told.same):
        merged = sorted(node for node in group if isinstance(node, int))
        if not merged or len(group) == 1:
            continue
        parts: dict[TrackletKey, Hashable] = {node: node for node in group if isinstance(node, TrackletKey)}
        numbers |= dict.fromkeys((key for key in parts if key not in numbers), merged[0])
        parts = {key: number for key, number in numbers.items() if number in merged} | parts
        if clash.within(parts) or not loose.isdisjoint(merged):
            loose |= set(merged)
        else:
            numbers |= dict.fromkeys(parts, merged[0])
    loose |= {numbers[a] for a, b in told.different if a in numbers and numbers[a] == numbers.get(b)}
    settled = set(numbers.values()) - loose
    return replace(
        scene, same=told.same, different=told.different, before=absent | numbers, settled=settled, loose=loose
    )


def held(before: Mapping[TrackletKey, int], named: Collection[TrackletKey]) -> dict[TrackletKey, int]:
    """The identities that hold the tracklets named, whole: number by tracklet."""
    touched = {before[key] for key in named if key in before}
    return {key: number for key, number in before.items() if number in touched and key != NO_TRACKLET}


def _taken_back(
    undone: Correction, numbers: dict[TrackletKey, int], tracklets: Collection[TrackletKey]
) -> tuple[dict[TrackletKey, int], set[int]]:
    """Numbers as they were before a correction, or the numbers of those whose members are to be linked again."""
    was = {key: number for key, number in undone.was.items() if key in tracklets}
    now = held(numbers, was)
    elsewhere = {number for key, number in numbers.items() if key not in now}
    if was and now.keys() <= was.keys() and elsewhere.isdisjoint(was.values()):
        return numbers | was, set()
    return numbers, {numbers[one.key] for one in undone.tracklets if one.key in numbers}


class _Clash:
    """Whether somebody would be in two places at once."""

    def __init__(
        self, told: Told, tracklets: Mapping[TrackletKey, Tracklet], disjoint: Sequence[Collection[str]]
    ) -> None:
        self.row = {key: place for place, key in enumerate(tracklets)}
        self.person = {key: place for place, keys in enumerate(components(told.same)) for key in keys}
        self.gate = never_at_once(list(tracklets.values()), disjoint)

    def within(self, parts: Mapping[TrackletKey, Hashable]) -> bool:
        """Whether two of these tracklets are, that are of different parts and not said to be one person."""
        for key, part in parts.items():
            person = self.person.get(key)
            others = [
                self.row[other]
                for other, its in parts.items()
                if its != part and (person is None or self.person.get(other) != person)
            ]
            if others and self.gate([self.row[key]], others) == FORBIDDEN:
                return True
        return False
