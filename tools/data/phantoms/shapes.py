"""Solid shapes on a grid in millimetres, the vocabulary of the phantoms' anatomy.

A shape is the place it may occupy on the grid, as slices, and a boolean mask there, so that a thousand thin tubes
cost little. Points are (x, y, z) in mm, as SimpleITK has them; arrays are [z, y, x], as NumPy reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

Box = tuple[slice, slice, slice]
Shape = tuple[Box, np.ndarray]


@dataclass(frozen=True)
class Grid:
    """Voxel centres in mm, ``z`` [Z, 1, 1], ``y`` [1, Y, 1] and ``x`` [1, 1, X], and their ``spacing`` (z, y, x)."""

    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    spacing: tuple[float, float, float]

    @classmethod
    def centred(cls, shape: Sequence[int], spacing: Sequence[float], centre: Sequence[float]) -> Grid:
        """Grid of ``shape`` [z, y, x] and ``spacing`` (z, y, x) in mm around the point ``centre`` (x, y, z)."""
        z, y, x = (
            (c + h * (np.arange(n) - (n - 1) / 2)).astype(np.float32)
            for n, h, c in zip(shape, spacing, reversed(centre), strict=True)
        )
        return cls(z[:, None, None], y[None, :, None], x[None, None, :], tuple(float(h) for h in spacing))

    def scaled(self, factors: Sequence[float]) -> Grid:
        """The grid with its coordinates multiplied by ``factors`` (x, y, z)."""
        fx, fy, fz = factors
        axes = self.z * np.float32(fz), self.y * np.float32(fy), self.x * np.float32(fx)
        return Grid(*axes, tuple(h * f for h, f in zip(self.spacing, (fz, fy, fx), strict=True)))

    def part(self, box: Box) -> Grid:
        return Grid(self.z[box[0]], self.y[:, box[1]], self.x[:, :, box[2]], self.spacing)

    def box(self, lower: Sequence[float], upper: Sequence[float]) -> Box:
        """Slices of the voxels whose centres lie between the points ``lower`` and ``upper``."""
        axes = zip((self.z, self.y, self.x), reversed(lower), reversed(upper), strict=True)
        return tuple(slice(*np.searchsorted(axis.ravel(), (low, high)).tolist()) for axis, low, high in axes)


def superellipse(
    grid: Grid, centre: tuple, half_axes: tuple, exponent: float, limit: float | np.ndarray = 1.0
) -> np.ndarray:
    """A column along z whose cross-sections are superellipses |x/a|^n + |y/b|^n < limit; mask [Z, Y, X].

    ``centre`` (x, y) and ``half_axes`` (a, b) in mm are numbers or profiles along z, [Z, 1, 1]; a section whose axes
    shrink to zero vanishes. ``limit`` [1, Y, X] dents the outline.
    """
    # the powers are taken of [Z, 1, X] and [Z, Y, 1], not of the whole volume
    along_x = (np.abs(grid.x - centre[0]) / np.maximum(half_axes[0], 1e-3)) ** exponent
    along_y = (np.abs(grid.y - centre[1]) / np.maximum(half_axes[1], 1e-3)) ** exponent
    return along_x + along_y < limit


def ellipsoid(
    grid: Grid, centre: Sequence[float], semi_axes: Sequence[float], rotation: Rotation | None = None
) -> Shape:
    """An ellipsoid with ``semi_axes`` in mm along its own axes, turned by ``rotation``."""
    matrix = np.eye(3) if rotation is None else rotation.as_matrix()
    reach = np.sqrt((matrix**2) @ np.square(semi_axes))
    box = grid.box(np.subtract(centre, reach), np.add(centre, reach))
    part = grid.part(box)
    offset = [part.x - np.float32(centre[0]), part.y - np.float32(centre[1]), part.z - np.float32(centre[2])]
    if rotation is None:
        return box, sum((o / np.float32(a)) ** 2 for o, a in zip(offset, semi_axes, strict=True)) < 1
    axes = (matrix / semi_axes).T.astype(np.float32)  # row i measures along the ellipsoid's own axis i
    return box, sum((a[0] * offset[0] + a[1] * offset[1] + a[2] * offset[2]) ** 2 for a in axes) < 1


def depth_in(points, centre: Sequence[float], half_axes: Sequence[float]) -> np.ndarray:
    """About how deep ``points`` (x, y, z) lie in an ellipsoid, in mm; negative outside."""
    squares, slopes = np.float32(0), np.float32(0)
    for p, c, a in zip(points, centre, half_axes, strict=True):
        u = p - np.float32(c)
        u *= np.float32(1 / a)
        u *= u
        squares = squares + u
        u *= np.float32(1 / a**2)
        slopes = slopes + u
    radius = np.sqrt(squares, out=squares)
    return (1 - radius) * radius / np.maximum(np.sqrt(slopes, out=slopes), np.float32(1e-4))


def blend(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Union of two depths, rounded where they meet within ``width`` mm."""
    over = a - b
    h = np.clip(over * np.float32(0.5 / width) + np.float32(0.5), 0, 1)
    over += np.float32(width) * (1 - h)
    over *= h
    return np.add(over, b, out=over)


@dataclass(frozen=True)
class Segment:
    """A straight tube with round ends from ``start`` to ``end`` (x, y, z), radius tapering between ``radii``, in mm."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radii: tuple[float, float]


def tube(grid: Grid, segment: Segment, wall: float = 0.0, least: float = 0.0) -> Shape:
    """A tapered tube, made thicker by ``wall`` and at least ``least`` mm in radius.

    A tube thinner than about half a voxel would fall between the voxel centres and come out as a dashed line.
    """
    first, last = (max(r + wall, least) for r in segment.radii)
    reach = max(first, last)
    start, end = np.asarray(segment.start), np.asarray(segment.end)
    box = grid.box(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
    if any(s.start >= s.stop for s in box):
        return box, np.zeros([max(0, s.stop - s.start) for s in box], bool)
    part = grid.part(box)
    axis = (end - start).astype(np.float32)
    x, y, z = part.x - np.float32(start[0]), part.y - np.float32(start[1]), part.z - np.float32(start[2])
    along = np.clip((x * axis[0] + y * axis[1] + z * axis[2]) / max(float(axis @ axis), 1e-6), 0, 1)
    squared = (x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (z - along * axis[2]) ** 2
    return box, squared < (first + (last - first) * along) ** 2


def paint(labels: np.ndarray, shape: Shape, label: int, onto: Sequence[int] | None = None) -> None:
    """Give the voxels of ``shape`` in ``labels`` (uint8) the ``label``, where they have one of the labels ``onto``."""
    box, mask = shape
    if not mask.size:
        return
    part = labels[box]
    if onto is not None:
        allowed = np.zeros(256, bool)
        allowed[list(onto)] = True
        mask = mask & allowed[part]
    part[mask] = label


def path(points: Sequence[Sequence[float]], radii: Sequence[float]) -> list[Segment]:
    """Tubes through ``points`` (x, y, z) in order, with a radius at each point."""
    points = [tuple(float(v) for v in p) for p in points]
    pairs = zip(points, points[1:], radii, radii[1:], strict=False)
    return [Segment(a, b, (float(r), float(s))) for a, b, r, s in pairs]


def grow_tree(
    rng: np.random.Generator,
    root: Sequence[float],
    targets: np.ndarray,
    inside: Callable[[np.ndarray], np.ndarray],
    length: float = 27.0,
    radius: float = 5.2,
    generations: int = 6,
    angle: float = 36.0,
    shrink: tuple[float, float] = (0.84, 0.79),
) -> list[Segment]:
    """A tree of tubes that forks in two at every generation and stays where ``inside`` says.

    The first branches leave ``root`` (x, y, z) towards ``targets`` [n, 3]. Branches turn by about ``angle`` degrees
    at a fork; lengths and radii in mm shrink by the factors ``shrink``. The radius factor is that of Murray's law,
    2^(-1/3). A branch that would leave the region is bent back towards its target, and ends if that does not help.
    """
    targets = np.asarray(targets, float)
    starts = np.repeat(np.asarray(root, float)[None], len(targets), 0)
    directions = targets - starts
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    segments = []
    for generation in range(generations):
        lengths = length * shrink[0] ** generation * rng.uniform(0.75, 1.25, (len(starts), 1))
        tips = starts + lengths * directions
        home = targets - tips
        home /= np.linalg.norm(home, axis=1, keepdims=True) + 1e-6
        bent = starts + 0.7 * lengths * _unit(directions + 1.2 * home)
        # the first branches cross the hilum, which is not lung yet
        stays = inside(tips) | (generation == 0)
        tips = np.where(stays[:, None], tips, bent)
        keep = stays | inside(bent)
        starts, tips, targets = starts[keep], tips[keep], targets[keep]
        thick, thin = radius * shrink[1] ** generation, radius * shrink[1] ** (generation + 1)
        segments += [Segment(tuple(a), tuple(b), (thick, thin)) for a, b in zip(starts, tips, strict=True)]
        directions = _fork(rng, _unit(tips - starts), angle)
        starts, targets = np.repeat(tips, 2, 0), np.repeat(targets, 2, 0)
    return segments


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)


def _fork(rng: np.random.Generator, directions: np.ndarray, angle: float) -> np.ndarray:
    """Two unit directions for each of ``directions`` [n, 3], turned to opposite sides: [2n, 3], pairs in a row."""
    aside = _unit(np.cross(directions, rng.standard_normal(directions.shape)))
    turn = np.tan(np.deg2rad(angle * rng.uniform(0.6, 1.4, (len(directions), 2, 1))))
    turn[:, 1] *= -1
    return _unit((directions[:, None] + turn * aside[:, None]).reshape(-1, 3))


def affine_of(spacing: Sequence[float], origin: Sequence[float]) -> np.ndarray:
    """4x4, voxel index (x, y, z) to mm in RAS, of a volume whose own coordinates are LPS."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
