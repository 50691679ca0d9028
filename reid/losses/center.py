"""Center loss (Wen et al., ECCV 2016), scaled as the bag of tricks does (Luo et al., arXiv:1903.07071)."""

import torch
from torch import Tensor, nn

from reid.losses.pairs import vectors


class Center(nn.Module):
    """Squared distance of features to the learned centre of their identity; the bag of tricks weighs it 5e-4.

    The centres are a buffer that follows the features by Wen's equation 4 each time ``forward`` runs in training
    mode, and not a parameter. A parameter's gradient would carry the term's weight in the objective: at 5e-4 an
    optimizer leaves centres all but where they started, and features are pulled to random points. The bag of tricks
    divides that gradient by the weight again and keeps a second optimizer for it. A buffer's rate is ``alpha``
    whatever the weight, and no optimizer's weight decay reaches it.

    Attributes:
        centers: (identities, dim) float32, from a standard normal distribution as in the bag of tricks.

    Args:
        identities: number of identities; labels are in 0..identities-1.
        dim: length of the features.
        half_sum: half the sum over the batch, as Wen et al., in place of the mean.
        alpha: how far a centre moves to the mean of its images in the batch, 0..1; k images move it by
            alpha k / (k + 1) of the way.
    """

    centers: Tensor

    def __init__(self, identities: int, dim: int, half_sum: bool = False, alpha: float = 0.5):
        super().__init__()
        self.half_sum = half_sum
        self.alpha = alpha
        self.register_buffer("centers", torch.randn(identities, dim))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss against the centres as they were before this batch, which then move in training mode.

        Args:
            features: (n, dim).
            labels: (n,) int64.
        """
        features = vectors(features)
        offsets = features - self.centers.to(features.dtype)[labels]
        if self.training:
            self._follow(offsets.detach(), labels)
        squares = offsets.square().sum(1)
        return squares.sum() / 2 if self.half_sum else squares.mean()

    def _follow(self, offsets: Tensor, labels: Tensor) -> None:
        sums = torch.zeros_like(self.centers).index_add_(0, labels, offsets.to(self.centers.dtype))
        counts = labels.bincount(minlength=len(self.centers))
        self.centers += self.alpha * sums / (1 + counts)[:, None]
