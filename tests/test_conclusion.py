"""The end of a run: which pictures of a link are the telling ones."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Curve
from tests.helpers import tracklet
from tracker.conclusion import with_pictures
from tracker.material import Material
from tracker.types import Identity, Link


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_a_links_pictures_are_the_two_most_alike_of_its_tracklets(left, right, seed):
    rng = np.random.default_rng(seed)
    a, b = tracklet(("a", 1), crops=left, seed=1), tracklet(("b", 1), crops=right, seed=2)
    pictures = [rng.normal(size=(count, 3)).astype(np.float16) for count in (left, right)]
    pictures = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in pictures]
    material = Material((), (), [a, b], np.eye(2, 3, dtype=np.float32), "model", Curve(1.0, 0.0), pictures)
    identity = Identity(7, (a.key, b.key), (Link(b.key, a.key, 0.5, 0.5, 0.9),))
    ((link,),) = (one.links for one in with_pictures([identity], material))
    alike = {
        (b.crops[j].index, a.crops[i].index): float(np.float32(pictures[1][j]) @ np.float32(pictures[0][i]))
        for i, j in itertools.product(range(left), range(right))
    }
    assert alike[link.pictures] == max(alike.values())
    assert (link.left, link.right, link.probability) == (b.key, a.key, 0.9)
