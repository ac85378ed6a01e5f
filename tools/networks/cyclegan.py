"""The CycleGAN generator of Crespi et al. (MRI to CT), for any number of modalities in and out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tools.networks.self_described import SelfDescribed

INITIAL_STD = 0.02
"""Standard deviation of the normal distribution that weights are drawn from (Zhu et al. 2017)."""


class TranslationGenerator(SelfDescribed):
    """Translates images of some modalities into corresponding images of others (Crespi et al., section 3, Fig. 2a, 2c).

    Johnson et al.'s network: a 7x7 convolution, two downsampling blocks, nine residual blocks, two upsampling blocks
    and a 7x7 convolution with tanh, all with instance norm (without parameters) and ReLU, and reflection padding. It
    is cut in three, so that one class serves every set-up:

    - a branch per input modality: 7x7 convolution, two downsampling and ``branch_blocks`` residual blocks;
    - the latent, which the branches are merged into: the remaining residual blocks;
    - a decoder per output modality: two upsampling blocks, 7x7 convolution, tanh.

    With one modality in and one out this is the plain CycleGAN generator. The paper says that branches are "merged into
    a latent space", not how: here their features are concatenated and brought back to one branch's number of channels
    by a 1x1 convolution, a learned sum.

    Args:
        in_modalities: number of modalities in, at least 1.
        out_modalities: number of modalities out, at least 1.
        slices: neighbouring slices of each modality that go in and come out together. 1 is the paper; with more
            the network sees, and makes, thin slabs (2.5D).
        channels: width of the first convolution.
        blocks: residual blocks that an image passes.
        branch_blocks: number of those that lie in the branch.

    Raises:
        ValueError: the numbers make no network.
    """

    def __init__(
        self,
        in_modalities: int = 1,
        out_modalities: int = 1,
        slices: int = 1,
        channels: int = 64,
        blocks: int = 9,
        branch_blocks: int = 4,
    ) -> None:
        super().__init__()
        if min(in_modalities, out_modalities, channels) < 1 or not 0 <= branch_blocks <= blocks:
            raise ValueError(
                "expected at least one modality in, one out and one channel, and no more blocks in a branch than "
                f"there are; got {in_modalities}, {out_modalities}, {channels}, and {branch_blocks} of {blocks}"
            )
        if slices < 1 or slices % 2 == 0:
            raise ValueError(f"slices must be odd, so that there is a middle one; got {slices}")
        self.built_with = {
            "in_modalities": in_modalities,
            "out_modalities": out_modalities,
            "slices": slices,
            "channels": channels,
            "blocks": blocks,
            "branch_blocks": branch_blocks,
        }
        self.slices = slices
        wide = 4 * channels
        self.branches = nn.ModuleList(branch(slices, channels, branch_blocks) for _ in range(in_modalities))
        self.merge = nn.Identity() if in_modalities == 1 else nn.Conv2d(in_modalities * wide, wide, 1)
        self.latent = nn.Sequential(*(ResidualBlock(wide) for _ in range(blocks - branch_blocks)))
        self.decoders = nn.ModuleList(decoder(slices, channels) for _ in range(out_modalities))
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """
        Args:
            images: [B, in_modalities * slices, H, W] in [-1, 1], the slices of a modality together, lowest first;
                H and W multiples of 4, at least 16.

        Returns:
            [B, out_modalities * slices, H, W] in [-1, 1].

        Raises:
            ValueError: H or W is no multiple of 4.
        """
        if images.shape[2] % 4 != 0 or images.shape[3] % 4 != 0:
            raise ValueError(
                f"slices of {images.shape[2]} x {images.shape[3]} are halved twice; give a size that 4 divides"
            )
        features = []
        for number, branch in enumerate(self.branches):  # TorchScript has no zip of modules and tensors
            features.append(branch(images[:, number * self.slices : (number + 1) * self.slices]))
        latent = self.latent(self.merge(torch.cat(features, dim=1)))
        return torch.cat([decode(latent) for decode in self.decoders], dim=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (Johnson et al. 2016); [B, C, H, W] to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def branch(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    """[B, in_channels, H, W] -> features [B, 4 * channels, H / 4, W / 4]."""
    return nn.Sequential(
        nn.ReflectionPad2d(3),
        *block(nn.Conv2d(in_channels, channels, 7)),
        *block(nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)),
        *block(nn.Conv2d(2 * channels, 4 * channels, 3, stride=2, padding=1)),
        *(ResidualBlock(4 * channels) for _ in range(blocks)),
    )


def decoder(out_channels: int, channels: int) -> nn.Sequential:
    """Features [B, 4 * channels, H / 4, W / 4] -> image [B, out_channels, H, W]."""
    return nn.Sequential(
        *block(nn.ConvTranspose2d(4 * channels, 2 * channels, 3, stride=2, padding=1, output_padding=1)),
        *block(nn.ConvTranspose2d(2 * channels, channels, 3, stride=2, padding=1, output_padding=1)),
        nn.ReflectionPad2d(3),
        nn.Conv2d(channels, out_channels, 7),
        nn.Tanh(),
    )


def block(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """Convolution, normalization, activation."""
    return [convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases zero."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=INITIAL_STD)
        nn.init.zeros_(module.bias)
