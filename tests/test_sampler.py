import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import BadInputError
from reid.sampler import pk_batches

counts = st.lists(st.integers(1, 12), min_size=2, max_size=8)


def labels_of(counts, seed):
    """So many images of each identity, shuffled; identities are not consecutive."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 3, counts))


def cameras_of(labels, seed):
    """Up to three cameras, the first more often than the others."""
    return np.random.default_rng((seed, 1)).choice([4, 4, 4, 7, 9], len(labels))


def chunks_by_identity(labels, batches):
    """(one identity's images in a batch, number of its chunks in an epoch) for all of them."""
    k = next((int((labels[batch] == labels[batch[0]]).sum()) for batch in batches), 1)
    images_of = Counter(labels.tolist())
    for batch in batches:
        for chunk in batch.reshape(-1, k):
            yield chunk, max(images_of[int(labels[chunk[0]])] // k, 1)


@given(counts, st.integers(1, 4), st.integers(2, 5), st.integers(0, 99), st.booleans())
def test_properties(counts, p, k, seed, by_camera):
    p = min(p, len(counts))
    labels = labels_of(counts, seed)
    batches = pk_batches(labels, p, k, (seed, 0), cameras_of(labels, seed) if by_camera else None)
    for batch in batches:  # every batch is P distinct identities x exactly K
        assert len(batch) == p * k
        groups = labels[batch].reshape(p, k)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == p

    images_of = Counter(labels.tolist())
    seen = Counter(np.concatenate(batches).tolist())
    repeated = [image for image, times in seen.items() if times > 1]
    assert all(images_of[int(labels[image])] < k for image in repeated)  # no image twice unless its identity has few

    assert sum(seen.values()) <= sum(max(n, k) // k * k for n in counts)  # remainders are dropped
    used = Counter(int(labels[batch[i]]) for batch in batches for i in range(0, p * k, k))
    left = sum(max(n, k) // k > used[identity] for identity, n in images_of.items())
    assert left < p  # the epoch ends only when too few identities are left


@given(counts, st.integers(1, 4), st.integers(2, 5), st.integers(0, 99))
def test_an_identity_s_cameras_are_dealt_evenly(counts, p, k, seed):
    labels = labels_of(counts, seed)
    cameras = cameras_of(labels, seed)
    for chunk, chunks in chunks_by_identity(labels, pk_batches(labels, min(p, len(counts)), k, (seed, 0), cameras)):
        of_identity = cameras[labels == labels[chunk[0]]]
        if len(of_identity) < k:
            assert len(set(chunk)) == len(of_identity)  # every image, so every camera
            continue
        dropped = len(of_identity) - chunks * k
        for camera in set(of_identity):
            has, there_are = (cameras[chunk] == camera).sum(), (of_identity == camera).sum()
            assert (there_are - dropped) // chunks <= has <= -(-there_are // chunks)


def test_mates_are_from_other_cameras_where_there_are_enough():
    labels, cameras = np.repeat(np.arange(6), 16), np.tile(np.repeat([1, 2, 3, 4], 4), 6)
    for batch in pk_batches(labels, 2, 4, (0, 0), cameras):
        assert [sorted(four) for four in cameras[batch].reshape(2, 4)] == [[1, 2, 3, 4]] * 2


def test_a_rare_camera_is_not_spent_on_one_batch():
    labels, cameras = np.repeat([0, 1], 16), np.tile([1] * 13 + [2] * 3, 2)
    for seed in range(9):
        batches = pk_batches(labels, 2, 4, (seed,), cameras)
        assert sorted((cameras[np.stack(batches)] == 2).reshape(-1, 4).sum(1)) == [0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("by_camera", [False, True])
@given(counts=counts, seed=st.integers(0, 99))
def test_the_seed_decides(counts, seed, by_camera):
    labels = labels_of(counts, seed)
    cameras = cameras_of(labels, seed) if by_camera else None
    once, again = (np.concatenate(pk_batches(labels, 2, 2, (seed, 1), cameras)) for _ in range(2))
    assert np.array_equal(once, again)


@pytest.mark.parametrize("cameras", [None, np.tile([1, 2], 40)])
def test_epochs_differ(cameras):
    labels = np.repeat(np.arange(10), 8)
    first, second = (np.concatenate(pk_batches(labels, 4, 4, (0, epoch), cameras)) for epoch in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("cameras", [None, np.tile([1, 1, 1, 2, 2, 3, 1], 30)])
def test_every_image_has_the_same_chance(cameras):
    """Also those of a rare camera, and of the remainder that is dropped: 7 images, 4 at a time."""
    labels = np.repeat(np.arange(30), 7)
    times = np.bincount(np.concatenate([np.concatenate(pk_batches(labels, 1, 4, (e,), cameras)) for e in range(200)]))
    assert times.sum() == 200 * 30 * 4
    assert abs(times.reshape(30, 7).mean(0) - 200 * 4 / 7).max() < 5  # standard error 1.3


def test_thousands_of_identities_are_quick():
    """5,000 identities take 0.1 s; the search for who is left must not look at all of them in Python."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(5000), rng.integers(2, 40, 5000)))
    began = time.process_time()
    assert len(pk_batches(labels, 16, 4, (0, 0), labels % 6)) > 1000
    assert time.process_time() - began < 2


def test_refuses_what_cannot_be_sampled():
    with pytest.raises(BadInputError, match="K is 1"):
        pk_batches(np.array([0, 0, 1, 1]), 2, 1, (0,))
    with pytest.raises(BadInputError, match="P is 3 but there are 2 identities"):
        pk_batches(np.array([0, 0, 1, 1]), 3, 2, (0,))
    with pytest.raises(ValueError, match=r"expected cameras \(4,\), got \(3,\)"):
        pk_batches(np.array([0, 0, 1, 1]), 2, 2, (0,), np.array([1, 2, 3]))
