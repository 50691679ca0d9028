"""DarkRank: a student ranks the batch as its teacher does (Chen et al., arXiv:1707.01220).

A list of images in order pi has probability P(pi) = prod_i exp(s_pi(i)) / sum_{k >= i} exp(s_pi(k)), s being the
images' scores against a query.
"""

from itertools import permutations
from typing import Literal

import torch
from torch import Tensor

from reid.distance import pairwise_distance
from reid.errors import BadInputError
from reid.losses.pairs import nothing, vectors

LONGEST = 6  # images in a list of which all orders are compared: 720


def darkrank(
    features: Tensor,
    teacher_features: Tensor,
    form: Literal["soft", "hard"] = "soft",
    alpha: float = 3.0,
    beta: float = 3.0,
    length: int = 4,
    half: bool = False,
    normalize: bool = True,
) -> Tensor:
    """Mean over queries of how unlike the teacher the student ranks the teacher's nearest images to the query.

    A query's list is its ``length`` nearest others in the batch by the teacher, at equal distance the earlier one in
    the batch; labels play no part. An image scores -alpha distance^beta against the query.

    - ``soft``: KL divergence of the student's distribution over all orders of the list from the teacher's (ListNet).
    - ``hard``: negative log probability of the teacher's order under the student's scores (ListMLE).

    Args:
        features: (n, d).
        teacher_features: (n, any), constants here.
        form: which of the two.
        alpha, beta: of the score. The authors' code has 3.5^2 and 4 on unit vectors.
        length: images a list, at least 2; all n - 1 others where there are fewer. At most 6 in ``soft``, which takes
            n length! terms; ``hard`` takes any, the authors' code the whole batch.
        half: only the first half of the batch as queries, as in the authors' code, whose batches have pairs there and
            strangers behind. By default every image is one: in a P x K batch each has positives.
        normalize: measure distances between unit vectors, as the authors do.

    Raises:
        BadInputError: a length out of range.
    """
    if length < 2 or (form == "soft" and length > LONGEST):
        raise BadInputError(f"DarkRank's length is {length}; take 2..{LONGEST}, or form=hard for longer lists")
    if len(features) < 3:  # one image is in one order
        return nothing(features)
    student = pairwise_distance(vectors(features, normalize))
    teacher = pairwise_distance(vectors(teacher_features, normalize)).detach()
    self_pairs = torch.eye(len(teacher), dtype=torch.bool, device=teacher.device)
    nearest = teacher.masked_fill(self_pairs, torch.inf).argsort(dim=1, stable=True)[:, : min(length, len(teacher) - 1)]
    if half:
        nearest = nearest[: len(nearest) // 2]
    scores = (-alpha * distances[: len(nearest)].gather(1, nearest) ** beta for distances in (student, teacher))
    return (list_net if form == "soft" else list_mle)(*scores)


def list_net(student_scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """Mean over lists of KL(teacher || student) over the L! orders of a list.

    Args:
        student_scores, teacher_scores: (q, L); memory grows with q L L!.
    """
    length = student_scores.shape[1]
    orders = torch.tensor(list(permutations(range(length))), device=student_scores.device)
    student = _log_probability(student_scores[:, orders])
    teacher = _log_probability(teacher_scores[:, orders])
    return (teacher.exp() * (teacher - student)).sum(1).mean()


def list_mle(student_scores: Tensor, teacher_scores: Tensor) -> Tensor:
    """Mean over lists of -log P of the teacher's order, best first, under the student's scores.

    Args:
        student_scores, teacher_scores: (q, L).
    """
    order = teacher_scores.argsort(dim=1, descending=True, stable=True)
    return -_log_probability(student_scores.gather(1, order)).mean()


def _log_probability(ordered: Tensor) -> Tensor:
    """(..., L) scores in order -> (...) log probability of that order."""
    return (ordered - ordered.flip(-1).logcumsumexp(-1).flip(-1)).sum(-1)
