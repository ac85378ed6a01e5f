"""The layers of StyleGAN2's generators of images and of volumes: convolutions whose weights a style scales."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.equalised import HE, SLOPE, EqualisedLinear
from tools.layers.filters import BINOMIAL, Filter, resample
from tools.layers.modulated import explicit_convolution, modulated_convolution


class StyledConv(nn.Module):
    """A convolution of side 3 whose weights a style scales and which gives them the length 1; noise; bias; leaky ReLU.

    To double an image, zeros are inserted between its pixels, which are filtered, and then convolved. ``fused`` puts
    the convolution first, where there are fewer pixels, and modulates features instead of weights: the same function.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        style_dim: size of w.
        shape: rows and columns of what comes out; slices, rows and columns of a volume.
        up: 1, or 2 to double the image.
        taps: taps of the filter along an axis.
        gain: factor of what comes out.

    Attributes:
        noise: noise of the shape for images without noise of their own, a buffer.
    """

    fused = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        style_dim: int,
        shape: Sequence[int],
        up: int = 1,
        taps: Sequence[float] = BINOMIAL,
        gain: float = HE,
    ) -> None:
        super().__init__()
        self.up = up
        self.gain = gain
        self.shape = tuple(shape)
        self.style = EqualisedLinear(style_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, *[3] * len(self.shape)))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise", torch.randn(self.shape))
        self.filter = Filter(taps) if up == 2 else None

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """
        Args:
            x: features [B, in_channels, ...] of the shape, or with ``up`` 2 of half of it.
            w: styles [B, style_dim].
            noise: standard normal numbers [B, 1, ...] of the shape; None for the same in every image.

        Returns:
            Features [B, out_channels, ...] of the shape.
        """
        y = self.convolved(x, self.style(w))
        noise = (self.noise if noise is None else noise) * self.noise_strength
        # a gain after a leaky ReLU is the same before it
        y = (y + (noise.to(y.dtype) + self.bias.to(y.dtype).view(-1, *[1] * len(self.shape)))) * self.gain
        y = F.leaky_relu(y, SLOPE)
        return y.clamp(-256, 256) if y.dtype == torch.float16 else y

    def convolved(self, x: Tensor, style: Tensor) -> Tensor:
        """Features [B, out_channels, ...] before noise, by factors of the channels in [B, in_channels]."""
        convolve = modulated_convolution if self.fused else explicit_convolution
        if self.up == 1:
            return convolve(x, self.weight, style)
        gain, before, after = 2 ** len(self.shape), self.filter.size // 2 - 1, (self.filter.size - 1) // 2
        if self.fused:
            return self.filter.blurred(convolve(x, self.weight, style, up=2), before, after, gain=gain)
        wide = resample(x, self.filter.taps, up=2, padding=(before + 2, after + 1), gain=gain)
        return explicit_convolution(wide, self.weight.flip(*range(2, self.weight.ndim)), style, padding=0)


class ToImage(nn.Module):
    """A convolution of side 1 whose weights a style scales, without demodulation: features to an image's channels.

    Args:
        in_channels: channels in.
        out_channels: channels of the image.
        style_dim: size of w.
        spatial_dims: 2 for images, 3 for volumes.
    """

    fused = True

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, spatial_dims: int = 2) -> None:
        super().__init__()
        self.style = EqualisedLinear(style_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, *[1] * spatial_dims))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Features [B, in_channels, H, W] and styles [B, style_dim] -> [B, out_channels, H, W]; volumes alike."""
        convolve = modulated_convolution if self.fused else explicit_convolution
        y = convolve(x, self.weight, self.style(w) * self.scale, demodulate=False)
        return y + self.bias.to(y.dtype).view(-1, *[1] * (y.ndim - 2))
