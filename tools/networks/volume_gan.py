"""The networks of the GANs of whole volumes that others are compared with, all of one plan.

Sources: Kwon, Han and Kim, "Generation of 3D brain MRI using auto-encoding generative adversarial networks", MICCAI
2019, and the code released with it (WGAN-GP, VAE-GAN, alpha-GAN, alpha-WGAN-GP); Xing et al., "Cycle consistent
embedding of 3D brains with auto-encoding GANs", MIDL 2021 (CCE-GAN); Wu et al., "Learning a probabilistic latent space
of object shapes via 3D generative-adversarial modeling", NeurIPS 2016 (3D-GAN). All are published for 64^3 alone.

A volume of n doublings begins as a grid of `grid_of` its size, 4^3 for a cube of a power of two, and has 64 channels
before its last doubling, twice as many before the one before, and so on: 512 at 4^3 for 64^3, as published, and 1024
for 128^3, as the baselines of HA-GAN have it. So any number of voxels will do of which 2^n divides each side.

Volumes are [batch, channels, axial, H, W] with values in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tools.errors import check_choice
from tools.layers.batch_norm import BatchNorm1d, BatchNorm3d
from tools.layers.few_rows import FewRowsLinear
from tools.layers.upsample import UpsampleConv3d
from tools.networks.self_described import SelfDescribed

SMALLEST = 4
"""Voxels of the longest side of the grid with which a generator begins, at least; twice that are too many."""


def doublings_of(volume_size: Sequence[int]) -> int:
    """Number of doublings from the first grid to a volume: its longest side has 4 to 7 voxels there.

    Raises:
        ValueError: the volume is less than 8 voxels long, or a side is not divisible by as many halves.
    """
    sides = list(volume_size)
    longest = max(sides)
    if len(sides) != 3 or longest < 2 * SMALLEST:
        raise ValueError(f"volume_size is {sides}, expected slices, rows and columns, the most of them 8 or more.")
    doublings = (longest // SMALLEST).bit_length() - 1
    if any(side % 2**doublings for side in sides):
        fitting = [max(1, round(side / 2**doublings)) * 2**doublings for side in sides]
        raise ValueError(
            f"volume_size is {sides}; with {longest} voxels as its longest side it is doubled {doublings} times, and "
            f"2^{doublings} has to divide each. Take {fitting}, for instance."
        )
    return doublings


def doublable(volume_size: Sequence[int]) -> list[int]:
    """Return slices, rows and columns of a volume, if `doublings_of` has a way to it."""
    doublings_of(volume_size)
    return list(volume_size)


def grid_of(volume_size: Sequence[int]) -> list[int]:
    """Slices, rows and columns of the grid with which a generator begins and a discriminator ends."""
    return [side // 2 ** doublings_of(volume_size) for side in volume_size]


def widths_of(volume_size: Sequence[int], base_channels: int) -> list[int]:
    """Channels at each grid from the finest before the volume's own to the first: [64, 128, 256, 512] for 64^3."""
    return [base_channels * 2**level for level in range(doublings_of(volume_size))]


class VolumeGenerator(SelfDescribed):
    """G: latent vector to volume. 37,416,512 learnable parameters at 64^3 as published for alpha-GAN.

    Args:
        volume_size: slices, rows and columns, see `doublings_of`.
        latent_dim: size of the latent vector; 1000 in Kwon's, 200 in Wu's.
        image_channels: channels of a volume.
        base_channels: channels before the last doubling.
        first: first layer, from the latent to the grid: "convolution", transposed and without a bias, as in alpha-GAN
            and 3D-GAN; or "linear" with a bias, as in WGAN and VAE-GAN.
        upsampling: way of doubling: "nearest", nearest neighbour and a convolution of 3^3 without a bias (Kwon); or
            "transposed", a transposed convolution of 4^3 (Wu).
        bias: True gives transposed convolutions a bias, as Torch's have by default (Wu).
        output: last function: "tanh"; or "sigmoid", whose (0, 1) is stretched to (-1, 1) (Wu).

    Raises:
        ValueError: a size that cannot be doubled to, or another word for a choice.
    """

    def __init__(
        self,
        volume_size: Sequence[int] = (64, 64, 64),
        latent_dim: int = 1000,
        image_channels: int = 1,
        base_channels: int = 64,
        first: str = "convolution",
        upsampling: str = "nearest",
        bias: bool = False,
        output: str = "tanh",
    ) -> None:
        super().__init__()
        check_choice("first", first, ("convolution", "linear"))
        check_choice("upsampling", upsampling, ("nearest", "transposed"))
        check_choice("output", output, ("tanh", "sigmoid"))
        self.built_with = {
            "volume_size": list(volume_size),
            "latent_dim": latent_dim,
            "image_channels": image_channels,
            "base_channels": base_channels,
        }
        self.latent_dim = latent_dim
        self.grid = grid_of(volume_size)
        self.stretch = output == "sigmoid"
        widths = widths_of(volume_size, base_channels)[::-1]
        if first == "linear":
            self.first = nn.Sequential(
                FewRowsLinear(latent_dim, widths[0] * math.prod(self.grid)), nn.Unflatten(1, (widths[0], *self.grid))
            )
        else:
            self.first = nn.Sequential(
                nn.Unflatten(1, (latent_dim, 1, 1, 1)), nn.ConvTranspose3d(latent_dim, widths[0], self.grid, bias=bias)
            )
        self.stages = nn.Sequential()
        for before, after in pairwise([*widths, image_channels]):
            self.stages.extend([BatchNorm3d(before), nn.ReLU(inplace=True)])
            if upsampling == "nearest":
                self.stages.append(UpsampleConv3d(before, after, bias=False))
            else:
                self.stages.append(nn.ConvTranspose3d(before, after, 4, stride=2, padding=1, bias=bias))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, L] -> volumes [B, image_channels, D, H, W] in (-1, 1); there are no classes, ``label`` is not used."""
        volume = self.stages(self.first(latent))
        return 2 * torch.sigmoid(volume) - 1 if self.stretch else torch.tanh(volume)


class VolumeDiscriminator(nn.Module):
    """D: is this volume real? 11,049,665 learnable parameters at 64^3. Also E of the alpha forms, with 1000 outputs.

    Convolutions of 4^3 with stride 2, leaky ReLU (0.2), normalisation in all but the first and the last, and one
    convolution over what is left. There is no sigmoid: losses take logits.

    Args:
        volume_size: slices, rows and columns, see `doublings_of`.
        image_channels: channels of a volume.
        base_channels: channels after the first convolution.
        outputs: numbers for each volume.
        norm: "batch", as published; "layer", over all channels and voxels of a volume, for a discriminator whose
            gradient is penalised: a penalty of each volume's gradient has no meaning where it depends on the others
            (Gulrajani et al. 2017, section 4); or "none". The first two have the same number of parameters.
        bias: False leaves the convolutions' biases out.
        score_map: True lets the last convolution have stride 2 and padding 1, as in Kwon's WGAN, so that it gives a
            map, of which the mean is taken.
        unit: True shows the convolutions volumes in [0, 1], as Wu's does: their padding, 0, is then what -1 is.

    Raises:
        ValueError: a size that cannot be halved, or another word for the normalisation.
    """

    def __init__(
        self,
        volume_size: Sequence[int] = (64, 64, 64),
        image_channels: int = 1,
        base_channels: int = 64,
        outputs: int = 1,
        norm: str = "batch",
        bias: bool = True,
        score_map: bool = False,
        unit: bool = False,
    ) -> None:
        super().__init__()
        check_choice("norm", norm, ("batch", "layer", "none"))
        self.unit = unit
        widths = widths_of(volume_size, base_channels)
        self.features = features_of([image_channels, *widths], norm, bias)
        grid = grid_of(volume_size)
        map_of = {"stride": 2, "padding": 1} if score_map else {}
        self.last = nn.Conv3d(widths[-1], outputs, grid, bias=bias, **map_of)

    def forward(self, volume: Tensor) -> Tensor:
        """Volumes [B, image_channels, D, H, W] -> logits or codes [B, outputs]."""
        return self.last(self.features(self.seen(volume))).flatten(2).mean(2)

    def middle(self, volume: Tensor) -> Tensor:
        """Features of volumes half-way, in which VAE-GAN may compare them (Larsen et al. 2016)."""
        return self.features[: len(self.features) // 2](self.seen(volume))

    def seen(self, volume: Tensor) -> Tensor:
        """What the convolutions see of volumes in [-1, 1]."""
        return (volume + 1) / 2 if self.unit else volume


class VariationalEncoder(nn.Module):
    """E of VAE-GAN: volume to mean and log variance of its latent. 149,344,912 learnable parameters at 64^3.

    Args:
        volume_size: slices, rows and columns, see `doublings_of`.
        latent_dim: size of the latent vector.
        image_channels: channels of a volume.
        base_channels: channels after the first convolution.
        hidden_channels: width of the hidden layer of both heads.
    """

    def __init__(
        self,
        volume_size: Sequence[int] = (64, 64, 64),
        latent_dim: int = 1000,
        image_channels: int = 1,
        base_channels: int = 64,
        hidden_channels: int = 2048,
    ) -> None:
        super().__init__()
        widths = widths_of(volume_size, base_channels)
        self.features = features_of([image_channels, *widths], "batch", bias=True)
        numbers = widths[-1] * math.prod(grid_of(volume_size))
        self.mean, self.log_variance = (
            nn.Sequential(
                FewRowsLinear(numbers, hidden_channels),
                BatchNorm1d(hidden_channels),
                nn.ReLU(inplace=True),
                nn.Linear(hidden_channels, latent_dim),
            )
            for _ in range(2)
        )

    def forward(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Volumes [B, image_channels, D, H, W] -> mean and log variance, [B, L] each."""
        features = self.features(volume).flatten(1)
        return self.mean(features), self.log_variance(features)


class CodeDiscriminator(nn.Sequential):
    """C of the alpha forms: was this code drawn, or is it of a volume? 20,901,889 learnable parameters.

    Args:
        latent_dim: size of the code.
        hidden_channels: width of both hidden layers.
        norm: "batch", as published, or "layer", see `VolumeDiscriminator`.
    """

    def __init__(self, latent_dim: int = 1000, hidden_channels: int = 4096, norm: str = "batch") -> None:
        check_choice("norm", norm, ("batch", "layer"))
        super().__init__()
        for before in (latent_dim, hidden_channels):
            normalised = BatchNorm1d(hidden_channels) if norm == "batch" else nn.LayerNorm(hidden_channels)
            self.extend([nn.Linear(before, hidden_channels), normalised, nn.LeakyReLU(0.2, inplace=True)])
        self.append(nn.Linear(hidden_channels, 1))


class VolumeAutoEncoder(nn.Module):
    """Volumes as the generator would make them of what the encoder says.

    Args:
        generator: trained generator.
        encoder: trained encoder; of a `VariationalEncoder` the mean is taken.
    """

    def __init__(self, generator: VolumeGenerator, encoder: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.encoder = encoder

    def forward(self, volume: Tensor) -> Tensor:
        """[B, image_channels, D, H, W] -> the same, in (-1, 1)."""
        return self.generator(self.encode(volume))

    def encode(self, volume: Tensor) -> Tensor:
        """[B, image_channels, D, H, W] -> codes [B, L]."""
        code = self.encoder(volume)
        return code[0] if isinstance(code, tuple) else code


def features_of(channels: Sequence[int], norm: str, bias: bool) -> nn.Sequential:
    """Convolutions that halve a volume, with these channels before, between and after them."""
    layers = nn.Sequential()
    for number, (before, after) in enumerate(pairwise(channels)):
        layers.append(nn.Conv3d(before, after, 4, stride=2, padding=1, bias=bias))
        if number and norm != "none":
            layers.append(BatchNorm3d(after) if norm == "batch" else nn.GroupNorm(1, after))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return layers
