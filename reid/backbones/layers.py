"""What several backbones are built of."""

from torch import nn


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Convolution and batch normalisation, with ReLU unless told otherwise; odd kernels keep height and width."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def initialise(network: nn.Module) -> None:
    """Draw every convolution's weights by He et al. (arXiv:1502.01852), fan out, as torchvision's ResNet does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
