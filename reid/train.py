"""Training: one visible loop with checkpoint and resume."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from reid.augment import AUGMENTATIONS
from reid.bench.models import open_models
from reid.datasets import ImageSet
from reid.errors import BadInputError, ReidTrackError
from reid.evaluation import embed_images
from reid.model import EmbeddingModel, Outputs, load_checkpoint, save_model
from reid.objective import Objective
from reid.pretrained import load_weights
from reid.recipe import Recipe
from reid.runtime import keep_freed_memory
from reid.sampler import Indices, pk_batches

Report = Callable[[str], None]


def train(recipe: Recipe, images: ImageSet, out: Path, report: Report, device: str = "cpu") -> Path:
    """Train an embedder; continues from ``out/last.pt`` where there is one.

    Args:
        recipe: how; a checkpoint of another network or other data is refused.
        images: labelled images.
        out: folder for ``last.pt`` (after every epoch), ``log.jsonl`` (a line an epoch) and a teacher's vectors.
        report: called with a line of progress, about every 10 seconds and after each epoch.
        device: a torch device.

    Returns:
        Path of the final checkpoint.

    Raises:
        BadInputError: options that do not go together, or ``out`` holds another training.
        DataError: an image cannot be read.
        ModelError: the weights to start from, or the teacher, cannot be used.
    """
    keep_freed_memory()
    out.mkdir(parents=True, exist_ok=True)
    last = out / "last.pt"
    labels = images.labels()
    identities = int(labels.max()) + 1
    networks, objectives = build(recipe, identities, device)
    learners = [*networks, *objectives]
    parameters = [one for learner in learners for one in learner.parameters() if one.requires_grad]
    optimizer = torch.optim.Adam(parameters, recipe.lr, weight_decay=recipe.weight_decay, amsgrad=True)
    averaged = running_average(networks[0], recipe.average) if recipe.average else None
    start = resume(last, networks, objectives, optimizer, averaged) if last.exists() else 0
    if start:
        report(f"continuing {last} after epoch {start} of {recipe.epochs}")
    else:
        report(f"backbone {recipe.backbone} starts from {recipe.pretrained or 'scratch'}")
        if recipe.pretrained:
            for network in networks:
                load_weights(network.backbone, recipe.pretrained)
    unfinished = start < recipe.epochs
    taught = teach(str(recipe.teacher), images, out, report, device) if recipe.teacher and unfinished else None
    for learner in learners:
        learner.train()

    cameras = images.camera if recipe.camera_aware else None
    for epoch in range(start, recipe.epochs):
        if averaged and epoch and recipe.size_at(epoch) != recipe.size_at(epoch - 1):
            averaged = running_average(networks[0], recipe.average)  # weights for another size do not mix
        torch.manual_seed(recipe.seed * 10_007 + epoch)  # a resumed epoch draws what it would have drawn
        batches = pk_batches(labels, recipe.p, recipe.k, (recipe.seed, epoch), cameras)
        totals: dict[str, Tensor] = {}
        correct = torch.zeros((), dtype=torch.long, device=device)
        seen = 0
        began = spoke = time.monotonic()
        waited = 0.0
        loader = load_batches(images, batches, recipe, epoch)
        for step in range(len(batches)):
            asked = time.monotonic()
            crops, indices = next(loader)
            waited += time.monotonic() - asked
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr_at(epoch + step / len(batches))
            crops, targets = crops.to(device), torch.from_numpy(labels[indices]).to(device)
            with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=recipe.bf16):
                outputs = [network.outputs(to_network(network, crops)) for network in networks]
            taught_here = taught[torch.from_numpy(indices)].to(device) if taught is not None else None
            loss = torch.zeros((), device=device)
            for i, objective in enumerate(objectives):
                for name, value in objective(loss_inputs(outputs, i, targets, taught_here)).items():
                    loss = loss + value
                    totals[name] = totals.get(name, 0) + value.detach() / len(networks)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            if averaged:
                averaged.update_parameters(networks[0])

            seen += len(indices)
            correct += (outputs[0].logits.argmax(1) == targets).sum()
            now = time.monotonic()
            if now - spoke > 10:
                spoke = now
                epochs_left = recipe.epochs - epoch - (step + 1) / len(batches)
                left = epochs_left * (now - began) / (step + 1) * len(batches)
                report(
                    f"epoch {epoch + 1}/{recipe.epochs} batch {step + 1}/{len(batches)}, about {left / 60:.0f} min left"
                )
        seconds = time.monotonic() - began
        line = {
            "epoch": epoch + 1,
            "size": recipe.size_at(epoch),
            "lr": recipe.lr_at(epoch),
            **{name: round(float(total) / len(batches), 4) for name, total in totals.items()},
            "accuracy": round(int(correct) / seen, 4),
            "images_per_s": round(seen / seconds, 1),
            "waiting_for_data": round(waited / seconds, 3),
        }
        save_model(
            cast(EmbeddingModel, averaged.module) if averaged else networks[0],
            last,
            optimizer=optimizer.state_dict(),
            epoch=epoch + 1,
            networks=[dict(network.state_dict()) for network in networks],
            objectives=[dict(objective.state_dict()) for objective in objectives],
            averages=int(averaged.n_averaged) if averaged else 0,
        )
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        report("  ".join(f"{name} {value}" for name, value in line.items()))
    return last


def build(recipe: Recipe, identities: int, device: str) -> tuple[list[EmbeddingModel], list[Objective]]:
    """The networks that learn side by side, each with its objective.

    Raises:
        BadInputError: a loss needs peers or a teacher, and the recipe has none; or the reverse.
    """
    networks, objectives = [], []
    needs = Objective(recipe.losses, identities, 1).needs
    for number in range(recipe.networks):
        torch.manual_seed(recipe.seed + 1_000_003 * number)  # peers start apart
        network = EmbeddingModel(
            recipe.backbone,
            recipe.dim,
            identities,
            recipe.schedule[-1][0],
            recipe.pool,
            recipe.head,
            stripes="local" in needs,
        )
        objectives.append(Objective(recipe.losses, identities, network.dim).to(device))
        networks.append(network.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    mutual, distilled = {"peer_logits", "peer_features"} & needs, "teacher_features" in needs
    if bool(mutual) != (recipe.networks > 1):
        raise BadInputError(
            "a mutual loss needs --networks 2 or more"
            if mutual
            else f"--networks {recipe.networks} needs a mutual loss, such as --loss cls:1,mutual_kl:1"
        )
    if distilled != (recipe.teacher is not None):
        raise BadInputError(
            "a distillation loss needs a trained --teacher"
            if distilled
            else "--teacher needs a distillation loss, such as --loss cls:1,darkrank:1"
        )
    return networks, objectives


def running_average(network: EmbeddingModel, keep: float) -> AveragedModel:
    """An exponential running average of the weights and of the norms' statistics, which belong to them.

    Its memory grows from a step to 1 / (1 - keep) steps, so that it may begin anywhere.
    """

    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        share = 1 - min(keep, (1 + int(count)) / (10 + int(count)))
        for old, new in zip(averaged, current, strict=True):
            old.lerp_(new, share) if old.is_floating_point() else old.copy_(new)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def teach(teacher: str, images: ImageSet, out: Path, report: Report, device: str) -> Tensor:
    """(n, any) a trained embedder's vectors of the images as they are, each once; kept in ``out`` for a resumption.

    Looking at every augmented crop instead costs the teacher's passes in every epoch; this way the student also learns
    that what augmentation changes does not matter.
    """
    (model,) = open_models([teacher], device, 0).values()
    kept = out / f"teacher-{model.digest[:12]}.npy"
    if kept.exists():
        return torch.from_numpy(np.load(kept))
    vectors = embed_images(images, model.embed, "teacher", report)
    partial = kept.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, vectors)
    partial.replace(kept)
    return torch.from_numpy(vectors)


def resume(
    last: Path,
    networks: list[EmbeddingModel],
    objectives: list[Objective],
    optimizer: torch.optim.Optimizer,
    averaged: AveragedModel | None,
) -> int:
    """Load a checkpoint of the same training; returns the epochs that it has behind it.

    Raises:
        BadInputError: it is of another network, objective or data.
    """
    checkpoint = load_checkpoint(last)
    try:
        if checkpoint["config"] != networks[0].config or bool(averaged) != bool(checkpoint["averages"]):
            raise ValueError
        for network, state in zip(networks, checkpoint["networks"], strict=True):
            network.load_state_dict(state)
        for objective, state in zip(objectives, checkpoint["objectives"], strict=True):
            objective.load_state_dict(state)
        optimizer.load_state_dict(checkpoint["optimizer"])
        if averaged:
            averaged.module.load_state_dict(checkpoint["state"])
            averaged.n_averaged.fill_(checkpoint["averages"])
    except (ValueError, RuntimeError, KeyError):  # how torch says that names or shapes differ
        raise BadInputError(f"{last}: trained with other options or data; choose another --out") from None
    return int(checkpoint["epoch"])


def loss_inputs(outputs: list[Outputs], number: int, labels: Tensor, taught: Tensor | None) -> dict[str, Any]:
    """What the losses of network ``number`` may look at, by the names of ``reid.losses.INPUTS``."""
    own, peers = outputs[number], [*outputs[:number], *outputs[number + 1 :]]
    return {
        "features": own.features,
        "embeddings": own.embeddings,
        "logits": own.logits,
        "labels": labels,
        "local": own.local,
        "peer_logits": [peer.logits.detach() for peer in peers],
        "peer_features": [peer.features.detach() for peer in peers],
        "teacher_features": taught,
    }


def read_log(out: Path) -> list[dict[str, Any]]:
    """The lines of ``log.jsonl``, one an epoch; of an epoch that was repeated after an interruption, the last."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return list({line["epoch"]: line for line in lines}.values())


def to_network(model: EmbeddingModel, crops: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 to the normalised (n, 3, h, w) at the crops' own size: training sizes vary by schedule."""
    scale = 1 / model.std.flatten()
    normalised = torch.addcmul(-model.mean.flatten() * scale, crops.to(scale.dtype), scale)
    return normalised.permute(0, 3, 1, 2)  # channels last in memory, as crops are


class AugmentedBatches(Dataset[Tensor | ReidTrackError]):
    """Batch number -> (n, h, w, 3) uint8 augmented crops; the same whatever worker makes it.

    An image that cannot be read comes back as its error: one that is raised in a worker loses its type on the way.
    """

    def __init__(self, images: ImageSet, batches: list[Indices], recipe: Recipe, epoch: int) -> None:
        self.images, self.batches, self.recipe, self.epoch = images, batches, recipe, epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Tensor | ReidTrackError:
        recipe, size = self.recipe, self.recipe.size_at(self.epoch)
        rng = np.random.default_rng((recipe.seed, self.epoch, number))
        augment = AUGMENTATIONS[recipe.augmentation]
        try:
            crops = [augment(self.images.read(i), size, rng, recipe.erase) for i in self.batches[number]]
        except ReidTrackError as error:
            return error
        return torch.from_numpy(np.stack(crops))


def load_batches(
    images: ImageSet, batches: list[Indices], recipe: Recipe, epoch: int
) -> Iterator[tuple[Tensor, Indices]]:
    """Decode and augment ahead, in processes: threads would fight the training loop for Python's lock.

    Yields:
        ((n, h, w, 3) uint8 crops, (n,) indices into ``images``).
    """
    loader = DataLoader(
        AugmentedBatches(images, batches, recipe, epoch),
        batch_size=None,
        num_workers=recipe.workers,
        worker_init_fn=_give_way,
    )
    for crops, indices in zip(loader, batches, strict=True):
        if isinstance(crops, ReidTrackError):
            raise crops
        yield crops, indices


def _give_way(worker: int) -> None:
    cv2.setNumThreads(0)
    if hasattr(os, "nice"):
        os.nice(10)  # decoding fills what the network leaves idle; at equal rights it stalls the network's threads
