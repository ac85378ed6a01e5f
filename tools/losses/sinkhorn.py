"""Optimal transport between two sets of points with entropic regularisation (Cuturi 2013)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinkhorn_cost(x: Tensor, y: Tensor, epsilon: float = 0.1, iterations: int = 100) -> Tensor:
    """Cost sum P_ij |x_i - y_j|^2 of the plan P that Sinkhorn's iterations find, each point with the same weight.

    P minimises that cost minus epsilon times its entropy, so the cost is above the optimal transport's, and of a set to
    itself above 0, by up to epsilon log n. The gradient is that at the plan, which by the envelope theorem is the
    gradient of the regularised problem once the iterations have converged; they themselves are not differentiated.

    Args:
        x: points [n, dimensions].
        y: points [m, dimensions].
        epsilon: regularisation, in the unit of the cost.
        iterations: pairs of scalings, of columns and rows.

    Returns:
        The cost, a scalar.
    """
    x, y = (points.to(torch.promote_types(points.dtype, torch.float32)) for points in (x, y))
    cost = (x.unsqueeze(1) - y.unsqueeze(0)).square().sum(2)
    return (transport_plan(cost.detach(), epsilon, iterations) * cost).sum()


@torch.no_grad()
def transport_plan(cost: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The plan P [n, m] for costs [n, m], whose rows sum to 1/n and, once converged, its columns to 1/m.

    Computed with logarithms, so that a small epsilon does not underflow.
    """
    n, m = cost.shape
    kernel = -cost / epsilon
    rows, columns = cost.new_zeros(n), cost.new_zeros(m)
    for _ in range(iterations):
        columns = -math.log(m) - torch.logsumexp(kernel + rows.unsqueeze(1), dim=0)
        rows = -math.log(n) - torch.logsumexp(kernel + columns, dim=1)
    return (kernel + rows.unsqueeze(1) + columns).exp()
