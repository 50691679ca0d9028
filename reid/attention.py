"""Learning attention over a tracklet's frames: the first attention block of the Neural Aggregation Network (Yang et
al., CVPR 2017).

A frame's score is the inner product of its unit vector with one learned kernel; its weight is the softmax of the scores
over the tracklet's frames (``reid.pool.attention_weights``, which needs no torch). QAN (Liu et al., CVPR 2017) and Zhou
et al. (CVPR 2017) learn their scores together with the network; here the vectors are given, and only the kernel learns.
A kernel of zero is the plain mean: training starts there, and stays there unless identities held out gain.

Measured with the shipped embedder on Market-1501's tracklets it gains nothing over the plain mean.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reid.errors import DataError
from reid.evaluation import evaluate_features
from reid.losses.trihard import trihard
from reid.pool import attention_weights, quality
from reid.sampler import pk_batches

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Report = Callable[[str], None]

ROUNDS, BATCHES = 30, 25  # batches between two looks at the identities held out
PATIENCE = 8  # rounds without a gain
LR, WEIGHT_DECAY = 0.05, 1e-4
P, K = 16, 4  # identities a batch, tracklets of each
FRAMES = 8  # of a tracklet, drawn anew every time
HELD_OUT = 0.25  # of the identities


def learn_attention(
    features: Floats, rows: Sequence[Integers], pid: Integers, camera: Integers, report: Report, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Learn the kernel that makes pooled tracklets of one person alike: TriHard with a soft margin.

    A quarter of the identities is held out; the kernel of the round with their highest mAP is taken.

    Args:
        features: (n, d) unit vectors of frames.
        rows: for each of t tracklets the features that are its frames, at least one.
        pid, camera: (t,).
        report: called with a line of progress every tenth round.
        seed: of the identities held out and of the batches.

    Returns:
        (d,) kernel; zero where no round did better than the plain mean.

    Raises:
        DataError: too few identities, or none of those held out is seen by two cameras.
    """
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.unique(pid))
    held = np.isin(pid, people[: max(round(len(people) * HELD_OUT), 1)])
    learning = np.flatnonzero(~held)
    p = min(P, len(np.unique(pid[learning])))
    if p < 2:
        raise DataError(f"attention needs at least 3 identities to learn from, but the training part has {len(people)}")
    vectors, labels = torch.from_numpy(np.asarray(features, np.float32)), torch.from_numpy(pid)
    kernel = torch.zeros(vectors.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([kernel], LR, weight_decay=WEIGHT_DECAY)
    mean = best = _held_out(features, rows, pid, camera, np.flatnonzero(held), kernel)
    taken, taken_at = kernel.detach().clone(), 0
    batches = _batches(pid[learning], camera[learning], p, seed)
    for number in range(1, ROUNDS + 1):
        for batch in islice(batches, BATCHES):
            chosen = learning[batch]
            index, mask = _drawn([rows[i] for i in chosen], rng)
            loss = trihard(attend(vectors[index], mask, kernel), labels[torch.from_numpy(chosen)], soft=True)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        reached = _held_out(features, rows, pid, camera, np.flatnonzero(held), kernel)
        if reached > best:
            best, taken, taken_at = reached, kernel.detach().clone(), number
        if number % 10 == 0:
            report(f"attention, round {number}: mAP {reached:.2%} on identities held out, by the plain mean {mean:.2%}")
        if number - taken_at >= PATIENCE:
            break
    report(f"attention: taken from round {taken_at}, mAP {best:.2%} on identities held out, by the mean {mean:.2%}")
    return np.asarray(taken.numpy(), np.float32)


def attend(frames: Tensor, mask: Tensor, kernel: Tensor) -> Tensor:
    """What ``reid.pool`` does with ``attention_weights``, for a batch and with gradients; not normalised.

    Args:
        frames: (t, k, d) unit vectors.
        mask: (t, k) bool, False where a tracklet has fewer than k frames; at least one True in each row.
        kernel: (d,).

    Returns:
        (t, d) weighted means.
    """
    weights = (frames @ kernel).masked_fill(~mask, -float("inf")).softmax(1)
    return (weights[..., None] * frames).sum(1)


def _batches(labels: Integers, camera: Integers, p: int, seed: int) -> Iterator[Integers]:
    """Batches without end."""
    for epoch in count():
        yield from pk_batches(labels, p, K, (seed, epoch), camera)


def _drawn(rows: Sequence[Integers], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Up to ``FRAMES`` of each tracklet's rows at random: (t, FRAMES) indices, and where they are."""
    index = np.zeros((len(rows), FRAMES), np.int64)
    mask = np.zeros((len(rows), FRAMES), np.bool_)
    for i, own in enumerate(rows):
        part = rng.permutation(own)[:FRAMES]
        index[i, : len(part)], mask[i, : len(part)] = part, True
    return torch.from_numpy(index), torch.from_numpy(mask)


def _held_out(
    features: Floats, rows: Sequence[Integers], pid: Integers, camera: Integers, held: Integers, kernel: Tensor
) -> float:
    """Mean average precision of the tracklets ``held``, each of which ranks the others."""
    numbers = kernel.detach().numpy()
    pooled = np.stack([quality(features[rows[i]], attention_weights(features[rows[i]], numbers)) for i in held])
    labels = pid[held], camera[held]
    return evaluate_features(pooled, *labels, pooled, *labels).mean_ap
