"""Pairs of crops for training, from a run's corrections: which are of one person, and which of two."""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

from tracker.files import whole_file
from tracker.material import works_of
from tracker.relinking.corrections import Mark, components, parse_key, read_corrections, told
from tracker.store import Run
from tracker.types import TrackletKey

COLUMNS = ("kind", "crop_a", "crop_b")


def write_pairs(folder: Path, out: Path, note: Callable[[str], None]) -> int:
    """Write all pairs of crops that the corrections in force tell about, as CSV: kind (same, different) and two paths.

    What follows is written too: where a is b and b is c, a is c; and who is not one of them is none of them.

    Args:
        folder: a finished run's directory.
        out: the file.
        note: told of damage.

    Returns:
        How many pairs.

    Raises:
        RunError: no finished run, or one of a version that did not name its stages' files.
    """
    run = Run.open(folder)
    files = {work.recording.name: work.tracklets.name for work in works_of(folder, run.manifest)}
    crops: dict[TrackletKey, list[Path]] = {}
    present: dict[Mark, TrackletKey] = {}
    for entry in (one for identity in run.identities() for one in identity["tracklets"]):
        key = parse_key(entry["tracklet"])
        present[Mark(files[key.recording], key.track_id, entry["first_frame"])] = key
        crops[key] = [folder / name for name in entry["crops"]]
    facts = told(read_corrections(folder, note), present)
    people = components([*facts.same, *((key, key) for pair in facts.different for key in pair)])
    person = {key: place for place, keys in enumerate(people) for key in keys}
    rows = [
        ("same", first, second)
        for keys in people
        for a, b in itertools.combinations(sorted(keys), 2)
        for first, second in itertools.product(crops[a], crops[b])
    ]
    apart = {(min(pair), max(pair)) for pair in ((person[a], person[b]) for a, b in facts.different)}
    rows += [
        ("different", first, second)
        for one, other in sorted(apart)
        for a, b in itertools.product(sorted(people[one]), sorted(people[other]))
        for first, second in itertools.product(crops[a], crops[b])
    ]
    with whole_file(out) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return len(rows)
