"""How to train: everything that decides the result besides the data."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

from reid.augment import AUGMENTATIONS
from reid.errors import BadInputError
from reid.objective import LossTerm

Stage = tuple[tuple[int, int], int]  # ((height, width), epochs)


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        backbone: name in ``BACKBONES``.
        pretrained: weights file that the backbone starts from; None starts from scratch.
        dim: length of the embedding; 0 keeps the backbone's channels.
        pool: name in ``reid.model.POOLS``.
        head: one of ``reid.model.HEADS``.
        schedule: input sizes in order with their epochs; the last size is the model's.
        losses: weighted sum of terms.
        networks: networks that learn side by side; more than 1 for the mutual losses. The first is the result.
        teacher: a trained embedder whose vectors of the plain images the distillation losses see, as
            ``reid.bench.models.open_models`` reads it: a checkpoint, a shipped name, somebody else's file, ...
        p, k: identities a batch, images an identity.
        camera_aware: an identity's images in a batch come from different cameras where they can.
        augmentation: name in ``AUGMENTATIONS``.
        erase: probability of random erasing.
        lr: peak learning rate of Adam (AMSGrad), reached after ``warmup`` epochs, then a cosine to lr / 100.
        weight_decay: L2, on all parameters.
        average: how much of the running average of the weights stays at each step, such as 0.999; the average is then
            the result (mean teacher, arXiv:1703.01780). 0 keeps the last weights.
        bf16: bfloat16 autocast of the network; losses stay in float32.
        seed: of the initial weights, batches and augmentation.
        workers: processes that decode and augment.
    """

    backbone: str = "mobilenet_v2"
    pretrained: Path | None = None
    dim: int = 256
    pool: str = "average"
    head: str = "bnneck"
    schedule: tuple[Stage, ...] = (((128, 64), 11), ((192, 96), 2))
    losses: tuple[LossTerm, ...] = (LossTerm("cls"), LossTerm("trihard", options={"soft": True, "normalize": False}))
    networks: int = 1
    teacher: Path | str | None = None
    p: int = 16
    k: int = 4
    camera_aware: bool = False
    augmentation: str = "cross_camera"
    erase: float = 0.3
    lr: float = 5e-4
    warmup: int = 1
    weight_decay: float = 5e-4
    average: float = 0.0
    bf16: bool = False
    seed: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.augmentation not in AUGMENTATIONS:
            raise BadInputError(
                f"augmentation {self.augmentation!r} is unknown; choose one of {', '.join(AUGMENTATIONS)}"
            )
        if not 0 <= self.average < 1:
            raise BadInputError(f"average: {self.average}; give 0 for none, or a share such as 0.999")
        if self.networks < 1:
            raise BadInputError(f"networks: {self.networks}; at least 1 has to learn")

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


_SMALL = Recipe(
    schedule=(((128, 64), 16), ((192, 96), 8)),
    losses=(LossTerm("cls"), LossTerm("hap2s", options={"form": "polynomial"})),
    average=0.999,
)

RECIPES: dict[str, Recipe] = {
    "standard": _SMALL,
    "edge": replace(_SMALL, backbone="mobilenet_v2_short"),
    "large": replace(_SMALL, backbone="resnet50", dim=512, schedule=(((256, 128), 60),), workers=8),
}


def named_recipe(name: str) -> Recipe:
    """A recipe of ``RECIPES``.

    Raises:
        BadInputError: there is none of this name.
    """
    if name not in RECIPES:
        raise BadInputError(f"--recipe {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def describe(recipe: Recipe) -> str:
    """All that a recipe says, in one line, as the command's options are called."""
    sizes = ",".join(f"{height}x{width}:{epochs}" for (height, width), epochs in recipe.schedule)
    shown = {"schedule": sizes, "losses": ",".join(map(str, recipe.losses))}
    parts = ((field.name, shown.get(field.name, getattr(recipe, field.name))) for field in fields(recipe))
    return " ".join(f"{name}={value}" for name, value in parts)
