"""3D-StyleGAN: StyleGAN2 with operations of three dimensions, whose volumes need not be cubes.

Hong et al. 2021, "3D-StyleGAN: a style-based generative adversarial network for generative modeling of
three-dimensional medical images", arXiv 2107.09700. The generator begins with a learned grid, (5, 6, 7) in the paper,
and doubles it; what comes out is made of the last features alone, and every level has the same width. Volumes are
[B, channels, D, H, W] in [-1, 1] up to what the generator overshoots: it has no last activation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.equalised import HE, SLOPE, EqualisedConv, EqualisedLinear
from tools.layers.minibatch import MinibatchDeviation
from tools.layers.residual import ResidualBlock
from tools.layers.styled import StyledConv, ToImage
from tools.networks.style_mapping import StyledGenerator, StyleMapping

TAPS = (1.0, 3.0, 3.0, 3.0, 1.0)
"""Of the filter, where StyleGAN2 has (1, 3, 3, 1). The middle one lies on a voxel: here voxel i of a level is voxel 2 i
of the next one, in both networks."""


def grids_of(volume_size: Sequence[int], base_grid: Sequence[int]) -> list[tuple[int, ...]]:
    """The resolutions of a network: the base grid, doubled up to the volume's size.

    Raises:
        ValueError: a length is not positive, or the size is not the base grid doubled at least once.
    """
    size, grid = tuple(volume_size), tuple(base_grid)
    if len(size) != 3 or len(grid) != 3 or min(*size, *grid) < 1:
        raise ValueError(f"volume_size is {list(size)} and base_grid {list(grid)}, expected three lengths above 0 each")
    doublings = max(1, (size[0] // grid[0]).bit_length() - 1)
    found = [tuple(length * 2**level for length in grid) for level in range(doublings + 1)]
    if found[-1] != size:
        raise ValueError(
            f"volume_size is {list(size)}, expected base_grid {list(grid)} doubled once or more, for instance "
            f"{list(found[-1])}. Give another size, or a base grid that is it divided by a power of two."
        )
    return found


class Synthesis(nn.Module):
    """Styles to a volume.

    Args:
        volume_size: slices, rows and columns of the volume.
        base_grid: slices, rows and columns of the learned constant.
        image_channels: channels of the volume.
        style_dim: size of w.
        channels: channels at every resolution.

    Attributes:
        num_ws: number of styles: one of each convolution, and one of the last layer.
        noise_shapes: slices, rows and columns of the noise of each convolution.
    """

    def __init__(
        self,
        volume_size: Sequence[int],
        base_grid: Sequence[int],
        image_channels: int = 1,
        style_dim: int = 96,
        channels: int = 96,
    ) -> None:
        super().__init__()
        grids = grids_of(volume_size, base_grid)
        self.constant = nn.Parameter(torch.randn(channels, *grids[0]))
        self.layers = nn.ModuleList([StyledConv(channels, channels, style_dim, grids[0])])
        for grid in grids[1:]:
            self.layers.append(StyledConv(channels, channels, style_dim, grid, up=2, taps=TAPS))
            self.layers.append(StyledConv(channels, channels, style_dim, grid))
        self.to_volume = ToImage(channels, image_channels, style_dim, spatial_dims=3)
        self.noise_shapes = [layer.shape for layer in self.layers]
        self.num_ws = len(self.layers) + 1

    def forward(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """
        Args:
            ws: styles [B, num_ws, style_dim].
            noise: standard normal [B, 1, D, H, W] of every shape in ``noise_shapes``; None for the same in all volumes.

        Returns:
            Volumes [B, image_channels, D, H, W].

        Raises:
            ValueError: another number of styles or noises.
        """
        if ws.shape[1] != self.num_ws or (noise is not None and len(noise) != len(self.layers)):
            given = None if noise is None else len(noise)
            raise ValueError(
                f"got {ws.shape[1]} styles and noise for {given} layers, expected {self.num_ws} and "
                f"{len(self.layers)}, or None."
            )
        x = self.constant.expand(len(ws), -1, -1, -1, -1)
        noises = [None] * len(self.layers) if noise is None else noise
        for layer, w, one in zip(self.layers, ws.unbind(1), noises, strict=False):
            x = layer(x, w, one)
        return self.to_volume(x, ws[:, -1])


class StyleGAN3DGenerator(StyledGenerator):
    """G: latent to volume.

    Args:
        volume_size: slices, rows and columns of the volumes.
        base_grid: slices, rows and columns of the learned constant; the size is it, doubled.
        image_channels: channels of the volumes.
        latent_dim: size of z.
        style_dim: size of w.
        mapping_layers: dense layers of the mapping.
        channels: channels at every resolution.
        average_decay: decay of the average of w.
    """

    def __init__(
        self,
        volume_size: Sequence[int] = (80, 96, 112),
        base_grid: Sequence[int] = (5, 6, 7),
        image_channels: int = 1,
        latent_dim: int = 96,
        style_dim: int = 96,
        mapping_layers: int = 8,
        channels: int = 96,
        average_decay: float = 0.995,
    ) -> None:
        super().__init__()
        self.built_with = {
            "volume_size": list(volume_size),
            "base_grid": list(base_grid),
            "image_channels": image_channels,
            "latent_dim": latent_dim,
            "mapping_layers": mapping_layers,
            "channels": channels,
        }
        self.latent_dim = latent_dim
        self.mapping = StyleMapping(latent_dim, style_dim, 0, mapping_layers, average_decay=average_decay)
        self.synthesis = Synthesis(volume_size, base_grid, image_channels, style_dim, channels)


class StyleGAN3DDiscriminator(nn.Module):
    """D: is this volume real?

    Args:
        volume_size: slices, rows and columns of the volumes.
        base_grid: slices, rows and columns where it ends.
        image_channels: channels of the volumes.
        channels: channels at every resolution.
        residual: True for StyleGAN2's residual blocks, the published networks' at 2 mm; False for blocks without the
            second way, as most of those at 1 mm have it.
        group_size: samples among which the minibatch's deviation is taken.
    """

    def __init__(
        self,
        volume_size: Sequence[int] = (80, 96, 112),
        base_grid: Sequence[int] = (5, 6, 7),
        image_channels: int = 1,
        channels: int = 96,
        residual: bool = True,
        group_size: int = 4,
    ) -> None:
        super().__init__()
        levels = len(grids_of(volume_size, base_grid)) - 1
        self.volume_shape = (image_channels, *volume_size)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(
                    channels,
                    channels,
                    image_channels if level == 0 else 0,
                    spatial_dims=3,
                    taps=TAPS,
                    residual=residual,
                )
                for level in range(levels)
            )
        )
        self.deviation = MinibatchDeviation(group_size)
        self.conv = EqualisedConv(channels + 1, channels, 3, gain=HE, bias_gain=HE, spatial_dims=3)
        self.dense = EqualisedLinear(math.prod(base_grid) * channels, channels, gain=HE, bias_gain=HE)
        self.out = EqualisedLinear(channels, 1)

    def forward(self, volume: Tensor) -> Tensor:
        """Volumes [B, image_channels, D, H, W] -> logits [B, 1].

        Raises:
            ValueError: the volumes have another shape.
        """
        if tuple(volume.shape[1:]) != self.volume_shape:
            expected = ", ".join(map(str, self.volume_shape))
            raise ValueError(f"expected volumes [B, {expected}], got {tuple(volume.shape)}.")
        x = F.leaky_relu(self.conv(self.deviation(self.blocks(volume))), SLOPE)
        return self.out(F.leaky_relu(self.dense(x.flatten(1)), SLOPE))
