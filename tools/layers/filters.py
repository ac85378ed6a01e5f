"""Images and volumes that are enlarged and reduced through low-pass filters, by plain operations of torch.

Zhang 2019 ("Making convolutional networks shift-invariant again") and Karras et al. 2020 ("Analyzing and improving the
image quality of StyleGAN"), appendix B. Filters are given by the taps of one axis and act on all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.ranks import CONVOLUTION

SHORT = 4
"""Most taps along an axis of images for which one pass over both axes is faster than one over each."""

BINOMIAL = (1.0, 3.0, 3.0, 1.0)
"""Taps of StyleGAN2's filter, whose sum is made 1."""


def resample(
    x: Tensor, taps: Tensor, up: int = 1, down: int = 1, padding: Sequence[int] = (0, 0), gain: float = 1.0
) -> Tensor:
    """Insert zeros, pad, filter and take every n-th pixel, on all axes alike.

    Along an axis of n pixels this is SciPy's ``upfirdn(taps, x, up, down)``, of which ``padding`` leaves a part: the
    zeros that come before and after the n * up pixels, all taps - 1 of them in SciPy. A true convolution: taps come in
    turned order.

    Args:
        x: images [B, C, H, W], or volumes [B, C, D, H, W].
        taps: filter; [t] for one that is the same along all axes, or [t, t] for one of images that is not the product
            of two.
        up: factor by which pixels become more; up - 1 zeros follow each pixel.
        down: factor by which they become fewer, from the first on.
        padding: zeros before and after each axis; negative numbers cut pixels off.
        gain: factor of the result, for instance up^2 for an image that keeps its level.

    Returns:
        Images [B, C, (H up + padding - t) // down + 1, ...].
    """
    batch, channels, *sizes = x.shape
    axes = len(sizes)
    if up > 1:
        x = F.pad(x.reshape(batch, channels, *(n for size in sizes for n in (size, 1))), (0, up - 1, 0, 0) * axes)
        x = x.reshape(batch, channels, *(size * up for size in sizes))
    x = F.pad(x, tuple(padding) * axes)
    taps = taps.to(x.dtype).flip(*range(taps.ndim))
    if axes == 2 and taps.ndim == 1 and len(taps) <= SHORT:
        taps = taps[:, None] * taps
    if taps.ndim == 2:
        return _depthwise(x, taps * gain, down)
    for axis in reversed(range(axes)):
        along = [1] * axes
        along[axis] = len(taps)
        stride = [1] * axes
        stride[axis] = down
        x = _depthwise(x, (taps * gain if axis == axes - 1 else taps).view(along), tuple(stride))
    return x


def _depthwise(x: Tensor, kernel: Tensor, stride: int | tuple[int, ...]) -> Tensor:
    """Correlate every channel with one kernel, which has an axis for each of an image's."""
    channels = x.shape[1]
    weight = kernel.expand(channels, 1, *kernel.shape)
    return CONVOLUTION[x.ndim - 2](x, weight, stride=stride, groups=channels)


def resampling_matrix(taps: Tensor, size: int, up: int = 1, down: int = 1, before: int = 0, after: int = 0) -> Tensor:
    """What `resample` does along an axis of ``size`` pixels, [pixels out, size], of the taps' type.

    Args:
        taps: filter [t].
        size: number of pixels.
        up: factor by which pixels become more; up - 1 zeros follow each pixel.
        down: factor by which they become fewer.
        before: zeros before the axis; a negative number cuts pixels off.
        after: zeros after it.
    """
    number = (size * up + before + after - len(taps)) // down + 1
    out, given = (torch.arange(n, device=taps.device) for n in (number, size))
    tap = down * out[:, None] + len(taps) - 1 - before - up * given
    inside = (tap >= 0) & (tap < len(taps))
    return torch.where(inside, taps[tap.clamp(0, len(taps) - 1)], 0.0)


class Filter(nn.Module):
    """A fixed low-pass filter, and what is enlarged or reduced through it.

    ``fused`` takes the gradient of the gradient of images as what it is, a filter: torch's own goes through the
    channels of a depthwise convolution one by one. Volumes it multiplies by a matrix along each axis, which is several
    times faster than three depthwise convolutions. Otherwise all is ``resample``.

    Args:
        taps: taps along an axis; their sum is made 1. Of an odd number the middle one lies on a pixel, so that pixel i
            of a reduced image is pixel 2 i of the large one; of an even number it lies between 2 i and 2 i + 1.

    Attributes:
        taps: the taps as they act, [t], a buffer that state dicts do not hold.
    """

    fused = True

    def __init__(self, taps: Sequence[float] = BINOMIAL) -> None:
        super().__init__()
        taps = torch.tensor(taps, dtype=torch.float32)
        self.register_buffer("taps", taps / taps.sum(), persistent=False)
        self.size = len(taps)

    def doubled(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, 2 H, 2 W]; a constant stays what it is, away from the border. Volumes alike."""
        padding = (self.size // 2, (self.size - 1) // 2)
        if x.ndim == 5 and self.fused:
            return self._multiplied(x, 8.0, 2, 1, *padding)
        return resample(x, self.taps, up=2, padding=padding, gain=2.0 ** (x.ndim - 2))

    def halved(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[B, C, 2 H, 2 W] -> [B, C, H, W], a quarter of the transpose of ``doubled`` where the gain is 1.

        Volumes alike, an eighth of it.
        """
        return self._filtered(x, (self.size - 1) // 2, self.size // 2 - 1, gain, down=2)

    def blurred(self, x: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
        """[B, C, H, W] -> [B, C, H + before + after + 1 - t, ...], filtered after zeros are added on each side."""
        return self._filtered(x, before, after, gain)

    def _filtered(self, x: Tensor, before: int, after: int, gain: float, down: int = 1) -> Tensor:
        if x.ndim == 5 and self.fused:
            return self._multiplied(x, gain, 1, down, before, after)
        if not self.fused or before != after or self.size > SHORT:
            return resample(x, self.taps, down=down, padding=(before, after), gain=gain)
        taps = self.taps.to(x.dtype).flip(0)
        return depthwise(x, taps[:, None] * taps * gain, down, before)

    def _multiplied(self, x: Tensor, gain: float, *resampling: int) -> Tensor:
        """Volumes by a matrix along each axis; ``resampling`` as of `resampling_matrix`."""
        first, second, third = (resampling_matrix(self.taps.to(x.dtype), size, *resampling) for size in x.shape[2:])
        y = second @ (x @ (third * gain).T)
        return (first @ y.flatten(3)).unflatten(3, y.shape[3:])


def depthwise(x: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    """Correlate every channel of images [B, C, H, W] with one kernel [a, b] that does not learn."""
    if torch.is_grad_enabled() and x.requires_grad:
        return _Correlated.apply(x, kernel, stride, padding)
    return F.conv2d(x, _of_each(kernel, x), stride=stride, padding=padding, groups=x.shape[1])


def _of_each(kernel: Tensor, x: Tensor) -> Tensor:
    return kernel.to(x.dtype).expand(x.shape[1], 1, *kernel.shape)


class _Correlated(torch.autograd.Function):
    """``depthwise``, which is linear in the image: the gradient of its gradient is itself."""

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.given = stride, padding, x.shape
        return F.conv2d(x, _of_each(kernel, x), stride=stride, padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _Transposed.apply(gradient, *ctx.saved_tensors, *ctx.given), None, None, None


class _Transposed(torch.autograd.Function):
    """The transpose of `_Correlated`."""

    @staticmethod
    def forward(ctx, gradient: Tensor, kernel: Tensor, stride: int, padding: int, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.given = stride, padding
        image = gradient.new_empty(()).expand(shape)  # of which the gradient does not depend
        return torch.ops.aten.convolution_backward(
            gradient,
            image,
            _of_each(kernel, gradient),
            None,
            [stride] * 2,
            [padding] * 2,
            [1, 1],
            False,
            [0, 0],
            shape[1],
            [True, False, False],
        )[0]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Correlated.apply(gradient, *ctx.saved_tensors, *ctx.given), None, None, None, None


def mirrored(place: Tensor, side: int) -> Tensor:
    """Whole coordinates in [0, side) of those beyond, by reflection about the pixels at the border."""
    place = place.abs() % (2 * side - 2)
    return torch.minimum(place, 2 * side - 2 - place)
