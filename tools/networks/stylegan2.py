"""StyleGAN2: a generator of images of any number of channels, and its discriminator.

Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", in the widths of "Training generative
adversarial networks with limited data" (StyleGAN2-ADA). Each network has one of three architectures (section 4.1,
Fig. 7): by default the generator adds up what every resolution contributes to the image (output skips), and the
discriminator is a residual network. Images are [B, channels, S, S], S a power of two from 32 to 1024, in [-1, 1] up to
what the generator overshoots: it has no last activation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.errors import check_choice
from tools.layers.equalised import HE, SLOPE, EqualisedConv, EqualisedLinear
from tools.layers.filters import Filter
from tools.layers.minibatch import MinibatchDeviation
from tools.layers.residual import ResidualBlock
from tools.layers.styled import StyledConv, ToImage
from tools.networks.freezing import freeze
from tools.networks.resolutions import check_image, sides_of, width_of
from tools.networks.style_mapping import StyledGenerator, StyleMapping

ARCHITECTURES = ("orig", "skip", "resnet")
"""Blocks in a row, as in Progressive GAN; images of every resolution, which the generator adds up and which the
discriminator sees; residual blocks."""


class SynthesisBlock(nn.Module):
    """A resolution of the generator: two convolutions, of which the first doubles the image, and what is added to it.

    Args:
        in_channels: channels in; 0 for the first block, which begins with a learned constant.
        out_channels: channels of its features.
        image_channels: channels of the image; 0 for a block that adds nothing to it.
        style_dim: size of w.
        side: resolution.
        residual: True adds the block's features to those before, doubled by a 1x1 convolution and a filter, both
            scaled by sqrt(1/2); the first block has none before.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_channels: int,
        style_dim: int,
        side: int,
        residual: bool = False,
    ) -> None:
        super().__init__()
        residual = residual and in_channels > 0
        self.constant = None if in_channels else nn.Parameter(torch.randn(out_channels, side, side))
        self.conv0 = StyledConv(in_channels, out_channels, style_dim, (side, side), up=2) if in_channels else None
        # sqrt(2) of the leaky ReLU times sqrt(1/2)
        self.conv1 = StyledConv(out_channels, out_channels, style_dim, (side, side), gain=1.0 if residual else HE)
        self.skip = EqualisedConv(in_channels, out_channels, 1, math.sqrt(0.5), bias=False) if residual else None
        self.to_image = ToImage(out_channels, image_channels, style_dim) if image_channels else None
        self.filter = Filter() if in_channels else None

    @property
    def layers(self) -> list[StyledConv]:
        """The convolutions that have a style, and noise, of their own; the image takes that of the next block's."""
        return [self.conv1] if self.conv0 is None else [self.conv0, self.conv1]

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Sequence[Tensor], noises: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """
        Args:
            x: features of the block before, None for the first.
            image: its image, None if there is none yet.
            ws: styles [B, style_dim] for each of ``layers`` and for the image.
            noises: noise for each of ``layers``.

        Returns:
            Features and the image, [B, ..., side, side]; None for an image to which no block has added yet.
        """
        if x is None:
            x = self.constant.expand(ws[0].shape[0], -1, -1, -1)
        before = None if self.skip is None else self.filter.doubled(self.skip(x))
        for layer, w, noise in zip(self.layers, ws, noises, strict=False):
            x = layer(x, w, noise)
        x = x if before is None else x + before
        if self.to_image is None:
            return x, None
        y = self.to_image(x, ws[-1])
        return x, y if image is None else self.filter.doubled(image) + y


class Synthesis(nn.Module):
    """Styles to an image.

    Args:
        image_size: S.
        image_channels: channels of the image.
        style_dim: size of w.
        channel_base: channels of a resolution times its side, where they are not limited by
        channel_max: greatest number of channels.
        architecture: one of `ARCHITECTURES`.

    Attributes:
        num_ws: number of styles, 2 log2(S) - 2: one of each convolution, and one of the last image.
        noise_shapes: rows and columns of the noise of each convolution.
    """

    def __init__(
        self,
        image_size: int,
        image_channels: int,
        style_dim: int = 512,
        channel_base: int = 16384,
        channel_max: int = 512,
        architecture: str = "skip",
    ) -> None:
        super().__init__()
        check_choice("generator_architecture", architecture, ARCHITECTURES)
        sides = sides_of(image_size)
        widths = [width_of(side, channel_base, channel_max) for side in sides]
        self.blocks = nn.ModuleList(
            SynthesisBlock(
                before,
                after,
                image_channels if architecture == "skip" or side == image_size else 0,
                style_dim,
                side,
                residual=architecture == "resnet",
            )
            for before, after, side in zip([0, *widths], widths, sides, strict=False)
        )
        self.noise_shapes = [layer.shape for block in self.blocks for layer in block.layers]
        self.num_ws = len(self.noise_shapes) + 1

    def forward(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """
        Args:
            ws: styles [B, num_ws, style_dim].
            noise: standard normal [B, 1, ...] of every shape in ``noise_shapes``; None for the same in all images.

        Returns:
            Images [B, image_channels, S, S].

        Raises:
            ValueError: another number of styles or noises.
        """
        if ws.shape[1] != self.num_ws or (noise is not None and len(noise) != len(self.noise_shapes)):
            given = None if noise is None else len(noise)
            raise ValueError(
                f"got {ws.shape[1]} styles and noise for {given} layers, expected {self.num_ws} and "
                f"{len(self.noise_shapes)}, or None."
            )
        x = image = None
        first = 0
        for block in self.blocks:
            number = len(block.layers)
            noises = [None] * number if noise is None else noise[first : first + number]
            x, image = block(x, image, ws[:, first : first + number + 1].unbind(1), noises)
            first += number
        return image


class StyleGAN2Generator(StyledGenerator):
    """G: latent to image.

    Args:
        image_size: side S of the images.
        image_channels: channels of the images.
        num_classes: number of classes, 0 for none.
        latent_dim: size of z.
        style_dim: size of w.
        mapping_layers: dense layers of the mapping: 2 is best for small sets and 8 is StyleGAN2's.
        channel_base: channels of a resolution times its side; 16384 up to 256 pixels and 32768 from 512 on.
        channel_max: greatest number of channels of a resolution.
        average_decay: decay of the average of w.
        architecture: one of `ARCHITECTURES`. "skip" adds up an image of every resolution; "resnet" and "orig" make the
            image of the last features alone, of blocks with a second way around them or without.
    """

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 1,
        num_classes: int = 0,
        latent_dim: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 2,
        channel_base: int = 16384,
        channel_max: int = 512,
        average_decay: float = 0.998,
        architecture: str = "skip",
    ) -> None:
        super().__init__()
        self.built_with = {
            "image_size": image_size,
            "image_channels": image_channels,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "mapping_layers": mapping_layers,
            "channel_base": channel_base,
            "generator_architecture": architecture,
        }
        self.latent_dim = latent_dim
        self.mapping = StyleMapping(latent_dim, style_dim, num_classes, mapping_layers, average_decay=average_decay)
        self.synthesis = Synthesis(image_size, image_channels, style_dim, channel_base, channel_max, architecture)


class StyleGAN2Discriminator(nn.Module):
    """D: is this image real? The discriminator of StyleGAN2, StyleGAN3 and EG3D.

    With classes it says so of an image and a class, by the inner product of its features with the class's vector,
    divided by the root of their number (Miyato and Koyama 2018).

    Args:
        image_size: side S of the images.
        image_channels: channels of the images.
        num_classes: number of classes, 0 for none.
        channel_base: channels of a resolution times its side.
        channel_max: greatest number of channels of a resolution.
        group_size: samples among which the minibatch's deviation is taken.
        frozen: number of layers, from the image on, that do not learn (Mo et al. 2020, "Freeze the discriminator").
            In each block: from_image in the first, conv0, conv1, skip. 10 or 13 for transfer learning.
        architecture: one of `ARCHITECTURES`. "resnet" has a second way around each block; "skip" has none, and each
            resolution sees the image, halved through a filter, by a from_image of its own; "orig" has neither.
    """

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 1,
        num_classes: int = 0,
        channel_base: int = 16384,
        channel_max: int = 512,
        group_size: int = 4,
        frozen: int = 0,
        architecture: str = "resnet",
    ) -> None:
        super().__init__()
        check_choice("discriminator_architecture", architecture, ARCHITECTURES)
        self.image_shape = (image_channels, image_size)
        widths = [width_of(side, channel_base, channel_max) for side in reversed(sides_of(image_size))]
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(
                    before,
                    after,
                    image_channels if number == 0 or architecture == "skip" else 0,
                    residual=architecture == "resnet",
                )
                for number, (before, after) in enumerate(pairwise(widths))
            )
        )
        last = widths[-1]
        self.filter = Filter() if architecture == "skip" else None
        self.from_image = (
            EqualisedConv(image_channels, last, 1, gain=HE, bias_gain=HE) if architecture == "skip" else None
        )
        self.deviation = MinibatchDeviation(group_size)
        self.conv = EqualisedConv(last + 1, last, 3, gain=HE, bias_gain=HE)
        self.dense = EqualisedLinear(16 * last, last, gain=HE, bias_gain=HE)
        self.out = EqualisedLinear(last, last if num_classes else 1)
        self.mapping = StyleMapping(0, last, num_classes, 8) if num_classes else None
        freeze([layer for block in self.blocks for layer in block.layers()], frozen)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Images [B, image_channels, S, S] and, if there are classes, class indices [B] -> logits [B, 1]."""
        check_image(image, *self.image_shape)
        x = F.leaky_relu(self.conv(self.deviation(self.features(image))), SLOPE)
        x = self.out(F.leaky_relu(self.dense(x.flatten(1)), SLOPE))
        if self.mapping is None:
            return x
        return (x * self.mapping(None, label)).sum(dim=1, keepdim=True) / math.sqrt(x.shape[1])

    def features(self, image: Tensor) -> Tensor:
        """Images [B, image_channels, S, S] -> features [B, channels, 4, 4]."""
        if self.from_image is None:
            return self.blocks(image)
        x = None
        for block in self.blocks:
            x = block(image, x)
            image = self.filter.halved(image)
        return x + F.leaky_relu(self.from_image(image), SLOPE)
