"""FastGAN: a light generator, and a discriminator that must also see enough to draw what it was shown again.

Liu B, Zhu Y, Song K, Elgammal A. Towards faster and stabilized GAN training for high-fidelity few-shot image synthesis.
ICLR 2021, arXiv 2101.04775. Widths and parameters are those of the models of 256, 512 and 1024 pixels that were
released with it. All convolutions have spectral normalisation and no bias.

With S the side of the images, a power of two from 32 to 1024, and s = min(S / 2, 128) that of a second, smaller one:

    latent z [B, 256] --G--> images [B, C, S, S] and [B, C, s, s]
    images --D--> 25 logits of the large one, 25 of the small one, and what decoders make of D's features

Own definitions, for nothing below 256 was released: G for 128, 64 or 32 pixels ends there; D begins with the layers
that the larger ones have at that size, and its small image has half the side. Classes are own definitions, too.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from tools.layers.batch_norm import BatchNorm2d
from tools.layers.spectral import SpectralConv2d, SpectralDoublingConv2d
from tools.networks.self_described import SelfDescribed

IMAGE_SIZES = (32, 64, 128, 256, 512, 1024)

WIDTHS = {4: 1024, 8: 512, 16: 256, 32: 128, 64: 128, 128: 64, 256: 32, 512: 16, 1024: 8}
"""G's channels by the side of its maps, for ``width`` 64."""

NOISY = (8, 32, 128, 512)
"""Sides of the maps that G makes by two convolutions, with noise after each; it makes the others by one."""

DISCRIMINATOR_WIDTHS = {256: 16, 128: 32, 64: 64, 32: 128, 16: 256, 8: 512}
"""D's channels by the side of its maps, for ``width`` 64."""

SMALL_WIDTHS = {64: 32, 32: 64, 16: 128, 8: 256}
"""The same for the small image."""

DECODER_WIDTHS = {16: 128, 32: 64, 64: 64, 128: 32}
"""A decoder's channels by the side of its maps, for ``width`` 64."""

LOGITS = 50
"""Logits of an image: two maps of 5 x 5."""


def check_image_size(image_size: int) -> int:
    """Return ``image_size`` if the family can be built for it.

    Raises:
        ValueError: the size is not a power of two from 32 to 1024.
    """
    if image_size not in IMAGE_SIZES:
        raise ValueError(f"image_size is {image_size}, expected a power of two from 32 to 1024: {IMAGE_SIZES}")
    return image_size


def small_size(image_size: int) -> int:
    """Side s of the second, smaller image."""
    return min(image_size // 2, 128)


def shrunk(image: Tensor, size: int) -> Tensor:
    """Images [B, C, S, S] at a smaller side, each pixel the mean of those that it covers."""
    return image if image.shape[-1] == size else F.adaptive_avg_pool2d(image, size)


def sizes(first: int, last: int) -> list[int]:
    """Sides that double, or halve, from the first to the last."""
    found = [first]
    while found[-1] != last:
        found.append(found[-1] * 2 if first < last else found[-1] // 2)
    return found


def scaled(widths: dict[int, int], width: int) -> dict[int, int]:
    """Channels by side for another width than 64."""
    return {side: max(channels * width // 64, 1) for side, channels in widths.items()}


class Noise(nn.Module):
    """Adds noise, the same to all channels, by one learned weight that begins at 0.

    Where none is given it is always the same, as StyleGAN's constant noise: what G makes follows from its latent.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        constant = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(size), device="cpu")
        self.register_buffer("constant", constant.to(self.weight.device), persistent=False)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        return x + self.weight * (self.constant if noise is None else noise)


class Block(nn.Module):
    """Convolution, perhaps noise, batch normalisation, gated linear unit.

    Args:
        before: channels of the input, [B, before, H, W].
        after: channels of the output, [B, after, H, W].
        noise_size: side of the noise, 0 for none.
        doubles: True doubles the image before, by nearest neighbour.
    """

    def __init__(self, before: int, after: int, noise_size: int = 0, doubles: bool = False) -> None:
        super().__init__()
        width = 2 * after
        self.conv = SpectralDoublingConv2d(before, width) if doubles else SpectralConv2d(before, width, 3, padding=1)
        self.noise = Noise(noise_size) if noise_size else None
        self.norm = BatchNorm2d(2 * after)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.conv(x)
        if self.noise is not None:
            x = self.noise(x, noise)
        return F.glu(self.norm(x), dim=1)


class Excitation(nn.Module):
    """Skip-layer excitation (section 3.1): channels of a map are weighted by what an earlier, smaller one shows.

    Args:
        before: channels of the small map, [B, before, h, h].
        after: channels of the large one, [B, after, H, H].
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), SpectralConv2d(before, after, 4), nn.SiLU(), SpectralConv2d(after, after, 1)
        )

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        return large * torch.sigmoid(self.gate(small))


class Stage(nn.Module):
    """One doubling of G: nearest neighbours, one or two blocks, perhaps the excitation by a map of a 16th of the side.

    Args:
        before: channels of the map that is doubled.
        after: channels of the new one.
        size: side of the new one.
        distant: channels of the map that excites it, 0 for none.
    """

    def __init__(self, before: int, after: int, size: int, distant: int) -> None:
        super().__init__()
        self.is_noisy = size in NOISY
        noise_size = size if self.is_noisy else 0
        self.blocks = nn.ModuleList([Block(before, after, noise_size, doubles=True)])
        if self.is_noisy:
            self.blocks.append(Block(after, after, noise_size))
        self.excitation = Excitation(distant, after) if distant else None

    def forward(self, x: Tensor, earlier: list[Tensor], noise: Tensor | None) -> Tensor:
        for number, block in enumerate(self.blocks):
            x = block(x, None if noise is None else noise[:, number : number + 1])
        if self.excitation is not None:
            x = self.excitation(earlier[-4], x)  # the last one has half the side
        return x


class Generator(SelfDescribed):
    """G: latents to images, and to smaller ones of the same content for D (``images``).

    Args:
        image_size: S.
        out_channels: C.
        latent_dim: length of the latent.
        width: width of the network, 64 in the paper; all channels are multiples of it.
        num_classes: number of classes, whose one-hot code is appended to the latent; 0 for none.

    Attributes:
        noise_sizes: sides of the noises that ``images`` takes, in order.
    """

    called_parts = ("images",)

    def __init__(
        self, image_size: int = 256, out_channels: int = 1, latent_dim: int = 256, width: int = 64, num_classes: int = 0
    ) -> None:
        super().__init__()
        self.built_with = {
            "image_size": image_size,
            "out_channels": out_channels,
            "latent_dim": latent_dim,
            "width": width,
            "num_classes": num_classes,
        }
        self.num_classes = num_classes
        self.noise_sizes = [side for side in NOISY if side <= image_size]
        channels = scaled(WIDTHS, width)
        sides = sizes(4, check_image_size(image_size))
        self.small_stage = sides.index(small_size(image_size)) - 1
        self.first = SpectralConv2d(latent_dim + num_classes, 2 * channels[4], 4)
        self.first_norm = BatchNorm2d(2 * channels[4])
        self.stages = nn.ModuleList(
            Stage(channels[a], channels[b], b, channels[b // 16] if 64 <= b <= 512 else 0) for a, b in pairwise(sides)
        )
        self.to_small = SpectralConv2d(channels[small_size(image_size)], out_channels, 1)
        self.to_image = SpectralConv2d(channels[image_size], out_channels, 3, padding=1)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, latent_dim] and, if there are classes, class indices [B] -> images [B, C, S, S] in [-1, 1]."""
        return self.images(latent, label)[0]

    def images(
        self, latent: Tensor, label: Tensor | None = None, noises: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Images of both sizes; the hyperbolic tangent, at 1024 only in what was released, keeps them in [-1, 1].

        Args:
            latent: [B, latent_dim].
            label: class indices [B], if there are classes.
            noises: standard normal noise [B, 2, side, side] for each of ``noise_sizes``; None takes what is constant.

        Returns:
            [B, C, S, S] and [B, C, s, s].

        Raises:
            ValueError: there are classes, and no label.
        """
        if self.num_classes > 0:
            if label is None:
                raise ValueError("this generator is conditional: it needs a class index for every latent vector.")
            latent = torch.cat([latent, F.one_hot(label, self.num_classes).to(latent.dtype)], dim=1)
        # a transposed convolution of a map of one pixel
        x = torch.einsum("bi,oihw->bohw", latent, self.first.normalised())
        x = F.glu(self.first_norm(x), dim=1)
        small = x
        maps = [x]
        drawn = 0
        for number, stage in enumerate(self.stages):
            noise: Tensor | None = None
            if stage.is_noisy and noises is not None:
                noise = noises[drawn]
                drawn += 1
            x = stage(x, maps, noise)
            maps.append(x)
            if number == self.small_stage:
                small = x
        return torch.tanh(self.to_image(x)), torch.tanh(self.to_small(small))


class Down(nn.Module):
    """Halves a map: the mean of 4x4 and 3x3 convolutions and, beside them, of pooling and a 1x1 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*halved(before, after), *normalised(SpectralConv2d(after, after, 3, padding=1)))
        self.direct = nn.Sequential(nn.AvgPool2d(2), *normalised(SpectralConv2d(before, after, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return (self.main(x) + self.direct(x)) / 2


class Decoder(nn.Sequential):
    """Features [B, before, 8, 8] or larger, pooled to that -> images [B, out_channels, size, size] in [-1, 1]."""

    def __init__(self, before: int, out_channels: int, size: int, width: int) -> None:
        widths = {8: before} | scaled(DECODER_WIDTHS, width)
        super().__init__(nn.AdaptiveAvgPool2d(8))
        for a, b in pairwise(sizes(8, size)):
            self.append(Block(widths[a], widths[b], doubles=True))
        self.extend([SpectralConv2d(widths[size], out_channels, 3, padding=1), nn.Tanh()])


class Seen(NamedTuple):
    """What D has of images.

    Attributes:
        logits: [B, 50], above 0 for real.
        last: features of the large image, [B, 512, 8, 8] for ``width`` 64.
        small: features of the small one, [B, 256, 8, 8].
        middle: features of the large one before the last, [B, 256, 16, 16].
    """

    logits: Tensor
    last: Tensor
    small: Tensor
    middle: Tensor


class Discriminator(nn.Module):
    """D: are these images real? and decoders that draw its input again, so that it looks at all of it (section 3.2).

    Args:
        image_size: S.
        in_channels: C.
        width: width of the network, 64 in the paper.
        num_classes: number of classes, by projection on the features (Miyato and Koyama 2018); 0 for none.

    Attributes:
        decoded_size: side of the images that decoders draw; of a quarter of the image it may be less.
    """

    called_parts = ("see", "draw_again")

    def __init__(self, image_size: int = 256, in_channels: int = 1, width: int = 64, num_classes: int = 0) -> None:
        super().__init__()
        channels, small_channels = scaled(DISCRIMINATOR_WIDTHS, width), scaled(SMALL_WIDTHS, width)
        sides = sizes(min(check_image_size(image_size), 256), 8)
        small_sides = sizes(small_size(image_size) // 2, 8)
        self.stem = stem(image_size, in_channels, channels[sides[0]])
        self.downs = nn.ModuleList(Down(channels[a], channels[b]) for a, b in pairwise(sides))
        self.sides = sides
        self.excitations = nn.ModuleDict(
            {str(b): Excitation(channels[8 * b], channels[b]) for b in sides if 8 * b in sides}
        )
        last = channels[8]
        self.verdict = nn.Sequential(*normalised(SpectralConv2d(last, 2 * last, 1)), SpectralConv2d(2 * last, 1, 4))
        self.small = nn.Sequential(
            SpectralConv2d(in_channels, small_channels[small_sides[0]], 4, 2, 1), nn.LeakyReLU(0.2)
        )
        for a, b in pairwise(small_sides):
            self.small.extend(halved(small_channels[a], small_channels[b]))
        self.small_verdict = SpectralConv2d(small_channels[8], 1, 4)
        self.classes = spectral_norm(nn.Embedding(num_classes, last + small_channels[8])) if num_classes else None
        self.decoded_size = min(image_size, 128)
        self.decode_last = Decoder(last, in_channels, self.decoded_size, width)
        self.decode_small = Decoder(small_channels[8], in_channels, self.decoded_size, width)
        self.decode_quarter = Decoder(channels[16], in_channels, min(image_size // 2, 128), width)

    def forward(self, image: Tensor, small: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, C, S, S] and [B, C, s, s] in [-1, 1], and class indices [B] if there are classes -> logits [B, 50]."""
        return self.see(image, small, label).logits

    def see(self, image: Tensor, small: Tensor, label: Tensor | None = None) -> Seen:
        """Logits and the features that decoders take; arguments as of ``forward``."""
        x = self.stem(image)
        maps = {self.sides[0]: x}
        for side, down in zip(self.sides[1:], self.downs, strict=True):
            x = down(x)
            if str(side) in self.excitations:
                x = self.excitations[str(side)](maps[8 * side], x)
            maps[side] = x
        of_small = self.small(small)
        logits = torch.cat([self.verdict(x).flatten(1), self.small_verdict(of_small).flatten(1)], dim=1)
        if self.classes is not None:
            if label is None:
                raise ValueError("this discriminator is conditional: it needs a class index for every image.")
            features = torch.cat([x.mean((2, 3)), of_small.mean((2, 3))], dim=1)
            logits = logits + (self.classes(label) * features).sum(1, keepdim=True)
        return Seen(logits, x, of_small, maps[16])

    def draw_again(self, seen: Seen, quarter: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoders make of features: the image, the image by its small version, and a quarter of it.

        Args:
            seen: features of real images.
            quarter: number of the quarter, see ``quarter_of``.

        Returns:
            Two of [B, C, decoded_size, decoded_size], one of at most that side, in [-1, 1].
        """
        part = quarter_of(seen.middle, quarter)
        return self.decode_last(seen.last), self.decode_small(seen.small), self.decode_quarter(part)


def quarter_of(images: Tensor, quarter: int) -> Tensor:
    """A quarter [B, C, H/2, W/2] of images: 0 and 1 are the upper left and right, 2 and 3 the lower ones."""
    height, width = images.shape[2] // 2, images.shape[3] // 2
    top, left = quarter // 2 * height, quarter % 2 * width
    return images[:, :, top : top + height, left : left + width]


def normalised(conv: SpectralConv2d) -> list[nn.Module]:
    """Convolution, batch normalisation, leaky ReLU."""
    return [conv, BatchNorm2d(conv.out_channels), nn.LeakyReLU(0.2, inplace=True)]


def halved(before: int, after: int) -> list[nn.Module]:
    """The same with a 4x4 convolution that halves the side."""
    return normalised(SpectralConv2d(before, after, 4, stride=2, padding=1))


def stem(image_size: int, in_channels: int, channels: int) -> nn.Sequential:
    """D's first layers, [B, in_channels, S, S] -> [B, channels, min(S, 256), ...]."""
    if image_size <= 256:
        return nn.Sequential(SpectralConv2d(in_channels, channels, 3, padding=1), nn.LeakyReLU(0.2, inplace=True))
    first = channels if image_size == 512 else max(channels // 2, 1)
    layers = [SpectralConv2d(in_channels, first, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, *(halved(first, channels) if image_size == 1024 else []))
