"""The embedding network: preprocessing, backbone, pooling, a linear map and the BNNeck, as one module.

Normalisation constants are buffers, so they travel with the weights and into the exported file.
"""

from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid.backbones import BACKBONES
from reid.errors import BadInputError, ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class GeM(nn.Module):
    """Generalised-mean pooling, (mean of x^p)^(1/p) with p learned (Radenovic et al., arXiv:1711.02512).

    (n, c, h, w) to (n, c). p = 1 is the average, p towards infinity the maximum; it starts at 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(3.0))

    def forward(self, maps: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c), values below 1e-6 raised to it; float32 or wider."""
        maps = maps.float() if maps.itemsize < 4 else maps
        pooled: Tensor = maps.clamp(min=1e-6).pow(self.p).mean((2, 3)).pow(1 / self.p)
        return pooled


class Average(nn.Module):
    """(n, c, h, w) to its spatial mean (n, c)."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c)."""
        return maps.mean((2, 3))


class Stripes(nn.Module):
    """AlignedReID's local branch (Zhang et al., arXiv:1711.08184): one vector for each row of the feature map.

    Mean over the width, 1 x 1 convolution, batch normalisation, ReLU: (n, c, h, w) to (n, h, ``channels``).
    """

    def __init__(self, in_channels: int, channels: int = 128) -> None:
        super().__init__()
        self.reduce = nn.Conv1d(in_channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, c, h, w) to (n, h, channels), head first."""
        stripes: Tensor = functional.relu(self.norm(self.reduce(maps.mean(3)))).transpose(1, 2)
        return stripes


POOLS: dict[str, type[nn.Module]] = {"average": Average, "gem": GeM}
HEADS = ("bnneck", "fc")


class Outputs(NamedTuple):
    """What training looks at: (n, d) features before the neck and embeddings after it, (n, C) logits, (n, s, c) stripes
    or None.
    """

    features: Tensor
    embeddings: Tensor
    logits: Tensor
    local: Tensor | None


class EmbeddingModel(nn.Module):
    """Crops to vectors.

    Args:
        backbone: a name in ``BACKBONES``.
        dim: length of the embedding; 0 keeps the backbone's channels, without a linear map.
        identities: training identities; 0 builds no classifier (for inference).
        size: (height, width) that crops are resized to inside ``forward`` when they come in another size.
        pool: a name in ``POOLS``: feature map to vector.
        head: ``bnneck`` (Luo et al., arXiv:1903.07071): metric losses see the vector before the batch normalisation,
            the classifier and the test see the one after it; BN's bias is frozen at 0 and the classifier has none.
            ``fc``, as in the MSML paper: one vector for losses, classifier and test.
        stripes: build AlignedReID's local branch.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        dim: int = 256,
        identities: int = 0,
        size: tuple[int, int] = (256, 128),
        pool: str = "average",
        head: str = "bnneck",
        stripes: bool = False,
    ) -> None:
        super().__init__()
        for what, name, choices in (
            ("backbone", backbone, BACKBONES),
            ("pooling", pool, POOLS),
            ("head", head, HEADS),
        ):
            if name not in choices:
                raise BadInputError(f"{what} {name!r} is unknown; choose one of {', '.join(choices)}")
        self.config: dict[str, Any] = {"backbone": backbone, "dim": dim, "size": list(size)}
        self.config |= {"pool": pool, "head": head, "stripes": stripes}
        self.size = size
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255)
        trunk = BACKBONES[backbone]()
        self.backbone = cast(nn.Module, trunk)
        self.pool = POOLS[pool]()
        self.linear = nn.Linear(trunk.out_channels, dim) if dim else nn.Identity()
        self.dim = dim or trunk.out_channels
        self.neck = nn.BatchNorm1d(self.dim) if head == "bnneck" else nn.Identity()
        self.classifier = nn.Linear(self.dim, identities, bias=head == "fc") if identities else None
        self.stripes = Stripes(trunk.out_channels) if stripes else None
        if isinstance(self.linear, nn.Linear):
            nn.init.kaiming_normal_(self.linear.weight, mode="fan_out")
            nn.init.zeros_(self.linear.bias)
        if isinstance(self.neck, nn.BatchNorm1d):
            self.neck.bias.requires_grad_(False)
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.001)

    def preprocess(self, crops: Tensor) -> Tensor:
        """(n, h, w, 3) RGB in 0..255, uint8 or float, to (n, 3, H, W) float, normalised, at the model's size."""
        images = crops.permute(0, 3, 1, 2).to(self.mean.dtype)
        images = functional.interpolate(images, self.size, mode="bilinear", align_corners=False)
        return (images - self.mean) / self.std

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) preprocessed to (n, dim): what metric losses see."""
        vectors: Tensor = self.linear(self.pool(self.backbone(images)))
        return vectors

    def outputs(self, images: Tensor) -> Outputs:
        """(n, 3, h, w) preprocessed to what training looks at, float32 whatever the autocast; needs the classifier."""
        maps = self.backbone(images)
        features = self.linear(self.pool(maps))
        assert self.classifier is not None, "built for inference"
        embeddings = self.neck(features)
        logits = self.classifier(embeddings)
        stripes = self.stripes(maps).float() if self.stripes else None
        return Outputs(features.float(), embeddings.float(), logits.float(), stripes)

    def local(self, crops: Tensor) -> Tensor:
        """(n, h, w, 3) RGB uint8 crops to (n, s, c) stripes for AlignedReID's local distance.

        Raises:
            ModelError: it was trained without them.
        """
        if self.stripes is None:
            raise ModelError("this model has no local branch; train one with a loss that needs it, such as aligned")
        stripes: Tensor = self.stripes(self.backbone(self.preprocess(crops)))
        return stripes

    def forward(self, crops: Tensor) -> Tensor:
        """(n, h, w, 3) RGB uint8 crops of any one size to (n, dim) unit vectors."""
        return functional.normalize(self.neck(self.features(self.preprocess(crops))))


def save_model(model: EmbeddingModel, path: Path, **extra: Any) -> None:
    """Write weights and configuration atomically; ``extra`` (optimiser state, epoch, ...) travels along."""
    partial = path.with_suffix(".partial")
    torch.save({"config": model.config, "state": dict(model.state_dict()), **extra}, partial)
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what ``save_model`` wrote.

    Raises:
        ModelError: the file is absent or is not such a checkpoint.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint; train one with `reidtrack train`")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["config"], checkpoint["state"]
    except Exception as error:  # torch raises a dozen types for a file that is not a checkpoint
        raise ModelError(
            f"{path}: not a reidtrack checkpoint ({type(error).__name__}); give last.pt of a training"
        ) from None
    return cast(dict[str, Any], checkpoint)


def load_model(path: Path) -> EmbeddingModel:
    """Rebuild a trained network for inference: no classifier, ``eval`` mode, on the CPU."""
    checkpoint = load_checkpoint(path)
    config = checkpoint["config"]
    model = EmbeddingModel(**{**config, "size": tuple(config["size"])})
    state = {name: value for name, value in checkpoint["state"].items() if not name.startswith("classifier.")}
    model.load_state_dict(state)
    return model.eval()
