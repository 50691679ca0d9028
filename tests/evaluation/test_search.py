from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.datasets import SearchSet
from reid.errors import BadInputError, DataError
from reid.evaluation import evaluate_search, score_detections, score_search
from reid.evaluation.search import average_precision, matched, overlap, overlap_needed
from tests.helpers import write_image
from tests.losses.worked import WORKED


def naive_iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def naive_average_precision(right, score):
    """Over thresholds: every distinct score is one."""
    total, before, area = sum(right), 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        chosen = [r for r, s in zip(right, score, strict=True) if s >= threshold]
        recall = sum(chosen) / total
        area += (recall - before) * sum(chosen) / len(chosen)
        before = recall
    return area


def naive_search(similarity, boxes, frame, truths):
    """The rule, frame by frame."""
    right, found = [0] * len(similarity), 0
    for number, truth in truths.items():
        width, height = truth[2] - truth[0], truth[3] - truth[1]
        needed = min(0.5, width * height / ((width + 10) * (height + 10)))
        for i in sorted(range(len(similarity)), key=lambda i: -similarity[i]):
            if frame[i] == number and naive_iou(boxes[i], truth) >= needed:
                right[i], found = 1, found + 1
                break
    if not found:
        return 0.0, 0
    ranking = [right[i] for i in sorted(range(len(similarity)), key=lambda i: -similarity[i])]
    return naive_average_precision(right, similarity) * found / len(truths), ranking.index(1) + 1


def random_boxes(rng, n):
    low = rng.integers(0, 30, (n, 2))
    return np.hstack([low, low + rng.integers(1, 30, (n, 2))]).astype(float)


def test_worked_query():
    worked = WORKED["cuhk_sysu"]
    score = np.array(worked["y_score"])
    assert average_precision(np.array(worked["y_true"], bool), score) == worked["ap_unscaled"]
    box, elsewhere = np.array([0, 0, 20, 40.0]), np.array([100, 0, 120, 40.0])
    boxes = np.stack([elsewhere, box, elsewhere, elsewhere])
    frame, truths = np.array([1, 1, 2, 3]), {1: box, 2: box}  # frame 2 shows the person, who was not detected there
    ap, first = score_search(score, boxes, frame, truths)
    assert ap == worked["ap"] == 0.25
    assert first == 2
    assert int(first == 1) == worked["top1"]


def test_worked_overlaps():
    for width, height in ((20, 40), (10, 20)):
        expected = WORKED["cuhk_sysu"][f"iou_thr_{width}x{height}"]
        assert overlap_needed(np.array([5, 7, 5 + width, 7 + height])) == pytest.approx(expected)


def test_only_the_most_alike_of_several_on_the_person_is_right():
    box = np.array([0, 0, 20, 40.0])
    boxes = np.stack([box, box, box])
    assert score_search(np.array([0.5, 0.9, 0.8]), boxes, np.zeros(3, int), {0: box}) == (1, 1)
    # and it need not be the best detection: one barely over the bound comes first
    loose = np.array([0, 0, 20, 21.0])
    assert score_search(np.array([0.5, 0.9]), np.stack([box, loose]), np.zeros(2, int), {0: box}) == (1, 1)
    short = np.array([0, 0, 20, 19.0])
    assert score_search(np.array([0.5, 0.9]), np.stack([box, short]), np.zeros(2, int), {0: box}) == (0.5, 2)


def test_a_person_never_detected_scores_nothing():
    box = np.array([0, 0, 20, 40.0])
    assert score_search(np.array([0.5]), box[None] + 50, np.zeros(1, int), {0: box}) == (0, 0)
    assert score_search(np.empty(0), np.empty((0, 4)), np.empty(0, int), {0: box}) == (0, 0)
    with pytest.raises(ValueError, match="at least one frame"):
        score_search(np.array([0.5]), box[None], np.zeros(1, int), {})


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(1, 4))
def test_agrees_with_loops(seed, n, frames):
    rng = np.random.default_rng(seed)
    similarity, boxes = rng.integers(0, 6, n) / 4, random_boxes(rng, n)
    frame = rng.integers(0, frames, n)
    truths = {int(f): random_boxes(rng, 1)[0] for f in rng.permutation(frames)[: rng.integers(1, frames + 1)]}
    if n:
        truths[int(frame[0])] = boxes[0] + rng.integers(-1, 2, 4) * 0.5
    found = score_search(similarity, boxes, frame, truths)
    assert found == pytest.approx(naive_search(similarity, boxes, frame, truths))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_overlap_and_matching_agree_with_loops(seed, people, detections):
    rng = np.random.default_rng(seed)
    truth = random_boxes(rng, people)
    boxes = truth[rng.integers(0, people, detections)] + rng.integers(-3, 4, (detections, 4)) * 0.5
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.5)
    table = [[naive_iou(t, b) for b in boxes] for t in truth]
    np.testing.assert_allclose(overlap(truth, boxes), table)
    expected = [
        any(
            table[i][j] >= 0.5
            and i == max(range(people), key=lambda i: table[i][j])
            and j == max(range(detections), key=lambda j: table[i][j])
            for i in range(people)
        )
        for j in range(detections)
    ]
    assert matched(truth, boxes).tolist() == expected


def test_nobody_is_matched_where_nobody_is():
    box = np.array([[0, 0, 2, 4]])
    assert matched(box[:0], box).tolist() == [False]
    assert matched(box, box[:0]).tolist() == []
    assert overlap(np.zeros((1, 4)), np.zeros((1, 4))) == 0


def test_detection_scores():
    right, score = np.array([True, False, True]), np.array([0.9, 0.8, 0.7])
    recall, ap = score_detections(right, score, 4)
    assert recall == 0.5
    assert ap == pytest.approx((1 + 2 / 3) / 2 * 0.5)
    assert score_detections(np.zeros(3, bool), score, 4) == (0, 0)


RED, GREEN, BLUE = (200, 40, 40), (40, 200, 40), (40, 40, 200)
LEFT, RIGHT = (2, 4, 22, 44), (40, 4, 60, 44)


@pytest.fixture
def search(tmp_path):
    """Frame 0: red, green. 1: red, blue. 2: green. 3: red. 4: nobody. Red of frame 0 and green of 2 are sought."""
    people = [
        [(RED, LEFT), (GREEN, RIGHT)], [(RED, RIGHT), (BLUE, LEFT)], [(GREEN, LEFT)], [(RED, LEFT)], [],
    ]  # fmt: skip
    identity = {RED: 1, GREEN: 2, BLUE: 0}
    for i, frame in enumerate(people):
        picture = np.full((48, 64, 3), 128)
        for colour, (left, top, right, bottom) in frame:
            picture[top:bottom, left:right] = colour
        write_image(tmp_path / f"s{i}.png", picture, size=(48, 64), seed=i)
    every = np.arange(5)
    return SearchSet(
        frames=tuple(tmp_path / f"s{i}.png" for i in range(5)),
        boxes=tuple(np.array([box for _, box in frame], np.int64).reshape(-1, 4) for frame in people),
        pids=tuple(np.array([identity[colour] for colour, _ in frame], np.int64) for frame in people),
        query_frame=np.array([0, 2]),
        query_box=np.array([LEFT, LEFT]),
        query_pid=np.array([1, 2]),
        galleries={100: (every[1:], every), 2: (every[1:3], every[3:])},
    )


def embed(crops):
    return np.stack([crop.mean((0, 1)) - 90 for crop in crops])


def silent(line):
    pass


def test_true_boxes_and_true_colours_score_one(search):
    lines = []
    scores = evaluate_search(search, embed, lines.append)
    assert scores.figures() == {
        "mAP": 1, "top-1": 1, "top-5": 1, "top-10": 1, "detection recall": 1, "detection AP": 1,
    }  # fmt: skip
    assert (scores.queries, scores.gallery_size) == (2, 100)
    assert lines == ["search: 5 of 5 frames"]


def detector(missing):
    """Finds what is not grey in the left and right half, scarcely shifted, but nothing in frames that look ``missing``;
    one false detection of low score everywhere, and one beyond the picture."""
    calls = []

    def detect(image):
        calls.append(len(calls))
        found = [box for box in (LEFT, RIGHT) if np.ptp(image[box[1] : box[3], box[0] : box[2]].mean((0, 1))) > 60]
        if len(calls) - 1 == missing:
            found = []
        boxes = np.array([*found, (24, 4, 38, 44), (64, 4, 90, 44)], np.float32) + 0.4
        return boxes, np.array([0.9] * len(found) + [0.3, 0.9])

    return detect, calls


def test_each_frame_is_detected_once_and_a_missed_person_costs(search):
    detect, calls = detector(missing=3)
    scores = evaluate_search(search, embed, silent, detect)
    assert len(calls) == 5
    assert scores.mean_ap == pytest.approx((0.5 + 1) / 2)  # red is in frames 1 and 3, and missed in 3
    assert scores.top == (1, 1, 1)
    assert scores.detection_recall == pytest.approx(5 / 6)
    assert scores.detection_ap == pytest.approx(5 / 6)


def test_detections_below_the_score_do_not_count(search):
    detect, _ = detector(missing=None)
    assert evaluate_search(search, embed, silent, detect).detection_ap == 1
    assert evaluate_search(search, embed, silent, detect, min_score=0.2).detection_ap == 1  # right ones score higher
    nothing = evaluate_search(search, embed, silent, detect, min_score=0.95)
    assert (nothing.mean_ap, nothing.top, nothing.detection_recall) == (0, (0, 0, 0), 0)


def test_refuses_what_cannot_be_searched(search):
    with pytest.raises(BadInputError, match=r"no galleries of 50 frames; choose one of 2, 100"):
        evaluate_search(search, embed, silent, gallery_size=50)
    with pytest.raises(DataError, match=r"query 1: no frame of its gallery shows identity 2"):
        evaluate_search(search, embed, silent, gallery_size=2)


def test_a_query_beyond_its_frame_is_named(search):
    beyond = replace(search, query_box=search.query_box + 500)
    with pytest.raises(DataError, match=r"s0.png: the box of query 0 lies outside it"):
        evaluate_search(beyond, embed, silent)
