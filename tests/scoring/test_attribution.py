"""Where identity score was lost: one world for each stage, and what holds for all."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.test_metrics import worlds
from tests.scoring.worlds import boxes, scene, table
from tracker.scoring.attribution import attribute
from tracker.scoring.boxes import Boxes
from tracker.scoring.metrics import score_tracking


def standing(person, left, frames):
    return [(frame, person, left) for frame in frames]


def losses(scenes, tracklets):
    """Those above 0, by name."""
    made = attribute(scenes, tracklets)
    assert made.idf1 + sum(made.losses().values()) == pytest.approx(1)
    return made.idf1, {name: loss for name, loss in made.losses().items() if abs(loss) > 1e-12}


def test_nothing_is_lost_where_all_is_right():
    people = boxes(*standing(1, 0, range(1, 5)), *standing(2, 50, range(1, 5)))
    found = boxes(*standing(0, 0, range(1, 5)), *standing(1, 50, range(1, 5)))
    assert losses([scene(people, found, detected=found)], table([7, 8])) == (1, {})


def test_tracklets_that_were_not_joined_across_cameras():
    first = scene(boxes(*standing(1, 0, range(1, 7))), boxes(*standing(0, 0, range(1, 7))), name="a")
    second = scene(boxes(*standing(1, 0, range(1, 3))), boxes(*standing(1, 0, range(1, 3))), name="b")
    tracklets = table([1, 2], recording=["a", "b"])
    assert losses([first, second], tracklets) == (pytest.approx(6 / 8), {"linking": pytest.approx(2 / 8)})
    joined = replace(tracklets, identity=np.array([1, 1]))
    assert losses([first, second], joined) == (1, {})


def test_people_who_were_joined_wrongly():
    people = boxes(*standing(1, 0, range(1, 4)), *standing(2, 50, range(5, 7)))
    found = boxes(*standing(0, 0, range(1, 4)), *standing(1, 50, range(5, 7)))
    tracklets = table([1, 1], spans=[(0.0, 0.3), (0.5, 0.7)])
    assert losses([scene(people, found)], tracklets) == (pytest.approx(3 / 5), {"linking": pytest.approx(2 / 5)})


@pytest.mark.parametrize(("gap", "stage"), [(1.4, "broken tracks"), (1.6, "linking")])
def test_a_break_is_the_associations_while_it_should_bridge_it(gap, stage):
    people = boxes(*standing(1, 0, range(1, 9)))
    found = boxes(*standing(0, 0, range(1, 6)), *standing(1, 0, range(6, 9)))
    tracklets = table([1, 2], spans=[(0.0, 1.0), (1.0 + gap, 4.0)])
    assert losses([scene(people, found)], tracklets) == (pytest.approx(5 / 8), {stage: pytest.approx(3 / 8)})


def test_a_break_is_linkings_loss_where_no_part_was_right():
    """Both parts of person 2 have person 1's identity: joining them would have helped nobody."""
    people = boxes(*standing(1, 0, range(1, 9)), *standing(2, 50, range(9, 13)))
    found = boxes(*standing(0, 0, range(1, 9)), *standing(1, 50, (9, 10)), *standing(2, 50, (11, 12)))
    tracklets = table([1, 1, 1], spans=[(0.0, 0.7), (0.8, 0.9), (1.0, 1.1)])
    assert losses([scene(people, found)], tracklets) == (pytest.approx(8 / 12), {"linking": pytest.approx(4 / 12)})


def test_a_tracklet_of_two_people():
    people = boxes(*standing(1, 0, range(1, 6)), *standing(2, 0, range(6, 9)))
    found = boxes(*standing(0, 0, range(1, 9)))
    assert losses([scene(people, found)], table([1])) == (
        pytest.approx(5 / 8),
        {"impure tracklets": pytest.approx(3 / 8)},
    )


def test_people_who_were_detected_but_in_no_track_and_people_who_were_not():
    people = boxes(*standing(1, 0, range(1, 9)))
    found = boxes(*standing(0, 0, range(1, 6)))
    detected = boxes(*standing(0, 0, range(1, 8)), *standing(0, 300, range(1, 8)))  # frame 8 was missed
    made = scene(people, found, detected=detected)
    idf1, lost = losses([made], table([1]))
    assert idf1 == pytest.approx(10 / 13)
    assert lost == {"untracked detections": pytest.approx(14 / 15 - 10 / 13), "missed people": pytest.approx(1 / 15)}
    unknown = attribute([replace(made, detected=None)], table([1]))
    assert unknown.untracked is None
    assert unknown.missed == unknown.detection == pytest.approx(3 / 13)
    assert unknown.association == 0


def test_boxes_on_nobody():
    people = boxes(*standing(1, 0, range(1, 4)))
    found = boxes(*standing(0, 0, range(1, 4)), *standing(1, 90, range(1, 3)))
    assert losses([scene(people, found, detected=found)], table([1, 2])) == (
        pytest.approx(6 / 8),
        {"boxes on nobody": pytest.approx(2 / 8)},
    )


def test_a_run_that_found_nothing():
    people = boxes(*standing(1, 0, range(1, 4)))
    assert losses([scene(people, Boxes.empty(), detected=people)], table([])) == (0, {"untracked detections": 1})
    assert losses([scene(people, Boxes.empty())], table([])) == (0, {"missed people": 1})


def test_an_identity_that_is_twice_in_a_frame_is_right_once():
    people = boxes(*standing(1, 0, range(1, 5)), *standing(2, 50, range(1, 4)))
    found = boxes(*standing(0, 0, range(1, 5)), *standing(1, 2, range(1, 5)), *standing(2, 50, range(1, 4)))
    idf1, lost = losses([scene(people, found)], table([1, 1, 1]))
    assert idf1 == score_tracking([scene(people, found)], np.array([1, 1, 1])).idf1 == pytest.approx(2 * 4 / 18)
    assert lost["linking"] == pytest.approx(2 * 3 / 18)


@given(worlds(), st.lists(st.integers(1, 3), min_size=12, max_size=12))
def test_the_score_is_idf1_whatever_was_joined(world, numbers):
    """Also tracklets of one moment."""
    scenes, count = world[0], len(world[1])
    if any(len(one.people) for one in scenes):
        made = attribute(scenes, table(numbers[:count], recording=[one.name for one in scenes for _ in range(6)]))
        assert made.idf1 == pytest.approx(score_tracking(scenes, np.array(numbers[:count])).idf1)
        assert min(made.losses().values()) >= -1e-12


@given(worlds(), st.sampled_from([1.0, 3.0]))
def test_every_loss_is_a_loss_and_all_add_up(world, start):
    scenes, numbers = world
    if not any(len(one.people) for one in scenes):
        return
    recording = [one.name for one in scenes for _ in range(6)]
    spans = [(0.0, 0.5), (0.0, 0.5), (0.0, 0.5), (start, 4.0), (start, 4.0), (start, 4.0)] * len(scenes)
    tracklets = table(numbers, recording=recording, spans=spans)
    more = [replace(one, detected=one.people.joined(one.found).take(slice(None, None, 2))) for one in scenes]
    for known in (scenes, more):
        made = attribute(known, tracklets)
        assert made.idf1 == pytest.approx(score_tracking(scenes, numbers).idf1)
        assert min(made.losses().values()) >= -1e-12
        assert made.idf1 + sum(made.losses().values()) == pytest.approx(1)
        assert made.idf1 + made.detection + made.association + made.impure + made.linking == pytest.approx(1)
