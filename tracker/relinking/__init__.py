"""Linking where something is known already: earlier identities, corrections. ``relink`` does a finished run again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tracker.conclusion import conclude
from tracker.linking import Known, link
from tracker.lock import only_writer
from tracker.manifest import Manifest, read_manifest
from tracker.material import Material, Work, gather, works_of
from tracker.options import check_probability
from tracker.progress import Progress
from tracker.relinking.asked import Asked, given
from tracker.relinking.corrections import Correction, Mark, append_corrections, components, read_corrections, told
from tracker.relinking.earlier import Earlier, Numbers, earlier, former, identity_numbers
from tracker.relinking.settling import NO_TRACKLET, held, known_of
from tracker.site import in_force
from tracker.store import Run, Sighting
from tracker.types import TrackletKey

MOST_CHANGES = 6  # told one by one
Note = Callable[[str], None]
Present = Mapping[Mark, TrackletKey]


@dataclass(frozen=True)
class Relinked:
    """What linking again made of a run: one line per identity, what changed in words, whether times are absolute."""

    sightings: Sequence[Sighting]
    changes: Sequence[str]
    absolute: bool


@dataclass(frozen=True)
class Plan:
    """What to link and what is known; ``new`` are the corrections just given, as they are to be kept."""

    material: Material
    known: Known
    new: Sequence[Correction] = ()


def relink(out: Path, asked: Asked, progress: Progress) -> Relinked:
    """Link a finished run again from what its stages left: nothing is detected or embedded.

    Raises:
        BadInputError: a tracklet or correction that there is not, or corrections that contradict each other.
        RunError: no finished run, its files are damaged, or somebody else is writing it.
    """
    if read_manifest(out) is None:
        Run.open(out)  # refuses it
    with only_writer(out, out):
        return _relinked(out, asked, progress)


def _relinked(out: Path, asked: Asked, progress: Progress) -> Relinked:
    manifest = _opened(out)
    if asked.min_probability is not None:
        check_probability(asked.min_probability)
    past = former(out, manifest)
    works = works_of(out, manifest)
    material = gather(works, manifest["embedder"], in_force(out, manifest))
    kept = read_corrections(out, progress.note)
    new = given(asked, kept, material, marks(material, works), progress.note)
    nothing = not (asked.same or asked.different or asked.nobody or asked.undo)
    manifest["former"] = past
    if asked.min_probability is not None:
        manifest["options"]["min_probability"] = asked.min_probability
    plan = prepare(works, material, manifest, [*kept, *new], progress.note, new=len(new), afresh=nothing)
    append_corrections(out, plan.new)
    _keep_from_rendering_what_is_gone(manifest, progress.note)
    lines = conclude(out, plan.material, manifest, plan.known, progress)
    for warning in manifest["warnings"]:
        progress.note(f"warning: {warning}")
    before = earlier(past, works, material, manifest["options"]).numbers
    return Relinked(lines, changes(before, identity_numbers(out)), manifest["options"]["absolute"])


def prepare(
    works: Sequence[Work],
    material: Material,
    manifest: Manifest,
    corrections: Sequence[Correction],
    note: Note,
    *,
    new: int = 0,
    afresh: bool = False,
) -> Plan:
    """What is known before a run is linked, and without whom.

    Args:
        works: the run's recordings.
        material: theirs, all of it.
        manifest: of the run, with the ``former`` linking in it; what is told about this one is added.
        corrections: all, the new ones last.
        note: told what the user should know.
        new: how many of the corrections are.
        afresh: keep nothing of the former linking but numbers.
    """
    past = earlier(manifest.get("former"), works, material, manifest["options"])
    present = marks(material, works)
    facts = told(corrections, present)
    if facts.elsewhere:
        numbers = ", ".join(map(str, facts.elsewhere))
        note(f"corrections of tracklets that this run does not have now are kept and not applied: {numbers}")
    last = max((correction.number for correction in corrections), default=0)
    # What was linked afresh and gets nothing new is linked in the same way again, which changes nothing.
    if past.people and past.differs and not afresh:
        note(f"everything is linked afresh, since something differs: {'; '.join(past.differs)}")
    afresh = afresh or not past.stays or (past.whole and not past.settled and last == past.applied)
    highest = max([past.highest, *(number for one in corrections for number in one.was.values())]) * bool(past.highest)
    manifest["linking"] = {
        "settled": not afresh,
        "corrections": last,
        "afresh": last if afresh else past.afresh,
        "highest": highest,
    }
    before = {**past.numbers, NO_TRACKLET: highest} if highest else {}
    scene = _scene(manifest, material)
    if afresh:
        known = replace(scene, same=facts.same, different=facts.different, before=before)
        return Plan(material.without(facts.nobody), known, corrections[len(corrections) - new :])
    if last == past.applied:
        count = len(set(past.numbers.values()))
        note(
            f"{count} identities stay as they were, with their numbers;"
            f" `reidtrack link {manifest['options']['out']}` links everything afresh"
        )
    walk = _Walk(material, present, past, scene, manifest["options"]["min_probability"])
    known, followed = walk.through(corrections, before)
    return Plan(material.without(facts.nobody), known, followed[len(corrections) - new :])


@dataclass(frozen=True)
class _Walk:
    """Corrections applied one after the other to the identities of an earlier linking."""

    material: Material
    present: Present
    past: Earlier
    scene: Known
    min_probability: float

    def through(self, corrections: Sequence[Correction], before: Numbers) -> tuple[Known, list[Correction]]:
        """What is known after all of them, and they with the identities that were there before each new one."""
        followed = [one for one in corrections if one.number <= self.past.applied]
        known = self._known(followed, before, None)
        for correction in corrections[len(followed) :]:
            before = self._linked(followed, known) if known.loose else known.before
            keys = [self.present[one.mark] for one in correction.tracklets if one.mark in self.present]
            followed.append(replace(correction, was=correction.was or held(before, keys)))
            known = self._known(followed, before, self._undone(followed))
        return known, followed

    def _known(self, corrections: Sequence[Correction], before: Numbers, undone: Correction | None) -> Known:
        facts = told(corrections, self.present)
        tracklets = {one.key: one for one in self.material.without(facts.nobody).tracklets}
        return known_of(facts, before, tracklets, self.scene, undone)

    def _linked(self, corrections: Sequence[Correction], known: Known) -> dict[TrackletKey, int]:
        part = self.material.without(told(corrections, self.present).nobody)
        identities = link(part.tracklets, part.centred(), part.curve, self.min_probability, known)
        numbers = {key: identity.id for identity in identities for key in identity.members if key in known.before}
        return {**known.before, **numbers}

    def _undone(self, corrections: Sequence[Correction]) -> Correction | None:
        """The correction that the last one takes back, in today's names."""
        for one in corrections:
            if one.number == corrections[-1].undoes and all(named.mark in self.present for named in one.tracklets):
                named = tuple(named._replace(key=self.present[named.mark]) for named in one.tracklets)
                return replace(one, tracklets=named, was=one.was if one.number > self.past.afresh else {})
        return None


def marks(material: Material, works: Sequence[Work]) -> dict[Mark, TrackletKey]:
    """What every tracklet is, whatever it is called."""
    files = {work.recording.name: work.tracklets.name for work in works}
    return {Mark(files[one.key.recording], one.key.track_id, int(one.index[0])): one.key for one in material.tracklets}


def changes(before: Numbers, after: Numbers) -> list[str]:
    """In words, which identities hold other tracklets than before.

    >>> a, b, c = TrackletKey("cam", 1), TrackletKey("cam", 2), TrackletKey("cam", 3)
    >>> changes({a: 3, b: 3, c: 5}, {a: 3, b: 9})
    ['identity 3 (2 tracklets) became 3 (1) and 9 (1)', 'identity 5 (1 tracklet) is gone']
    """
    old, new = _members(before), _members(after)
    nodes = [((0, before[key]), (1, after[key])) for key in before if key in after]
    alone = [((age, number), (age, number)) for age, ones in enumerate((old, new)) for number in ones]
    lines = []
    for group in components([*nodes, *alone]):
        was, became = (sorted(number for age, number in group if age == wanted) for wanted in (0, 1))
        if was != became or any(old[number] != new[number] for number in was):
            lines.append(_change(was, became, old, new))
    more = len(lines) - MOST_CHANGES
    return lines if more <= 1 else [*lines[:MOST_CHANGES], f"and {more} more changes like these"]


def _members(numbers: Numbers) -> dict[int, set[TrackletKey]]:
    members: dict[int, set[TrackletKey]] = {}
    for key, number in sorted(numbers.items()):
        members.setdefault(number, set()).add(key)
    return dict(sorted(members.items()))


def _change(
    was: Sequence[int],
    became: Sequence[int],
    old: Mapping[int, set[TrackletKey]],
    new: Mapping[int, set[TrackletKey]],
) -> str:
    def listed(numbers: Sequence[int], members: Mapping[int, set[TrackletKey]], *, first: bool) -> str:
        counts = [len(members[number]) for number in numbers]
        units = [f" tracklet{'s' * (count != 1)}" if first and not place else "" for place, count in enumerate(counts)]
        texts = [f"{number} ({count}{unit})" for number, count, unit in zip(numbers, counts, units, strict=True)]
        return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)

    if not was:
        return f"identity {listed(became, new, first=True)} is new"
    before = f"identit{'y' if len(was) == 1 else 'ies'} {listed(was, old, first=True)}"
    return f"{before} became {listed(became, new, first=False)}" if became else f"{before} is gone"


def _opened(out: Path) -> Manifest:
    manifest = read_manifest(out)
    if manifest and manifest.get("former") and "calibration" in manifest:
        return manifest  # interrupted while it was linked again
    return dict(Run.open(out).manifest)


def _scene(manifest: Manifest, material: Material) -> Known:
    """What the run's options tell of its cameras."""
    options = manifest["options"]
    names = list(options.get("disjoint") or ())
    if names == ["all"]:
        names = sorted({recording.camera for recording in material.recordings})
    return Known(disjoint=[names] if names else [], ground=options.get("calibration") or {})


def _keep_from_rendering_what_is_gone(manifest: Manifest, note: Note) -> None:
    gone = [entry["path"] for entry in manifest["recordings"] if not Path(entry["path"]).exists()]
    if manifest["options"]["render"] and gone:
        note(f"warning: {gone[0]} is gone, so that nothing is rendered again; the run's rendered videos are removed")
        manifest["options"]["render"] = False
