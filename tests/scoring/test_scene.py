"""What is left out before anything is scored."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reid.evaluation.search import overlap
from tests.scoring.worlds import boxes
from tracker.scoring.boxes import Boxes, match
from tracker.scoring.scene import matches, prepare
from tracker.scoring.truth import Truth

NONE = Boxes.empty()


def truth(people=NONE, ignored=NONE, others=NONE):
    return Truth(people, ignored, others, None)


def found_after(known, found, frames=None, **options):
    """Left edges of what is scored."""
    made = prepare("a", known, found, frames or range(1, 10), **options)
    assert len(made.found) + len(made.left_out) <= len(found)
    return made.found.xyxy[:, 0].tolist()


def test_only_labelled_frames_count():
    known, found = truth(boxes((1, 1, 0), (2, 1, 0), (3, 1, 0))), boxes((1, 0, 5), (2, 0, 6), (3, 0, 7), (4, 0, 8))
    made = prepare("a", known, found, range(1, 4, 2), detected=found)
    assert made.people.frame.tolist() == made.found.frame.tolist() == made.detected.frame.tolist() == [1, 3]


def test_a_frame_without_people_counts():
    assert found_after(truth(boxes((1, 1, 0))), boxes((5, 0, 40))) == [40]


def test_small_boxes_are_dropped_and_small_people_ignored():
    large = Boxes.sorted([1, 1], [1, 2], [(0, 0, 50, 100), (200, 0, 210, 20)])
    found = Boxes.sorted([1, 1, 1], [0, 1, 2], [(0, 0, 50, 100), (200, 0, 211, 21), (400, 0, 411, 21)])
    made = prepare("a", truth(large), found, range(1, 2), min_area=210)
    assert made.people.id.tolist() == [1]
    assert made.found.id.tolist() == [0, 2]  # what found the small person is neither right nor wrong
    assert made.left_out.id.tolist() == [1]
    assert prepare("a", truth(large), found, range(1, 2), min_area=1000).found.id.tolist() == [0]


def test_a_box_on_an_ignored_one_is_neither_right_nor_wrong():
    ignored = boxes((1, -1, 100))
    assert found_after(truth(ignored=ignored), boxes((1, 0, 102), (1, 1, 103), (1, 2, 150))) == [150]
    assert found_after(truth(ignored=ignored), boxes((1, 0, 106))) == [106]  # overlaps by 0.25
    assert found_after(truth(ignored=ignored), boxes((1, 0, 106)), iou=0.25) == []
    assert found_after(truth(ignored=ignored), boxes((2, 0, 100))) == [100]


def test_one_of_several_people_in_an_ignored_box_is_not_ignored():
    """The box around both is; where each may be found alone, each has an ignored box."""
    pair = Boxes.sorted([1], [-1], [(0, 0, 21, 20)])
    found = Boxes.sorted([1, 1, 1], [0, 1, 2], [(0, 0, 20, 20), (0, 0, 10, 20), (11, 0, 21, 20)])
    made = prepare("a", truth(ignored=pair), found, range(1, 2))
    assert (made.found.id.tolist(), made.left_out.id.tolist()) == ([1, 2], [0])
    each = pair.joined(boxes((1, -1, 0), (1, -1, 11)))
    assert len(prepare("a", truth(ignored=each), found, range(1, 2)).found) == 0


def test_people_are_matched_before_ignored_boxes():
    """Both found boxes overlap the ignored one; the one that finds the person stays."""
    known = truth(boxes((1, 1, 100)), boxes((1, -1, 102)))
    assert found_after(known, boxes((1, 0, 100), (1, 1, 103))) == [100]


def test_distractors_take_part_in_matching():
    others = Boxes.sorted([1, 1], [1, 0], [(100, 0, 110, 20), (200, 0, 210, 20)])
    known = truth(boxes((1, 1, 0)), others=others)
    assert found_after(known, boxes((1, 0, 1), (1, 1, 101), (1, 2, 201))) == [1, 201]
    near = truth(boxes((1, 1, 98)), others=boxes((1, 1, 101)))
    assert found_after(near, boxes((1, 0, 98), (1, 1, 102))) == [98]  # the best match of all, not each one's best


edges = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=5)


@given(edges, edges, st.sampled_from([0.3, 0.5, 0.7]))
def test_matches_are_one_to_one_and_overlap(a, b, iou):
    people = boxes(*((1, row, left, top) for row, (left, top) in enumerate(a)))
    found = boxes(*((1, row, left, top) for row, (left, top) in enumerate(b)))
    made = prepare("a", truth(people), found, range(1, 2), iou=iou)
    rows, columns = matches(made)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    values = overlap(made.people.xyxy, made.found.xyxy)
    assert (values[rows, columns] >= iou).all()
    free = np.delete(np.delete(values, rows, 0), columns, 1)
    assert (free < iou).all()


def test_the_greatest_total_overlap_wins():
    rows, columns = match(np.array([[0.9, 0.8], [0.8, 0.4]]), 0.5)
    assert list(zip(rows, columns, strict=True)) == [(0, 1), (1, 0)]
    rows, columns = match(np.array([[0.9, 0.1], [0.8, 0.4]]), 0.5)
    assert list(zip(rows, columns, strict=True)) == [(0, 0)]
