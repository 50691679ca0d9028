"""The absolute and the relative teacher against loops."""

import numpy as np
import pytest
import torch

from reid.errors import BadInputError
from reid.losses.teacher import absolute_teacher, relative_teacher


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def units(rows):
    return [row / np.linalg.norm(row) for row in rows.numpy()]


def test_absolute_against_a_loop():
    student, teacher = random(6, 4), random(6, 4, seed=1)
    expected = np.mean([2 - 2 * (a @ b) for a, b in zip(units(student), units(teacher), strict=True)])
    assert float(absolute_teacher(student, teacher)) == pytest.approx(expected, rel=1e-9)


def test_relative_against_a_loop_whatever_the_lengths():
    student, teacher = random(5, 4), random(5, 9, seed=1)
    gaps = [
        (np.linalg.norm(a - b) - np.linalg.norm(c - d)) ** 2
        for a, c in zip(units(student), units(teacher), strict=True)
        for b, d in zip(units(student), units(teacher), strict=True)
    ]
    assert float(relative_teacher(student, teacher)) == pytest.approx(np.mean(gaps), rel=1e-6)


@pytest.mark.parametrize("loss", [absolute_teacher, relative_teacher])
def test_nothing_to_learn_from_a_teacher_that_agrees(loss):
    student = random(6, 4).requires_grad_()
    value = loss(student, 3 * student.detach())
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert student.grad.abs().max() < 1e-9


def test_relative_does_not_mind_a_turned_space_and_absolute_does():
    student = random(6, 4)
    turned = student @ torch.linalg.qr(random(4, 4, seed=2))[0]
    assert float(relative_teacher(turned, student)) == pytest.approx(0, abs=1e-9)
    assert float(absolute_teacher(turned, student)) > 0.1


@pytest.mark.parametrize("loss", [absolute_teacher, relative_teacher])
def test_gradient_is_that_of_finite_differences_and_the_teacher_stays(loss):
    student, teacher = random(5, 4).requires_grad_(), random(5, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: loss(given, teacher), (student,))
    loss(student, teacher).backward()
    assert teacher.grad is None


def test_vectors_of_other_lengths_have_no_absolute_distance():
    with pytest.raises(BadInputError, match=r"student's vectors have 4 dimensions and the teacher's 9; give .* --dim"):
        absolute_teacher(random(3, 4), random(3, 9))
