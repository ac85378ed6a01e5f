"""Views of a volume: a box in it of any number of voxels and any spacing, and what a network is told of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform
from torch import Tensor

from tools.transforms.channels import Channels
from tools.transforms.spatial import FIELD_OF_VIEW

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 1

AIR = -1.0
"""What lies outside of a volume, in [-1, 1]."""

SPACING, TOP, BOTTOM = "spacing", "top_region", "bottom_region"
"""Keys of what a network is told of a view."""

LEVELS = 4
"""Numbers that say where along an axis a face lies, as many as MAISI has for the body's regions."""


def axis_weights(given: int, spacing: Tensor, number: int, asked: Tensor, start: Tensor) -> Tensor:
    """Weights [B, number, given] with which an axis of a volume becomes that of a view: linear, and averaging where
    voxels grow, as PIL and ``interpolate(antialias=True)`` have it.

    A voxel of the view weighs those of the volume by a triangle around its centre, whose half width is the larger of
    both spacings; its weights sum up to 1, and are 0 where its centre lies outside of the volume.

    Args:
        given: voxels of the volume along the axis.
        spacing: their length in mm, [B].
        number: voxels of the view.
        asked: their length in mm, [B].
        start: mm from the volume's first face to the view's, [B].
    """
    spacing, asked, start = (one.double()[:, None] for one in (spacing, asked, start))
    old = (torch.arange(given, device=start.device) + 0.5) * spacing
    new = start + (torch.arange(number, device=start.device) + 0.5) * asked
    distance = (new[:, :, None] - old[:, None]).abs()
    weights = (1 - distance / torch.maximum(spacing, asked)[:, :, None]).clamp(min=0)
    inside = (new >= 0) & (new <= given * spacing)
    return (weights / weights.sum(2, keepdim=True).clamp(min=1e-12) * inside[:, :, None]).float()


def view(volumes: Tensor, field_of_view: Tensor, size: Sequence[int], spacing: Tensor, start: Tensor, outside: float):
    """Boxes of volumes.

    Args:
        volumes: [B, C, D, H, W].
        field_of_view: extent of each in mm, [B, 3].
        size: voxels of the boxes along each axis.
        spacing: their lengths in mm, [B, 3].
        start: mm from the first corner of each volume to the first corner of its box, [B, 3].
        outside: value where there is no volume.

    Returns:
        [B, C, *size].
    """
    of = volumes.shape[2:]
    depth, height, width = (
        axis_weights(of[i], field_of_view[:, i] / of[i], size[i], spacing[:, i], start[:, i]).to(volumes)
        for i in range(3)
    )
    # where there is no volume the weights are 0, so that what remains there is the value outside
    return resampled(volumes - outside, depth, height, width) + outside


def resampled(volumes: Tensor, depth: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Volumes [B, C, D, H, W] by weights of their axes, [B, d, D], [B, h, H] and [B, w, W]: [B, C, d, h, w]."""
    made = torch.einsum("bcdhw,bxw->bcdhx", volumes, width)
    made = torch.einsum("bcdhx,byh->bcdyx", made, height)
    return torch.einsum("bcdyx,bzd->bczyx", made, depth)


def place_code(share: Tensor) -> Tensor:
    """Places [B, axes] in [0, 1], from one end of the scan to the other, as `LEVELS` numbers each, [B, axes * 4].

    They are shares of the places 0, 1/3, 2/3 and 1 between which it lies, and sum up to 1. MAISI gives its network the
    region of the body (head and neck, chest, abdomen, below), one of four, in the same way; where a set shows one
    region alone, this says which part of it.
    """
    levels = torch.linspace(0, 1, LEVELS, device=share.device)
    return (1 - (share.clamp(0, 1)[..., None] - levels).abs() * (LEVELS - 1)).clamp(min=0).flatten(1)


def place_of(code: Tensor) -> Tensor:
    """The places [B, axes] in [0, 1] of numbers [B, axes * 4] that `place_code` made."""
    code = code.view(len(code), -1, LEVELS)
    return (code * torch.linspace(0, 1, LEVELS).to(code)).sum(2)


def told(spacing: Tensor, first: Tensor, last: Tensor) -> dict[str, Tensor]:
    """What a network is told of views: spacing [B, 3] in mm, and where their first and last faces lie in the scan,
    [B, 3] in [0, 1]; slices come first, from the lowest, then rows and columns."""
    return {SPACING: spacing.float(), BOTTOM: place_code(first), TOP: place_code(last)}


def label_channels(channels: Channels, index: Tensor, known: Tensor | None = None) -> Tensor:
    """The label channels [B, classes, ...] of class indices [B, 1, ...], 1 inside and -1 outside."""
    blank = torch.zeros(len(index), channels.num_images, *index.shape[2:], device=index.device)
    return channels.join(blank, index, known)[:, channels.num_images :]


class TellViewd(Transform):
    """Adds what a network is told of a volume that is asked for, or of a whole one.

    Args:
        size: voxels along each axis, axial first.
        spacing: their lengths in mm, axial first; None takes those with which the item's "field_of_view_mm" is filled.
        extent: mm of a whole scan along each axis, axial first; None takes the item's. A view of less is in its middle.

    Raises:
        KeyError: an item has no field of view, and one is needed.
    """

    def __init__(
        self, size: Sequence[int], spacing: Sequence[float] | None = None, extent: Sequence[float] | None = None
    ) -> None:
        self.size = tuple(size)
        self.spacing = None if spacing is None else tuple(spacing)
        self.extent = None if extent is None else tuple(extent)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        size = torch.tensor(self.size)
        if self.spacing is None:
            spacing = torch.as_tensor(data[FIELD_OF_VIEW]).float() / size
        else:
            spacing = torch.tensor(self.spacing, dtype=torch.float32)
        of = torch.as_tensor(data[FIELD_OF_VIEW] if self.extent is None else self.extent).float()
        half = (spacing * size / of).clamp(max=1)[None] / 2
        one = told(spacing[None], 0.5 - half, 0.5 + half)
        return {**data, **{key: value[0] for key, value in one.items()}}
