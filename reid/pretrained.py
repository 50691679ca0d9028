"""Weights trained elsewhere, for a backbone to start from; the head stays as it was drawn."""

from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from reid.errors import BadInputError, ModelError

IMAGENET_BACKBONES = {  # those of ``BACKBONES`` that torchvision publishes weights for, and its name of them
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v2_short": "mobilenet_v2",
    "resnet50": "resnet50",
    "googlenet": "googlenet",
}
WRAPPERS = ("state_dict", "model", "state")  # keys that training programs, this one's "state" too, file weights under
PREFIXES = ("module.", "backbone.")  # of torch's DataParallel; of a network that has a backbone, such as this one's


def imagenet(backbone: str) -> Path:
    """File of torchvision's ImageNet weights, downloaded into torch's cache unless it is there already.

    The file is torchvision's IMAGENET1K_V1: the only version that all have, and the one behind the published
    re-identification scores.

    Args:
        backbone: a name in ``IMAGENET_BACKBONES``.

    Raises:
        BadInputError: none are published for this backbone.
        ModelError: the file could not be fetched whole.
    """
    if backbone not in IMAGENET_BACKBONES:
        raise BadInputError(
            f"--pretrained imagenet: none are published for {backbone}, only for {', '.join(IMAGENET_BACKBONES)}; "
            "give a file: --pretrained FILE"
        )
    url: str = torchvision.models.get_model_weights(IMAGENET_BACKBONES[backbone]).IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2])
        except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: the hash is another
            reason = getattr(error, "reason", error)
            raise ModelError(f"{url} could not be fetched ({reason}); give a local file: --pretrained FILE") from None
    return path


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Start a backbone from a file of weights.

    Weights fit by name, or, where the same architecture was published under other names, by their order and shapes.
    What follows the backbone's last layer, such as a classifier, is ignored.

    Args:
        backbone: changed in place.
        path: a state dict saved by ``torch.save``, bare or wrapped as by ``WRAPPERS`` and ``PREFIXES``; a checkpoint
            of reidtrack is one.

    Raises:
        ModelError: the file is absent, holds no weights, or does not fit the backbone.
    """
    given = _read(path)
    wanted = {name: value for name, value in backbone.state_dict().items() if _is_weight(name, value)}
    if not wanted.keys() <= given.keys():
        given = dict(zip(wanted, given.values(), strict=False))
    misfits = [name for name, value in wanted.items() if name not in given or given[name].shape != value.shape]
    if misfits:
        raise ModelError(
            f"{path}: {len(misfits)} of {len(wanted)} weights do not fit the backbone, first {misfits[0]}; "
            "give weights of this architecture"
        )
    backbone.load_state_dict({name: given[name] for name in wanted}, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    """Name to weight, unwrapped."""
    if not path.is_file():
        raise ModelError(f"{path}: no such weights; give a file of the backbone's weights, or start from scratch")
    try:
        contents: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        for key in WRAPPERS:
            contents = contents[key] if isinstance(contents.get(key), dict) else contents
        weights = {name: value for name, value in contents.items() if _is_weight(name, value)}
    except Exception as error:  # torch raises a dozen types for a file that is not a checkpoint
        raise ModelError(f"{path}: not a state dict ({type(error).__name__}); give one saved by torch.save") from None
    if not weights:
        raise ModelError(f"{path}: holds no weights; give a state dict saved by torch.save")
    for prefix in PREFIXES:
        inside = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        weights = inside or weights
    return weights


def _is_weight(name: str, value: object) -> bool:
    # A batch norm's counter matters to training without momentum only, and old files have none.
    return isinstance(value, Tensor) and not name.endswith("num_batches_tracked")
