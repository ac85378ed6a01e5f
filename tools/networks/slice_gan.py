"""Jung et al.'s networks: a generator of slices with attention, a discriminator of slices and one of stacks of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tools.networks.self_described import SelfDescribed

INITIAL_STD = 0.02
"""Standard deviation of the normal distribution that weights of convolutions are drawn from."""

SMALLEST_MAP = 3
"""Side of the least map that discriminators halve slices to: 192 pixels six times."""


class AttentionGenerator(SelfDescribed):
    """Turns a slice into what it would be under another condition, where its attention says that this matters (Jung et
    al. 2021, after the code released with it).

    A 7x7 convolution, two that halve the slice, residual blocks, two transposed ones, and two 7x7 heads: an image y
    (tanh) and an attention a in [0, 1] (sigmoid). With the slice x the result is a x + (1 - a) y: what the condition
    does not change need not be drawn. Instance norm has weights, and always takes the statistics of the slice: the
    released code keeps running ones, and never uses them.

    Args:
        channels: width of the first convolution, 32 in the paper's code.
        num_res_blocks: number of residual blocks.
    """

    called_parts = ("drawn",)

    def __init__(self, channels: int = 32, num_res_blocks: int = 6) -> None:
        super().__init__()
        self.built_with = {"channels": channels, "num_res_blocks": num_res_blocks}
        wide = 4 * channels
        self.body = nn.Sequential(
            *normalised(nn.Conv2d(2, channels, 7, padding=3, bias=False)),
            *normalised(nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False)),
            *normalised(nn.Conv2d(2 * channels, wide, 4, 2, 1, bias=False)),
            *(ResidualBlock(wide) for _ in range(num_res_blocks)),
            *normalised(nn.ConvTranspose2d(wide, 2 * channels, 4, 2, 1, bias=False)),
            *normalised(nn.ConvTranspose2d(2 * channels, channels, 4, 2, 1, bias=False)),
        )
        self.image = nn.Conv2d(channels, 1, 7, padding=3, bias=False)
        self.attention = nn.Conv2d(channels, 1, 7, padding=3, bias=False)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """
        Args:
            images: [B, 2, H, W], a slice in [-1, 1] and the condition in [0, 1], the same everywhere in it; H and W are
                multiples of 4.

        Returns:
            Slices under the condition [B, 1, H, W] in [-1, 1].

        Raises:
            ValueError: H or W is no multiple of 4.
        """
        image, attention = self.drawn(images)
        return blend(images[:, :1], image, attention)

    def drawn(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Image y in [-1, 1] and attention a in [0, 1], [B, 1, H, W] each, of what `forward` takes."""
        if images.shape[2] % 4 != 0 or images.shape[3] % 4 != 0:
            raise ValueError(
                f"slices of {images.shape[2]} x {images.shape[3]} are halved twice; give a size that 4 divides"
            )
        features = self.body(images)
        return torch.tanh(self.image(features)), torch.sigmoid(self.attention(features))


def blend(given: Tensor, image: Tensor, attention: Tensor) -> Tensor:
    """a x + (1 - a) y of the slice that was given, x, the image y and the attention a: x where a is 1, y where it is
    0."""
    return attention * given + (1 - attention) * image


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity; [B, C, H, W] to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *normalised(nn.Conv2d(channels, channels, 3, padding=1, bias=False)),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """Convolution, instance norm, ReLU."""
    return [convolution, nn.InstanceNorm2d(convolution.out_channels, affine=True), nn.ReLU(inplace=True)]


def halvings(image_size: int) -> int:
    """How often discriminators halve slices: until a further time would leave a map of less than 3 x 3.

    192 pixels are halved six times, as published; smaller and larger slices by the same rule.

    Raises:
        ValueError: the side cannot be halved, or not so often.
    """
    times = 0
    while image_size >= SMALLEST_MAP * 2 ** (times + 1):
        times += 1
    if times == 0 or image_size % 2**times:
        step = 2 ** max(times, 1)
        raise ValueError(
            f"image_size is {image_size}, and discriminators halve it {max(times, 1)} times; give a multiple of {step} "
            f"such as {max(2, round(image_size / step)) * step}"
        )
    return times


def halving(convolution: type[nn.Conv2d | nn.Conv3d], kernel: int, times: int, channels: int) -> Iterator[nn.Module]:
    """Convolutions from one channel that halve so many times and double their width, with leaky ReLU of 0.01."""
    fewer = 1
    for level in range(times):
        wide = channels * 2**level
        yield convolution(fewer, wide, kernel, 2, 1)
        yield nn.LeakyReLU(0.01, inplace=True)
        fewer = wide


class SliceDiscriminator(nn.Module):
    """Judges slices by themselves, and reads their condition (Jung et al. 2021): a score in each place of a map, and a
    number.

    Convolutions 4x4 that halve the slice and double their width, each with a leaky ReLU of 0.01; then one of 3x3 for
    the scores, and one over the whole map for the condition.

    Args:
        image_size: side of the slices in pixels, see `halvings`.
        channels: width of the first convolution.
    """

    called_parts = ("forward",)

    def __init__(self, image_size: int = 192, channels: int = 32) -> None:
        super().__init__()
        times = halvings(image_size)
        wide = channels * 2 ** (times - 1)
        self.body = nn.Sequential(*halving(nn.Conv2d, 4, times, channels))
        self.score = nn.Conv2d(wide, 1, 3, padding=1, bias=False)
        self.condition = nn.Conv2d(wide, 1, image_size // 2**times, bias=False)
        self.apply(initialise)

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, 1, h, w] and conditions [B] of slices [B, 1, H, W]."""
        features = self.body(slices)
        return self.score(features), self.condition(features).flatten()


class StackDiscriminator(nn.Module):
    """Judges consecutive slices as a volume (Jung et al. 2021), by convolutions 3x3x3 that halve it.

    Args:
        image_size: side of the slices in pixels, see `halvings`.
        channels: width of the first convolution.
    """

    called_parts = ("forward",)

    def __init__(self, image_size: int = 192, channels: int = 32) -> None:
        super().__init__()
        times = halvings(image_size)
        last = nn.Conv3d(channels * 2 ** (times - 1), 1, 3, padding=1, bias=False)
        self.body = nn.Sequential(*halving(nn.Conv3d, 3, times, channels), last)
        self.apply(initialise)

    def forward(self, stacks: Tensor) -> Tensor:
        """Scores [B, 1, 1, h, w] of stacks [B, 1, S, H, W]."""
        return self.body(stacks)


def initialise(module: nn.Module) -> None:
    """Weights of convolutions from N(0, 0.02), biases zero."""
    if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=INITIAL_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
