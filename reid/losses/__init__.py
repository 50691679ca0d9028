"""Losses on a batch of P identities x K images.

A loss has the signature of ``Loss`` below; its keyword arguments, with the paper's values as defaults, are settable
from the command line (``--loss cls:1,trihard:1,margin=0.3``). To add one, write its module in this folder and a line
in ``LOSSES``: the command's choices and the contract tests iterate this dict.
"""

from typing import Protocol

from torch import Tensor

from reid.losses.classification import classification
from reid.losses.trihard import trihard


class Loss(Protocol):
    """One term of the training objective."""

    def __call__(self, features: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Value of the loss on one batch.

        Args:
            features: (n, d) before the BNNeck.
            logits: (n, C) class scores.
            labels: (n,) int64 identities in 0..C-1.

        Returns:
            A scalar; 0, not NaN, where the batch holds no valid pair.
        """
        ...


LOSSES: dict[str, Loss] = {
    "cls": classification,
    "trihard": trihard,
}
