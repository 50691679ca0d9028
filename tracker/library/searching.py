"""Finding a person: who in a library it may be, and how probably.

What a tracklet says for being the person is what linking would say (``tracker.linking.evidence``): a log-likelihood
ratio by its run's curve, for its best matching vector. Several examples say what the mean of their log-likelihood
ratios does, since pictures of one person err alike, and so do an identity's several tracklets. (Two pictures of two
cameras of each of 190 people of Market-1501, against tracklets of further cameras: log loss 0.049 of the mean, 0.055 of
the sum, 0.058 of the greater one, 0.083 of one picture; mAP 0.933, 0.933, 0.923 and 0.855.) The prior is that of
linking too: as many people as there seem to be in what is searched.

A counter-example is somebody else. That a tracklet is the person, that it is the counter-example, and that it is
anybody else exclude each other, so what speaks for the second takes away from the first.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid.errors import BadInputError
from tracker.library.examples import Example
from tracker.library.filters import Filters, passing
from tracker.library.scores import Scores, scored
from tracker.library.snapshot import Snapshot
from tracker.library.store import Library, reading
from tracker.linking.agglomeration import people, probability_of

SHOWN = (
    "key", "run", "recording", "camera", "identity", "start_s", "end_s", "absolute", "length_s", "track_id", "path",
    "photo", "file_start_s", "first_frame", "last_frame", "quality", "probability", "crop",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A tracklet that may be the person.

    Attributes:
        row: its row in the library, without the picture.
        probability: that it is the person, by itself, 0..1.
    """

    row: Mapping[str, Any]
    probability: float


@dataclass(frozen=True)
class Hit:
    """An identity of a run that may be the person.

    Attributes:
        run: its id.
        identity: its number.
        probability: that it is the person, 0..1, among as many people as are searched.
        evidence: the log-likelihood ratio behind it.
        tracklets: its own that pass the filters, likeliest first.
    """

    run: str
    identity: int
    probability: float
    evidence: float
    tracklets: Sequence[Found]


def search(
    library: Library,
    examples: Sequence[Example],
    others: Sequence[Example] = (),
    filters: Filters | None = None,
    top: int = 10,
    min_probability: float = 0.0,
) -> list[Hit]:
    """Who in a library may be a person, likeliest first.

    The examples' own tracklets are no results.

    Args:
        library: where.
        examples: of the person, at least one.
        others: examples of other people.
        filters: what is searched; None for all.
        top: identities, at most.
        min_probability: of what is returned.

    Raises:
        BadInputError: options that cannot be meant, or nothing is left to search.
        DataError: the library cannot be read.
    """
    if top < 1:
        raise BadInputError(f"--top {top}: give a count from 1 on")
    if not 0 <= min_probability <= 1:
        raise BadInputError(f"--min-probability {min_probability:g} is no probability; give a number from 0 to 1")
    check_not_empty(library)
    filters = filters or Filters()
    snapshot, mask = library.snapshot, passing(library, filters)
    own = [snapshot.find(example.key) for example in (*examples, *others) if example.key]
    mask[[place for place in own if place is not None]] = False
    among = people(snapshot.people(mask))
    with reading(library.name):
        scores = scored(library, examples, others, filters, mask, among, top)
        hits = _ranked(snapshot, scores, among, top)
    return [hit for hit in hits if hit.probability >= min_probability]


def check_not_empty(library: Library) -> None:
    """See that a library holds somebody.

    Raises:
        BadInputError: it does not.
    """
    if not any(entry.tracklets for entry in library.meta.runs.values()):
        raise BadInputError(f"{library.name}: empty; add runs to it with `reidtrack index {library.name} RUN`")


def _ranked(snapshot: Snapshot, scores: Scores, among: float, top: int) -> list[Hit]:
    best = np.argsort(-scores.evidence, kind="stable")[:top].tolist()
    places = [np.arange(scores.begins[group], scores.begins[group + 1]) for group in best]
    rows = iter(snapshot.rows(scores.places[np.concatenate([*places, np.zeros(0, np.int64)])], SHOWN))
    hits = []
    for group, own in zip(best, places, strict=True):
        found = [Found(next(rows), probability_of(evidence, among)) for evidence in scores.alone[own].tolist()]
        found.sort(key=lambda one: (-one.probability, one.row["start_s"], one.row["key"]))
        first, evidence = snapshot.first[scores.who[group]], float(scores.evidence[group])
        run, identity = snapshot.runs[snapshot.run[first]], int(snapshot.identity[first])
        hits.append(Hit(run, identity, probability_of(evidence, among), evidence, found))
    return hits


def play_command(row: Mapping[str, Any]) -> str:
    """What shows a tracklet on the screen.

    >>> play_command({"path": "a b.mp4", "photo": "", "file_start_s": 61.5, "length_s": 3.2})
    "ffplay -ss 60.5 -t 5.2 'a b.mp4'"
    """
    if row["photo"]:
        return f"ffplay {shlex.quote(row['path'] + '/' + row['photo'])}"
    begin = max(row["file_start_s"] - 1, 0)
    end = row["file_start_s"] + row["length_s"] + 1
    return f"ffplay -ss {begin:.1f} -t {end - begin:.1f} {shlex.quote(row['path'])}"
