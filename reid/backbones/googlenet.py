"""GoogLeNet (Szegedy et al., arXiv:1409.4842) with batch normalisation: torchvision's, shaped for re-identification."""

from collections import OrderedDict

import torchvision
from torch import nn


class GoogLeNet(nn.Sequential):
    """torchvision's layers before the pooling, last stride 1: (n, 3, h, w) to (n, 1024, h / 16, w / 16).

    The last max pooling becomes 3x3 with stride 1, the paper's window; torchvision's 2x2 has no centre. torchvision's
    ``transform_input``, a change of scale and offset, is left out: the batch normalisation after the first convolution
    follows it within a few batches of training.

    Names of weights are torchvision's, so that its files fit.
    """

    out_channels = 1024

    def __init__(self) -> None:
        network = torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=True)
        network.maxpool4 = nn.MaxPool2d(3, 1, padding=1)
        super().__init__(OrderedDict(list(network.named_children())[:-3]))  # all but avgpool, dropout and fc
