"""Spectral normalisation that TorchScript understands, which torch's parametrisation is not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.upsample import smeared

STARTING_ITERATIONS = 15
"""Power iterations at the beginning, as torch's."""


class SpectralConv2d(nn.Conv2d):
    """A convolution without bias whose weight W is divided by its largest singular value (Miyato et al. 2018).

    The weight as a matrix has a row for each output channel. In training each pass makes one step of the power
    iteration, u <- W v / |W v| with v = W^T u / |W^T u|, and the value is taken as |W^T u|: the same numbers and
    gradients as of ``torch.nn.utils.parametrizations.spectral_norm``, whose v follows from u. In evaluation u stands.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel.
        stride: stride.
        padding: zeros around the input.
        std: standard deviation of the normal distribution from which the weight is drawn.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        std: float = 0.02,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.register_buffer("u", torch.randn(out_channels))
        if not self.weight.is_meta:  # there are no numbers on that device
            nn.init.normal_(self.weight, std=std)
            for _ in range(STARTING_ITERATIONS):
                self.iterate()

    def iterate(self) -> None:
        """Make one step of the power iteration."""
        with torch.no_grad():
            matrix = self.weight.flatten(1)
            v = F.normalize(matrix.t().mv(self.u), dim=0)
            self.u.copy_(F.normalize(matrix.mv(v), dim=0))

    def normalised(self) -> Tensor:
        """The weight divided by its largest singular value, [out, in, kernel, kernel]."""
        if self.training:
            self.iterate()
        # a copy, for the next pass changes u before this one may have gone back
        value = self.weight.flatten(1).t().mv(self.u.clone()).norm()
        return self.weight / value

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.normalised(), None, self.stride, self.padding)


class SpectralDoublingConv2d(SpectralConv2d):
    """The same, 3x3, after an image was doubled by nearest neighbour; [B, C, H, W] -> [B, out_channels, 2 H, 2 W].

    In one operation, as `tools.layers.equalised.DoublingConv2d`, where that is faster.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        fuse_from: smallest side from which it is one operation; infinity for two at every size.
    """

    def __init__(self, in_channels: int, out_channels: int, fuse_from: float = 8) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.fuse_from = float(fuse_from)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.normalised()
        if x.shape[3] < self.fuse_from:
            return F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, None, padding=1)
        return F.conv_transpose2d(x, smeared(weight).flip([2, 3]).transpose(0, 1), None, stride=2, padding=1)
