"""Lengths in the body by which the spacing of chest CT can be checked: of lungs, and from rib to rib of the bones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

AIR = -400.0
"""HU below which a voxel is air."""

LUNG = 12.0
"""Radius in mm of a ball that fits into a lung, and not into the windpipe or between the body and the table."""

CUT = 0.05
"""Share of the lungs' largest slice that the first or the last one has where the picture cuts through them; of the
windpipe it is less."""

ENDS = 0.005
"""Share of the lungs' voxels beyond each end of a length, so that stray ones do not count; tips do not either."""

BONE = (0.0, 300.0)
"""HU between which a voxel counts as more and more bone."""

PERIOD = (16.0, 36.0)
"""Distances between ribs, or vertebrae, in mm that are looked for; an adult's are some 20 to 30."""

MIDDLE = 0.3
"""Share of the columns, around the middle, where spine, heart and breastbone are."""

SPINE = 0.15
"""Share of the columns, around the middle, in which vertebrae are looked for."""

TREND = 12.0
"""Standard deviation in mm of the Gaussian that is taken away along the body: what changes more slowly than bones."""

LEAST = 0.1
"""Least correlation of bone with itself moved up by a rib or a vertebra; of what has none it is about 0."""


def rib_distance(volume: np.ndarray, spacing: float) -> float | None:
    """Distance along the body from one rib to the next, beside the spine and the breastbone.

    As ribs descend to the front, it is somewhat more than at the spine. See `recurrence` for how it is measured.

    Args:
        volume: chest CT [D, H, W] in HU, axial slices first, columns along the last axis.
        spacing: distance of the slices in mm; at most a quarter of a rib's distance, some 6 mm, is fine enough.

    Returns:
        The distance in mm; None if there are no ribs, or fewer than three of them in the volume.

    Raises:
        ValueError: no volume, or a spacing that is not above 0.
    """
    volume = checked(volume, spacing)
    side = round(volume.shape[2] * (1 - MIDDLE) / 2)
    return recurrence(np.concatenate([volume[..., :side], volume[..., -side:]], 2), spacing)


def vertebra_distance(volume: np.ndarray, spacing: float) -> float | None:
    """Distance along the body from one vertebra to the next: that of the ribs at the spine, one of which each side
    each vertebra has.

    It is measured as that of ribs is, see `recurrence`, in the middle columns of the half of the rows, front or back,
    in which these have more bone.

    Args:
        volume: chest CT [D, H, W] in HU, axial slices first, columns along the last axis.
        spacing: distance of the slices in mm; at most a quarter of a vertebra's distance, some 6 mm, is fine enough.

    Returns:
        The distance in mm; None if there are no vertebrae, or fewer than three of them in the volume.

    Raises:
        ValueError: no volume, or a spacing that is not above 0.
    """
    volume = checked(volume, spacing)
    side = round(volume.shape[2] * (1 - SPINE) / 2)
    middle, half = volume[..., side : volume.shape[2] - side], volume.shape[1] // 2
    front, back = middle[:, :half], middle[:, volume.shape[1] - half :]
    return recurrence(back if bone_share(back).sum() >= bone_share(front).sum() else front, spacing)


def recurrence(volume: np.ndarray, spacing: float) -> float | None:
    """Distance at which bone recurs along the body.

    Of every line from foot to head the autocorrelations, less `TREND`, are summed, and the distance of the greatest one
    in `PERIOD`, between voxels by a parabola, is the answer.

    Args:
        volume: CT [D, H, W] in HU, axial slices first.
        spacing: distance of the slices in mm.

    Returns:
        The distance in mm; None where nothing recurs, or the volume is too short or its slices are too thick to tell.
    """
    first, last = int(np.ceil(PERIOD[0] / spacing)), int(np.floor(PERIOD[1] / spacing))
    if len(volume) < 2 * last or last - first < 2:
        return None
    bone = bone_share(volume)
    bone -= ndimage.gaussian_filter1d(bone, TREND / spacing, axis=0, mode="nearest")
    lags = np.arange(first - 1, last + 2)
    # of lines with many slices in common, each product has the same weight
    products = np.array([(bone[lag:] * bone[: len(bone) - lag]).sum() / (len(bone) - lag) for lag in lags])
    correlation = products / max((bone**2).sum() / len(bone), 1e-12)
    best = 1 + int(correlation[1:-1].argmax())
    before, peak, after = correlation[best - 1 : best + 2]
    if peak < LEAST or peak < max(before, after):
        return None
    return float(spacing * (lags[best] + (before - after) / (2 * (before - 2 * peak + after) or 1)))


def bone_share(volume: np.ndarray) -> np.ndarray:
    """How much of a voxel counts as bone, from 0 to 1 between the HU of `BONE`."""
    low, high = BONE
    return np.clip((volume - low) / (high - low), 0, 1)


def checked(volume: np.ndarray, spacing: float) -> np.ndarray:
    """The volume in double precision.

    Raises:
        ValueError: no volume, or a spacing that is not above 0.
    """
    volume = np.asarray(volume, np.float64)
    if volume.ndim != 3 or not spacing > 0:
        raise ValueError(
            f"expected a volume [slices, rows, columns] and a spacing above 0, got {volume.shape}, {spacing}"
        )
    return volume


def lung_extent(volume: np.ndarray, spacing: Sequence[float]) -> tuple[float | None, ...]:
    """How long, deep and wide both lungs together are.

    They are what a ball of `LUNG` reaches in the air that no slice connects with the air around the body, with the
    vessels in it, but for its `ENDS`. In slices where the picture cuts through a lung it is taken for air outside, so
    the whole width of the body is to be shown.

    Args:
        volume: chest CT [D, H, W] in HU, axial slices first, columns along the last axis.
        spacing: lengths of a voxel in mm along these axes.

    Returns:
        Lengths in mm along the body, from front to back and from side to side; None for the first where lungs reach
        the first or the last slice, and for all without lungs.

    Raises:
        ValueError: no volume, or a spacing that is not above 0.
    """
    volume, spacing = np.asarray(volume, np.float64), np.asarray(spacing, np.float64)
    if volume.ndim != 3 or spacing.shape != (3,) or not (spacing > 0).all():
        raise ValueError(f"expected a volume [slices, rows, columns] and its spacing, got {volume.shape}, {spacing}")
    inside = np.zeros(volume.shape, bool)
    for number, air in enumerate(volume < AIR):
        parts, _ = ndimage.label(air)
        border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
        inside[number] = ndimage.binary_fill_holes(air & ~np.isin(parts, border))
    centres = ndimage.distance_transform_edt(inside, spacing) >= LUNG
    if not centres.any():
        return None, None, None
    lungs = inside & (ndimage.distance_transform_edt(~centres, spacing) <= LUNG)
    extent: list[float | None] = []
    for axis, mm in enumerate(spacing):
        along = np.nonzero(lungs)[axis]
        low, high = np.quantile(along, (ENDS, 1 - ENDS))
        extent.append(float((high - low + 1) * mm))
    areas = lungs.sum((1, 2))
    if max(areas[0], areas[-1]) > CUT * areas.max():
        extent[0] = None
    return tuple(extent)
