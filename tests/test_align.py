import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.align import local_distance, local_distance_pairs, shortest_path, stripe_distances
from tests.losses.worked import WORKED

ALIGNED = WORKED["aligned"]


def worked(key):
    return torch.tensor(ALIGNED[key], dtype=torch.float64)


def random(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def naive_path(costs):
    """Every cell's cheapest path, as the paper's recursion is written."""
    total = np.zeros_like(costs)
    for i, j in np.ndindex(costs.shape):
        before = [total[i - 1, j]] * (i > 0) + [total[i, j - 1]] * (j > 0)
        total[i, j] = costs[i, j] + (min(before) if before else 0)
    return total[-1, -1]


def naive_distance(f, g):
    return naive_path(np.tanh(np.linalg.norm(f[:, None] - g[None], axis=2) / 2))


def test_worked_values():
    f, g = worked("f"), worked("g")
    assert stripe_distances(f, g).numpy() == pytest.approx(worked("d").numpy(), rel=1e-9)
    assert float(shortest_path(worked("M"))) == pytest.approx(ALIGNED["M_total"], rel=1e-9)
    assert float(local_distance(f[None], g[None])) == pytest.approx(ALIGNED["total"], rel=1e-9)
    assert float(local_distance(f[None], g[None], unaligned=True)) == pytest.approx(ALIGNED["unaligned"], rel=1e-9)


def test_it_is_not_the_sum_of_the_first_column():
    """That is what the numpy path of the widespread reimplementation returns: 1.3133."""
    assert float(stripe_distances(worked("f"), worked("g"))[:, 0].sum()) == pytest.approx(1.3133037108764465)
    assert float(local_distance_pairs(worked("f"), worked("g"))) < 1.17


@settings(max_examples=60)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 10**6), st.booleans())
def test_path_agrees_with_the_recursion(s, t, seed, ties):
    costs = np.random.default_rng(seed).random((3, s, t))
    costs = costs.round(0) if ties else costs
    found = shortest_path(torch.tensor(costs)).numpy()
    assert found == pytest.approx([naive_path(one) for one in costs], rel=1e-9, abs=1e-12)


def test_all_against_all_agrees_with_loops_and_with_pairs():
    f, g = random(4, 5, 3), random(6, 5, 3, seed=1)
    distances = local_distance(f, g)
    assert distances.numpy() == pytest.approx(np.array([[naive_distance(a, b) for b in g.numpy()] for a in f.numpy()]))
    assert torch.allclose(local_distance_pairs(f, g[:4]), distances.diagonal())
    assert torch.allclose(local_distance_pairs(f[:1], g), distances[0])
    unaligned = local_distance(f, g, unaligned=True)
    assert torch.allclose(unaligned, stripe_distances(f[:, None], g[None]).diagonal(dim1=2, dim2=3).sum(2))
    assert torch.allclose(local_distance_pairs(f, g[:4], unaligned=True), unaligned.diagonal())


def test_bounds_and_symmetry():
    f = random(6, 8, 16) * 10
    distances = local_distance(f, f)
    assert torch.allclose(distances, distances.T)
    assert (distances >= 0).all()
    assert (distances <= 15).all()
    assert (distances.fill_diagonal_(1) > 0.5).all()


def test_a_shifted_person_is_nearer_aligned():
    """The same stripes one lower: all but the ends meet along the path, none at the same height."""
    person = random(8, 16) * 3
    shifted = person.roll(1, 0)
    stranger = random(8, 16, seed=1) * 3
    aligned = local_distance(person[None], torch.stack([shifted, stranger]))[0]
    unaligned = local_distance(person[None], torch.stack([shifted, stranger]), unaligned=True)[0]
    assert aligned[0] < 0.7 * aligned[1]
    assert unaligned[0] > 0.9 * unaligned[1]


def test_gradient():
    f, g = random(2, 4, 3).requires_grad_(), random(3, 4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(local_distance, (f, g))
    assert torch.autograd.gradcheck(lambda f, g: local_distance(f, g, unaligned=True), (f, g))
    assert torch.autograd.gradcheck(local_distance_pairs, (f, g[:2].detach().requires_grad_()))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_coinciding_stripes_have_a_finite_gradient(value):
    stripes = torch.full((3, 4, 5), value, requires_grad=True)
    local_distance(stripes, stripes.detach()).sum().backward()
    assert torch.isfinite(stripes.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_and_double_kept(dtype):
    stripes = random(3, 4, 5)
    assert local_distance(stripes.to(dtype), stripes.to(dtype)).dtype == torch.float32
    assert local_distance(stripes, stripes).dtype == torch.float64


def test_small_distances_survive_in_float32():
    stripes = 100 * random(2, 4, 64)
    moved = stripes + 1e-3 * random(2, 4, 64, seed=1)
    exact = local_distance_pairs(stripes, moved)
    assert torch.allclose(local_distance_pairs(stripes.float(), moved.float()).double(), exact, rtol=1e-2)
