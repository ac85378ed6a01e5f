"""Progressive GAN: networks that begin at 4x4 pixels and grow (Karras et al. 2018, Tables 2 and 3).

"Progressive growing of GANs for improved quality, stability, and variation", ICLR 2018. All levels are there from the
beginning; how many of them take part is said when the networks are called. Images are [B, channels, S, S], S a power of
two from 32 to 1024, in [-1, 1] up to what the generator overshoots: it has no last activation.

With ``spatial_dims`` 3 they are Eklund's for volumes ("Feeding the zombies: synthesizing brain volumes using a 3D
progressive growing GAN", arXiv 1912.05357): [B, channels, S, S, S], S from 8 to 256, all kernels and blocks of pixels
with an axis more. His have a latent of 128, at most 128 channels, and no minibatch deviation.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.equalised import (
    HE,
    SLOPE,
    DoublingConv,
    EqualisedConv,
    EqualisedLinear,
    HalvingConv,
    PixelNorm,
    PointConv,
    pixel_norm,
)
from tools.layers.filters import Filter
from tools.layers.growing import Growth, doubled, faded, halved
from tools.layers.minibatch import MinibatchDeviation
from tools.networks.resolutions import check_image, sides_of, width_of
from tools.networks.self_described import SelfDescribed
from tools.networks.style_mapping import one_hot


class FirstBlock(nn.Module):
    """Latent to features of 4x4 pixels: a dense layer with a bias for each feature map, and a 3x3 convolution.

    Args:
        latent_dim: size of the latent, with its class.
        channels: feature maps.
        spatial_dims: 2 for images, 3 for volumes, whose first features are of 4^3 voxels.
    """

    def __init__(self, latent_dim: int, channels: int, spatial_dims: int = 2) -> None:
        super().__init__()
        self.shape = [4] * spatial_dims
        self.dense = EqualisedLinear(latent_dim, 4**spatial_dims * channels, gain=HE / 4, bias=None)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.conv = EqualisedConv(channels, channels, 3, gain=HE, spatial_dims=spatial_dims)
        self.norm = PixelNorm()

    def forward(self, latent: Tensor) -> Tensor:
        """[B, latent_dim] -> [B, channels, 4, 4], or [B, channels, 4, 4, 4]."""
        x = self.dense(latent).unflatten(1, [-1, *self.shape]) + self.bias.view(-1, *[1] * len(self.shape))
        x = self.norm(F.leaky_relu(x, SLOPE))
        return self.norm(F.leaky_relu(self.conv(x), SLOPE))


class GeneratorBlock(nn.Module):
    """A level: features are doubled and convolved twice, each time normalised pixel by pixel.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        spatial_dims: 2 for images, 3 for volumes.
    """

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int = 2) -> None:
        super().__init__()
        self.conv0 = DoublingConv(in_channels, out_channels, gain=HE, spatial_dims=spatial_dims)
        self.conv1 = EqualisedConv(out_channels, out_channels, 3, gain=HE, spatial_dims=spatial_dims)
        self.norm = PixelNorm()

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, 2 H, 2 W]."""
        x = self.norm(F.leaky_relu(self.conv0(x), SLOPE))
        return self.norm(F.leaky_relu(self.conv1(x), SLOPE))


class PGGANGenerator(SelfDescribed):
    """G: latent to image.

    Args:
        image_size: side S of the images when it is grown up.
        image_channels: channels of the images.
        num_classes: number of classes, whose one-hot code is appended to the latent; 0 for none.
        latent_dim: size of the latent.
        channel_base: channels of a resolution times its side.
        channel_max: greatest number of channels of a resolution.
        spatial_dims: 2 for images, 3 for volumes.

    Attributes:
        growth: level that training has reached.
    """

    called_parts = ("generate",)
    scriptable = False  # what level is reached decides which layers take part

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 1,
        num_classes: int = 0,
        latent_dim: int = 512,
        channel_base: int = 16384,
        channel_max: int = 512,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.built_with = {
            "image_size": image_size,
            "image_channels": image_channels,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "channel_base": channel_base,
        }
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        widths = [width_of(side, channel_base, channel_max) for side in sides_of(image_size, spatial_dims)]
        self.first = FirstBlock(latent_dim + num_classes, widths[0], spatial_dims)
        self.blocks = nn.ModuleList(GeneratorBlock(before, after, spatial_dims) for before, after in pairwise(widths))
        self.to_images = nn.ModuleList(PointConv(width, image_channels, spatial_dims=spatial_dims) for width in widths)
        self.growth = Growth(len(self.blocks))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents [B, latent_dim] and, if there are classes, class indices [B] -> images [B, image_channels, S, S].

        They are as the level that training has reached makes them, enlarged by nearest neighbour.
        """
        level, alpha = self.growth.reached()
        return doubled(self.generate(latent, level, alpha, label), len(self.blocks) - level)

    def generate(
        self, latent: Tensor, level: int, alpha: Tensor | float | None = None, label: Tensor | None = None
    ) -> Tensor:
        """Images of a level.

        Args:
            latent: latents [B, latent_dim], standard normal.
            level: number of blocks that take part.
            alpha: weight of the last of them, in [0, 1]; None if it has faded in.
            label: class indices [B], if there are classes.

        Returns:
            Images [B, image_channels, side, side] with a side of 4 * 2^level; volumes alike.
        """
        if self.num_classes:
            latent = torch.cat([latent, one_hot(label, self.num_classes).to(latent.dtype)], dim=1)
        x = before = self.first(pixel_norm(latent))
        for block in self.blocks[:level]:
            before, x = x, block(x)
        image = self.to_images[level](x)
        return image if alpha is None else faded(doubled(self.to_images[level - 1](before)), image, alpha)


class DiscriminatorBlock(nn.Module):
    """A level: two 3x3 convolutions, the second of which halves.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        blur: True if images are filtered by [1, 2, 1] before they are halved, as in StyleGAN.
        spatial_dims: 2 for images, 3 for volumes.
    """

    def __init__(self, in_channels: int, out_channels: int, blur: bool = False, spatial_dims: int = 2) -> None:
        super().__init__()
        self.conv0 = EqualisedConv(in_channels, in_channels, 3, gain=HE, spatial_dims=spatial_dims)
        self.conv1 = HalvingConv(in_channels, out_channels, gain=HE, spatial_dims=spatial_dims)
        self.filter = Filter((1, 2, 1)) if blur else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, 2 H, 2 W] -> [B, out_channels, H, W]."""
        x = F.leaky_relu(self.conv0(x), SLOPE)
        if self.filter is not None:
            x = self.filter.blurred(x, 1, 1)
        return F.leaky_relu(self.conv1(x), SLOPE)


class ProgressiveDiscriminator(nn.Module):
    """D of Progressive GAN and, with ``blur``, of StyleGAN: is this image of a level real?

    Args:
        image_size: side S of the images when it is grown up.
        image_channels: channels of the images.
        num_classes: number of classes, 0 for none.
        auxiliary: meaning of classes. True is an auxiliary classifier beside the verdict (Odena et al. 2017), as in
            Progressive GAN; False is a verdict for each class, of which the image's own counts (Mescheder et al. 2018).
        channel_base: channels of a resolution times its side.
        channel_max: greatest number of channels of a resolution.
        blur: True if images are filtered before they are halved.
        group_size: samples among which the minibatch's deviation is taken; 0 for none of it, as Eklund has it.
        spatial_dims: 2 for images, 3 for volumes.
    """

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 1,
        num_classes: int = 0,
        auxiliary: bool = True,
        channel_base: int = 16384,
        channel_max: int = 512,
        blur: bool = False,
        group_size: int = 4,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.image_channels = image_channels
        self.spatial_dims = spatial_dims
        self.num_classes = num_classes
        self.auxiliary = auxiliary
        widths = [width_of(side, channel_base, channel_max) for side in sides_of(image_size, spatial_dims)]
        last = widths[0]
        # by level, so that the coarsest comes first and the image goes backwards
        self.from_images = nn.ModuleList(
            PointConv(image_channels, width, gain=HE, spatial_dims=spatial_dims) for width in widths
        )
        self.blocks = nn.ModuleList(DiscriminatorBlock(b, a, blur, spatial_dims) for a, b in pairwise(widths))
        self.deviation = MinibatchDeviation(group_size) if group_size else nn.Identity()
        self.conv = EqualisedConv(last + bool(group_size), last, 3, gain=HE, spatial_dims=spatial_dims)
        self.dense = EqualisedLinear(4**spatial_dims * last, last, gain=HE)
        self.out = EqualisedLinear(last, num_classes + 1 if auxiliary else max(num_classes, 1))

    def forward(
        self,
        image: Tensor,
        level: int | None = None,
        alpha: Tensor | float | None = None,
        label: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """
        Args:
            image: images [B, image_channels, side, side] with a side of 4 * 2^level.
            level: number of blocks that take part; None for all.
            alpha: weight of the first of them, in [0, 1]; None if it has faded in.
            label: class indices [B], if there are classes without an auxiliary classifier.

        Returns:
            Logits [B, 1], and those of the auxiliary classifier, [B, num_classes], or None.

        Raises:
            ValueError: the images have another number of channels, or another side.
        """
        level = len(self.blocks) if level is None else level
        check_image(image, self.image_channels, 4 * 2**level, self.spatial_dims)
        x = self._features(image, level)
        for number in reversed(range(level)):
            x = self.blocks[number](x)
            if number == level - 1 and alpha is not None:
                x = faded(self._features(halved(image), number), x, alpha)
        x = F.leaky_relu(self.conv(self.deviation(x)), SLOPE)
        x = self.out(F.leaky_relu(self.dense(x.flatten(1)), SLOPE))
        if self.auxiliary and self.num_classes:
            return x[:, :1], x[:, 1:]
        if self.num_classes:
            x = (x * one_hot(label, self.num_classes).to(x.dtype)).sum(dim=1, keepdim=True)
        return x, None

    def _features(self, image: Tensor, level: int) -> Tensor:
        return F.leaky_relu(self.from_images[level](image), SLOPE)
