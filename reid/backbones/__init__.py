"""Networks from image to feature map.

A backbone is a ``torch.nn.Module`` taking (n, 3, h, w) float and returning a feature map (n, ``out_channels``, h', w').
To add one, write its module in this folder and a line below: the command line's choices and the contract tests
iterate this dict.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import Tensor

from reid.backbones.googlenet import GoogLeNet
from reid.backbones.inception_v2 import InceptionV2
from reid.backbones.mobilenet_v2 import MobileNetV2
from reid.backbones.osnet import OSNet
from reid.backbones.resnet import ResNet50


class Backbone(Protocol):
    """What the rest of ``reid`` asks of a backbone (besides being a ``torch.nn.Module``)."""

    out_channels: int

    def __call__(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float to (n, out_channels, h', w')."""
        ...


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "osnet_x0_25": partial(OSNet, width=0.25),
    "osnet_x0_5": partial(OSNet, width=0.5),
    "osnet_x0_75": partial(OSNet, width=0.75),
    "osnet_x1_0": partial(OSNet, width=1.0),
    "osnet_ibn_x0_25": partial(OSNet, width=0.25, variant="ibn"),
    "osnet_ibn_x0_5": partial(OSNet, width=0.5, variant="ibn"),
    "osnet_ibn_x1_0": partial(OSNet, width=1.0, variant="ibn"),
    "osnet_ain_x0_25": partial(OSNet, width=0.25, variant="ain"),
    "osnet_ain_x0_5": partial(OSNet, width=0.5, variant="ain"),
    "osnet_ain_x1_0": partial(OSNet, width=1.0, variant="ain"),
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v2_short": partial(MobileNetV2, blocks=12),
    "resnet50": ResNet50,
    "resnet50_ibn": partial(ResNet50, instance_norm=True),
    "resnet50x": partial(ResNet50, separable=True),
    "inception_v2": InceptionV2,
    "googlenet": GoogLeNet,
}
