"""OSNet: Omni-Scale Feature Learning for Person Re-Identification (Zhou et al., ICCV 2019, arXiv:1905.00953).

Written from the paper (table 1, figures 3 to 5). The variants are from the authors' "Learning Generalisable Omni-Scale
Representations" (arXiv:1910.06827): instance normalisation removes a camera's contrast and colour cast. OSNet-IBN has
it where features are still low-level, OSNet-AIN where an architecture search put it.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from reid.backbones.layers import conv_norm, initialise

STREAMS = 4  # scales per block; stream t stacks t lite 3x3 convolutions (paper, section 3.2)
GATE_REDUCTION = 16

Place = Literal["none", "residual", "sum"]
Variant = Literal["plain", "ibn", "ain"]

# Where each of the three stages' two blocks normalises by instance. The stems of ibn and ain do so too.
INSTANCE_NORM: dict[Variant, tuple[tuple[Place, Place], ...]] = {
    "plain": (("none", "none"), ("none", "none"), ("none", "none")),
    "ibn": (("sum", "sum"), ("none", "none"), ("none", "none")),
    "ain": (("residual", "residual"), ("none", "residual"), ("residual", "none")),
}


def lite_conv(channels: int) -> nn.Sequential:
    """Lite 3x3: a linear 1x1 and a depthwise 3x3 (paper, figure 3b: pointwise first)."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class AggregationGate(nn.Module):
    """Channel-wise gate, one set of weights shared by all streams (paper, equation 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // GATE_REDUCTION, 1)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same, each channel scaled by its gate in (0, 1)."""
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))


class OmniScaleBlock(nn.Module):
    """Residual block of four streams with receptive fields 3, 5, 7 and 9, fused by one gate (paper, figure 4b).

    Instance normalisation, where there is one, is of the sum with the shortcut or of the residual before it; there it
    takes the place of batch normalisation.
    """

    def __init__(self, inputs: int, outputs: int, instance_norm: Place = "none") -> None:
        super().__init__()
        middle = outputs // 4
        self.instance_norm = instance_norm
        self.reduce = conv_norm(inputs, middle)
        self.streams = nn.ModuleList(
            nn.Sequential(*(lite_conv(middle) for _ in range(depth))) for depth in range(1, STREAMS + 1)
        )
        self.gate = AggregationGate(middle)
        self.expand = conv_norm(middle, outputs, relu=False)
        if instance_norm == "residual":
            self.expand = self.expand[:1]
        self.shortcut = conv_norm(inputs, outputs, relu=False) if inputs != outputs else nn.Identity()
        self.norm = nn.Identity() if instance_norm == "none" else nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        reduced = self.reduce(x)
        fused = self.gate(self.streams[0](reduced))
        for stream in self.streams[1:]:
            fused = fused + self.gate(stream(reduced))
        residual = self.expand(fused)
        if self.instance_norm == "residual":
            return torch.relu(self.norm(residual) + self.shortcut(x))
        return torch.relu(self.norm(residual + self.shortcut(x)))


class OSNet(nn.Module):
    """The OSNet trunk: (n, 3, h, w) float to (n, out_channels, h / 16, w / 16).

    Args:
        width: multiplier of every stage's channels (64, 256, 384, 512); the paper's x1.0, x0.75, x0.5, x0.25.
        variant: where instance normalisation stands, a key of ``INSTANCE_NORM``.
    """

    def __init__(self, width: float = 1.0, variant: Variant = "plain") -> None:
        super().__init__()
        stem, first, second, third = (int(channels * width) for channels in (64, 256, 384, 512))
        places = INSTANCE_NORM[variant]
        self.stem = conv_norm(3, stem, 7, 2)
        if variant != "plain":
            self.stem[1] = nn.InstanceNorm2d(stem, affine=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.stages = nn.Sequential(
            _stage(stem, first, places[0]),
            conv_norm(first, first),
            nn.AvgPool2d(2),
            _stage(first, second, places[1]),
            conv_norm(second, second),
            nn.AvgPool2d(2),
            _stage(second, third, places[2]),
            conv_norm(third, third),
        )
        self.out_channels = third
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float, normalised, to (n, out_channels, h / 16, w / 16)."""
        features: Tensor = self.stages(self.pool(self.stem(images)))
        return features


def _stage(inputs: int, outputs: int, places: tuple[Place, Place]) -> nn.Sequential:
    return nn.Sequential(
        OmniScaleBlock(inputs, outputs, places[0]),
        OmniScaleBlock(outputs, outputs, places[1]),
    )
