"""How much a volume changes from slice to slice: what goes wrong where slices, or slabs of them, are made apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class BorderChange(NamedTuple):
    """Mean absolute differences between neighbouring slices, in the volume's unit.

    Attributes:
        border: difference across the borders of slabs.
        inside: difference within the slabs that meet there.
    """

    border: float
    inside: float

    @property
    def ratio(self) -> float:
        """1 where borders cannot be told from what lies between them; NaN where nothing changes within slabs."""
        return self.border / self.inside if self.inside > 0 else float("nan")


def border_change(volume: np.ndarray, slab: int, start: int = 0) -> BorderChange:
    """How much a volume changes across the borders of slabs, and within the two slabs that meet at each.

    A border is compared with its neighbours on both sides, so that what anatomy changes steadily along the body falls
    out. It may still fall where anatomy changes most: the same at other starts of the slabs tells.

    Args:
        volume: [D, H, W], slabs along the first axis.
        slab: number of slices of a slab, at least 2.
        start: first slice of a slab; the first such one counts, and what comes before it is no whole slab.

    Returns:
        Means over the borders between whole slabs.

    Raises:
        ValueError: fewer than two whole slabs, or slabs of fewer than two slices.
    """
    volume = np.asarray(volume, np.float64)
    if slab < 2:
        raise ValueError(f"slab is {slab}, expected 2 slices or more, of which some are no border")
    start %= slab
    if volume.ndim != 3 or len(volume) < start + 2 * slab:
        raise ValueError(
            f"expected a volume [slices, rows, columns] of two slabs of {slab} slices from slice {start} on, got shape "
            f"{volume.shape}"
        )
    change = np.abs(np.diff(volume, axis=0)).mean((1, 2))  # of slice i + 1 to slice i
    borders = range(start + slab, len(volume) - slab + 1, slab)
    inside = [np.concatenate([change[b - slab : b - 1], change[b : b + slab - 1]]).mean() for b in borders]
    return BorderChange(float(np.mean([change[b - 1] for b in borders])), float(np.mean(inside)))


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
