"""Losses on a batch of P identities x K images, one family a file.

A loss is a function that returns a scalar. The names of its parameters without a default say what it looks at
(``INPUTS``); its parameters with a default are its options, the papers' values, settable from the command line
(``--loss cls:1,msml:1,margin=0.3``). A loss that learns something of its own (class centres, a metric) is an
``nn.Module`` class, built with ``(identities, dim, **options)``, whose ``forward`` takes inputs in the same way.

A batch without a valid pair gives 0 with zero gradient, not NaN. Half precisions are raised to float32.

To add one, write its module in this folder and a line in ``LOSSES``: the command's choices and the contract tests
iterate this dict.
"""

from collections.abc import Callable

from torch import Tensor, nn

from reid.losses.aligned import aligned
from reid.losses.angular import angular
from reid.losses.center import Center
from reid.losses.circle import circle
from reid.losses.classification import classification
from reid.losses.contrastive import contrastive
from reid.losses.darkrank import darkrank
from reid.losses.hap2s import hap2s
from reid.losses.lifted import lifted
from reid.losses.msml import msml
from reid.losses.mutual import mutual_kl, mutual_metric
from reid.losses.npair import npair
from reid.losses.pyramid import pyramid, pyramid_msml
from reid.losses.quadruplet import AdaptiveQuadruplet, quadruplet
from reid.losses.teacher import absolute_teacher, relative_teacher
from reid.losses.trihard import soft_trihard, trihard
from reid.losses.triplet import improved_triplet, triplet

INPUTS = {
    "features": "(n, d) float, what the backbone's head gives before the BNNeck",
    "embeddings": "(n, d) float, what comes after the BNNeck: the direction that a test compares",
    "logits": "(n, C) float, class scores",
    "labels": "(n,) int64 identities in 0..C-1",
    "local": "(n, s, c) float, one vector for each of s horizontal stripes, head first (AlignedReID)",
    "peer_logits": "list of M - 1 (n, C), the other networks' scores, detached (mutual learning)",
    "peer_features": "list of M - 1 (n, d), the other networks' features, detached (mutual learning)",
    "teacher_features": "(n, any) float, a trained teacher's vectors of the same images, constants (distillation)",
}

LOSSES: dict[str, Callable[..., Tensor] | type[nn.Module]] = {
    "cls": classification,
    "contrastive": contrastive,
    "triplet": triplet,
    "improved_triplet": improved_triplet,
    "trihard": trihard,
    "soft_trihard": soft_trihard,
    "quadruplet": quadruplet,
    "quadruplet_adaptive": AdaptiveQuadruplet,
    "msml": msml,
    "angular": angular,
    "pyramid": pyramid,
    "pyramid_msml": pyramid_msml,
    "hap2s": hap2s,
    "lifted": lifted,
    "npair": npair,
    "center": Center,
    "circle": circle,
    "aligned": aligned,
    "mutual_kl": mutual_kl,
    "mutual_metric": mutual_metric,
    "darkrank": darkrank,
    "absolute_teacher": absolute_teacher,
    "relative_teacher": relative_teacher,
}
