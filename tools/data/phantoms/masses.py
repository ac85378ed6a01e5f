"""Irregular masses, and how they push aside what lies around them: tumours and haematomas of any organ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from tools.data.phantoms.fields import Ripples
from tools.data.phantoms.shapes import Grid, blend, depth_in


@dataclass(frozen=True)
class Mass:
    """Ellipsoids that melt into each other, with an uneven surface; in mm.

    ``lobes`` are centres (x, y, z) and semi-axes, ``ripples`` displace the surface by about ``uneven`` mm.
    """

    lobes: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]
    ripples: Ripples
    uneven: float

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        centre: Sequence[float],
        radius: float,
        lobes: int = 3,
        uneven: float = 0.12,
    ) -> Mass:
        """A mass around ``centre`` (x, y, z) whose volume is about that of a sphere of ``radius`` mm.

        The first lobe is the largest; the others sit on it. ``uneven`` is relative to the radius.
        """
        placed = []
        for lobe in range(lobes):
            size = radius * (0.92 if lobe == 0 else rng.uniform(0.45, 0.7))
            axes = rng.uniform(0.82, 1.2, 3)
            away = rng.standard_normal(3)
            away *= 0 if lobe == 0 else rng.uniform(0.55, 0.8) * radius / np.linalg.norm(away)
            axes *= size / axes.prod() ** (1 / 3)
            placed.append((tuple((np.asarray(centre) + away).tolist()), tuple(axes.tolist())))
        ripples = Ripples.draw(rng, (0.7 * radius, 1.6 * radius), 10)
        return cls(tuple(placed), ripples, uneven * radius)

    def depth(self, grid: Grid) -> np.ndarray:
        """Depth of voxels in the mass, about, in mm; negative outside; [Z, Y, X]."""
        points = (grid.x, grid.y, grid.z)
        total = None
        for centre, axes in self.lobes:
            depth = depth_in(points, centre, axes)
            total = depth if total is None else blend(total, depth, 0.35 * max(axes))
        return total + np.float32(self.uneven) * self.ripples.on(grid)


def pushed(
    labels: np.ndarray, grid: Grid, centre: Sequence[float], amount: np.ndarray, movable: np.ndarray
) -> np.ndarray:
    """The label map after what surrounds a mass has given way: mass effect.

    Every ``movable`` voxel takes the label that lay ``amount`` mm nearer to ``centre``, if that one was movable too;
    everything else stays.

    Args:
        labels: uint8 [z, y, x].
        grid: grid of the labels.
        centre: centre of the mass, (x, y, z) in mm.
        amount: distance in mm by which things move away from the centre, [z, y, x]; less than the distance to it.
        movable: mask [z, y, x].
    """
    where = np.nonzero(movable & (amount > 0))
    axes = (grid.z.ravel(), grid.y.ravel(), grid.x.ravel())
    offsets = np.stack([axis[i] - np.float32(c) for axis, i, c in zip(axes, where, reversed(centre), strict=True)])
    keep = amount[where] / np.maximum(np.linalg.norm(offsets, axis=0), 1e-3)
    source = [i - np.minimum(keep, 1) * o / np.float32(h) for i, o, h in zip(where, offsets, grid.spacing, strict=True)]
    found = map_coordinates(labels, source, order=0, mode="nearest")
    from_movable = map_coordinates(movable.astype(np.uint8), source, order=0, mode="nearest") > 0
    moved = labels.copy()
    moved[where] = np.where(from_movable, found, labels[where])
    return moved


def push_of(distance: np.ndarray, radius: float, shift: float, reach: float, room: np.ndarray) -> np.ndarray:
    """Return how far a round mass moves what lies at a ``distance`` from its centre, all in mm.

    ``shift`` at its surface, in proportion to the distance within ``radius``, falling off over ``reach`` outside, and
    less where only little ``room`` is left to the skull, which does not move.
    """
    amount = shift * np.minimum(distance / radius, 1) * np.exp(-np.maximum(distance - radius, 0) / reach)
    return (amount * np.clip(room / 12, 0, 1)).astype(np.float32)


def first_place(
    places: np.ndarray, grid: Grid, rng: np.random.Generator, lower: Sequence[float], upper: Sequence[float]
) -> tuple[float, float, float] | None:
    """Return the first of many random points (x, y, z) between two corners whose voxel is in the mask ``places``.

    It hardly depends on the size of the voxels. None if there is none.
    """
    axes = [axis.ravel() for axis in (grid.x, grid.y, grid.z)]
    points = rng.uniform(lower, upper, (20_000, 3))
    i, j, k = (
        np.clip(np.rint((points[:, n] - axis[0]) / (axis[1] - axis[0])), 0, len(axis) - 1).astype(int)
        for n, axis in enumerate(axes)
    )
    found = np.flatnonzero(places[k, j, i])
    return tuple(points[found[0]].tolist()) if len(found) else None
