"""A hole in the middle of a cube, in which a network paints a nodule, and what the network is told of it."""

from __future__ import annotations

import torch
from torch import Tensor

INPUTS = ("crop", "hole", "diameter", "noise")
"""Channels of what a network that paints nodules takes."""


def centred_spheres(size: int, spacing: float, diameters: Tensor) -> Tensor:
    """Spheres in the middle of cubes, bool [B, 1, size, size, size]: voxels whose centres lie in them.

    Args:
        size: voxels a side.
        spacing: side of a voxel in mm.
        diameters: diameters in mm, [B]; nothing is inside where one is 0 or below.
    """
    along = ((torch.arange(size, device=diameters.device) - (size - 1) / 2) * spacing) ** 2
    squares = along[:, None, None] + along[:, None] + along
    radii = diameters.clamp(min=0).to(squares).view(-1, 1, 1, 1, 1) / 2
    return (squares <= radii**2) & (radii > 0)


def painting_input(crop: Tensor, diameter: Tensor, margin: Tensor, noise: Tensor, spacing: float) -> Tensor:
    """What a network takes to paint nodules in the middle of crops: [B, 4, S, S, S], see `INPUTS`.

    The hole, 1 inside, is a sphere of the nodule's diameter with a margin all around it. The diameter is a channel of
    one number, its share of the cube's side.

    Args:
        crop: crops [B, 1, S, S, S] in [-1, 1].
        diameter: diameters of the nodules in mm, [B].
        margin: margins in mm, [B].
        noise: standard normal [B, 1, S, S, S].
        spacing: side of a voxel in mm.
    """
    size = crop.shape[-1]
    hole = centred_spheres(size, spacing, diameter + 2 * margin).to(crop)
    share = (diameter / (size * spacing)).to(crop).view(-1, 1, 1, 1, 1).expand_as(crop)
    return torch.cat([crop, hole, share, noise.to(crop)], dim=1)
