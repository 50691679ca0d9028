"""Whom a split scores on when the set has no test part of its own."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.datasets import ImageSet, Split
from reid.datasets.splits import as_test, choose_part, hold_out, training_part
from reid.errors import DataError


def images(pairs):
    """One image for each (identity, camera)."""
    pid, camera = np.array(pairs, np.int64).reshape(-1, 2).T
    return ImageSet(tuple(Path(str(i)) for i in range(len(pairs))), pid, camera)


PEOPLE = images([(pid, camera) for pid in range(1, 9) for camera in (1, 2) for _ in range(3)])


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=40), st.integers(0, 9))
def test_one_query_for_each_identity_and_camera_and_the_rest_is_the_gallery(pairs, seed):
    everything = images(pairs)
    seen_by = {pid: {camera for one, camera in pairs if one == pid} for pid, _ in pairs}
    expected = {(pid, camera) for pid, camera in pairs if len(seen_by[pid]) > 1}
    if not expected or len(expected) == len(pairs):
        with pytest.raises(DataError, match="images in 2 cameras"):
            as_test(everything, seed)
        return
    split = as_test(everything, seed)
    asked = Counter(zip(split.query.pid.tolist(), split.query.camera.tolist(), strict=True))
    assert set(asked) == expected
    assert set(asked.values()) == {1}
    assert sorted(split.query.paths + split.gallery.paths) == sorted(everything.paths)
    assert len(split.train) == 0


def test_the_draw_is_random_and_repeatable():
    draws = [as_test(PEOPLE, seed).query.paths for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_held_out_people_are_not_trained_on_and_always_the_same():
    rest, held = hold_out(PEOPLE, 3)
    assert len(np.unique(held.pid)) == 3
    assert not set(rest.pid.tolist()) & set(held.pid.tolist())
    assert len(rest) + len(held) == len(PEOPLE)
    assert set(hold_out(PEOPLE, 2)[1].pid.tolist()) < set(held.pid.tolist())


def test_too_many_held_out():
    with pytest.raises(DataError, match="cannot hold out 7 identities of 8"):
        hold_out(PEOPLE, 7)


def test_only_a_set_without_a_test_part_loses_people():
    tests_itself = Split(PEOPLE, PEOPLE, PEOPLE)
    assert len(training_part(tests_itself, 3)) == len(PEOPLE)
    assert len(training_part(Split(PEOPLE), 3)) == len(PEOPLE) * 5 // 8
    assert len(training_part(Split(PEOPLE), 0)) == len(PEOPLE)


def test_the_part_to_score_on():
    own = Split(PEOPLE, PEOPLE, PEOPLE)
    assert choose_part("mine", own, "test", 3) is own
    assert set(choose_part("mine", Split(PEOPLE), "test", 3).query.pid) == set(hold_out(PEOPLE, 3)[1].pid)
    assert set(choose_part("mine", own, "train").query.pid) == set(PEOPLE.pid)
    with pytest.raises(DataError, match=r"mine: has no test part .*--hold-out N, .*--part train"):
        choose_part("mine", Split(PEOPLE), "test")
