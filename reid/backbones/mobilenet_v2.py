"""MobileNetV2 (Sandler et al., CVPR 2018, arXiv:1801.04381): torchvision's, shaped for re-identification."""

import torchvision
from torch import Tensor, nn

LAST_STRIDE = 14  # index of the block that halves the map for the last time


class MobileNetV2(nn.Module):
    """torchvision's feature layers up to 320 channels, last stride 1: (n, 3, h, w) to (n, 320, h / 16, w / 16).

    The last stride is 1 as in the bag of tricks (arXiv:1903.07071). The widening to 1280 channels, which serves a
    thousand classes, is left out.
    """

    out_channels = 320

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None).features[:-1]
        self.features[LAST_STRIDE].conv[1][0].stride = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float, normalised, to (n, 320, h / 16, w / 16)."""
        features: Tensor = self.features(images)
        return features
