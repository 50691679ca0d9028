from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.errors import BadInputError
from reid.losses.darkrank import darkrank, list_mle, list_net
from tests.losses.worked import WORKED

forms = pytest.mark.parametrize("form", ["soft", "hard"])


def random(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def log_probability(scores):
    return sum(score - np.log(sum(np.exp(scores[i:]))) for i, score in enumerate(scores))


def naive_query(student, teacher, query, form, alpha, beta, length):
    by_teacher = np.linalg.norm(teacher - teacher[query], axis=1)
    others = [i for i in np.argsort(by_teacher, kind="stable") if i != query][:length]
    theirs = -alpha * by_teacher[others] ** beta
    own = -alpha * np.linalg.norm(student[others] - student[query], axis=1) ** beta
    if form == "hard":
        return -log_probability(own)
    orders = [list(order) for order in permutations(range(len(others)))]
    pairs = [(log_probability(theirs[order]), log_probability(own[order])) for order in orders]
    return sum(np.exp(t) * (t - s) for t, s in pairs)


def naive(student, teacher, form, alpha, beta, length, half):
    queries = range(len(student) // 2 if half else len(student))
    return np.mean([naive_query(student, teacher, query, form, alpha, beta, length) for query in queries])


def worked_scores():
    return (torch.tensor([WORKED["darkrank"][key]], dtype=torch.float64) for key in ("s_scores", "t_scores"))


def test_worked_lists():
    student, teacher = worked_scores()
    assert float(list_mle(student, teacher)) == pytest.approx(WORKED["darkrank"]["listmle"], rel=1e-9)
    assert float(list_net(student, teacher)) == pytest.approx(WORKED["darkrank"]["listnet_kl"], rel=1e-9)


@pytest.mark.parametrize(("form", "key"), [("hard", "listmle"), ("soft", "listnet_kl")])
def test_the_loops_agree_with_the_worked_query(form, key):
    student, teacher = (np.array(WORKED["darkrank"][one]) for one in ("student", "teacher"))
    assert naive_query(student, teacher, 0, form, 3, 3, 3) == pytest.approx(WORKED["darkrank"][key], rel=1e-9)


@settings(max_examples=40)
@given(
    st.integers(3, 8),
    st.integers(0, 10**6),
    st.sampled_from(["soft", "hard"]),
    st.integers(2, 5),
    st.booleans(),
    st.sampled_from([(3.0, 3.0), (12.25, 4.0), (1.0, 1.0)]),
)
def test_agrees_with_loops(n, seed, form, length, half, shape):
    rng = np.random.default_rng(seed)
    student, teacher = rng.normal(size=(n, 4)) / 3, rng.normal(size=(n, 6)) / 3
    value = darkrank(torch.tensor(student), torch.tensor(teacher), form, *shape, length, half, normalize=False)
    assert float(value) == pytest.approx(naive(student, teacher, form, *shape, length, half), rel=1e-6, abs=1e-9)


@forms
def test_normalize_compares_unit_vectors(form):
    student, teacher = random(8, 4), random(8, 6, seed=1)
    unit = [torch.nn.functional.normalize(one) for one in (student, teacher)]
    expected = float(darkrank(*unit, form, normalize=False))
    assert float(darkrank(student, teacher, form)) == pytest.approx(expected, rel=1e-9)
    assert float(darkrank(5 * student, 7 * teacher, form)) == pytest.approx(expected, rel=1e-9)


def test_a_student_equal_to_its_teacher_costs_nothing_softly():
    student = random(8, 4).requires_grad_()
    value = darkrank(student, student.detach())
    value.backward()
    assert abs(float(value.detach())) < 1e-12
    assert student.grad.abs().max() < 1e-9


def test_the_hard_form_wants_the_teachers_order():
    """Against the query in row 0 the teacher puts row 1 before row 2."""
    teacher = torch.tensor([[0.0, 0], [0.5, 0], [0, 1]])
    agrees, disagrees = torch.tensor([[0.0, 0], [0.3, 0], [0, 2]]), torch.tensor([[0.0, 0], [2, 0], [0, 0.3]])
    low, high = (float(darkrank(one, teacher, "hard", half=True, normalize=False)) for one in (agrees, disagrees))
    assert low < 0.01
    assert high > 10


@forms
def test_gradient_of_the_student_alone(form):
    student, teacher = random(6, 3).requires_grad_(), random(6, 5, seed=1)
    assert torch.autograd.gradcheck(lambda f: darkrank(f, teacher, form), (student,))
    teacher.requires_grad_()
    darkrank(student, teacher, form).backward()
    assert teacher.grad is None
    assert (student.grad * student.detach()).sum(1).abs().max() < 1e-9  # unit vectors
    (raw,) = torch.autograd.grad(darkrank(student, teacher, form, normalize=False), student)
    assert raw.sum(0).abs().max() < 1e-9  # distances


@forms
def test_the_order_of_the_batch_does_not_matter(form):
    student, teacher = random(8, 4), random(8, 6, seed=1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert float(darkrank(student[order], teacher[order], form)) == pytest.approx(
        float(darkrank(student, teacher, form)), rel=1e-9
    )


@forms
@pytest.mark.parametrize("n", [1, 2])
def test_no_list_of_two_is_zero(form, n):
    student = torch.ones(n, 4, requires_grad=True)
    value = darkrank(student, torch.ones(n, 4), form)
    value.backward()
    assert value == 0
    assert (student.grad == 0).all()


@pytest.mark.parametrize(("form", "length"), [("soft", 1), ("soft", 7), ("hard", 1)])
def test_a_length_out_of_range_is_refused(form, length):
    with pytest.raises(BadInputError, match=f"length is {length}"):
        darkrank(random(8, 4), random(8, 4), form, length=length)


def test_the_hard_form_takes_the_whole_batch():
    student, teacher = random(12, 4), random(12, 4, seed=1)
    value = darkrank(student, teacher, "hard", length=99, normalize=False)
    expected = naive(student.numpy(), teacher.numpy(), "hard", 3, 3, 99, half=False)
    assert float(value) == pytest.approx(expected, rel=1e-6)


@forms
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_value_and_gradient_are_finite(form, dtype, scale):
    student = (scale * random(12, 8)).to(dtype).requires_grad_()
    value = darkrank(student, random(12, 4, seed=1).to(dtype), form)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()
