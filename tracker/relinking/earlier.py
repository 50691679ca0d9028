"""The linking that a run had before: who was who, and whether that can stay when more is linked.

``run.json`` carries it under ``former`` while a new linking is being made, so that an interruption loses nobody.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracker.manifest import Manifest
from tracker.material import Material, Work
from tracker.relinking.corrections import parse_key
from tracker.types import TrackletKey

# Where one of these options differs, nothing of an earlier linking stays.
LINKING_OPTIONS = ("min_probability", "disjoint", "calibration")
TRACKLET_OPTIONS = ("detector", "tracker", "embedder", "fps")  # that tracklets and their vectors depend on
_FACTS = ("recordings", "options", "calibration", "linking")
Numbers = Mapping[TrackletKey, int]


@dataclass(frozen=True)
class Earlier:
    """An earlier linking, seen from a new one.

    Attributes:
        numbers: of its identities, by tracklet; of recordings whose stages' files are the same.
        differs: what it was made of that is another now, in words; nothing of it stays where there is any. A recording
            more is no difference.
        highest: of all identities' numbers ever given; 0 where they were of other tracklets.
        whole: it was made of all of these recordings.
        settled: it kept to identities of one before, rather than link everything afresh.
        applied: number of the last correction that went into it.
        afresh: number of the last correction that there was when everything was last linked afresh.
        people: there were any.
    """

    numbers: Numbers = field(default_factory=dict)
    differs: Sequence[str] = ()
    highest: int = 0
    whole: bool = False
    settled: bool = False
    applied: int = 0
    afresh: int = 0
    people: bool = False

    @property
    def stays(self) -> bool:
        """Whether its identities may stay as they are."""
        return bool(self.numbers) and not self.differs


def former(out: Path, manifest: Manifest | None) -> Manifest | None:
    """What is to be remembered of a run before it is linked again; None where it was never linked."""
    if manifest is None or manifest.get("status") != "complete":
        return manifest and manifest.get("former")
    identities: dict[int, list[str]] = {}
    for key, number in identity_numbers(out).items():
        identities.setdefault(number, []).append(str(key))
    return copy.deepcopy({name: manifest[name] for name in _FACTS if name in manifest}) | {"identities": identities}


def identity_numbers(out: Path) -> dict[TrackletKey, int]:
    """Who is who in a finished run, from its ``identities.json``; nobody where that is absent or no longer its own."""
    try:
        content = json.loads((out / "identities.json").read_text(encoding="utf-8"))
        return {parse_key(one["tracklet"]): entry["identity"] for entry in content for one in entry["tracklets"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def earlier(past: Mapping[str, Any] | None, works: Sequence[Work], material: Material, options: Manifest) -> Earlier:
    """The linking remembered as ``past``, for a new one of ``works`` under ``options``."""
    if not past:
        return Earlier()
    files = {work.tracklets.name: work for work in works}
    entries = [(entry, files.get(entry.get("stages", {}).get("tracklets"))) for entry in past["recordings"]]
    names = {entry["name"]: work.recording.name for entry, work in entries if work and _same_files(entry, work)}
    numbers = {
        key._replace(recording=names[key.recording]): int(number)
        for number, members in past["identities"].items()
        for key in map(parse_key, members)
        if key.recording in names
    }
    linking = past.get("linking", {})
    return Earlier(
        numbers,
        _differences(past, entries, material, options),
        max([linking.get("highest", 0), *map(int, past["identities"])]) if names else 0,
        len(entries) == len(works),
        linking.get("settled", False),
        linking.get("corrections", 0),
        linking.get("afresh", 0),
        bool(past["identities"]),
    )


def _differences(
    past: Mapping[str, Any], entries: Sequence[tuple[Manifest, Work | None]], material: Material, options: Manifest
) -> list[str]:
    found = []
    changed = [entry["name"] for entry, work in entries if not (work and _same_files(entry, work))]
    if changed:
        asked = _other_options(TRACKLET_OPTIONS, past["options"], options)
        found += asked or [f"the tracklets of {', '.join(changed)}"]
    elsewhere = [entry["name"] for entry, work in entries if work and not _same_place(entry, work)]
    if elsewhere:
        found.append(f"camera or start time of {', '.join(elsewhere)}")
    curve = material.curve
    if past.get("calibration") != {"slope": curve.slope, "intercept": curve.intercept} and not changed:
        found.append("what similarities mean (`reidtrack calibrate`, or videos beside photos)")
    return found + _other_options(LINKING_OPTIONS, past["options"], options)


def _other_options(names: Sequence[str], past: Manifest, now: Manifest) -> list[str]:
    other = [name for name in names if _text(past.get(name)) != _text(now.get(name))]
    return [f"--{name.replace('_', '-')}{_was(past.get(name), now.get(name))}" for name in other]


def _was(before: Any, now: Any) -> str:
    short = all(isinstance(value, str | float | int) for value in (before, now))
    return f" ({now}, {before} before)" if short else ""


def _same_files(entry: Mapping[str, Any], work: Work) -> bool:
    return [entry["stages"][name] for name in ("tracklets", "embeddings")] == [
        work.tracklets.name,
        work.embeddings.name,
    ]


def _same_place(entry: Mapping[str, Any], work: Work) -> bool:
    return (entry["camera"], entry["start_s"]) == (work.recording.camera, work.recording.start_s)


def _text(value: Any) -> str:
    return json.dumps(value or None)  # a tuple is a list once it was written; earlier versions wrote nothing for none
