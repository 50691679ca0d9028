"""Identity classification: softmax cross-entropy with label smoothing (Szegedy et al., arXiv:1512.00567)."""

from torch import Tensor
from torch.nn import functional


def classification(features: Tensor, logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Mean cross-entropy with target (1 - e) one-hot + e / C, as BoT and torchreid smooth (not e / (C - 1)).

    Args:
        features: unused; losses share one signature.
        logits: (n, C).
        labels: (n,) int64.
        smoothing: e in [0, 1).
    """
    return functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
