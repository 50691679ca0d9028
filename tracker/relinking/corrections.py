"""What a user corrects in a run: ``corrections.jsonl``, one line each, to which lines are only ever added.

A correction says that two tracklets are one person or two people, that one is nobody, or that an earlier correction is
taken back. It names tracklets by the file that holds them and by their first frame too, so that it is not applied to
another tracker's tracklet of the same number.
"""

import json
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from reid.errors import BadInputError
from tracker.files import writing
from tracker.linking import Pair
from tracker.types import TrackletKey

CORRECTIONS = "corrections.jsonl"
KINDS = {"same": 2, "different": 2, "nobody": 1, "undo": 0}  # tracklets that each names
_SIGNS = {"same": "=", "different": "is not"}
Node = TypeVar("Node", bound=Hashable)


class Mark(NamedTuple):
    """What a tracklet is, whatever its recording is called: its stage's file, its number there, its first frame."""

    file: str
    track_id: int
    first_frame: int


class Named(NamedTuple):
    """A tracklet as a correction names it: its key at that time, and what it is."""

    key: TrackletKey
    mark: Mark


@dataclass(frozen=True)
class Correction:
    """One line.

    Attributes:
        number: from 1.
        when: UTC, ISO 8601.
        kind: in ``KINDS``.
        tracklets: as many as its kind names.
        undoes: number of the correction that an undo takes back.
        was: the identities that held its tracklets before it, whole: number by tracklet.
    """

    number: int
    when: str
    kind: str
    tracklets: tuple[Named, ...] = ()
    undoes: int = 0
    was: Mapping[TrackletKey, int] = field(default_factory=dict)

    @property
    def pair(self) -> tuple[Mark, Mark]:
        """What the tracklets of a correction about two are."""
        first, second = self.tracklets
        return first.mark, second.mark


@dataclass(frozen=True)
class Told:
    """What the corrections in force come to, for the tracklets that there are.

    Attributes:
        same, different: pairs, none of a nobody.
        nobody: tracklets that are no person.
        elsewhere: numbers of corrections about tracklets that there are not.
    """

    same: tuple[Pair, ...] = ()
    different: tuple[Pair, ...] = ()
    nobody: frozenset[TrackletKey] = frozenset()
    elsewhere: tuple[int, ...] = ()


def in_force(corrections: Sequence[Correction]) -> list[Correction]:
    """Those that are not taken back, without the undos."""
    undone = {correction.undoes for correction in corrections}
    return [one for one in corrections if one.kind != "undo" and one.number not in undone]


def told(corrections: Sequence[Correction], present: Mapping[Mark, TrackletKey]) -> Told:
    """What corrections come to where ``present`` are the tracklets that there are."""
    pairs: dict[str, list[Pair]] = {"same": [], "different": []}
    nobody, elsewhere = set(), []
    for correction in in_force(corrections):
        keys = [present.get(one.mark) for one in correction.tracklets]
        here = [key for key in keys if key is not None]
        if len(here) < len(keys):
            elsewhere.append(correction.number)
        elif correction.kind == "nobody":
            nobody.add(here[0])
        else:
            pairs[correction.kind].append((here[0], here[1]))
    same, different = ([pair for pair in pairs[kind] if nobody.isdisjoint(pair)] for kind in ("same", "different"))
    return Told(tuple(same), tuple(different), frozenset(nobody), tuple(elsewhere))


def check(corrections: Sequence[Correction], given_from: int) -> None:
    """See that nobody is said to be two people.

    Args:
        corrections: all, new ones included.
        given_from: number of the first new one.

    Raises:
        BadInputError: two corrections in force contradict each other; it names the whole chain.
    """
    ways: dict[Mark, list[Correction]] = {}
    forced = in_force(corrections)
    for correction in forced:
        if correction.kind == "same":
            for mark in correction.pair:
                ways.setdefault(mark, []).append(correction)
    for correction in forced:
        if correction.kind == "different" and (chain := _chain(ways, *correction.pair)):
            facts = " and ".join(_said(one, given_from) for one in chain)
            raise BadInputError(
                f"{_said(correction, given_from)} contradicts {facts}; take one back with --undo NUMBER"
            )


def _chain(ways: Mapping[Mark, Sequence[Correction]], start: Mark, goal: Mark) -> list[Correction]:
    """The fewest corrections by which two tracklets are one person; none where they are not."""
    came: dict[Mark, list[Correction]] = {start: []}
    queue = [start]
    for mark in queue:  # grows while it is walked
        for correction in ways.get(mark, ()):
            for following in correction.pair:
                if following not in came:
                    came[following] = [*came[mark], correction]
                    queue.append(following)
    return came.get(goal, [])


def _said(correction: Correction, given_from: int) -> str:
    source = "given now" if correction.number >= given_from else f"correction {correction.number}"
    return f"{phrase(correction)} ({source})"


def phrase(correction: Correction) -> str:
    """A correction in words.

    >>> phrase(Correction(4, "", "undo", undoes=2))
    'takes back 2'
    """
    if correction.kind == "undo":
        return f"takes back {correction.undoes}"
    names = [str(one.key) for one in correction.tracklets]
    return f"{names[0]} is nobody" if correction.kind == "nobody" else f" {_SIGNS[correction.kind]} ".join(names)


def components(pairs: Iterable[tuple[Node, Node]]) -> list[list[Node]]:
    """What pairs hold together, everything that is in any pair once, in order of first mention."""
    group: dict[Node, list[Node]] = {}
    for a, b in pairs:
        left, right = group.setdefault(a, [a]), group.setdefault(b, [b])
        if left is not right:
            left += right
            group.update(dict.fromkeys(right, left))
    return list({id(nodes): nodes for nodes in group.values()}.values())


# ---- the file


def read_corrections(folder: Path, note: Callable[[str], None]) -> list[Correction]:
    """All corrections of a run, in order; damaged lines are passed over.

    Args:
        folder: the run directory.
        note: told of damaged lines.
    """
    path = folder / CORRECTIONS
    found, damaged = [], 0
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        if line.strip():
            try:
                found.append(_from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError):
                damaged += 1
    if damaged:
        note(f"warning: {path}: {damaged} damaged line{'s' * (damaged > 1)} passed over; the others hold")
    return found


def append_corrections(folder: Path, corrections: Sequence[Correction]) -> None:
    """Add lines; what is there is never written to again.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    path = folder / CORRECTIONS
    lines = "".join(json.dumps(_to_json(one), ensure_ascii=False) + "\n" for one in corrections).encode()
    there = path.read_bytes() if path.is_file() else b""
    torn = bool(there) and not there.endswith(b"\n")  # by an interruption; nothing is added to that line
    with writing(path), path.open("ab") as file:
        file.write(b"\n" * torn + lines)
        file.flush()
        os.fsync(file.fileno())


def _to_json(correction: Correction) -> dict[str, Any]:
    content: dict[str, Any] = {"number": correction.number, "when": correction.when, "kind": correction.kind}
    if correction.kind == "undo":
        return content | {"undoes": correction.undoes}
    was: dict[int, list[str]] = {}
    for key, number in correction.was.items():
        was.setdefault(number, []).append(str(key))
    tracklets = [
        {"tracklet": str(one.key), "file": one.mark.file, "first_frame": one.mark.first_frame}
        for one in correction.tracklets
    ]
    return content | {"tracklets": tracklets, "was": was}


def _from_json(content: Mapping[str, Any]) -> Correction:
    tracklets = []
    for entry in content.get("tracklets", ()):
        key = parse_key(entry["tracklet"])
        tracklets.append(Named(key, Mark(entry["file"], key.track_id, int(entry["first_frame"]))))
    was = {parse_key(name): int(number) for number, names in content.get("was", {}).items() for name in names}
    number, undoes = int(content["number"]), int(content["undoes"] if content["kind"] == "undo" else 0)
    if KINDS[content["kind"]] != len(tracklets):
        raise ValueError("tracklets")
    return Correction(number, str(content["when"]), content["kind"], tuple(tracklets), undoes, was)


def parse_key(text: str) -> TrackletKey:
    """A tracklet's name as ``identities.json`` and the report write it.

    Raises:
        ValueError: it is none.

    >>> parse_key("gate/12")
    TrackletKey(recording='gate', track_id=12)
    """
    recording, _, number = text.rpartition("/")
    if not recording or not (number.isascii() and number.isdecimal()):
        raise ValueError(f"{text!r}: expected RECORDING/NUMBER")
    return TrackletKey(recording, int(number))
