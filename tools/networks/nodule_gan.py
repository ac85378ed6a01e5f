"""The generator of Bu et al.: a nodule painted into a hole of a cube of CT, by its surroundings.

Built from the paper's abstract and from what is told of it elsewhere: the text, its layers and its numbers were not at
hand. What is known is a conditional GAN in 3D with squeeze-and-excitation and residual learning, a U-Net that fills a
hole in 32 voxels a side, and a discriminator of patches. Widths, the place of the blocks and the norm are chosen here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from monai.networks.blocks import ChannelSELayer, Convolution
from torch import Tensor, nn

from tools.networks.self_described import SelfDescribed

HALVINGS = 4
"""32 voxels a side become 2."""

REDUCTION = 8
"""Channels per channel of a block's squeezed layer."""


class NoduleGenerator(SelfDescribed):
    """A U-Net of residual blocks with squeeze and excitation, from 32 voxels a side down to 2 (Bu et al. 2021).

    It sees the crop outside of the hole alone: what was in the hole is not in its input, whatever is given there. The
    composite is a part of it, so that every voxel outside of the hole is the crop's, bit for bit, and a crop without a
    hole comes back as it is.

    Args:
        channels: width of the first level; it doubles with each halving.

    Raises:
        ValueError: a width that the blocks cannot squeeze.
    """

    called_parts = ("forward",)

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        if channels < REDUCTION:
            raise ValueError(f"channels is {channels}, expected {REDUCTION} or more")
        self.built_with = {"channels": channels}
        widths = [channels * 2**level for level in range(HALVINGS + 1)]
        self.first = ExcitedBlock(4, widths[0])
        self.down = nn.ModuleList(ExcitedBlock(wide, wider, stride=2) for wide, wider in pairwise(widths))
        self.up = nn.ModuleList(ExcitedBlock(wider + wide, wide) for wider, wide in pairwise(reversed(widths)))
        self.last = nn.Conv3d(channels, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: [B, 4, D, H, W]: the crop in [-1, 1], the hole, above 0.5 inside, the diameter's share, and noise, as
                `tools.transforms.holes.painting_input` gives it. Sides are
                multiples of 16, at least 32.

        Returns:
            The crop with what was painted into the hole, [B, 1, D, H, W] in [-1, 1].

        Raises:
            ValueError: a side is none of these.
        """
        depth, height, width = image.shape[2], image.shape[3], image.shape[4]
        if depth % 16 != 0 or height % 16 != 0 or width % 16 != 0 or min(depth, height, width) < 32:
            raise ValueError(
                f"crops of {depth} x {height} x {width} are halved 4 times; give sides that 16 divides, 32 or more"
            )
        crop = image[:, :1]
        inside = image[:, 1:2] > 0.5
        hole = inside.to(image.dtype)
        seen = torch.where(inside, torch.zeros_like(crop), crop)
        features = self.first(torch.cat([seen, hole, image[:, 2:3], hole * image[:, 3:]], dim=1))
        levels = [features]
        for block in self.down:
            features = block(features)
            levels.append(features)
        for number, block in enumerate(self.up):
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([features, levels[len(levels) - 2 - number]], dim=1))
        return torch.where(inside, torch.tanh(self.last(features)), crop)


class ExcitedBlock(nn.Module):
    """Two convolutions 3x3x3, whose channels are weighed by squeeze and excitation, beside the identity (Hu et al.
    2018, SE-ResNet).

    Instance norm and a leaky ReLU of 0.2 follow them; the identity is a 1x1x1 convolution where width or size change.

    Args:
        channels: channels in.
        wide: channels out.
        stride: 2 halves the volume.
    """

    def __init__(self, channels: int, wide: int, stride: int = 1) -> None:
        super().__init__()
        norm, act = ("instance", {"affine": True}), ("leakyrelu", {"negative_slope": 0.2})
        self.body = nn.Sequential(
            Convolution(3, channels, wide, strides=stride, kernel_size=3, act=act, norm=norm, bias=False),
            Convolution(3, wide, wide, kernel_size=3, act=None, norm=norm, bias=False),
            ChannelSELayer(3, wide, r=REDUCTION),
        )
        same = channels == wide and stride == 1
        self.beside = nn.Identity() if same else nn.Conv3d(channels, wide, 1, stride, bias=False)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, D, H, W] to [B, wide, D / stride, H / stride, W / stride]."""
        return self.act(self.body(x) + self.beside(x))
