"""Octave bands of an image, each with a gain.

Karras et al. 2020, "Training generative adversarial networks with limited data", appendix B.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tools.layers.filters import mirrored

HALF_BAND = (-1 / 32, 0.0, 9 / 32, 1 / 2, 9 / 32, 0.0, -1 / 32)
"""P, half the autocorrelation of the sym2 wavelet's low-pass filter: P(f) + P(f + 1/2) = 1."""

NUMBER = 4
"""Bands: frequencies up to 1/8 of the greatest, to 1/4, to 1/2, and all above."""

POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Share of each band in the power of a natural image, which falls as 1 / f^2."""


def band_filters() -> Tensor:
    """Taps of the bands along an axis, [4, 43], from the lowest on; their sum is 1 in the middle and 0 elsewhere.

    With P_k the product of P(z), P(z^2), ..., P(z^2^(k - 1)), bands are P_3, P_2 - P_3, P_1 - P_2 and 1 - P_1.
    """
    size = (len(HALF_BAND) - 1) * (2 ** (NUMBER - 1) - 1) + 1
    one = torch.zeros(size, dtype=torch.float64)
    one[size // 2] = 1
    passed = [one]
    for level in range(NUMBER - 1):
        spread = torch.zeros((len(HALF_BAND) - 1) * 2**level + 1, dtype=torch.float64)
        spread[:: 2**level] = torch.tensor(HALF_BAND, dtype=torch.float64)
        last = passed[-1][None, None]
        passed.append(torch.nn.functional.conv1d(last, spread[None, None], padding=len(spread) // 2)[0, 0])
    return torch.stack([passed[-1], *(passed[k] - passed[k + 1] for k in reversed(range(NUMBER - 1)))])


def balanced(factors: Tensor) -> Tensor:
    """Gains [..., 4] that factors [..., 4] of the bands make, one after the other, each with the power restored.

    The i-th step multiplies the i-th gain by t and divides all by the root of the power that this gives to an image
    whose bands have the shares in ``POWER``.
    """
    power = torch.tensor(POWER, dtype=factors.dtype, device=factors.device)
    roots = (1 + power * (factors.square() - 1)).sqrt()
    return factors / roots.prod(-1, keepdim=True)


def with_gains(x: Tensor, gains: Tensor, filters: Tensor) -> Tensor:
    """Images [B, C, S, S] whose bands are multiplied by gains [B, C, 4], along both axes; mirrored at the border."""
    side, reach = x.shape[-1], filters.shape[-1] // 2
    taps = gains.to(x) @ filters.to(x)
    place = torch.arange(side, device=x.device)
    matrix = x.new_zeros(*taps.shape[:2], side, side)  # of a filter along an axis, mirrored at its ends
    for offset in range(-reach, reach + 1):
        taken = mirrored(place + offset, side).expand(*taps.shape[:2], side)[..., None]
        matrix.scatter_add_(3, taken, taps[:, :, offset + reach, None, None].expand_as(taken))
    return matrix @ x @ matrix.mT
