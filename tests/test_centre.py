"""Camera centring: what a camera does to everyone is taken away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.centre import PRIOR, camera_means, centred


def unit(*shape, seed=0):
    vectors = np.random.default_rng(seed).normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def test_means_by_naive_loops():
    vectors, camera = unit(20, 5), np.array(["a", "b", "c", "b"] * 5)
    for row, mean in enumerate(camera_means(vectors, camera)):
        own = [vectors[i] for i in range(20) if camera[i] == camera[row]]
        np.testing.assert_allclose(mean, np.sum(own, 0) / (len(own) + PRIOR), rtol=1e-5)


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 10_000))
def test_centred_vectors_are_unit_vectors(count, cameras, seed):
    rng = np.random.default_rng(seed)
    vectors, camera = unit(count, 6, seed=seed), rng.integers(0, cameras, count)
    result = centred(vectors, camera_means(vectors, camera))
    assert result.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, atol=1e-5)


def test_other_cameras_do_not_matter():
    vectors, camera = unit(30, 8), np.arange(30) % 3
    alone = camera_means(vectors[camera == 1], camera[camera == 1])
    np.testing.assert_allclose(camera_means(vectors, camera)[camera == 1], alone, rtol=1e-5)


def test_what_a_camera_adds_to_everyone_disappears():
    people = unit(200, 16)
    shifts = 1.5 * unit(2, 16, seed=1)
    seen = np.concatenate([people + shift for shift in shifts])
    seen = (seen / np.linalg.norm(seen, axis=1, keepdims=True)).astype(np.float32)
    camera = np.repeat([0, 1], 200)

    def found(vectors):
        return float(np.mean((vectors[:200] @ vectors[200:].T).argmax(1) == np.arange(200)))

    assert found(seen) < 0.7
    assert found(centred(seen, camera_means(seen, camera))) > 0.95


def test_nobody_is_left_without_a_direction():
    vectors = np.repeat(unit(1, 4), 3, 0)
    result = centred(vectors, camera_means(vectors, np.zeros(3), prior=0))
    np.testing.assert_allclose(result, vectors)


def test_no_vectors():
    none = np.zeros((0, 4), np.float32)
    assert centred(none, camera_means(none, np.zeros(0))).shape == (0, 4)


@pytest.mark.parametrize(("camera", "prior"), [(np.zeros(2), 1), (np.zeros(3), -1)])
def test_shapes_and_priors_that_cannot_be(camera, prior):
    with pytest.raises(ValueError, match="expected vectors"):
        camera_means(unit(3, 4), camera, prior)
