"""How much a volume changes from slice to slice: what slice-by-slice translation gets wrong."""

from __future__ import annotations

import numpy as np


def through_plane_change(volume: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean absolute difference between neighbouring axial slices.

    Anatomy changes from slice to slice as well: compare with the true CT's value on the same grid. Above it, slices
    were translated inconsistently; below it, they were smoothed together.

    Args:
        volume: [D, H, W], at least two slices.
        mask: [D, H, W]; pairs of voxels that are both inside count; None: all.

    Returns:
        The mean change, in the volume's unit.

    Raises:
        ValueError: fewer than two slices, or nothing inside the mask.
    """
    volume = np.asarray(volume, np.float64)
    if volume.ndim != 3 or len(volume) < 2:
        raise ValueError(f"expected a volume [slices, rows, columns] of two slices or more, got shape {volume.shape}")
    change = np.abs(np.diff(volume, axis=0))
    if mask is not None:
        mask = np.asarray(mask, bool)
        change = change[mask[1:] & mask[:-1]]
    if change.size == 0:
        raise ValueError("the mask has no two voxels one above the other")
    return float(change.mean())
