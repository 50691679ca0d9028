"""Which tracklet of an identity each line of a MOT file is of."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.worlds import standing
from tracker.scoring.boxes import Boxes
from tracker.scoring.found import _share

frames = st.lists(st.integers(1, 8), min_size=1, max_size=8, unique=True).map(sorted)


@given(st.lists(frames, min_size=1, max_size=4))
def test_lines_go_to_the_tracklets_that_they_were_written_of(paths):
    """Tracklets of one identity that overlap in time as they like, with gaps; none moves."""
    spots = [1, 40, 200, 1000]  # no two as far apart as two others
    rows = sorted(
        (frame, row, box) for row, path in enumerate(paths) for frame, box in standing(spots[row], path).items()
    )
    boxes = Boxes.sorted(*zip(*rows, strict=True))
    first, last = (np.array([path[end] for path in paths]) for end in (0, -1))
    assert _share(boxes, first, last).tolist() == boxes.id.tolist()


def test_no_line_and_lines_of_no_tracklet():
    first, last = np.array([1, 3]), np.array([4, 6])
    assert _share(Boxes.empty(), first, last).tolist() == []
    late = Boxes.sorted([1, 9], [0, 0], [(0, 0, 1, 1)] * 2)
    assert _share(late, first, last).tolist() == [0, -1]
