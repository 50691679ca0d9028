"""Training: one visible loop with checkpoint and resume."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reid.augment import augment
from reid.datasets import ImageSet
from reid.errors import BadInputError, ReidTrackError
from reid.images import read_image
from reid.losses import LOSSES
from reid.model import EmbeddingModel, load_checkpoint, save_model, start_from
from reid.sampler import Indices, pk_batches

Report = Callable[[str], None]
Stage = tuple[tuple[int, int], int]  # ((height, width), epochs)


@dataclass(frozen=True)
class LossTerm:
    """One weighted term of the objective, from ``LOSSES``."""

    name: str
    weight: float = 1.0
    parameters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are the shipped embedder's recipe.

    Attributes:
        backbone: name in ``BACKBONES``.
        pretrained: weights file that the backbone starts from; None starts from scratch.
        dim: length of the embedding.
        schedule: input sizes in order with their epochs; the last size is the model's.
        losses: weighted sum of terms.
        p, k: identities a batch, images an identity.
        lr: peak learning rate of Adam (AMSGrad), reached after ``warmup`` epochs, then a cosine to lr / 100.
        weight_decay: L2, on all parameters.
        erase: probability of random erasing.
        bf16: bfloat16 autocast of the network; losses stay in float32.
        seed: of the initial weights, batches and augmentation.
        workers: processes that decode and augment.
    """

    backbone: str = "mobilenet_v2"
    pretrained: Path | None = None
    dim: int = 256
    schedule: tuple[Stage, ...] = (((128, 64), 11), ((192, 96), 2))
    losses: tuple[LossTerm, ...] = (LossTerm("cls"), LossTerm("trihard", parameters={"soft": 1}))
    p: int = 16
    k: int = 4
    lr: float = 5e-4
    warmup: int = 1
    weight_decay: float = 5e-4
    erase: float = 0.3
    bf16: bool = False
    seed: int = 0
    workers: int = 1

    @property
    def epochs(self) -> int:
        """Total over the schedule."""
        return sum(epochs for _, epochs in self.schedule)

    def size_at(self, epoch: int) -> tuple[int, int]:
        """Input size of a 0-based epoch."""
        for size, epochs in self.schedule:
            if epoch < epochs:
                return size
            epoch -= epochs
        return self.schedule[-1][0]

    def lr_at(self, epoch: float) -> float:
        """Learning rate at a fractional epoch: linear warm-up, then cosine."""
        if epoch < self.warmup:
            return self.lr * (0.01 + 0.99 * epoch / self.warmup)
        done = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
        return self.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1))))


def parse_losses(text: str) -> tuple[LossTerm, ...]:
    """Read ``cls:1,trihard:1,margin=0.3``: terms with weights; ``name=value`` belongs to the term before it.

    Raises:
        BadInputError: an unknown loss or parameter, or a value that is no number.
    """
    terms: list[LossTerm] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        try:
            if equals and terms:
                terms[-1].parameters[name] = float(value)
            else:
                name, _, weight = part.partition(":")
                terms.append(LossTerm(name, float(weight or 1)))
        except ValueError:
            raise BadInputError(
                f"--loss: {part!r} has no number; write for example cls:1,trihard:1,margin=0.3"
            ) from None
        if terms[-1].name not in LOSSES:
            raise BadInputError(f"--loss: {terms[-1].name!r} is unknown; choose from {', '.join(LOSSES)}")
    if not terms:
        raise BadInputError("--loss is empty; write for example cls:1,trihard:1")
    return tuple(terms)


def train(recipe: Recipe, images: ImageSet, out: Path, report: Report, device: str = "cpu") -> Path:
    """Train an embedder; continues from ``out/last.pt`` where there is one.

    Args:
        recipe: how; a checkpoint of another backbone or dimension is refused.
        images: labelled images.
        out: folder for ``last.pt`` (after every epoch) and ``log.jsonl`` (a line an epoch).
        report: called with a line of progress, about every 10 seconds and after each epoch.
        device: a torch device.

    Returns:
        Path of the final checkpoint.
    """
    out.mkdir(parents=True, exist_ok=True)
    last = out / "last.pt"
    labels = images.labels()
    torch.manual_seed(recipe.seed)
    model = EmbeddingModel(recipe.backbone, recipe.dim, int(labels.max()) + 1, recipe.schedule[-1][0])
    if recipe.pretrained and not last.exists():
        start_from(model, recipe.pretrained)
        report(f"backbone {recipe.backbone} starts from {recipe.pretrained}")
    elif not last.exists():
        report(f"backbone {recipe.backbone} starts from scratch")
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, recipe.lr, weight_decay=recipe.weight_decay, amsgrad=True)
    start = 0
    if last.exists():
        checkpoint = load_checkpoint(last)
        if (
            checkpoint["config"] != model.config
            or checkpoint["state"]["classifier.weight"].shape[0] != labels.max() + 1
        ):
            raise BadInputError(f"{last}: trained with other options or data; choose another --out to start afresh")
        model.load_state_dict(checkpoint["state"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        start = checkpoint["epoch"]
        report(f"continuing {last} after epoch {start} of {recipe.epochs}")

    for epoch in range(start, recipe.epochs):
        batches = pk_batches(labels, recipe.p, recipe.k, (recipe.seed, epoch))
        totals: dict[str, float] = {}
        correct = seen = 0
        began = spoke = time.monotonic()
        waited = 0.0
        loader = load_batches(images, batches, recipe, epoch)
        for step in range(len(batches)):
            asked = time.monotonic()
            crops, indices = next(loader)
            waited += time.monotonic() - asked
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr_at(epoch + step / len(batches))
            targets = torch.from_numpy(labels[indices]).to(device)
            with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=recipe.bf16):
                features = model.features(to_network(model, crops.to(device)))
                logits = model.classifier(model.neck(features)) if model.classifier is not None else features
            terms = {
                term.name: term.weight * LOSSES[term.name](features.float(), logits, targets, **term.parameters)
                for term in recipe.losses
            }
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(torch.stack(list(terms.values())).sum())
            optimizer.step()

            seen += len(indices)
            correct += int((logits.argmax(1) == targets).sum())
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + float(value.detach())
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
            **{name: round(total / len(batches), 4) for name, total in totals.items()},
            "accuracy": round(correct / seen, 4),
            "images_per_s": round(seen / seconds, 1),
            "waiting_for_data": round(waited / seconds, 3),
        }
        save_model(model, last, optimizer=optimizer.state_dict(), epoch=epoch + 1)
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        report("  ".join(f"{name} {value}" for name, value in line.items()))
    return last


def to_network(model: EmbeddingModel, crops: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 to the normalised (n, 3, h, w) at the crops' own size: training sizes vary by schedule."""
    images = crops.permute(0, 3, 1, 2).to(model.mean.dtype)
    return ((images - model.mean) / model.std).contiguous(memory_format=torch.channels_last)


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
        paths = [self.images.paths[i] for i in self.batches[number]]
        try:
            crops = [augment(read_image(path), size, rng, recipe.erase) for path in paths]
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
        worker_init_fn=_one_thread_each,
    )
    for crops, indices in zip(loader, batches, strict=True):
        if isinstance(crops, ReidTrackError):
            raise crops
        yield crops, indices


def _one_thread_each(worker: int) -> None:
    cv2.setNumThreads(0)
