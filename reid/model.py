"""The embedding network: preprocessing, backbone, pooling, a linear map and the BNNeck, as one module.

Normalisation constants are buffers, so they travel with the weights and into the exported file.
"""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid.backbones import BACKBONES
from reid.errors import BadInputError, ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class EmbeddingModel(nn.Module):
    """Crops to vectors.

    Args:
        backbone: a name in ``BACKBONES``.
        dim: length of the embedding.
        identities: training identities; 0 builds no classifier (for inference).
        size: (height, width) that crops are resized to inside ``forward`` when they come in another size.

    The head is the BNNeck of Luo et al. (arXiv:1903.07071): metric losses see the vector before the batch
    normalisation, the classifier and the test see the one after it; BN's bias is frozen at 0 and the classifier has
    none.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, dim: int = 256, identities: int = 0, size: tuple[int, int] = (256, 128)) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise BadInputError(f"backbone {backbone!r} is unknown; choose one of {', '.join(BACKBONES)}")
        self.config: dict[str, Any] = {"backbone": backbone, "dim": dim, "size": list(size)}
        self.size = size
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255)
        trunk = BACKBONES[backbone]()
        self.backbone = cast(nn.Module, trunk)
        self.linear = nn.Linear(trunk.out_channels, dim)
        self.neck = nn.BatchNorm1d(dim)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(dim, identities, bias=False) if identities else None
        nn.init.kaiming_normal_(self.linear.weight, mode="fan_out")
        nn.init.zeros_(self.linear.bias)
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.001)

    def preprocess(self, crops: Tensor) -> Tensor:
        """(n, h, w, 3) RGB in 0..255, uint8 or float, to (n, 3, H, W) float, normalised, at the model's size."""
        images = crops.permute(0, 3, 1, 2).to(self.mean.dtype)
        images = functional.interpolate(images, self.size, mode="bilinear", align_corners=False)
        return (images - self.mean) / self.std

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) preprocessed to (n, dim): what metric losses see."""
        feature_map = self.backbone(images)
        vectors: Tensor = self.linear(feature_map.mean((2, 3)))
        return vectors

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


def start_from(model: EmbeddingModel, path: Path) -> None:
    """Start the backbone from weights trained elsewhere, for example on ImageNet; the head stays as it is.

    Weights fit by name, or, where the same architecture was published under other names, by their order and shapes.

    Args:
        model: changed in place.
        path: a state dict saved by ``torch.save``; layers after the backbone's last one are ignored.

    Raises:
        ModelError: the file is absent, is no state dict, or does not fit the backbone.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weights; give a file of the backbone's weights, or start from scratch")
    try:
        given: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        given = {name: value for name, value in given.items() if not name.endswith("num_batches_tracked")}
    except Exception as error:  # torch raises a dozen types for a file that is not a checkpoint
        raise ModelError(f"{path}: not a state dict ({type(error).__name__}); give one saved by torch.save") from None
    wanted = {n: v for n, v in model.backbone.state_dict().items() if not n.endswith("num_batches_tracked")}
    if not wanted.keys() <= given.keys():
        given = dict(zip(wanted, given.values(), strict=False))
    misfits = [name for name, value in wanted.items() if name not in given or given[name].shape != value.shape]
    if misfits:
        raise ModelError(f"{path}: {len(misfits)} of {len(wanted)} weights do not fit the backbone, first {misfits[0]}")
    model.backbone.load_state_dict({name: given[name] for name in wanted}, strict=False)


def load_model(path: Path) -> EmbeddingModel:
    """Rebuild a trained network for inference: no classifier, ``eval`` mode, on the CPU."""
    checkpoint = load_checkpoint(path)
    config = checkpoint["config"]
    model = EmbeddingModel(config["backbone"], config["dim"], size=tuple(config["size"]))
    state = {name: value for name, value in checkpoint["state"].items() if not name.startswith("classifier.")}
    model.load_state_dict(state)
    return model.eval()
