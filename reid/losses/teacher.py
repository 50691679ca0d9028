"""A small network learns a larger one's embedding: absolute and relative teachers (after Yu et al., CVPR 2019,
arXiv:1904.03624), here with squared differences, which are smooth where student and teacher agree.
"""

from torch import Tensor
from torch.nn import functional

from reid.distance import pairwise_distance
from reid.errors import BadInputError
from reid.losses.pairs import vectors


def absolute_teacher(embeddings: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean over images of the squared distance between the student's unit vector and the teacher's: 2 - 2 cosine.

    Args:
        embeddings: (n, d).
        teacher_features: (n, d) of the same images, constants here.

    Raises:
        BadInputError: student and teacher have vectors of different lengths.
    """
    if embeddings.shape[1] != teacher_features.shape[1]:
        raise BadInputError(
            f"absolute_teacher: the student's vectors have {embeddings.shape[1]} dimensions and the teacher's"
            f" {teacher_features.shape[1]}; give the teacher's number as --dim, or use relative_teacher"
        )
    student, teacher = vectors(embeddings, normalize=True), vectors(teacher_features, normalize=True).detach()
    return (student - teacher).square().sum(1).mean()


def relative_teacher(embeddings: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean over the batch's n^2 pairs of the squared difference between the student's distance and the teacher's.

    Args:
        embeddings: (n, d).
        teacher_features: (n, any) of the same images, constants here.
    """
    student, teacher = (
        pairwise_distance(vectors(given, normalize=True)) for given in (embeddings, teacher_features.detach())
    )
    return functional.mse_loss(student, teacher)
