"""ResNet50 (He et al., arXiv:1512.03385) and two relatives: torchvision's, shaped for re-identification.

Names of weights are torchvision's, so that its files fit.
"""

from collections import OrderedDict

import torch
import torchvision
from torch import Tensor, nn

from reid.backbones.layers import initialise


class InstanceBatchNorm(nn.Module):
    """Instance norm for the first half of the channels, batch norm for the second (Pan et al., arXiv:1807.09441)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.instance = nn.InstanceNorm2d(channels // 2, affine=True)
        self.batch = nn.BatchNorm2d(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same, channels even."""
        first, second = x.chunk(2, dim=1)
        return torch.cat((self.instance(first), self.batch(second)), dim=1)


class ResNet50(nn.Sequential):
    """torchvision's layers before the pooling, last stride 1: (n, 3, h, w) to (n, 2048, h / 16, w / 16).

    The last stride is 1 as in the bag of tricks (arXiv:1903.07071).

    Args:
        instance_norm: ResNet50-IBN-a: ``InstanceBatchNorm`` after the first convolution of every block of the first
            three stages.
        separable: "Resnet50-Xception" of the MSML paper (arXiv:1710.00478), which gives no table: every 3x3
            convolution becomes Xception's (Chollet, arXiv:1610.02357), a depthwise 3x3 and a 1x1 with nothing between.
    """

    out_channels = 2048

    def __init__(self, *, instance_norm: bool = False, separable: bool = False) -> None:
        network = torchvision.models.resnet50(weights=None)
        super().__init__(OrderedDict(list(network.named_children())[:-2]))  # all but avgpool and fc
        last = network.layer4[0]
        last.conv2.stride = last.downsample[0].stride = (1, 1)
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            for block in stage:
                if instance_norm and stage is not network.layer4:
                    block.bn1 = InstanceBatchNorm(block.bn1.num_features)
                if separable:
                    block.conv2 = _separable(block.conv2)


def _separable(conv: nn.Conv2d) -> nn.Sequential:
    channels, stride = conv.in_channels, conv.stride[0]
    made = nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, conv.out_channels, 1, bias=False),
    )
    initialise(made)
    return made
