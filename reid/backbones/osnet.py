"""OSNet: Omni-Scale Feature Learning for Person Re-Identification (Zhou et al., ICCV 2019, arXiv:1905.00953).

Written from the paper (table 1, figures 3 to 5). ``instance_norm`` follows the OSNet-IBN variant of the authors'
"Learning Generalisable Omni-Scale Representations" (arXiv:1910.06827): instance normalisation in the stem and after
the residual sum of the first stage removes a camera's contrast and colour cast where features are still low-level.
"""

import torch
from torch import Tensor, nn

STREAMS = 4  # scales per block; stream t stacks t lite 3x3 convolutions (paper, section 3.2)
GATE_REDUCTION = 16


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Convolution and batch normalisation, with ReLU unless told otherwise."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


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
    """Residual block of four streams with receptive fields 3, 5, 7 and 9, fused by one gate (paper, figure 4b)."""

    def __init__(self, inputs: int, outputs: int, *, instance_norm: bool) -> None:
        super().__init__()
        middle = outputs // 4
        self.reduce = conv_norm(inputs, middle)
        self.streams = nn.ModuleList(
            nn.Sequential(*(lite_conv(middle) for _ in range(depth))) for depth in range(1, STREAMS + 1)
        )
        self.gate = AggregationGate(middle)
        self.expand = conv_norm(middle, outputs, relu=False)
        self.shortcut = conv_norm(inputs, outputs, relu=False) if inputs != outputs else nn.Identity()
        self.norm = nn.InstanceNorm2d(outputs, affine=True) if instance_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        reduced = self.reduce(x)
        fused = self.gate(self.streams[0](reduced))
        for stream in self.streams[1:]:
            fused = fused + self.gate(stream(reduced))
        return torch.relu(self.norm(self.expand(fused) + self.shortcut(x)))


class OSNet(nn.Module):
    """The OSNet trunk: (n, 3, h, w) float to (n, out_channels, h / 16, w / 16).

    Args:
        width: multiplier of every stage's channels (64, 256, 384, 512); the paper's x1.0, x0.75, x0.5, x0.25.
        instance_norm: instance normalisation in the stem and the first stage (OSNet-IBN).
    """

    def __init__(self, width: float = 1.0, *, instance_norm: bool = False) -> None:
        super().__init__()
        stem, first, second, third = (int(channels * width) for channels in (64, 256, 384, 512))
        self.stem = conv_norm(3, stem, 7, 2)
        if instance_norm:
            self.stem[1] = nn.InstanceNorm2d(stem, affine=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.stages = nn.Sequential(
            self._stage(stem, first, instance_norm=instance_norm),
            conv_norm(first, first),
            nn.AvgPool2d(2),
            self._stage(first, second),
            conv_norm(second, second),
            nn.AvgPool2d(2),
            self._stage(second, third),
            conv_norm(third, third),
        )
        self.out_channels = third
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(inputs: int, outputs: int, *, instance_norm: bool = False) -> nn.Sequential:
        return nn.Sequential(
            OmniScaleBlock(inputs, outputs, instance_norm=instance_norm),
            OmniScaleBlock(outputs, outputs, instance_norm=instance_norm),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float, normalised, to (n, out_channels, h / 16, w / 16)."""
        features: Tensor = self.stages(self.pool(self.stem(images)))
        return features
