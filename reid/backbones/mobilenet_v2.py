"""MobileNetV2 (Sandler et al., CVPR 2018, arXiv:1801.04381): torchvision's, shaped for re-identification."""

import torchvision
from torch import Tensor, nn

LAST_STRIDE = 14  # index of the block that halves the map for the last time
BLOCKS = 18  # the stem and 17 blocks; the widening to 1280 channels, which serves a thousand classes, is left out


class MobileNetV2(nn.Module):
    """torchvision's feature layers, last stride 1: (n, 3, h, w) to (n, out_channels, h / 16, w / 16).

    The last stride is 1 as in the bag of tricks (arXiv:1903.07071). Names of weights are torchvision's, so that its
    files fit, however few blocks are kept.

    Args:
        blocks: how many of the stem and blocks to keep, first ones first: 18 end in 320 channels (1.8 million
            parameters), 12 in 96 (0.3 million).
    """

    def __init__(self, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None).features[:blocks]
        self.out_channels: int = self.features[-1].out_channels
        if blocks > LAST_STRIDE:
            self.features[LAST_STRIDE].conv[1][0].stride = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float, normalised, to (n, out_channels, h / 16, w / 16)."""
        features: Tensor = self.features(images)
        return features
