"""Found identities beside known people, frame by frame."""

from tracker.compare import compare as compare_boxes
from tracker.scoring.boxes import Boxes


def compare(truth, found):
    """``compare`` of {camera: {frame: [(id, box)]}}."""
    return compare_boxes(*({camera: as_boxes(frames) for camera, frames in side.items()} for side in (truth, found)))


def as_boxes(frames):
    rows = [(frame, number, corners) for frame, people in frames.items() for number, corners in people]
    return Boxes.sorted(*zip(*rows, strict=True)) if rows else Boxes.empty()


def box(left, top=0, width=10, height=20):
    return left, top, left + width, top + height


def shown(*people):
    """The same people, (number, left), in frames 1 to 10."""
    return {frame: [(number, box(left)) for number, left in people] for frame in range(1, 11)}


def test_a_person_found_throughout():
    (person,) = compare({"a": shown((1, 0)), "b": shown((1, 50))}, {"a": shown((7, 1)), "b": shown((7, 50))})
    assert person.truth == 1
    assert person.frames == {"a": 10, "b": 10}
    assert person.identities == {"a": {7: 10}, "b": {7: 10}}
    assert (person.main_identity("a"), person.main_identity("b")) == (7, 7)


def test_a_person_split_in_two():
    found = {frame: [(3 if frame <= 4 else 9, box(0))] for frame in range(1, 11)}
    (person,) = compare({"a": shown((1, 0))}, {"a": found})
    assert person.identities["a"] == {3: 4, 9: 6}
    assert person.main_identity("a") == 9


def test_an_even_split_goes_to_the_earlier_number():
    found = {frame: [(3 if frame > 5 else 9, box(0))] for frame in range(1, 11)}
    assert compare({"a": shown((1, 0))}, {"a": found})[0].main_identity("a") == 3


def test_two_people_merged_into_one():
    one, two = compare({"a": shown((1, 0)), "b": shown((2, 0))}, {"a": shown((5, 0)), "b": shown((5, 0))})
    assert one.main_identity("a") == two.main_identity("b") == 5
    assert one.main_identity("b") is two.main_identity("a") is None


def test_people_who_swap_numbers_are_seen_to():
    found = {frame: [(1 if frame < 4 else 2, box(0)), (2 if frame < 4 else 1, box(50))] for frame in range(1, 11)}
    one, two = compare({"a": shown((1, 0), (2, 50))}, {"a": found})
    assert one.identities["a"] == {1: 3, 2: 7}
    assert two.identities["a"] == {2: 3, 1: 7}


def test_a_camera_or_a_frame_in_which_nothing_was_found():
    (person,) = compare({"a": shown((1, 0)), "b": shown((1, 0))}, {"a": {3: [(4, box(0))]}})
    assert person.frames == {"a": 10, "b": 10}
    assert person.identities["a"] == {4: 1}
    assert person.main_identity("b") is None


def test_boxes_that_overlap_by_less_than_half_are_strangers():
    third = {1: [(8, box(5))]}  # 5 of 15 columns are shared
    assert compare({"a": {1: [(1, box(0))]}}, {"a": third})[0].identities.get("a", {}) == {}
    half = {1: [(8, box(0, height=10))]}
    assert compare({"a": {1: [(1, box(0))]}}, {"a": half})[0].identities["a"] == {8: 1}


def test_one_found_box_covers_one_person_the_nearest():
    known = {1: [(1, box(0)), (2, box(2))]}
    one, two = compare({"a": known}, {"a": {1: [(6, box(2))]}})
    assert two.identities["a"] == {6: 1}
    assert not one.identities.get("a")


def test_as_many_as_can_be_are_matched():
    """A box goes to its second choice where that gives every person one."""
    known = {1: [(1, box(0)), (2, box(3))]}
    found = {1: [(8, box(2)), (9, box(6))]}  # 8 is nearer to person 2, but 9 reaches no other
    one, two = compare({"a": known}, {"a": found})
    assert one.identities["a"] == {8: 1}
    assert two.identities["a"] == {9: 1}


def test_people_are_listed_by_number():
    known = {1: [(9, box(0)), (2, box(50)), (5, box(100))]}
    assert [person.truth for person in compare({"a": known}, {})] == [2, 5, 9]
