"""HOTA, IDF1 and MOTA: worked examples, loops, an independent implementation, and MOT17's scores."""

import csv
import itertools
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reid.evaluation.search import overlap
from tests.scoring.worlds import boxes, scene
from tracker.scoring.boxes import Boxes
from tracker.scoring.metrics import _trackeval_data, idf1_of_several_cameras, score_tracking
from tracker.scoring.scene import prepare
from tracker.scoring.truth import find_truth, read_truth

REFERENCE = Path(__file__).parents[3] / "shared/data/mot17_frcnn_metric_reference.tar.xz"


def parts(scores):
    return {name: getattr(scores, name) for name in ("hota", "det_a", "ass_a", "idf1", "mota", "switches")}


# ---- two cameras, three frames: person 1 in both, person 2 in the first; found in 7 of 9 boxes by tracklets 0, 1, 2


FIRST = scene(
    boxes(*((frame, 1, 0) for frame in (1, 2, 3)), *((frame, 2, 100) for frame in (1, 2, 3))),
    boxes((1, 0, 0), (2, 0, 0), (3, 0, 0), (2, 2, 100), (3, 2, 100)),
    name="cam1",
)
SECOND = scene(boxes((1, 1, 0), (2, 1, 0), (3, 1, 0)), boxes((1, 1, 0), (2, 1, 0)), name="cam2")


def test_two_cameras_that_are_not_linked():
    scores = score_tracking([FIRST, SECOND], np.array([10, 20, 30]))
    assert parts(scores) == pytest.approx(
        {"hota": 0.6236095644623, "det_a": 7 / 9, "ass_a": 0.5, "idf1": 0.625, "mota": 2 / 3, "switches": 1}
    )
    assert (scores.idp, scores.idr) == (pytest.approx(5 / 7), pytest.approx(5 / 9))
    assert (scores.false, scores.missed, scores.people, scores.boxes) == (0, 2, 2, 9)


def test_two_cameras_that_are_linked():
    scores = score_tracking([FIRST, SECOND], np.array([10, 10, 30]))
    assert parts(scores) == pytest.approx(
        {"hota": 0.7817359599706, "det_a": 7 / 9, "ass_a": 11 / 14, "idf1": 0.875, "mota": 7 / 9, "switches": 0}
    )
    assert (scores.idp, scores.idr) == (1, pytest.approx(7 / 9))


def test_without_identities_of_one_camera():
    """As the AI City Challenge has it: 30 is left out, and where nothing is linked all are."""
    linked = idf1_of_several_cameras([FIRST, SECOND], np.array([10, 10, 30]), ["cam1", "cam2"])
    assert linked == pytest.approx(2 * 5 / (9 + 5))
    assert idf1_of_several_cameras([FIRST, SECOND], np.array([10, 20, 30]), ["cam1", "cam2"]) == 0
    assert idf1_of_several_cameras([FIRST, SECOND], np.array([10, 10, 30]), ["cam1", "cam1"]) is None


# ---- an identity that is twice in a frame


def test_an_identity_on_two_people_at_once_counts_once():
    people = boxes(*((frame, person, 50 * person) for frame in range(1, 5) for person in (1, 2)))
    found = boxes(*((frame, person - 1, 50 * person) for frame in range(1, 5) for person in (1, 2)))
    more = boxes((5, 1, 0))
    scores = score_tracking([scene(people, found), scene(more, boxes((5, 0, 0)))], np.array([7, 7]))
    assert (scores.idf1, scores.idp, scores.idr) == (pytest.approx(10 / 18), 5 / 9, 5 / 9)
    assert (scores.false, scores.missed, scores.switches) == (4, 4, 0)  # all on person 1, whose identity it is
    alone = scene(people, found.take(found.id == 0))
    assert scores.ass_a == pytest.approx(score_tracking([alone, scene(more, boxes((5, 0, 0)))], np.array([7])).ass_a)


def test_of_two_boxes_on_one_person_the_better_one_counts():
    people = boxes(*((frame, 1, 0) for frame in range(1, 5)))
    found = boxes(*((frame, row, 2 * row) for frame in range(1, 5) for row in (1, 0)))
    scores = score_tracking([scene(people, found)], np.array([7, 7]))
    assert (scores.idf1, scores.false, scores.missed) == (pytest.approx(8 / 12), 4, 0)
    assert scores.ass_a == 1


def noisy():
    """Three people, eight frames: shaken boxes, gaps, two identities swapped at frame 6, one track on nobody."""
    draw = np.random.RandomState(31)
    people, found = [], []
    for person in range(3):
        for frame in range(8):
            left, top = 30.0 * person + 2.0 * frame, 5.0 * person
            people.append((frame + 1, person + 1, [left, top, 20.0, 40.0]))
    for person in range(3):
        for frame in range(8):
            shake = draw.uniform(-4, 4, 4)
            if draw.rand() < 0.2:
                continue
            number = person if frame < 5 or person == 2 else 1 - person
            box = np.array([30.0 * person + 2.0 * frame, 5.0 * person, 20.0, 40.0]) + shake
            found.append((frame + 1, number, box.tolist()))
    found += [(frame + 1, 3, [200.0 + frame, 10.0, 20.0, 40.0]) for frame in range(3)]
    return scene(from_sizes(people), from_sizes(found))


def from_sizes(rows):
    corners = [(left, top, left + width, top + height) for _, _, (left, top, width, height) in rows]
    return Boxes.sorted([row[0] for row in rows], [row[1] for row in rows], corners)


def test_a_noisy_recording():
    scores = score_tracking([noisy()], np.arange(4))
    assert parts(scores) == pytest.approx(
        {
            "hota": 0.45369791017303573,
            "det_a": 0.5155246435670608,
            "ass_a": 0.4003954030050521,
            "idf1": 0.6808510638297872,
            "mota": 0.625,
            "switches": 2,
        }
    )
    assert (scores.false, scores.missed) == (3, 4)


def test_all_right_is_1_and_nothing_found_is_0():
    people = boxes(*((frame, person, 50 * person) for frame in range(1, 6) for person in range(3)))
    perfect = parts(score_tracking([scene(people, people)], np.arange(3)))
    assert perfect.pop("switches") == 0
    assert set(perfect.values()) == {1.0}
    nothing = score_tracking([scene(people, Boxes.empty())], np.arange(0))
    assert set(parts(nothing).values()) == {0}
    assert nothing.missed == 15
    nobody = score_tracking([scene(Boxes.empty(), people)], np.arange(3))
    assert set(parts(nobody).values()) == {0}
    assert (nobody.false, nobody.boxes) == (15, 0)


# ---- loops and the reference


@st.composite
def worlds(draw, cameras=2):
    """One or two small recordings, boxes close enough to be confused, and a number for each tracklet.

    A recording has six tracklets: three in frames 1 and 2 and three in frames 3 and 4. Those of one moment have
    different numbers; all others may share theirs.
    """
    scenes, numbers = [], []
    spots = st.tuples(st.integers(1, 4), st.integers(0, 2), st.integers(0, 8))
    several = st.lists(spots, max_size=8, unique_by=lambda row: row[:2])
    for camera in range(draw(st.integers(1, cameras))):
        people, found = draw(several), draw(several)
        own = boxes(*((frame, row + 6 * camera + 3 * (frame > 2), left) for frame, row, left in found))
        scenes.append(scene(boxes(*people), own, name=str(camera), frames=range(1, 5)))
        numbers += [draw(st.permutations([7, 8, 9, 10]))[:3] for _ in range(2)]
    return scenes, np.array(numbers).ravel()


@given(worlds())
def test_idf1_tries_every_assignment(world):
    scenes, numbers = world
    counts, people, found = {}, set(), set()
    boxes_in_all = 0
    for one in scenes:
        people |= set(one.people.id.tolist())
        found |= set(numbers[one.found.id].tolist())
        boxes_in_all += len(one.people) + len(one.found)
        for i, j in itertools.product(range(len(one.people)), range(len(one.found))):
            if one.people.frame[i] == one.found.frame[j]:
                pair = int(one.people.id[i]), int(numbers[one.found.id[j]])
                enough = overlap(one.people.xyxy[i : i + 1], one.found.xyxy[j : j + 1])[0, 0] >= 0.5
                counts[pair] = counts.get(pair, 0) + bool(enough)
    padded = [*sorted(found), *[None] * len(people)]
    best = max(
        sum(counts.get(pair, 0) for pair in zip(sorted(people), chosen, strict=True))
        for chosen in itertools.permutations(padded, len(people))
    )
    assert score_tracking(scenes, numbers).idf1 == pytest.approx(2 * best / boxes_in_all if boxes_in_all else 0)


@given(worlds())
def test_agrees_with_an_independent_implementation(world):
    """HOTA and IDF1 of motrics; its MOTA is another, as it does not match for the greatest overlap."""
    motrics = pytest.importorskip("motrics")
    scenes, numbers = world
    people, found = [motrics.Frames([], []) for _ in range(2)]
    for one in scenes:
        for side, its, ids in ((people, one.people, one.people.id), (found, one.found, numbers[one.found.id])):
            for row in its.rows(one.frames):
                side.ids.append(ids[row].tolist())
                side.boxes.append(its.xyxy[row])
    result, scores = motrics.evaluate(people, found), score_tracking(scenes, numbers)
    assert (scores.idf1, scores.idp, scores.idr) == pytest.approx(
        (result.identity.idf1, result.identity.idp, result.identity.idr)
    )
    assert (scores.hota, scores.det_a, scores.ass_a) == pytest.approx(
        (result.hota.hota, result.hota.deta, result.hota.assa)
    )


@given(worlds())
def test_idf1_is_the_reference_implementations(world):
    from trackeval.metrics import Identity

    scenes, numbers = world
    people = np.unique(np.concatenate([one.people.id for one in scenes]))
    data = _trackeval_data(scenes, people, numbers, np.full(len(numbers), -1))
    theirs = Identity({"THRESHOLD": 0.5, "PRINT_CONFIG": False}).eval_sequence(data)
    ours = score_tracking(scenes, numbers)
    assert (ours.idf1, ours.idp, ours.idr) == pytest.approx((theirs["IDF1"], theirs["IDP"], theirs["IDR"]))


def test_many_tracklets_are_scored_in_little_memory():
    frames = range(1, 3001)
    people = boxes(*((frame, 1, 0) for frame in frames))
    found = boxes(*((frame, frame - 1, 0) for frame in frames))
    tracemalloc.start()
    scores = score_tracking([scene(people, found)], np.arange(3000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scores.idf1 == pytest.approx(2 / 6000)
    assert peak < 30e6  # a square of people and tracklets has 72


def naive_clear(scenes, numbers):
    """Misses, false boxes and switches; in each frame the pairs of the frame before come first, then overlap."""
    last, previous, missed, false, switches = {}, {}, 0, 0, 0
    for one in scenes:
        for frame in one.frames:
            true, found = np.flatnonzero(one.people.frame == frame), np.flatnonzero(one.found.frame == frame)
            if not len(true) or not len(found):
                missed, false = missed + len(true), false + len(found)
                continue
            values = overlap(one.people.xyxy[true], one.found.xyxy[found])
            persons, identities = one.people.id[true].tolist(), numbers[one.found.id[found]].tolist()
            best, pairs = -1.0, []
            for some in one_to_one(len(true), len(found)):
                some = [(i, j) for i, j in some if values[i, j] >= 0.5]
                worth = sum(values[i, j] + 1000 * (previous.get(persons[i]) == identities[j]) for i, j in some)
                assume(set(some) == set(pairs) or abs(worth - best) > 1e-9)  # either of two would be right
                if worth > best:
                    best, pairs = worth, some
            previous = {persons[i]: identities[j] for i, j in pairs}
            switches += sum(last.get(person, identity) != identity for person, identity in previous.items())
            last |= previous
            missed, false = missed + len(true) - len(pairs), false + len(found) - len(pairs)
    return missed, false, switches


def one_to_one(n, m):
    if n <= m:
        return [list(zip(range(n), chosen, strict=True)) for chosen in itertools.permutations(range(m), n)]
    return [[(i, j) for j, i in pairs] for pairs in one_to_one(m, n)]


@given(worlds())
def test_mota_by_a_loop(world):
    scenes, numbers = world
    missed, false, switches = naive_clear(scenes, numbers)
    scores = score_tracking(scenes, numbers)
    boxes_in_all = sum(len(one.people) for one in scenes)
    if boxes_in_all and sum(len(one.found) for one in scenes):
        assert scores.mota == pytest.approx(1 - (missed + false + switches) / boxes_in_all)


@pytest.fixture(scope="module")
def mot17(tmp_path_factory):
    if not REFERENCE.is_file():
        pytest.skip("the MOT17 reference scores are not on this machine")
    folder = tmp_path_factory.mktemp("mot17")
    with tarfile.open(REFERENCE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "mot17_frcnn"


COLUMNS = {
    "hota": "HOTA___AUC", "det_a": "DetA___AUC", "ass_a": "AssA___AUC", "mota": "MOTA", "missed": "CLR_FN",
    "false": "CLR_FP", "switches": "IDSW", "idf1": "IDF1", "idr": "IDR", "idp": "IDP",
}  # fmt: skip


@pytest.mark.parametrize("number", ["02", "04", "05", "09"])
def test_mot17_scores_are_the_published_tools(mot17, number):
    """Classes, distractors and lengths of sequences from MOT17's own files; every figure as TrackEval has it."""
    from tracker.scoring.boxes import read_mot_lines

    name = f"MOT17-{number}-FRCNN"
    truth = read_truth(find_truth(mot17 / "gt")[name])
    found = read_mot_lines(mot17 / f"result/{name}.txt").boxes
    scores = score_tracking([prepare(name, truth, found, truth.frames)], np.arange(found.id.max() + 1))
    rows = {row["seq"]: row for row in csv.DictReader((mot17 / "expected_scores.csv").read_text().splitlines())}
    for ours, theirs in COLUMNS.items():
        assert getattr(scores, ours) == pytest.approx(float(rows[name][theirs]), abs=1e-12), theirs
