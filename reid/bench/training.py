"""How much of the network's own speed the training loop keeps."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from reid.datasets import ImageSet
from reid.recipe import Recipe
from reid.runtime import keep_freed_memory
from reid.train import build, loss_inputs, to_network, train

Report = Callable[[str], None]


@dataclass(frozen=True)
class Speed:
    """Images a second of every round, ours and the bare loop's in turn."""

    ours: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over rounds of ours / bare."""
        return float(np.median(np.array(self.ours) / np.array(self.bare)))


def bench_training(recipe: Recipe, images: ImageSet, rounds: int, report: Report, device: str = "cpu") -> Speed:
    """Train one epoch with our loop, and as many batches with a bare loop on synthetic tensors, in turn.

    The bare loop has the same network, losses, optimiser and precision, and nothing else: no files, no sampling, no
    augmentation, no log. Its first batches warm it up and are not counted; ours is counted whole.

    Args:
        recipe: its first size is measured, for one epoch.
        images: training set.
        rounds: of each.
        report: called with lines of progress.
        device: a torch device.
    """
    recipe = replace(recipe, schedule=((recipe.schedule[0][0], 1),))
    ours, bare = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            lines: list[str] = []
            train(recipe, images, Path(folder), lines.append, device)
            seen = _images_seen(lines[-1])
            report(f"round {number + 1} of {rounds}: {time.monotonic() - began:.0f} s, {seen:.1f} images/s in our loop")
            ours.append(seen)
        bare.append(bare_loop(recipe, int(images.labels().max()) + 1, 60, device))
        report(f"round {number + 1} of {rounds}: {bare[-1]:.1f} images/s in the bare loop")
    return Speed(tuple(ours), tuple(bare))


def bare_loop(recipe: Recipe, identities: int, batches: int, device: str = "cpu") -> float:
    """Images a second of the network, its losses and its optimiser alone."""
    keep_freed_memory()
    networks, objectives = build(recipe, identities, device)
    learners = [*networks, *objectives]
    parameters = [one for learner in learners for one in learner.parameters() if one.requires_grad]
    optimizer = torch.optim.Adam(parameters, recipe.lr, weight_decay=recipe.weight_decay, amsgrad=True)
    size = recipe.schedule[0][0]
    generator = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 256, (recipe.p * recipe.k, *size, 3), dtype=torch.uint8, generator=generator).to(device)
    labels = torch.arange(recipe.p, device=device).repeat_interleave(recipe.k) % identities
    images = [to_network(network, crops) for network in networks]
    warm, began = 5, 0.0
    for step in range(warm + batches):
        if step == warm:
            _wait(device)
            began = time.monotonic()
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=recipe.bf16):
            outputs = [network.outputs(image) for network, image in zip(networks, images, strict=True)]
        terms = [
            value for i, one in enumerate(objectives) for value in one(loss_inputs(outputs, i, labels, None)).values()
        ]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(terms).sum())
        optimizer.step()
    _wait(device)
    return batches * len(crops) / (time.monotonic() - began)


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _images_seen(line: str) -> float:
    words = line.split()
    return float(words[words.index("images_per_s") + 1])
