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

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from reid.errors import BadInputError
from tracker.library.examples import Example, stacked
from tracker.library.filters import Filters, check_filters, quoted
from tracker.library.nearest import FEW, nearest
from tracker.library.store import Library, reading
from tracker.linking.agglomeration import PRIOR_POWER
from tracker.linking.evidence import reliability

CANDIDATES = 50  # vectors looked at for each identity asked for, where not all are
Doubles = np.typing.NDArray[np.float64]
Name = tuple[str, int]  # run and number of an identity

SHOWN = (
    "key", "run", "recording", "camera", "identity", "start_s", "end_s", "absolute", "length_s", "track_id", "path",
    "photo", "file_start_s", "first_frame", "last_frame", "quality", "probability", "crop",
)  # fmt: skip


SCORED = ("key", "run", "identity", "quality", "vector")


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
        tracklets: its own that pass the filters, in order of time.
    """

    run: str
    identity: int
    probability: float
    evidence: float
    tracklets: Sequence[Found]


@dataclass(frozen=True)
class Scores:
    """Log-likelihood ratios of tracklets, (n,) each: of being the person, and each of the counter-examples (c, n)."""

    keys: Sequence[str]
    names: Sequence[Name]
    weight: Doubles
    wanted: Doubles
    others: Doubles


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
    check_filters(library, filters)
    own = sorted({example.key for example in (*examples, *others) if example.key})
    apart = f"key NOT IN ({', '.join(map(quoted, own))})" if own else ""
    where = " AND ".join(part for part in (filters.where(), apart) if part)
    with reading(library.name):
        among = people(library, where)
        rows = _candidates(library, examples, where, CANDIDATES * top)
        scores = score(library, rows, examples, others)
        hits = [hit for hit in _ranked(scores, among) if hit.probability >= min_probability][:top]
        return _with_rows(library, hits)


def check_not_empty(library: Library) -> None:
    """See that a library holds somebody.

    Raises:
        BadInputError: it does not.
    """
    if not any(entry.tracklets for entry in library.meta.runs.values()):
        raise BadInputError(f"{library.name}: empty; add runs to it with `reidtrack index {library.name} RUN`")


def people(library: Library, where: str) -> float:
    """How many people there seem to be among the tracklets that meet a condition.

    Counted as two random tracklets would: as one over the share of pairs that are one person (the inverse Simpson
    index), so that a crowd of fragments that nothing could link is not taken for a crowd of people.
    """
    table = _filtered(library.tracklets, where, ["run", "identity"])
    sizes = table.group_by(["run", "identity"]).aggregate([([], "count_all")])["count_all"].to_pylist()
    return float(sum(sizes) ** 2 / max(sum(size**2 for size in sizes), 1))


def score(library: Library, rows: pa.Table, examples: Sequence[Example], others: Sequence[Example]) -> Scores:
    """What the tracklets of some rows of ``vectors`` say."""
    rows = rows.sort_by("key")  # sums round alike, whatever the order of adding
    keys = rows["key"].to_pylist()
    unique = sorted(set(keys))
    place = {key: number for number, key in enumerate(unique)}
    tracklet = np.array([place[key] for key in keys], np.int64)
    first = np.unique(tracklet, return_index=True)[1]
    runs = [library.meta.runs[run] for run in rows["run"].take(first).to_pylist()]
    reliable = reliability(rows["quality"].take(first).to_pylist()).astype(np.float64)
    vectors = stacked(rows["vector"], library.meta.dim)
    slope, intercept = (np.array([getattr(run, name) for run in runs]) for name in ("slope", "intercept"))

    def evidence(example: Example) -> Doubles:
        alike = np.full(len(unique), -np.inf)
        np.maximum.at(alike, tracklet, (vectors @ example.vectors.T).max(1).astype(np.float64))
        return np.asarray(slope * alike + intercept * reliable * float(reliability([example.quality])[0]), np.float64)

    weights = reliability([example.quality for example in examples])
    wanted = np.average([evidence(example) for example in examples], axis=0, weights=weights)
    against = np.array([evidence(example) for example in others]).reshape(len(others), len(unique))
    identities = rows["identity"].take(first).to_pylist()
    names = [(run.id, number) for run, number in zip(runs, identities, strict=True)]
    return Scores(unique, names, reliable, np.asarray(wanted, np.float64), against)


def weighed(wanted: float, others: Sequence[float], among: float) -> float:
    """The evidence for being the person once counter-examples have taken away theirs.

    The odds of the person against a stranger and the counter-examples: e^wanted / (strangers + sum of e^other).

    >>> weighed(3.0, [], 2), round(weighed(3.0, [0.0], 2), 2)
    (3.0, 2.31)
    """
    strangers = _against(among)
    return wanted + strangers - float(np.logaddexp.reduce([strangers, *others]))


def probability_of(evidence: float, among: float) -> float:
    """That somebody is the person, among so many people, 0..1.

    >>> probability_of(0.0, 2), round(probability_of(5.0, 2), 2)
    (0.5, 0.99)
    """
    return 0.5 * (1 + math.tanh(0.5 * (evidence - _against(among))))


def _against(among: float) -> float:
    return PRIOR_POWER * math.log(max(among - 1, 1))


def _candidates(library: Library, examples: Sequence[Example], where: str, k: int) -> pa.Table:
    """Rows of ``vectors`` to score: all that there are, or all of the identities that the nearest ones belong to."""
    if library.vectors.count_rows(where or None) <= max(FEW, k):
        return _filtered(library.vectors, where, SCORED)
    near = nearest(library.vectors, np.concatenate([example.vectors for example in examples]), where, k)
    numbers: dict[str, set[int]] = {}
    for run, number in zip(near["run"].to_pylist(), near["identity"].to_pylist(), strict=True):
        numbers.setdefault(run, set()).add(number)
    theirs = [
        f"(run = {quoted(run)} AND identity IN ({', '.join(map(str, sorted(own)))}))" for run, own in numbers.items()
    ]
    condition = " AND ".join(part for part in (where, f"({' OR '.join(theirs)})") if part)
    return _filtered(library.vectors, condition, SCORED)


def _ranked(scores: Scores, among: float) -> list[Hit]:
    members: dict[Name, list[int]] = {}
    for row, name in enumerate(scores.names):
        members.setdefault(name, []).append(row)
    hits = []
    for (run, identity), rows in members.items():
        weight = scores.weight[rows]
        wanted = float(np.average(scores.wanted[rows], weights=weight))
        others = [float(np.average(one[rows], weights=weight)) for one in scores.others]
        evidence = weighed(wanted, others, among)
        found = [
            Found(
                {"key": scores.keys[row]},
                probability_of(weighed(float(scores.wanted[row]), scores.others[:, row].tolist(), among), among),
            )
            for row in rows
        ]
        hits.append(Hit(run, identity, probability_of(evidence, among), evidence, found))
    return sorted(hits, key=lambda hit: (-hit.evidence, hit.run, hit.identity))


def _with_rows(library: Library, hits: Sequence[Hit]) -> list[Hit]:
    """The same with all that the library knows of their tracklets."""
    keys = [one.row["key"] for hit in hits for one in hit.tracklets]
    if not keys:
        return []
    table = _filtered(library.tracklets, f"key IN ({', '.join(map(quoted, keys))})", SHOWN)
    rows = {row["key"]: row for row in table.to_pylist()}
    return [
        Hit(
            hit.run,
            hit.identity,
            hit.probability,
            hit.evidence,
            sorted(
                (Found(rows[one.row["key"]], one.probability) for one in hit.tracklets),
                key=lambda one: (one.row["start_s"], one.row["key"]),
            ),
        )
        for hit in hits
    ]


def _filtered(table: Any, where: str, columns: Sequence[str] | None = None) -> pa.Table:
    query = table.search()
    if where:
        query = query.where(where)
    if columns:
        query = query.select(list(columns))
    return query.limit(max(table.count_rows(), 1)).to_arrow()


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
