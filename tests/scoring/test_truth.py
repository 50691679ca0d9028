"""The truth's folder: layouts, lines, what is ignored, and which frames were labelled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import BadInputError, DataError
from tracker.scoring.boxes import read_mot_lines
from tracker.scoring.truth import find_truth, infer_frames, parse_frames, read_truth


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_lines_in_any_order_come_in_order_of_frames(tmp_path):
    path = write(tmp_path / "a.txt", "7,2,1.5,2,10,20\n\n3,1,0,0,4,5,0.9,-1,-1,-1\n3,2,9,9,1,1,0\n")
    lines = read_mot_lines(path)
    assert lines.boxes.frame.tolist() == [3, 3, 7]
    assert lines.boxes.id.tolist() == [1, 2, 2]
    assert lines.boxes.xyxy.tolist() == [[0, 0, 4, 5], [9, 9, 10, 10], [1.5, 2, 11.5, 22]]
    assert lines.counted.tolist() == [True, False, True]
    assert lines.kind is None


@pytest.mark.parametrize(
    "line",
    [
        "1,2,3",
        "one,2,3,4,5,6",
        "1,2,3,4,5,nan",
        "1.5,2,3,4,5,6",
        "1,2.5,3,4,5,6",
        "1,2,3,4,-5,6",
        "1;2;3;4;5;6",
        "1,2,inf,4,5,6",
        "1,2,3,4,5,6,x",
    ],
)
def test_a_malformed_line_is_named(tmp_path, line):
    path = write(tmp_path / "a.txt", f"1,1,0,0,1,1\n\n{line}\n")
    with pytest.raises(DataError, match=r"a\.txt: line 3 is not frame,id,left,top,width,height; got") as caught:
        read_mot_lines(path)
    assert "\n" not in str(caught.value)


def test_a_person_twice_in_a_frame_is_named(tmp_path):
    path = write(tmp_path / "a.txt", "1,4,0,0,1,1\n2,4,0,0,1,1\n1,4,5,0,1,1\n")
    with pytest.raises(DataError, match=r"line 3: person 4 is twice in frame 1; keep one box"):
        read_mot_lines(path)


def test_ids_of_ignored_boxes_mean_nothing(tmp_path):
    path = write(tmp_path / "a.txt", "1,1,0,0,10,20\n")
    write(tmp_path / "a_ignore.txt", "5,0,90,0,10,20\n5,0,120,0,10,20\n5,0,90,0,10,20\n")
    assert read_truth(path).ignored.xyxy[:, 0].tolist() == [90, 120, 90]


def test_what_was_found_may_have_an_identity_twice(tmp_path):
    path = write(tmp_path / "a.txt", "1,4,0,0,1,1\n1,4,5,0,1,1\n")
    assert read_mot_lines(path, once=False).boxes.id.tolist() == [4, 4]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.txt: no such file; give a MOT-Challenge file"):
        read_mot_lines(tmp_path / "absent.txt")


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"a\.txt: cannot be read as text"):
        read_mot_lines(tmp_path / "a.txt")


def test_people_ignored_boxes_and_lines_not_to_be_considered(tmp_path):
    path = write(tmp_path / "a.txt", "1,0,0,0,10,20,1\n1,5,50,0,10,20,0\n2,-1,0,0,10,20\n")
    write(tmp_path / "a_ignore.txt", "1,-1,90,0,10,20,1,-1,-1,-1\n1,-1,120,0,10,20,1,-1,-1,-1\n")
    truth = read_truth(path)
    assert truth.people.id.tolist() == [0]
    assert truth.ignored.frame.tolist() == [1, 1, 2]
    assert truth.ignored.xyxy[:, 0].tolist() == [90, 120, 0]
    assert len(truth.others) == 0
    assert truth.frames == range(1, 3)


def test_classes_of_mot17(tmp_path):
    """Nine columns: pedestrians are people, the rest takes part in matching, distractors marked."""
    kinds = [(1, 1), (1, 0), (7, 0), (3, 1), (12, 1), (2, 0)]
    text = "".join(f"1,{row},{row * 50},0,10,20,{keep},{kind},1\n" for row, (kind, keep) in enumerate(kinds))
    truth = read_truth(write(tmp_path / "a.txt", text))
    assert truth.people.xyxy[:, 0].tolist() == [0]
    assert truth.others.xyxy[:, 0].tolist() == [50, 100, 150, 200, 250]
    assert truth.others.id.tolist() == [0, 1, 0, 1, 1]


def test_mot15_has_coordinates_where_mot17_has_classes(tmp_path):
    truth = read_truth(write(tmp_path / "a.txt", "1,9,499,158,31.03,75.17,1,-4.1554,-7.3591,0\n"))
    assert truth.people.id.tolist() == [9]
    assert len(truth.others) == 0


def test_both_layouts_are_found(tmp_path):
    flat = write(tmp_path / "cam1.txt", "1,1,0,0,1,1\n")
    write(tmp_path / "cam1_ignore.txt", "1,1,0,0,1,1\n")
    nested = write(tmp_path / "MOT17-02/gt/gt.txt", "1,1,0,0,1,1,1,1,1\n9,1,0,0,1,1,1,1,1\n")
    write(tmp_path / "README.md", "")
    assert find_truth(tmp_path) == {"cam1": flat, "MOT17-02": nested}
    assert read_truth(nested).frames == range(1, 10, 8)
    write(tmp_path / "MOT17-02/seqinfo.ini", "[Sequence]\nname=x\nseqLength=600\n")
    assert read_truth(nested).frames == range(1, 601, 8)
    write(tmp_path / "MOT17-02/seqinfo.ini", "seqLength=600\n")
    with pytest.raises(DataError, match=r"seqinfo\.ini: has no seqLength"):
        read_truth(nested)


def test_no_folder_and_an_empty_one(tmp_path):
    with pytest.raises(DataError, match="absent: no such folder; --truth takes one"):
        find_truth(tmp_path / "absent")
    write(tmp_path / "README.md", "")
    with pytest.raises(DataError, match=r"no NAME\.txt and no NAME/gt/gt\.txt in it"):
        find_truth(tmp_path)


# ---- which frames were labelled


def test_frames_are_those_of_the_common_step():
    assert infer_frames([1, 11, 16, 2496, 16]) == range(1, 2497, 5)
    assert infer_frames([206]) == range(206, 207)
    assert infer_frames([], length=None) is None
    assert infer_frames([], length=5) == range(1, 6)
    assert infer_frames([11, 16], length=30) == range(1, 31, 5)
    assert infer_frames([12, 17], length=30) == range(2, 31, 5)


@given(st.integers(1, 50), st.integers(1, 9), st.integers(2, 60), st.data())
def test_a_grid_is_recovered_from_its_ends_and_two_neighbours(first, step, count, data):
    frames = range(first, first + step * count, step)
    some = data.draw(st.lists(st.sampled_from(frames)))
    assert list(infer_frames([*some, frames[0], frames[1], frames[-1]])) == list(frames)


def test_frames_by_option():
    assert list(parse_frames("3:9:3")) == [3, 6, 9]
    assert parse_frames("4:4") == range(4, 5)
    for text in ("", "5", "1:2:3:4", "a:b", "9:1", "1:9:0", "-1:5", "1:9:"):
        with pytest.raises(BadInputError, match=r"--frames .*write first:last:step"):
            parse_frames(text)


def test_areas(tmp_path):
    lines = read_mot_lines(write(tmp_path / "a.txt", "1,1,0,0,30,50\n2,1,5,5,0,10\n"))
    assert np.array_equal(lines.boxes.area, [1500, 0])
