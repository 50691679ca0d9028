"""All repairs in their order, on one recording's tracklets."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import same_tracklet
from tests.repair.people import CURVE, DIM, SECONDS, embeddings, following, nobody, walk
from tracker.repair import REPAIRS, repair
from tracker.repair.vectors import pooled
from tracker.types import TrackletKey

every = pytest.mark.parametrize("name", REPAIRS)


@every
def test_good_tracklets_are_left_alone(name):
    good = [walk(number, number, number + 4, at=(150 * number, 50)) for number in (1, 2, 3)]
    given_ = embeddings(good, [4, 5, 6])
    whole, kept = REPAIRS[name](good, given_, CURVE, SECONDS)
    assert all(same_tracklet(a, b) for a, b in zip(whole, good, strict=True))
    assert kept.keys == given_.keys
    np.testing.assert_array_equal(kept.vectors, given_.vectors)


@every
def test_keys_are_unique_and_the_given_is_not_changed(name):
    given_ = crossing()
    before = [one.key for one in given_[0]], given_[1].vectors.copy()
    whole, kept = REPAIRS[name](*given_, CURVE, SECONDS)
    assert len({one.key for one in whole}) == len(whole)
    assert kept.keys == tuple(one.key for one in whole)
    assert [one.key for one in given_[0]] == before[0]
    np.testing.assert_array_equal(given_[1].vectors, before[1])


def test_crops_are_passed_on_as_they_are():
    """Their pictures are read afterwards, so that what is known of a crop is which object it is."""
    tracklets, given_ = crossing()
    known = {id(crop) for one in tracklets for crop in one.crops}
    whole, _ = repair(tracklets, given_, CURVE, SECONDS)
    assert {id(crop) for one in whole for crop in one.crops} <= known


def crossing():
    """1 walks, and its track goes over to 2 half way, who walks on; 1 goes on under another number."""
    swapped = walk(1, 0, 8, speed=(40, 0), crops=8)
    rest = walk(2, 4.4, 8, at=(130, 80), speed=(40, 0), crops=4)
    tracklets = [swapped, rest, walk(9, 0, 1, at=(700, 300))]
    return tracklets, embeddings(tracklets, following((1, 4), (2, 4), (1, 4), (3, 3)))


def test_a_track_that_changed_its_person_is_divided_and_the_rest_joined_to_whom_it_is():
    whole, given_ = repair(*crossing(), CURVE, SECONDS)
    vectors = pooled(whole, given_)
    assert [one.key.track_id for one in whole] == [1, 10, 9]
    assert whole[0].index[-1] == 81
    assert (whole[0].xyxy[-1, 1], whole[1].xyxy[-1, 1]) == (80, 50)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    people = np.stack([following((seed, 30)).mean(0) for seed in (1, 2)])
    assert (people @ vectors[:2].T).argmax(1).tolist() == [0, 1]


def test_only_the_repairs_asked_for():
    tracklets, given_ = crossing()
    assert len(repair(tracklets, given_, CURVE, SECONDS, ())[0]) == 3
    assert len(repair(tracklets, given_, CURVE, SECONDS, ("divide",))[0]) == 4
    assert len(repair(tracklets, given_, CURVE, SECONDS, ("join",))[0]) == 3


def test_nothing_to_repair():
    whole, given_ = repair([], nobody(), CURVE, SECONDS)
    assert (whole, given_.keys, pooled(whole, given_).shape) == ([], (), (0, DIM))


def test_other_tracklets_vectors_are_refused():
    tracklets, given_ = crossing()
    other = replace(given_, keys=(TrackletKey("gate", 5), *given_.keys[1:]))
    with pytest.raises(ValueError, match="expected those of the same tracklets"):
        repair(tracklets, other, CURVE, SECONDS, ())
