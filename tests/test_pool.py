import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.pool import DEFAULT_POOLING, POOLINGS, attention_weights

FRAMES = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0], [1.0, 0.0, 0.0]])
ONES = np.ones(3)
every = pytest.mark.parametrize("pool", POOLINGS.values(), ids=POOLINGS)


def test_worked_mean():
    expected = [0.7807200583588266, 0.3903600291794133, 0.4879500364742666]
    assert POOLINGS["mean"](FRAMES, ONES) == pytest.approx(expected)
    assert POOLINGS["quality"](FRAMES, ONES) == pytest.approx(expected)


def test_worked_values_on_raw_frames():
    # These were worked on frames that are not normalised first: a weight of the frame's norm undoes ours.
    norms = np.linalg.norm(FRAMES, axis=1)
    assert POOLINGS["quality"](FRAMES, norms) == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    weighted = [0.647150228929434, 0.7396002616336388, 0.1849000654084097]
    assert POOLINGS["quality"](FRAMES, norms * [0.5, 0.25, 0.25]) == pytest.approx(weighted)


def test_quality_weighs_unit_vectors():
    pooled = POOLINGS["quality"](FRAMES, np.array([0.5, 0.25, 0.25]))
    expected = np.array([0.55, 0.4, 0.25])
    assert pooled == pytest.approx(expected / np.linalg.norm(expected))


def test_maximum_of_unit_vectors():
    assert POOLINGS["max"](FRAMES, ONES) == pytest.approx(np.array([1, 0.8, 1]) / np.sqrt(2.64))
    # The worked value on raw frames, [.5571, .7428, .3714], needs frames of equal norm to come out of ours.
    raw = np.array([[3.0, 4.0, 2.0]])
    assert POOLINGS["max"](raw, np.ones(1)) == pytest.approx(
        [0.5570860145311556, 0.7427813527082074, 0.3713906763541037]
    )


def test_the_default_is_there():
    assert DEFAULT_POOLING in POOLINGS


@every
@given(st.integers(1, 9), st.integers(1, 8), st.integers(0, 10**6))
def test_contract(pool, k, d, seed):
    rng = np.random.default_rng(seed)
    frames, weights = rng.normal(size=(k, d)).astype(np.float32), rng.random(k).astype(np.float32)
    pooled = pool(frames, weights)
    assert pooled.shape == (d,)
    assert pooled.dtype == np.float32
    assert np.linalg.norm(pooled) == pytest.approx(1, abs=1e-5)
    order = rng.permutation(k)
    assert pool(frames[order], weights[order]) == pytest.approx(pooled, abs=1e-4)
    scales = rng.uniform(0.1, 10, (k, 1)).astype(np.float32)
    assert pool(frames * scales, weights) == pytest.approx(pooled, abs=1e-4)  # a frame's norm does not count
    assert pool(frames[:1], weights[:1]) == pytest.approx(frames[0] / np.linalg.norm(frames[0]), abs=1e-5)


@every
def test_zero_weights_count_alike(pool):
    assert pool(FRAMES, np.zeros(3)) == pytest.approx(pool(FRAMES, ONES))


@every
def test_vectors_that_cancel_give_the_heaviest_frame(pool):
    frames = np.array([[0.6, 0.8], [-0.6, -0.8]])
    if pool is not POOLINGS["max"]:
        assert pool(frames, np.ones(2)) == pytest.approx(frames[0])
    assert np.isfinite(pool(frames, np.ones(2))).all()


def test_the_heaviest_frame_is_never_a_zero_vector():
    pooled = POOLINGS["mean"](np.array([[0.0, 0.0], [0.6, 0.8], [-0.6, -0.8]]), np.array([9.0, 1.0, 2.0]))
    assert pooled == pytest.approx([-0.6, -0.8])


@every
@pytest.mark.parametrize(
    ("frames", "weights", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0), "k at least 1"),
        (np.ones((2, 3)), np.ones(3), r"got \(2, 3\), \(3,\)"),
        (np.ones(3), np.ones(3), r"got \(3,\)"),
        (np.zeros((2, 3)), np.ones(2), "no direction"),
        (np.full((2, 3), np.nan), np.ones(2), "finite"),
        (np.ones((2, 3)), np.array([1.0, -1.0]), "no weight below 0"),
    ],
)
def test_refuses_what_cannot_be_pooled(pool, frames, weights, message):
    with pytest.raises(ValueError, match=message):
        pool(frames, weights)


@every
@given(st.integers(1, 9), st.integers(1, 8), st.integers(2, 5), st.integers(0, 10**6))
def test_a_tracklet_shown_several_times_over_is_the_same_tracklet(pool, k, d, times, seed):
    rng = np.random.default_rng(seed)
    frames, weights = rng.normal(size=(k, d)) + 0.1, rng.uniform(0.1, 1, k)
    again = pool(np.tile(frames, (times, 1)), np.tile(weights, times))
    assert again == pytest.approx(pool(frames, weights), abs=1e-6)


# ---- learned attention


@given(st.integers(1, 9), st.integers(1, 8), st.integers(0, 10**6))
def test_attention_weights_by_a_loop(k, d, seed):
    rng = np.random.default_rng(seed)
    frames, kernel = rng.normal(size=(k, d)), rng.normal(size=d) * 30
    exponents = [np.exp(np.dot(frame / np.linalg.norm(frame), kernel)) for frame in frames]
    assert attention_weights(frames, kernel) == pytest.approx(np.array(exponents) / sum(exponents))
    order = rng.permutation(k)
    assert attention_weights(frames[order], kernel) == pytest.approx(attention_weights(frames, kernel)[order])


def test_a_kernel_of_zero_is_the_plain_mean():
    weights = attention_weights(FRAMES, np.zeros(3))
    assert weights == pytest.approx([1 / 3] * 3)
    assert POOLINGS["quality"](FRAMES, weights) == pytest.approx(POOLINGS["mean"](FRAMES, ONES))


def test_attention_does_not_overflow():
    assert attention_weights(FRAMES, np.array([0.0, 0.0, 5000.0])) == pytest.approx([0, 1, 0])


def test_a_kernel_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"expected a kernel \(3,\), got \(4,\)"):
        attention_weights(FRAMES, np.ones(4))
