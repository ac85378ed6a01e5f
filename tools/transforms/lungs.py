"""Where in a chest CT the lungs are, by HU, and where in them a nodule has room."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.data import MetaTensor
from scipy import ndimage

from tools.io.readers import VolumeError
from tools.transforms.body import TABLE_MM, body_mask

LUNG = -500.0
"""HU below which a voxel of the body is lung or other gas."""

AIRWAY = -940.0
"""HU below which the mean of some millimetres is no lung: windpipe, stomach, bowel."""

RIM_MM = 2.5
"""Thickness of the rim of an airway, where its mean is higher."""

SMALLEST_ML = 50.0
"""Parts of the lungs that are smaller are none."""

VESSEL_MM = 4.0
"""Structures in the lungs that are thinner than this, twice, are of the lungs."""

LATTICE_MM = 2.0
"""Side of the voxels, at most, that places are looked for in."""


KNOWN = "known"
"""Key of the nodules that are in a scan already, x, y, z and diameter in mm of RAS, [m, 4]."""


def lung_mask(hu: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """The lungs with their vessels, without airways: gas in the body, by HU, whose parts are large.

    Args:
        hu: [axial, H, W].
        spacing: side of a voxel in mm along each axis.

    Returns:
        bool [axial, H, W]; nothing is True where there are no lungs.

    Raises:
        ValueError: nothing in the volume is as dense and thick as a body.
    """
    spacing = np.asarray(spacing, float)
    body = body_mask(hu, max(1, round(TABLE_MM / spacing[1:].min())))
    gas = (hu < LUNG) & body
    mean = ndimage.uniform_filter(hu.astype(np.float32), np.maximum(1, np.rint(2 * RIM_MM / spacing)).astype(int))
    airways = gas & (mean < AIRWAY)
    if airways.any():
        gas &= ndimage.distance_transform_edt(~airways, sampling=spacing) > max(RIM_MM, spacing.max())
    parts, count = ndimage.label(gas)
    if not count:
        return np.zeros(hu.shape, bool)
    sizes = np.bincount(parts.ravel()) * spacing.prod() / 1000
    sizes[0] = 0
    lungs = (sizes >= SMALLEST_ML)[parts]
    if not lungs.any():
        return lungs
    near = ndimage.distance_transform_edt(~lungs, sampling=spacing) <= VESSEL_MM
    return ndimage.distance_transform_edt(np.pad(near, 1), sampling=spacing)[1:-1, 1:-1, 1:-1] > VESSEL_MM


def places_in_lungs(
    hu: np.ndarray,
    affine: np.ndarray,
    diameters: Sequence[float],
    rng: np.random.Generator,
    gap: float = 0.0,
    taken: Sequence[Sequence[float]] = (),
) -> list[tuple[float, float, float, float]]:
    """A place within the lungs for each of some spheres, which touch neither one another nor those that are there.

    Any place where a whole sphere is within the lungs is as probable as any other, for the largest first.

    Args:
        hu: [axial, H, W].
        affine: 4x4, voxel index to mm in RAS.
        diameters: diameters of the spheres in mm.
        rng: generator that draws the places.
        gap: least distance between spheres in mm.
        taken: spheres that are there, x, y, z and diameter in mm of RAS.

    Returns:
        Centre x, y, z and diameter of each in mm of RAS, in the order of ``diameters``.

    Raises:
        VolumeError: no lungs are found, or there is no room.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    steps = np.maximum(1, np.floor(LATTICE_MM / spacing)).astype(int)
    spacing = spacing * steps
    try:
        lungs = lung_mask(hu[:: steps[0], :: steps[1], :: steps[2]], spacing)
    except ValueError as error:
        raise VolumeError(str(error)) from error
    depth = ndimage.distance_transform_edt(np.pad(lungs, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    found: dict[int, tuple[float, float, float, float]] = {}
    for number in sorted(range(len(diameters)), key=lambda n: -diameters[n]):
        radius = diameters[number] / 2
        candidates = np.argwhere(depth > radius + spacing.max() / 2) * steps
        points = candidates @ affine[:3, :3].T + affine[:3, 3]
        for *centre, other in (*taken, *found.values()):
            apart = np.linalg.norm(points - centre, axis=1) > radius + other / 2 + gap
            points = points[apart]
        if not len(points):
            litres = lungs.sum() * spacing.prod() / 1e6
            raise VolumeError(
                f"there is no room for a nodule of {2 * radius:.1f} mm, number {len(found) + 1} of {len(diameters)}, "
                f"in {litres:.2f} litres of lung, those of {LUNG:g} HU and less in the body; ask for smaller or fewer, "
                "or give places"
            )
        x, y, z = points[rng.integers(len(points))].tolist()
        found[number] = (x, y, z, float(diameters[number]))
    return [found[number] for number in range(len(diameters))]


def seeded_places(item: Mapping[Hashable, Any], path: str, hu: MetaTensor, gap: float) -> list[tuple]:
    """A place in the lungs for each of an item's "diameters" that follows from its "seed", away from the nodules of
    "known", see `places_in_lungs`.

    Args:
        item: item of a scan.
        path: path of the scan, for messages.
        hu: the scan [1, axial, H, W].
        gap: least distance between spheres in mm.

    Raises:
        VolumeError: no lungs are found, or there is no room.
    """
    rng = np.random.default_rng([1, int(item["seed"])])
    known = [tuple(map(float, place)) for place in item.get(KNOWN, ())]
    try:
        return places_in_lungs(hu[0].numpy(), hu.affine.numpy(), item["diameters"], rng, gap, known)
    except VolumeError as error:
        raise VolumeError.of(str(path), str(error)) from error
