"""Round lesions within a tissue: nodules in the lungs, plaques in the white matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from tools.data.phantoms.shapes import Grid, ellipsoid, paint


class Lesion(NamedTuple):
    """A lesion: its centre (x, y, z) in the world, LPS, and the diameter of its volume, in mm."""

    centre: tuple[float, float, float]
    diameter: float


def add_lesion(
    labels: np.ndarray,
    grid: Grid,
    rng: np.random.Generator,
    label: int,
    hosts: Sequence[int],
    diameters: tuple[float, float],
    margin: float = 1.5,
) -> Lesion:
    """Put a whole lesion into ``labels`` [z, y, x], in place; small ones are more frequent than large ones.

    The lesion is an ellipsoid that is nearly a sphere, away from anything but its ``hosts``.

    Args:
        labels: label map.
        grid: grid of the label map; the lesion's centre is in its coordinates.
        rng: generator that draws place, size and shape.
        label: label of the lesion.
        hosts: labels of what it may lie in.
        diameters: smallest and largest, in mm; at least two voxels.
        margin: width of hosts around the lesion, in voxels.

    Raises:
        ValueError: there is no room.
    """
    spacing = np.asarray(grid.spacing)
    # seen from a coarse lattice of the hosts' voxels: any one of them is a place to try
    step = tuple(max(1, n // 64) for n in labels.shape)
    candidates = np.argwhere(np.isin(labels[:: step[0], :: step[1], :: step[2]], hosts)) * step
    smallest = max(diameters[0], 2 * float(spacing.max()))
    for attempt in range(400 if len(candidates) else 0):
        largest = max(smallest, diameters[1] * 0.99**attempt)  # where there is little room, ask for less
        diameter = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
        axes = rng.uniform(0.88, 1.12, 3)
        axes *= diameter / 2 / axes.prod() ** (1 / 3)
        turn = Rotation.from_rotvec(rng.normal(0, 1, 3))
        k, j, i = candidates[rng.integers(len(candidates))]
        centre = np.array([grid.x[0, 0, i], grid.y[0, j, 0], grid.z[k, 0, 0]], float)
        centre += rng.uniform(-0.5, 0.5, 3) * spacing[::-1]
        box, around = ellipsoid(grid, centre, axes + margin * spacing.max(), turn)
        reach = axes.max() + spacing.max()
        whole = all(
            axis.flat[0] <= c - reach and c + reach <= axis.flat[-1]
            for axis, c in zip((grid.x, grid.y, grid.z), centre, strict=True)
        )
        if whole and np.isin(labels[box][around], hosts).all():
            paint(labels, ellipsoid(grid, centre, axes, turn), label)
            return Lesion(tuple(centre.tolist()), diameter)
    what = getattr(label, "name", "lesion").lower()
    raise ValueError(
        f"no room for a {what} of {smallest:.1f} mm (two voxels) in a phantom of shape {labels.shape} and spacing "
        f"{tuple(round(h, 2) for h in grid.spacing)} mm; ask for fewer, or for smaller voxels"
    )
