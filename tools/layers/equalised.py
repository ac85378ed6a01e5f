"""Layers whose learning rate is equalised (Karras et al. 2018, "Progressive growing of GANs", section 4.1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from tools.layers.growing import doubled, halved
from tools.layers.ranks import CONVOLUTION, TRANSPOSED_CONVOLUTION, check_spatial_dims
from tools.layers.upsample import smeared

HE = math.sqrt(2)
"""He's gain for rectifiers, as Karras et al. take it for leaky ones too."""

SLOPE = 0.2
"""Of every leaky ReLU of these families."""


class EqualisedLinear(nn.Module):
    """A fully connected layer, scaled at run time: y = x (gain m / sqrt(fan in) W)^T + bias_gain m b.

    W is drawn from N(0, 1) / m, with m the multiplier of the learning rate, so that Adam moves every weight by the
    same share of its range. A gain after a leaky ReLU is the same as one of weight and bias before it, which is where
    it costs nothing: that is ``bias_gain``.

    Args:
        in_features: number of features in.
        out_features: number of features out.
        gain: factor of the product.
        bias: first value of the bias; None for no bias.
        bias_gain: factor of the bias.
        lr_multiplier: m.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        gain: float = 1.0,
        bias: float | None = 0.0,
        bias_gain: float = 1.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = None if bias is None else nn.Parameter(torch.full((out_features,), bias / lr_multiplier))
        self.scale = gain * lr_multiplier / math.sqrt(in_features)
        self.bias_scale = bias_gain * lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_features] -> [B, out_features]."""
        bias = None if self.bias is None else self.bias * self.bias_scale
        return F.linear(x, self.weight * self.scale, bias)


class EqualisedConv(nn.Module):
    """A convolution without stride that keeps the size, scaled at run time as `EqualisedLinear`.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: side of the kernel, odd.
        gain: factor of the product.
        bias: True for a bias, which begins at 0.
        bias_gain: factor of the bias.
        spatial_dims: 2 for images, 3 for volumes.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        gain: float = 1.0,
        bias: bool = True,
        bias_gain: float = 1.0,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims = check_spatial_dims(spatial_dims)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, *[kernel_size] * spatial_dims))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.scale = gain / math.sqrt(in_channels * kernel_size**spatial_dims)
        self.bias_scale = bias_gain
        self.padding = kernel_size // 2

    def scaled(self) -> tuple[Tensor, Tensor | None]:
        """Weight [out, in, k, k], or [out, in, k, k, k], and bias [out], or None, as they act."""
        return self.weight * self.scale, None if self.bias is None else self.bias * self.bias_scale

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H, W]; volumes [B, in_channels, D, H, W] alike."""
        weight, bias = self.scaled()
        return CONVOLUTION[self.spatial_dims](x, weight, bias, padding=self.padding)


class PointConv(EqualisedConv):
    """A convolution of side 1: each pixel by itself.

    Of volumes it is one product of matrices, voxels times channels, whose result lies channels last in memory, as the
    layers around it have their volumes in the fast way; torch's convolution of one channel leaves that layout.
    ``fused`` False convolves.
    """

    fused = True

    def __init__(self, in_channels: int, out_channels: int, gain: float = 1.0, spatial_dims: int = 2) -> None:
        super().__init__(in_channels, out_channels, 1, gain, spatial_dims=spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H, W]; volumes alike."""
        if not self.fused or self.spatial_dims == 2:
            return super().forward(x)
        weight, bias = self.scaled()
        return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)


class DoublingConv(EqualisedConv):
    """A convolution of side 3 after an image was doubled by nearest neighbour.

    On doubled pixels neighbouring taps meet the same value: summed, they are one transposed convolution of side 4 with
    stride 2, the same image from 2.25 times fewer multiplications, of volumes 3.4 times, without the doubled map.
    ``fused`` False makes it.
    """

    fused = True

    def __init__(
        self, in_channels: int, out_channels: int, gain: float = 1.0, bias: bool = True, spatial_dims: int = 2
    ) -> None:
        super().__init__(in_channels, out_channels, 3, gain, bias, spatial_dims=spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, 2 H, 2 W]; volumes alike."""
        weight, bias = self.scaled()
        if not self.fused:
            return CONVOLUTION[self.spatial_dims](doubled(x), weight, bias, padding=1)
        kernel = smeared(weight).flip(*range(2, weight.ndim)).transpose(0, 1)
        return TRANSPOSED_CONVOLUTION[self.spatial_dims](x, kernel, bias, stride=2, padding=1)


class HalvingConv(EqualisedConv):
    """A convolution of side 3 before an image is halved by the mean of 2x2 pixels; the bias is added after that.

    Both are one convolution of side 4 with stride 2, of 2.25 times fewer multiplications, for volumes, which are halved
    by the mean of 8 voxels, 3.4 times. ``fused`` False takes two.
    """

    fused = True

    def __init__(
        self, in_channels: int, out_channels: int, gain: float = 1.0, bias: bool = True, spatial_dims: int = 2
    ) -> None:
        super().__init__(in_channels, out_channels, 3, gain, bias, spatial_dims=spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, 2 H, 2 W] -> [B, out_channels, H, W]; volumes alike."""
        weight, bias = self.scaled()
        convolution = CONVOLUTION[self.spatial_dims]
        if self.fused:
            return convolution(x, smeared(weight) / 2**self.spatial_dims, bias, stride=2, padding=1)
        x = halved(convolution(x, weight, padding=1))
        return x if bias is None else x + bias.view(-1, *[1] * self.spatial_dims)


def pixel_norm(x: Tensor, epsilon: float = 1e-8) -> Tensor:
    """x / sqrt(mean of x^2 over features + epsilon), for [B, features, ...] (Karras et al. 2018, section 4.2)."""
    return x * (x.square().mean(dim=1, keepdim=True) + epsilon).rsqrt()


class PixelNorm(nn.Module):
    """`pixel_norm` as a layer, whose gradient is written down: y = x / r has dx = (dy - y mean(y dy)) / r.

    That goes over a map less often than the formula's own derivative does, and than that of torch's ``rms_norm``, which
    is the same function. It has no second derivative. ``fused`` False takes the formula.

    Args:
        epsilon: added to the mean of squares.
    """

    fused = True

    def __init__(self, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """[B, features, ...] -> the same, of length sqrt(features) in each pixel."""
        if self.fused and x.requires_grad:
            return PixelNormFunction.apply(x, self.epsilon)
        return pixel_norm(x, self.epsilon)


class PixelNormFunction(torch.autograd.Function):
    """`pixel_norm` with the gradient that `PixelNorm` states."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, epsilon: float) -> Tensor:
        """[B, features, ...] -> the same, normalised; lengths are summed in fp32 at least."""
        kind = torch.promote_types(x.dtype, torch.float32)  # squares of half precision overflow
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=kind)
        reciprocal = length.square_().div_(x.shape[1]).add_(epsilon).rsqrt_().to(x.dtype)
        y = x * reciprocal
        ctx.save_for_backward(y, reciprocal)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        """Gradient of y -> that of x."""
        y, reciprocal = ctx.saved_tensors
        along = (gradient * y).mean(dim=1, keepdim=True)
        return torch.addcmul(gradient, y, along, value=-1).mul_(reciprocal), None


def set_fused(network: nn.Module, fused: bool) -> nn.Module:
    """Let every layer of a network that can compute in one operation or in several ones do so: the same function."""
    for layer in network.modules():
        if hasattr(layer, "fused"):
            layer.fused = fused
    return network
