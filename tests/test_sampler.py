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


@given(counts, st.integers(1, 4), st.integers(2, 5), st.integers(0, 99))
def test_properties(counts, p, k, seed):
    p = min(p, len(counts))
    labels = labels_of(counts, seed)
    batches = pk_batches(labels, p, k, (seed, 0))
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


@given(counts, st.integers(0, 99))
def test_the_seed_decides(counts, seed):
    labels = labels_of(counts, seed)
    once, again = (np.concatenate(pk_batches(labels, 2, 2, (seed, 1))) for _ in range(2))
    assert np.array_equal(once, again)


def test_epochs_differ():
    labels = np.repeat(np.arange(10), 8)
    first, second = (np.concatenate(pk_batches(labels, 4, 4, (0, epoch))) for epoch in (0, 1))
    assert not np.array_equal(first, second)


def test_refuses_what_cannot_be_sampled():
    with pytest.raises(BadInputError, match="K is 1"):
        pk_batches(np.array([0, 0, 1, 1]), 2, 1, (0,))
    with pytest.raises(BadInputError, match="P is 3 but there are 2 identities"):
        pk_batches(np.array([0, 0, 1, 1]), 3, 2, (0,))
