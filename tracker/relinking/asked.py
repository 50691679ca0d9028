"""What ``reidtrack link`` is asked to correct, made into corrections, or refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reid.errors import BadInputError
from tracker.linking import Pair
from tracker.linking.gates import never_at_once
from tracker.manifest import now
from tracker.material import Material
from tracker.relinking.corrections import Correction, Mark, Named, check, in_force, phrase
from tracker.types import TrackletKey

Note = Callable[[str], None]
Present = Mapping[Mark, TrackletKey]


@dataclass(frozen=True)
class Asked:
    """What ``link`` is asked to do; nothing links everything afresh.

    Attributes:
        same, different: pairs that are one person, or two.
        nobody: tracklets that are no person.
        undo: numbers of corrections to take back.
        min_probability: instead of the run's.
    """

    same: Sequence[Pair] = ()
    different: Sequence[Pair] = ()
    nobody: Sequence[TrackletKey] = ()
    undo: Sequence[int] = ()
    min_probability: float | None = None


def given(
    asked: Asked, kept: Sequence[Correction], material: Material, present: Present, note: Note
) -> list[Correction]:
    """New corrections, in the order undo, same, different, nobody; what is said already is not said again.

    Args:
        asked: by the user.
        kept: the run's corrections so far.
        material: the run's, nobodies included.
        present: its tracklets by what they are.
        note: told what is no error but may surprise.

    Raises:
        BadInputError: a tracklet or correction that there is not, or corrections that contradict each other.
    """
    corrections = list(kept)
    by_key = {key: Named(key, mark) for mark, key in present.items()}

    def add(kind: str, tracklets: Sequence[Named] = (), undoes: int = 0) -> None:
        found = {one.mark for one in tracklets}
        for one in in_force(corrections):
            if one.kind == kind and {named.mark for named in one.tracklets} == found:
                note(f"{phrase(one)}: said already (correction {one.number})")
                return
        number = 1 + max((one.number for one in corrections), default=0)
        corrections.append(Correction(number, now(), kind, tuple(tracklets), undoes))

    for number in dict.fromkeys(asked.undo):
        if _may_be_undone(number, corrections, note):
            add("undo", undoes=number)
    tellings = [
        *(("same", pair) for pair in asked.same),
        *(("different", pair) for pair in asked.different),
        *(("nobody", (key,)) for key in asked.nobody),
    ]
    for kind, keys in tellings:
        if len(set(keys)) < len(keys):
            raise BadInputError(f"--{kind}: {keys[0]} is one tracklet; name two")
        add(kind, [_named(key, kind, by_key, corrections) for key in keys])
    check(corrections, 1 + max((one.number for one in kept), default=0))
    for correction in corrections[len(kept) :]:
        if correction.kind == "same":
            _tell_of_two_places([one.key for one in correction.tracklets], material, note)
    return corrections[len(kept) :]


def _named(
    key: TrackletKey, kind: str, by_key: Mapping[TrackletKey, Named], corrections: Sequence[Correction]
) -> Named:
    recordings = sorted({known.recording for known in by_key})
    if key not in by_key and key.recording not in recordings:
        raise BadInputError(
            f"--{kind}: {key}: this run has no recording {key.recording!r} with people; it has {', '.join(recordings)}"
        )
    if key not in by_key:
        raise BadInputError(f"--{kind}: {key}: no such tracklet; identities.json and the report name them all")
    for one in in_force(corrections):
        if kind != "nobody" and one.kind == "nobody" and one.tracklets[0].mark == by_key[key].mark:
            raise BadInputError(
                f"--{kind}: {key} is nobody by correction {one.number}; take that back with --undo {one.number}"
            )
    return by_key[key]


def _may_be_undone(number: int, corrections: Sequence[Correction], note: Note) -> bool:
    target = next((one for one in corrections if one.number == number), None)
    if target is None:
        raise BadInputError(f"--undo {number}: no such correction; --corrections lists them")
    if target.kind == "undo":
        raise BadInputError(f"--undo {number}: that {phrase(target)} itself; give the correction anew")
    by = next((one.number for one in corrections if one.undoes == number), None)
    if by:
        note(f"{phrase(target)}: taken back already (correction {by})")
    return by is None


def _tell_of_two_places(keys: Sequence[TrackletKey], material: Material, note: Note) -> None:
    first, second = (next(one for one in material.tracklets if one.key == key) for key in keys)
    if never_at_once([first, second])([0], [1]):
        note(f"{first.key} and {second.key} are in {first.camera} at one moment; you are believed that they are one")
