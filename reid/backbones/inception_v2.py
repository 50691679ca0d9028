"""Inception-v2, also called BN-Inception (Ioffe and Szegedy, arXiv:1502.03167, figure 5).

Where the table's output sizes disagree with its own counts of filters (4c to 4e), the filters hold, as in the Caffe
model. Caffe's first convolution is taken too: a plain 7x7.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from reid.backbones.layers import conv_norm, initialise


class Filters(NamedTuple):
    """A row of the table: output channels of each convolution. 0 is none."""

    one: int
    reduce: int
    three: int
    reduce_double: int
    double: int  # of both 3x3
    pool: Literal["avg", "max"]
    project: int


BLOCKS = {
    #             1x1  reduce 3x3  reduce 3x3 twice  pool and 1x1
    "3a": Filters(64, 64, 64, 64, 96, "avg", 32),
    "3b": Filters(64, 64, 96, 64, 96, "avg", 64),
    "3c": Filters(0, 128, 160, 64, 96, "max", 0),
    "4a": Filters(224, 64, 96, 96, 128, "avg", 128),
    "4b": Filters(192, 96, 128, 96, 128, "avg", 128),
    "4c": Filters(160, 128, 160, 128, 160, "avg", 128),
    "4d": Filters(96, 128, 192, 160, 192, "avg", 128),
    "4e": Filters(0, 128, 192, 192, 256, "max", 0),
    "5a": Filters(352, 192, 320, 160, 224, "avg", 128),
    "5b": Filters(352, 192, 320, 192, 224, "max", 128),
}
STRIDED = ("3c",)  # 4e too in the paper; 1 here, as in the bag of tricks (arXiv:1903.07071)


class InceptionBlock(nn.Module):
    """Up to four branches side by side: 1x1, 3x3, two 3x3, and pooling; each after its own 1x1."""

    def __init__(self, inputs: int, filters: Filters, stride: int) -> None:
        super().__init__()
        one, reduce, three, reduce_double, double, pool, project = filters
        pooling = (nn.AvgPool2d if pool == "avg" else nn.MaxPool2d)(3, stride, padding=1)
        self.branches = nn.ModuleList(
            [
                nn.Sequential(conv_norm(inputs, reduce), conv_norm(reduce, three, 3, stride)),
                nn.Sequential(
                    conv_norm(inputs, reduce_double),
                    conv_norm(reduce_double, double, 3),
                    conv_norm(double, double, 3, stride),
                ),
                nn.Sequential(pooling, conv_norm(inputs, project)) if project else pooling,
            ]
        )
        if one:
            self.branches.insert(0, conv_norm(inputs, one))
        self.out_channels = one + three + double + (project or inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, out_channels, h / stride, w / stride)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class InceptionV2(nn.Module):
    """The trunk, 10.3 million parameters: (n, 3, h, w) float to (n, 1024, h / 16, w / 16)."""

    out_channels = 1024

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(3, 64, 7, 2),
            nn.MaxPool2d(3, 2, padding=1),
            conv_norm(64, 64),
            conv_norm(64, 192, 3),
            nn.MaxPool2d(3, 2, padding=1),
        )
        self.blocks = nn.Sequential()
        channels = 192
        for name, filters in BLOCKS.items():
            block = InceptionBlock(channels, filters, stride=2 if name in STRIDED else 1)
            self.blocks.add_module(name, block)
            channels = block.out_channels
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float, normalised, to (n, 1024, h / 16, w / 16)."""
        features: Tensor = self.blocks(self.stem(images))
        return features
