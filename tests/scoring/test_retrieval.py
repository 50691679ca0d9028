"""Who tracklets show, their MARS scores, and open-set identification."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.datasets.types import DISTRACTOR, JUNK
from tests.scoring.worlds import boxes, scene
from tracker.scoring.job import Joins, score_joins
from tracker.scoring.retrieval import (
    Labels,
    choose_queries,
    identification_rates,
    identify,
    label_tracklets,
    retrieve,
)


def labelled(pid, length=None):
    pid = np.array(pid, np.int64)
    people = np.arange(1, max([*pid, 0]) + 1)
    return Labels(pid, people, np.array(length or [1] * len(pid)), np.zeros((len(pid), len(people)), np.int64))


def test_who_a_tracklet_shows():
    """Six tracklets in frames 1 to 4: half and half, a minority, mostly on nobody, on nobody, ignored, never scored."""
    people = boxes(
        *((f, 30, 0) for f in range(1, 5)), *((f, 50, 100) for f in range(1, 5)), *((f, 70, 200) for f in range(1, 5))
    )
    found = boxes(
        *((1, 0, 100), (2, 0, 100), (3, 0, 0), (4, 0, 0)),  # two boxes on 50, two on 30
        *((1, 1, 0), (2, 1, 0), (3, 1, 200), (4, 1, 100)),  # two of four on 30
        *((1, 2, 200), (2, 2, 300), (3, 2, 300)),  # one of three is on somebody
        *((1, 3, 400),),
        *((1, 4, 500),),
    )
    made = scene(people, found, left_out=boxes((2, 4, 500), (3, 4, 500)))
    labels = label_tracklets([made], 6)
    assert labels.people.tolist() == [30, 50, 70]
    assert labels.pid.tolist() == [1, 1, DISTRACTOR, DISTRACTOR, JUNK, JUNK]
    assert labels.boxes.tolist() == [4, 4, 3, 1, 1, 0]
    assert labels.counts[:3].tolist() == [[2, 2, 0], [2, 1, 1], [0, 0, 1]]
    assert labels.purity == pytest.approx(5 / 9)


def test_people_keep_their_number_in_every_recording():
    first, second = scene(boxes((1, 7, 0)), boxes((1, 0, 0))), scene(boxes((1, 9, 0), (1, 7, 50)), boxes((1, 1, 50)))
    assert label_tracklets([first, second], 2).pid.tolist() == [1, 1]


def test_nobody_and_nothing():
    nothing = scene(boxes(), boxes(), frames=range(1, 3))
    labels = label_tracklets([nothing], 0)
    assert (labels.pid.tolist(), labels.purity) == ([], 1.0)
    labels = label_tracklets([scene(boxes(), boxes((1, 0, 0)))], 1)
    assert labels.pid.tolist() == [DISTRACTOR]


def test_a_query_is_the_longest_of_its_person_and_camera():
    labels = labelled([1, 1, 1, 2, 0, -1, 2], [3, 9, 9, 1, 50, 50, 2])
    assert choose_queries(labels, np.array([0, 0, 0, 0, 0, 0, 1])).tolist() == [1, 3, 6]


def test_mars_rules():
    """Camera 0 asks for person 1: a distractor comes before the match, junk and its own camera's are passed over."""
    degrees = [0, 5, 10, 20, 30, 80]
    vectors = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1).astype(np.float32)
    labels = labelled([1, 1, -1, 0, 1, 2], [9, 1, 1, 1, 9, 9])
    scores = retrieve(vectors, labels, np.array([0, 0, 1, 1, 1, 0]))
    assert scores.queries == 2  # person 2 is in one camera only
    first, second = 1 / 2, (1 / 2 + 2 / 3) / 2  # camera 1's query: distractor of its camera, then both of camera 0
    assert scores.mean_ap == pytest.approx((first + second) / 2)
    assert scores.rank(1) == 0
    assert scores.rank(2) == 1


def test_retrieval_needs_two_cameras():
    assert retrieve(np.eye(3, dtype=np.float32), labelled([1, 1, 2]), np.zeros(3, np.int64)) is None
    assert retrieve(np.zeros((0, 3), np.float32), labelled([]), np.zeros(0, np.int64)) is None


# ---- open set


def test_rates_by_hand():
    """Ten strangers at 0.0 to 0.9: one false alarm is allowed at 10 %, so the threshold is 0.8; none at 1 %: 0.9."""
    own = [0.95, 0.85, 0.7, 0.99, -np.inf, 0.1, 0.2, 0.3, 0.4, 0.5]
    other = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    result = identification_rates(own, other)
    assert (result.enrolled, result.strangers) == (9, 10)
    assert result.first == pytest.approx(4 / 9)
    assert result.rates == ((0.01, 0, pytest.approx(2 / 9)), (0.1, 1, pytest.approx(3 / 9)))


def test_without_searches_there_are_no_rates():
    assert identification_rates([], []) is None
    assert identification_rates([-np.inf], [0.5]) is None
    assert identification_rates([0.5], [-np.inf]) is None


scores = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=40)


@given(scores)
def test_rates_by_trying_every_threshold(pairs):
    own, other = np.array(pairs).T / 10
    for share, alarms, identified in identification_rates(own, other).rates:
        thresholds = [at for at in np.arange(-1, 30) / 10 + 0.05 if (other > at).mean() <= share + 1e-12]
        tried = [((own > at) & (own > other)).mean() for at in thresholds]
        assert alarms <= share * len(other) + 1e-9
        assert identified == pytest.approx(max(tried))


def test_people_are_enrolled_from_other_cameras_with_all_their_tracklets():
    degrees = [0, 50, 10, 40, 90]
    vectors = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1).astype(np.float32)
    #                      0: person 1 asks; 1 and 2: person 1 elsewhere; 3: person 2 elsewhere; 4: nobody
    labels, camera = labelled([1, 1, 1, 2, 0], [9, 9, 1, 9, 9]), np.array([0, 1, 1, 1, 1])
    result = identify(vectors, labels, camera)
    # Queries 0, 1 and 3. Camera 1's find person 1 by tracklet 0; query 1's own person is enrolled, query 3's is not.
    assert (result.enrolled, result.strangers) == (2, 2)
    assert result.first == 1
    # Strangers: query 0 finds person 2 at 40 degrees, query 3 finds person 1 at 40. Query 0 has 10, query 1 has 50.
    assert result.rates[0] == (0.01, 0, 0.5)


def test_joined_pairs():
    assert score_joins(np.array([1, 1, 2, 2, 0]), np.array([5, 5, 5, 6, 5])) == Joins(1 / 3, 1 / 2)
    assert score_joins(np.array([1, 0, -1]), np.array([5, 5, 5])) == Joins(None, None)
