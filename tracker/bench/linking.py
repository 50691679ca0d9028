"""Linking against truth: beside one distance threshold for all, with few people and many; and at a size of choice."""

import sys
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from reid.calibration import Curve, fit_curve
from reid.centre import camera_means, centred
from reid.evaluation.embedding import Report
from tracker.bench.worlds import World, drawn_world
from tracker.linking import link, looks_of
from tracker.linking.agglomeration import TRACKLETS_A_PERSON, Group, agglomerate
from tracker.linking.gates import never_at_once
from tracker.scoring.agreement import PairScores, idf1, pair_scores
from tracker.types import Floats, Integers

SIZES = (5, 15, 50, 150, 400)  # people of a draw
DRAWS = 10
THRESHOLDS = np.round(np.arange(0.02, 1.2, 0.02), 2)  # cosine distances
EXACT = 4000  # tracklets of which sparse and exact linking are compared
_PAIRS = 100_000  # that a drawn world's curve is fitted to

OURS = "linking"
NO_TIMES = "linking, without transit times"
TRAINED = "average linkage, threshold from training people"
HINDSIGHT = "average linkage, best threshold in hindsight"
METHODS = {
    OURS: "what `reidtrack run` does",
    NO_TIMES: "the same, blind to how soon people get from camera to camera",
    TRAINED: "scipy's, on the same vectors; the threshold has the best pairwise F1 on all training people",
    HINDSIGHT: "the same with the threshold that is best for so many of these very people: nobody can know it",
}


@dataclass(frozen=True)
class Row:
    """Mean scores of one method over draws of so many people.

    Attributes:
        people: of a draw.
        draws: how many.
        method: a key of ``METHODS``.
        pairs: see ``pair_scores``.
        idf1: see there.
        groups: found, for each person.
    """

    people: int
    draws: int
    method: str
    pairs: PairScores
    idf1: float
    groups: float


def bench_people(train: World, test: World, curve: Curve, report: Report, seed: int = 0) -> list[Row]:
    """Score linking and average linkage on all test people, and on draws of few and of many.

    All see the same vectors, centred on their cameras as far as these tracklets tell them.

    Args:
        train, test: of different people.
        curve: of the embedder's tracklets.
        report: called with lines of progress.
        seed: of the draws.

    Returns:
        For each size below the number of test people, and for all of them, a row a method.
    """
    rng = np.random.default_rng(seed)
    known = np.unique(test.people)
    at = int(np.argmax([pair_scores(groups, train.people).f1 for groups in _thresholded(train)]))
    report(f"threshold from {len(np.unique(train.people))} training people: {THRESHOLDS[at]:.2f}")
    rows = []
    for size in [*(size for size in SIZES if size < len(known)), len(known)]:
        draws = DRAWS if size < len(known) else 1
        report(f"{size} people, {draws} draws")
        worlds = [test.of_people(rng.choice(known, size, replace=False)) for _ in range(draws)]
        cut = [_thresholded(world) for world in worlds]
        best = np.mean(
            [[pair_scores(g, w.people).f1 for g in groups] for groups, w in zip(cut, worlds, strict=True)], 0
        )
        found = {
            OURS: [linked(world, _centred(world), curve) for world in worlds],
            NO_TIMES: [linked_by_looks(world, curve) for world in worlds],
            TRAINED: [groups[at] for groups in cut],
            HINDSIGHT: [groups[int(best.argmax())] for groups in cut],
        }
        rows += [_row(size, method, worlds, groups) for method, groups in found.items()]
    return rows


def _row(size: int, method: str, worlds: list[World], found: list[Integers]) -> Row:
    both = list(zip(found, worlds, strict=True))
    return Row(
        size,
        len(worlds),
        method,
        PairScores(*np.mean([pair_scores(groups, world.people) for groups, world in both], 0).tolist()),
        float(np.mean([idf1(groups, world.people, world.boxes) for groups, world in both])),
        float(np.mean([len(np.unique(groups)) for groups in found])) / size,
    )


def linked(world: World, vectors: Floats, curve: Curve) -> Integers:
    """(n,) identity of each tracklet by ``tracker.linking.link``."""
    numbers = {key: one.id for one in link(world.tracklets, vectors, curve) for key in one.members}
    return np.array([numbers[tracklet.key] for tracklet in world.tracklets])


def linked_by_looks(world: World, curve: Curve) -> Integers:
    """(n,) number of each tracklet's group, by looks and the moments of one camera alone."""
    gates = [never_at_once(world.tracklets)]
    return _numbers(agglomerate(looks_of(world.tracklets, _centred(world), curve, gates), gates))


def _thresholded(world: World) -> list[Integers]:
    """(n,) numbers of average linkage's groups at each of ``THRESHOLDS``."""
    vectors = _centred(world)
    apart = np.clip(1 - vectors @ vectors.T, 0, 2).astype(np.float64)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform(apart, checks=False), "average")
    return [np.asarray(fcluster(tree, threshold, "distance"), np.int64) for threshold in THRESHOLDS]


def _centred(world: World) -> Floats:
    return np.asarray(centred(world.vectors, camera_means(world.vectors, world.camera)), np.float32)


def _numbers(groups: list[Group]) -> Integers:
    numbers = np.zeros(sum(len(group.members) for group in groups), np.int64)
    for number, group in enumerate(groups):
        numbers[group.members] = number
    return numbers


@dataclass(frozen=True)
class SizeScores:
    """Linking of a drawn world.

    Attributes:
        tracklets, people: how many there are.
        curve: fitted to the world's own pairs.
        seconds: that ``link`` took.
        peak_bytes: of memory, of the whole process; None where the system does not tell.
        groups: identities found.
        pairs: see ``pair_scores``.
        sample: tracklets of which sparse and exact linking were compared.
        same: whether they gave the same groups.
    """

    tracklets: int
    people: int
    curve: Curve
    seconds: float
    peak_bytes: int | None
    groups: int
    pairs: PairScores
    sample: int
    same: bool


def bench_size(count: int, report: Report, seed: int = 0) -> SizeScores:
    """Link so many drawn tracklets, at least 40; see ``drawn_world``."""
    world = drawn_world(count, seed)
    curve = drawn_curve(world.vectors, world.people, seed)
    people = np.unique(world.people)
    report(f"{count} tracklets of {len(people)} people; evidence {curve.slope:.2f} x similarity {curve.intercept:+.2f}")
    began = time.perf_counter()
    found = linked(world, world.vectors, curve)  # drawn ones have no camera's part
    seconds = time.perf_counter() - began
    peak = peak_bytes()
    report(f"linked in {seconds:.0f} s")
    sample = world.of_people(people[: max(EXACT // max(count // len(people), 1), 1)])
    return SizeScores(
        count,
        len(people),
        curve,
        seconds,
        peak,
        len(np.unique(found)),
        pair_scores(found, world.people),
        len(sample.people),
        sparse_equals_exact(sample, curve),
    )


def sparse_equals_exact(world: World, curve: Curve) -> bool:
    """Whether holding only the pairs that many groups allow gives the same groups as holding all that may ever join."""
    gates = [never_at_once(world.tracklets)]
    appearance = looks_of(world.tracklets, world.vectors, curve, gates)
    sparse = agglomerate(appearance, gates, fewest=max(len(appearance) // TRACKLETS_A_PERSON, 1))
    exact = agglomerate(appearance, gates, fewest=1)
    return [group.members for group in sparse] == [group.members for group in exact]


def drawn_curve(vectors: Floats, people: Integers, seed: int = 0) -> Curve:
    """Fitted to pairs of one person, neighbours in the sorted ``people``, and to as many of two at most."""
    rng = np.random.default_rng(seed)
    one = np.flatnonzero(people[1:] == people[:-1])
    one = rng.choice(one, min(_PAIRS, len(one)), replace=False)
    a, b = rng.integers(0, len(people), (2, _PAIRS))
    two = people[a] != people[b]
    left, right = np.concatenate([one, a[two]]), np.concatenate([one + 1, b[two]])
    alike: npt.NDArray[np.float32] = np.einsum("nd,nd->n", vectors[left], vectors[right])
    return fit_curve(alike, np.arange(len(left)) < len(one))


def peak_bytes() -> int | None:
    """The most memory that this process has held so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
