"""The layers of StyleGAN2's discriminators of images and of volumes, which halve through a filter."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.equalised import HE, SLOPE, EqualisedConv
from tools.layers.filters import BINOMIAL, Filter
from tools.layers.ranks import CONVOLUTION


class ResidualBlock(nn.Module):
    """A resolution of the discriminator: two 3x3 convolutions, the second of which halves, beside a 1x1 that halves.

    Both ways are scaled by sqrt(1/2) and added. ``fused`` halves before the 1x1 convolution, which is the same.
    Convolutions of volumes are 3^3 and 1^3.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        image_channels: channels of the image, for a block that makes features of it; 0 for another.
        spatial_dims: 2 for images, 3 for volumes.
        taps: taps of the filter along an axis.
        residual: False leaves out the 1x1 convolution, and the factor of what is left.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_channels: int = 0,
        spatial_dims: int = 2,
        taps: Sequence[float] = BINOMIAL,
        residual: bool = True,
    ) -> None:
        super().__init__()
        both = {"gain": HE, "bias_gain": HE, "spatial_dims": spatial_dims}
        if image_channels:
            self.from_image = EqualisedConv(image_channels, in_channels, 1, **both)
        self.conv0 = EqualisedConv(in_channels, in_channels, 3, **both)
        filtered = {"spatial_dims": spatial_dims, "taps": taps}
        if residual:
            # sqrt(2) of the leaky ReLU times sqrt(1/2)
            self.conv1 = FilteredHalving(in_channels, out_channels, 3, **filtered)
            self.skip = FilteredHalving(in_channels, out_channels, 1, gain=math.sqrt(0.5), bias=False, **filtered)
        else:
            self.conv1 = FilteredHalving(in_channels, out_channels, 3, gain=HE, bias_gain=HE, **filtered)

    def layers(self) -> list[nn.Module]:
        """Its layers in the order in which they are frozen."""
        return [*self.children()]

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """
        Args:
            x: features [B, in_channels, 2 H, 2 W], or the image, for a block that makes features of it; volumes alike.
            before: features of the block before, which are added to those of the image; None for none.

        Returns:
            Features [B, out_channels, H, W].
        """
        if hasattr(self, "from_image"):
            x = F.leaky_relu(self.from_image(x), SLOPE)
            x = x if before is None else before + x
        y = F.leaky_relu(self.conv0(x), SLOPE)
        y = F.leaky_relu(self.conv1(y), SLOPE)
        return y + self.skip(x) if hasattr(self, "skip") else y


class FilteredHalving(EqualisedConv):
    """A convolution of which every second pixel is taken, of an image that was filtered before.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: side of the kernel, 3 or 1.
        gain: factor of the product.
        bias: True for a bias.
        bias_gain: factor of the bias.
        spatial_dims: 2 for images, 3 for volumes.
        taps: taps of the filter along an axis.
    """

    fused = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        gain: float = 1.0,
        bias: bool = True,
        bias_gain: float = 1.0,
        spatial_dims: int = 2,
        taps: Sequence[float] = BINOMIAL,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, gain, bias, bias_gain, spatial_dims)
        self.filter = Filter(taps)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, 2 H, 2 W] -> [B, out_channels, H, W]; volumes alike."""
        weight, bias = self.scaled()
        convolution = CONVOLUTION[self.spatial_dims]
        before, after = (self.filter.size + 1) // 2, self.filter.size // 2  # for a kernel of side 3
        if not self.fused:
            border = 0 if self.padding else 1
            y = convolution(self.filter.blurred(x, before - border, after - border), weight, bias)
            return y[(..., *[slice(None, None, 2)] * self.spatial_dims)]
        # the filter takes the factor of the weights, which costs nothing there
        if self.padding:
            return convolution(self.filter.blurred(x, before, after, gain=self.scale), self.weight, bias, stride=2)
        return convolution(self.filter.halved(x, gain=self.scale), self.weight, bias)
