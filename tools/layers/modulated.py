"""Convolutions whose weights a style scales (Karras et al. 2020, "Analyzing and improving the image quality of
StyleGAN", section 2.2)."""

from __future__ import annotations

import math

from torch import Tensor

from tools.layers.ranks import CONVOLUTION, TRANSPOSED_CONVOLUTION

EPSILON = 1e-8


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Factors [B, O] that give the modulated weights of every output channel the length 1 (Eq. 3).

    1 / sqrt(sum over i, k of (s_i w_oik)^2 + 1e-8), without the weights of every sample being made.

    Args:
        weight: weights w, [O, I, k, k], or [O, I, k, k, k] of volumes.
        style: factors s of the channels in, [B, I].
    """
    return (style.square() @ weight.square().flatten(2).sum(dim=2).T + EPSILON).rsqrt()


def modulated_convolution(x: Tensor, weight: Tensor, style: Tensor, demodulate: bool = True, up: int = 1) -> Tensor:
    """Convolve each sample with weights that its style has scaled, as one convolution of all samples.

    To scale the weights of a channel in is to scale the channel, and to scale those of a channel out is to scale what
    comes out: so all samples share the weights.

    Args:
        x: features [B, I, H, W], or [B, I, D, H, W] of volumes.
        weight: weights [O, I, k, k], k odd; [O, I, k, k, k] for volumes.
        style: factors of the channels in, [B, I].
        demodulate: True if weights get the length 1, see ``demodulation``.
        up: 1; or 2 for a transposed convolution of stride 2 without padding: a true convolution with zeros between the
            pixels.

    Returns:
        Features [B, O, H, W], for ``up`` 2 [B, O, 2 H + k - 2, 2 W + k - 2]; volumes alike.
    """
    # what comes out of about unit size, for the sake of half precision; styles are fewer than weights
    scale = 1 / math.sqrt(weight[0].numel()) if demodulate else 1.0
    y = _convolution(x * _per_channel(style * scale, x), weight, up)
    return y * _per_channel(demodulation(weight, style) / scale, y) if demodulate else y


def explicit_convolution(
    x: Tensor, weight: Tensor, style: Tensor, demodulate: bool = True, up: int = 1, padding: int | None = None
) -> Tensor:
    """``modulated_convolution`` as the paper states it: the weights of every sample are made, and are its own.

    ``padding`` is that of the convolution if not k // 2.
    """
    batch, (out_channels, in_channels, *kernel) = len(x), weight.shape
    weights = weight * style.view(batch, 1, in_channels, *[1] * len(kernel))
    if demodulate:
        weights = weights * (weights.square().sum(dim=[*range(2, weights.ndim)], keepdim=True) + EPSILON).rsqrt()
    x = x.reshape(1, batch * in_channels, *x.shape[2:])
    y = _convolution(x, weights.reshape(batch * out_channels, in_channels, *kernel), up, batch, padding)
    return y.reshape(batch, out_channels, *y.shape[2:])


def _convolution(x: Tensor, weight: Tensor, up: int, groups: int = 1, padding: int | None = None) -> Tensor:
    if up == 1:
        return CONVOLUTION[x.ndim - 2](
            x, weight, padding=weight.shape[-1] // 2 if padding is None else padding, groups=groups
        )
    transposed = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return TRANSPOSED_CONVOLUTION[x.ndim - 2](x, transposed, stride=2, groups=groups)


def _per_channel(factors: Tensor, x: Tensor) -> Tensor:
    return factors.to(x.dtype).view(*factors.shape, *[1] * (x.ndim - 2))
