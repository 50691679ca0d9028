"""Identity classification: softmax cross-entropy with label smoothing (Szegedy et al., arXiv:1512.00567)."""

from torch import Tensor
from torch.nn import functional

from reid.losses.pairs import vectors


def classification(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Mean cross-entropy with target (1 - e) one-hot + e / C, as BoT and torchreid smooth (not e / (C - 1)).

    Args:
        logits: (n, C).
        labels: (n,) int64.
        smoothing: e in [0, 1); 0 is the plain softmax loss.
    """
    return functional.cross_entropy(vectors(logits), labels, label_smoothing=smoothing)
