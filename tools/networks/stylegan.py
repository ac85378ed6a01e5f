"""StyleGAN: the generator whose styles act by adaptive instance normalisation (Karras et al. 2019, Fig. 1b).

"A style-based generator architecture for generative adversarial networks", CVPR 2019. It grows as Progressive GAN
does; its discriminator is `tools.networks.pggan.ProgressiveDiscriminator` with ``blur``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.equalised import HE, SLOPE, DoublingConv, EqualisedConv, EqualisedLinear, pixel_norm
from tools.layers.filters import Filter
from tools.layers.growing import Growth, doubled, faded
from tools.networks.resolutions import sides_of, width_of
from tools.networks.style_mapping import StyledGenerator, StyleMapping


class StyleGANMapping(StyleMapping):
    """Eight dense layers; the class's vector is appended to z before both are normalised together.

    Args:
        latent_dim: size of z.
        style_dim: size of w and of every layer.
        num_classes: number of classes, 0 for none.
        layers: number of dense layers.
        average_decay: decay of the average of w.
    """

    def __init__(
        self,
        latent_dim: int = 512,
        style_dim: int = 512,
        num_classes: int = 0,
        layers: int = 8,
        average_decay: float = 0.995,
    ) -> None:
        super().__init__(latent_dim, style_dim, num_classes, layers, average_decay=average_decay, bias_gain=1.0)
        if num_classes:
            self.embedding = EqualisedLinear(num_classes, style_dim, gain=num_classes**0.5, bias=None)

    def normalised(self, latent: Tensor, label: Tensor | None) -> Tensor:
        """z and the class's vector, together of unit second moment."""
        if self.embedding is None:
            return pixel_norm(latent)
        return pixel_norm(torch.cat([latent, self.embedded(label)], dim=1))


class StyledLayer(nn.Module):
    """A convolution, or none in the first layer; noise; bias; leaky ReLU; instance normalisation; style.

    Args:
        conv: convolution without bias, or None.
        channels: channels of what comes out.
        style_dim: size of w.
        side: side of what comes out.

    Attributes:
        noise: noise [side, side] for images without noise of their own, a buffer.
    """

    def __init__(self, conv: nn.Module | None, channels: int, style_dim: int, side: int) -> None:
        super().__init__()
        self.conv = conv
        self.filter = Filter((1, 2, 1)) if isinstance(conv, DoublingConv) else None
        self.shape = (side, side)
        self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style = EqualisedLinear(style_dim, 2 * channels)
        self.register_buffer("noise", torch.randn(side, side))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """
        Args:
            x: features [B, ..., H, W].
            w: styles [B, style_dim].
            noise: standard normal numbers [B, 1, side, side]; None for the same in every image.

        Returns:
            Features [B, channels, side, side].
        """
        x = x if self.conv is None else self.conv(x)
        x = x if self.filter is None else self.filter.blurred(x, 1, 1)
        noise = self.noise if noise is None else noise
        x = torch.addcmul(x, noise.to(x.dtype), self.noise_strength.to(x.dtype).view(-1, 1, 1))
        x = F.instance_norm(F.leaky_relu(x + self.bias.view(-1, 1, 1), SLOPE), eps=1e-8)
        scale, shift = self.style(w)[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        return torch.addcmul(shift, x, scale + 1)


class Synthesis(nn.Module):
    """Styles to the image of a level.

    Args:
        image_size: side S of the images when it is grown up.
        image_channels: channels of the images.
        style_dim: size of w.
        channel_base: channels of a resolution times its side.
        channel_max: greatest number of channels of a resolution.

    Attributes:
        num_ws: number of styles, 2 log2(S) - 2, two of each level.
        noise_shapes: rows and columns of the noise of each layer.
    """

    def __init__(
        self,
        image_size: int,
        image_channels: int,
        style_dim: int = 512,
        channel_base: int = 16384,
        channel_max: int = 512,
    ) -> None:
        super().__init__()
        sides = sides_of(image_size)
        widths = [width_of(side, channel_base, channel_max) for side in sides]
        self.constant = nn.Parameter(torch.ones(widths[0], 4, 4))
        self.layers = nn.ModuleList()
        for number, (side, width) in enumerate(zip(sides, widths, strict=True)):
            first = DoublingConv(widths[number - 1], width, gain=HE, bias=False) if number else None
            second = EqualisedConv(width, width, 3, gain=HE, bias=False)
            self.layers.extend(StyledLayer(conv, width, style_dim, side) for conv in (first, second))
        self.to_images = nn.ModuleList(EqualisedConv(width, image_channels, 1) for width in widths)
        self.noise_shapes = [layer.shape for layer in self.layers]
        self.num_ws = len(self.layers)

    def forward(
        self,
        ws: Tensor,
        level: int,
        alpha: Tensor | float | None = None,
        noise: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """
        Args:
            ws: styles [B, num_ws, style_dim], of which a level needs the first 2 level + 2.
            level: number of doublings.
            alpha: weight of the last level, in [0, 1]; None if it has faded in.
            noise: standard normal [B, 1, side, side] of every shape in ``noise_shapes`` up to the level; None for the
                same in all images.

        Returns:
            Images [B, image_channels, side, side] with a side of 4 * 2^level.
        """
        x = before = self.constant.expand(len(ws), -1, -1, -1)
        for number in range(2 * level + 2):
            if number % 2 == 0:
                before = x
            x = self.layers[number](x, ws[:, number], None if noise is None else noise[number])
        image = self.to_images[level](x)
        return image if alpha is None else faded(doubled(self.to_images[level - 1](before)), image, alpha)


class StyleGANGenerator(StyledGenerator):
    """G: latent to image.

    Args:
        image_size: side S of the images when it is grown up.
        image_channels: channels of the images.
        num_classes: number of classes, 0 for none.
        latent_dim: size of z.
        style_dim: size of w.
        mapping_layers: dense layers of the mapping.
        channel_base: channels of a resolution times its side.
        channel_max: greatest number of channels of a resolution.
        average_decay: decay of the average of w.

    Attributes:
        growth: level that training has reached.
    """

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 1,
        num_classes: int = 0,
        latent_dim: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 16384,
        channel_max: int = 512,
        average_decay: float = 0.995,
    ) -> None:
        super().__init__()
        self.built_with = {
            "image_size": image_size,
            "image_channels": image_channels,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "mapping_layers": mapping_layers,
            "channel_base": channel_base,
        }
        self.latent_dim = latent_dim
        self.mapping = StyleGANMapping(latent_dim, style_dim, num_classes, mapping_layers, average_decay)
        self.synthesis = Synthesis(image_size, image_channels, style_dim, channel_base, channel_max)
        self.growth = Growth(len(sides_of(image_size)) - 1)

    def from_styles(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Images [B, image_channels, S, S] of styles [B, num_ws, style_dim] as ``styles`` gives them."""
        level, alpha = self.growth.reached()
        return doubled(self.synthesis(ws, level, alpha, noise), self.synthesis.num_ws // 2 - 1 - level)
