"""How far a Gaussian is from the standard one."""

from __future__ import annotations

from torch import Tensor


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """1/2 (m^2 + s^2 - log s^2 - 1) of N(m, s^2) to N(0, 1), the mean over numbers of the latent and rows.

    Args:
        mean: means m, [B, L] or [B, L, (D,) H, W].
        log_variance: log s^2, likewise.
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).mean()
