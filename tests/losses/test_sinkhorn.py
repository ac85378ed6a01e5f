"""Sinkhorn's cost against the loops of its definition, and against the exact optimal transport of SciPy."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog

from tools.losses.sinkhorn import sinkhorn_cost, transport_plan


def points(number, dimensions=2, seed=0):
    return torch.randn(number, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(x, y, epsilon, iterations):
    """Cuturi's iterations of scalings u and v of the kernel exp(-C / epsilon), without logarithms."""
    cost = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in y.tolist()] for p in x.tolist()]
    kernel = [[math.exp(-c / epsilon) for c in row] for row in cost]
    n, m = len(kernel), len(kernel[0])
    u = [1.0] * n
    for _ in range(iterations):
        v = [1 / m / sum(kernel[i][j] * u[i] for i in range(n)) for j in range(m)]
        u = [1 / n / sum(kernel[i][j] * v[j] for j in range(m)) for i in range(n)]
    return sum(u[i] * kernel[i][j] * v[j] * cost[i][j] for i, j in itertools.product(range(n), range(m)))


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 7)])
@pytest.mark.parametrize("iterations", [1, 30])
def test_iterations_are_those_of_the_definition(n, m, iterations):
    x, y = points(n), points(m, seed=1)
    assert sinkhorn_cost(x, y, 0.5, iterations).item() == pytest.approx(by_loops(x, y, 0.5, iterations), rel=1e-5)


def test_cost_tends_to_the_optimal_assignment():
    """From above, as the entropy's share goes to 0."""
    x, y = points(8), points(8, seed=1)
    cost = (x[:, None] - y).square().sum(2).numpy()
    exact = cost[linear_sum_assignment(cost)].mean()
    found = [sinkhorn_cost(x, y, epsilon, 500).item() for epsilon in (1.0, 0.1, 0.01)]
    assert found == sorted(found, reverse=True)
    assert 0.999 * exact < found[-1] < 1.02 * exact
    assert all(value - exact < epsilon * math.log(8) for value, epsilon in zip(found, (1.0, 0.1, 0.01), strict=True))


def test_sets_of_different_numbers_against_linear_programming():
    x, y = points(4), points(6, seed=1)
    cost = (x[:, None] - y).square().sum(2).numpy()
    rows = np.kron(np.eye(4), np.ones(6))
    columns = np.kron(np.ones(4), np.eye(6))
    exact = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=[1 / 4] * 4 + [1 / 6] * 6).fun
    assert 0.999 * exact < sinkhorn_cost(x, y, 0.01, 500).item() < 1.02 * exact  # columns have converged so far


def test_a_plan_has_the_weights_of_its_points():
    plan = transport_plan((points(4)[:, None] - points(6, seed=1)).square().sum(2), 0.3, 200)
    torch.testing.assert_close(plan.sum(1), torch.full((4,), 1 / 4, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0), torch.full((6,), 1 / 6, dtype=torch.float64))


def test_a_set_costs_itself_the_bias_of_the_entropy_alone():
    x = points(10)
    assert 0 <= sinkhorn_cost(x, x, 0.01, 500).item() < 0.01 * math.log(10)


def test_gradient_is_that_of_the_regularised_problem():
    """By finite differences of cost minus epsilon times the entropy, whose minimum over plans it is."""
    x, y, epsilon = points(3).requires_grad_(), points(4, seed=1), 0.5

    def minimum(x):
        cost = (x[:, None] - y).square().sum(2)
        plan = transport_plan(cost, epsilon, 200)
        return (plan * cost).sum() + epsilon * (plan * plan.log()).sum()

    sinkhorn_cost(x, y, epsilon, 200).backward()
    for place in itertools.product(range(3), range(2)):
        step = torch.zeros(3, 2, dtype=torch.float64)
        step[place] = 1e-4
        slope = (minimum(x.detach() + step) - minimum(x.detach() - step)).item() / 2e-4
        assert x.grad[place].item() == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_a_small_epsilon_does_not_underflow():
    far = points(3) + 100
    assert torch.isfinite(sinkhorn_cost(points(3), far, 1e-3, 50))
