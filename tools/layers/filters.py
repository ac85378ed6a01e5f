"""Images that are enlarged and reduced through low-pass filters, by plain convolutions of torch.

Zhang 2019 ("Making convolutional networks shift-invariant again") and Karras et al. 2020 ("Analyzing and improving the
image quality of StyleGAN"), appendix B. Filters are given by the taps of one axis and act on both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHORT = 4
"""Most taps along an axis for which one pass over both axes is faster than one over each."""

BINOMIAL = (1.0, 3.0, 3.0, 1.0)
"""Taps of StyleGAN2's filter, whose sum is made 1."""


def resample(
    x: Tensor, taps: Tensor, up: int = 1, down: int = 1, padding: Sequence[int] = (0, 0), gain: float = 1.0
) -> Tensor:
    """Insert zeros, pad, filter and take every n-th pixel, on both axes alike.

    Along an axis of n pixels this is SciPy's ``upfirdn(taps, x, up, down)``, of which ``padding`` leaves a part: the
    zeros that come before and after the n * up pixels, all taps - 1 of them in SciPy. A true convolution: taps come in
    turned order.

    Args:
        x: images [B, C, H, W].
        taps: filter; [t] for one that is the same along both axes, or [t, t] for one that is not the product of two.
        up: factor by which pixels become more; up - 1 zeros follow each pixel.
        down: factor by which they become fewer, from the first on.
        padding: zeros before and after each axis; negative numbers cut pixels off.
        gain: factor of the result, for instance up^2 for an image that keeps its level.

    Returns:
        Images [B, C, (H up + padding - t) // down + 1, ...].
    """
    batch, channels, height, width = x.shape
    if up > 1:
        x = F.pad(x.reshape(batch, channels, height, 1, width, 1), (0, up - 1, 0, 0, 0, up - 1))
        x = x.reshape(batch, channels, height * up, width * up)
    before, after = padding
    x = F.pad(x, (before, after, before, after))
    taps = taps.to(x.dtype).flip(*range(taps.ndim))
    if taps.ndim == 1 and len(taps) <= SHORT:
        taps = taps[:, None] * taps
    if taps.ndim == 2:
        return _depthwise(x, taps * gain, down)
    x = _depthwise(x, taps[None, :] * gain, (1, down))
    return _depthwise(x, taps[:, None], (down, 1))


def _depthwise(x: Tensor, kernel: Tensor, stride: int | tuple[int, int]) -> Tensor:
    """Correlate every channel with one kernel [a, b]."""
    channels = x.shape[1]
    return F.conv2d(x, kernel.expand(channels, 1, *kernel.shape), stride=stride, groups=channels)


class Filter(nn.Module):
    """A fixed low-pass filter, and what is enlarged or reduced through it.

    ``fused`` takes the gradient of the gradient as what it is, a filter: torch's own goes through the channels of a
    depthwise convolution one by one. Otherwise all is ``resample``.

    Args:
        taps: taps along an axis, an even number for ``doubled`` and ``halved``; their sum is made 1.

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
        """[B, C, H, W] -> [B, C, 2 H, 2 W]; a constant stays what it is, away from the border."""
        return resample(x, self.taps, up=2, padding=(self.size // 2, self.size // 2 - 1), gain=4)

    def halved(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[B, C, 2 H, 2 W] -> [B, C, H, W], a quarter of the transpose of ``doubled`` where the gain is 1."""
        return self._filtered(x, (self.size - 1) // 2, self.size // 2 - 1, gain, down=2)

    def blurred(self, x: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
        """[B, C, H, W] -> [B, C, H + before + after + 1 - t, ...], filtered after zeros are added on each side."""
        return self._filtered(x, before, after, gain)

    def _filtered(self, x: Tensor, before: int, after: int, gain: float, down: int = 1) -> Tensor:
        if not self.fused or before != after or self.size > SHORT:
            return resample(x, self.taps, down=down, padding=(before, after), gain=gain)
        taps = self.taps.to(x.dtype).flip(0)
        return depthwise(x, taps[:, None] * taps * gain, down, before)


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
