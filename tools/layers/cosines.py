"""Volumes as sums of cosines, and bands of their frequencies: the basis in which what is stationary is independent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BANDS = 25
"""Bands of frequency in which the spectrum of the rest is measured."""

PER_OCTAVE = 3
"""Bands to an octave."""

HIGHEST = 2.0
"""Frequency of the last band, in periods per voxel on which the mean sample is kept: of samples four times as fine the
highest along an axis. The first band so is at 1/128."""


def band_of(size: Sequence[int], coarser: Tensor) -> Tensor:
    """The band of each frequency of cosines along each axis, as a number from 0 to `BANDS` - 1 with what is between.

    A frequency is in periods per voxel of what was measured, whatever its direction; bands are `PER_OCTAVE` to an
    octave, the last at `HIGHEST`. Frequencies beyond the ends have those.

    Args:
        size: voxels along each axis.
        coarser: lengths of a voxel in those of what was measured, [B, axes].

    Returns:
        [B, *size].
    """
    squares = sum(
        (torch.arange(n).to(coarser) / (2 * n) / coarser[:, i, None])
        .square()
        .view(-1, *(n if j == i else 1 for j in range(len(size))))
        for i, n in enumerate(size)
    )
    octaves = 0.5 * squares.clamp(min=1e-12).log2() - math.log2(HIGHEST)
    return (BANDS - 1 + PER_OCTAVE * octaves).clamp(0, BANDS - 1)


def cosines(size: Sequence[int], like: Tensor) -> list[Tensor]:
    """The orthonormal DCT-II of each axis as a matrix [n, n], a frequency a row."""
    made = []
    for n in size:
        places = torch.arange(n, dtype=torch.float64)
        one = torch.cos(torch.pi / n * places[:, None] * (places + 0.5)) * (2 / n) ** 0.5
        one[0] /= 2**0.5
        made.append(one.to(like))
    return made


def along_axes(volumes: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Volumes [B, channels, ...] by a matrix [new, old] of each axis."""
    for one in matrices:
        volumes = torch.tensordot(volumes, one, ([2], [1]))  # which puts the axis last
    return volumes


def per_band(squares: Tensor, bands: Tensor) -> Tensor:
    """Sums [channels, BANDS] of [channels, frequencies] by the band of each."""
    return torch.zeros(len(squares), BANDS, dtype=squares.dtype, device=squares.device).index_add_(1, bands, squares)
