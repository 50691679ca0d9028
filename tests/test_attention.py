"""Learning attention over frames: where it starts, what it finds, and that training and run time agree."""

import numpy as np
import pytest
import torch

from reid.attention import attend, learn_attention
from reid.errors import DataError
from reid.pool import POOLINGS, attention_weights

D = 16


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def people(planted, identities=40, seed=0):
    """Vectors of frames, 4 tracklets of 6 frames for each identity; half of the frames show no one in particular.

    With ``planted``, those that do share a direction in which all others are far away: direction 0 is quality.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(identities, 1, 1, D))
    frames = np.broadcast_to(centres, (identities, 4, 6, D)) + 0.3 * rng.normal(size=(identities, 4, 6, D))
    bad = rng.random((identities, 4, 6)) < 0.5
    bad[..., 0] = False
    frames[bad] = 2 * rng.normal(size=(bad.sum(), D))
    frames[..., 0] = np.where(bad, -2.0, 2.0) if planted else 0.0
    rows = np.split(np.arange(identities * 24), identities * 4)
    pid = np.repeat(np.arange(1, identities + 1), 4)
    camera = np.tile([1, 2, 3, 4], identities)
    return unit(frames.reshape(-1, D)), rows, pid, camera, bad.ravel()


def test_training_and_run_time_agree():
    rng = np.random.default_rng(0)
    frames, kernel = unit(rng.normal(size=(5, 7, D))), rng.normal(size=D).astype(np.float32) * 5
    lengths = rng.integers(1, 8, 5)
    mask = np.arange(7) < lengths[:, None]
    batch = attend(torch.from_numpy(frames), torch.from_numpy(mask), torch.from_numpy(kernel)).numpy()
    for pooled, own, length in zip(batch, frames, lengths, strict=True):
        alone = POOLINGS["quality"](own[:length], attention_weights(own[:length], kernel))
        assert unit(pooled) == pytest.approx(alone, abs=1e-5)


def test_training_starts_at_the_plain_mean():
    frames, kernel = torch.randn(3, 4, D), torch.zeros(D, requires_grad=True)
    pooled = attend(frames, torch.ones(3, 4, dtype=torch.bool), kernel)
    assert torch.allclose(pooled, frames.mean(1))
    pooled.square().sum().backward()
    assert kernel.grad.abs().sum() > 0  # and can leave it


def test_a_planted_direction_of_quality_is_found():
    lines = []
    vectors, rows, pid, camera, _ = people(planted=True)
    kernel = learn_attention(vectors, rows, pid, camera, lines.append)
    assert (kernel.shape, kernel.dtype) == ((D,), np.float32)
    fresh, fresh_rows, *_, fresh_bad = people(planted=True, seed=1)
    ignored = [attention_weights(fresh[own], kernel)[fresh_bad[own]].sum() for own in fresh_rows]
    assert kernel.argmax() == np.abs(kernel).argmax() == 0
    assert np.mean(ignored) < fresh_bad.mean() / 2
    assert "identities held out" in lines[-1]


def test_it_is_repeatable():
    data = people(planted=True, identities=8)[:4]
    first, again = (learn_attention(*data, lambda line: None, seed=3) for _ in range(2))
    assert np.array_equal(first, again)


def test_where_no_round_gains_it_is_the_plain_mean():
    """Every tracklet is its one frame, whatever the weights."""
    vectors, _, pid, camera, _ = people(planted=False, identities=8)
    rows = [np.array([24 * identity + 6 * part]) for identity in range(8) for part in range(4)]
    assert not learn_attention(vectors, rows, pid, camera, lambda line: None).any()


def test_too_few_identities_are_named():
    vectors, rows, pid, camera, _ = people(planted=True, identities=2)
    with pytest.raises(DataError, match="at least 3 identities"):
        learn_attention(vectors, rows, pid, camera, lambda line: None)
