"""The distance between neighbouring ribs: a length in the body by which the spacing of a chest CT can be checked."""

from __future__ import annotations

import numpy as np

BONE = (0.0, 300.0)
"""HU between which a voxel counts as more and more bone."""

PERIOD = (16.0, 36.0)
"""Distances between ribs in mm that are looked for; an adult's are some 20 to 30."""

MIDDLE = 0.3
"""Share of the columns, around the middle, where spine, heart and breastbone are."""

LEAST = 0.1
"""Least correlation of a body with itself moved up by a rib; of what has no ribs it is about 0."""


def rib_distance(volume: np.ndarray, spacing: float) -> float | None:
    """Distance along the body from one rib to the next, beside the spine and the breastbone.

    Bone recurs there along every line from foot to head. The lines' autocorrelations are summed, and the distance of
    the greatest one in `PERIOD`, between voxels by a parabola, is that of the ribs. As ribs descend to the front, it is
    somewhat more than at the spine.

    Args:
        volume: chest CT [D, H, W] in HU, axial slices first, columns along the last axis.
        spacing: distance of the slices in mm; at most a quarter of a rib's distance, some 6 mm, is fine enough.

    Returns:
        The distance in mm; None if there are no ribs, or fewer than three of them in the volume.

    Raises:
        ValueError: no volume, or a spacing that is not above 0.
    """
    volume = np.asarray(volume, np.float64)
    if volume.ndim != 3 or not spacing > 0:
        raise ValueError(
            f"expected a volume [slices, rows, columns] and a spacing above 0, got {volume.shape}, {spacing}"
        )
    first, last = int(np.ceil(PERIOD[0] / spacing)), int(np.floor(PERIOD[1] / spacing))
    if len(volume) < 2 * last or last - first < 2:
        return None
    low, high = BONE
    side = round(volume.shape[2] * (1 - MIDDLE) / 2)
    bone = np.clip((np.concatenate([volume[..., :side], volume[..., -side:]], 2) - low) / (high - low), 0, 1)
    bone -= bone.mean(0)
    lags = np.arange(first - 1, last + 2)
    # of lines with many slices in common, each product has the same weight
    products = np.array([(bone[lag:] * bone[: len(bone) - lag]).sum() / (len(bone) - lag) for lag in lags])
    correlation = products / max((bone**2).sum() / len(bone), 1e-12)
    best = 1 + int(correlation[1:-1].argmax())
    before, peak, after = correlation[best - 1 : best + 2]
    if peak < LEAST or peak < max(before, after):
        return None
    return float(spacing * (lags[best] + (before - after) / (2 * (before - 2 * peak + after) or 1)))
