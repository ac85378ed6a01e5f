"""The head: its labels and tissues, the painting of its anatomy into a label map, and its T1-weighted image."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from tools.data.phantoms.brain_anatomy import CEREBRUM, HEMISPHERE, BrainAnatomy, Folds
from tools.data.phantoms.fields import streams
from tools.data.phantoms.lesions import Lesion, add_lesion
from tools.data.phantoms.mr import MPRAGE, MRScanner, MRTissue, mr_image
from tools.data.phantoms.shapes import Grid, blend, depth_in, ellipsoid, paint, path, tube

DEFAULT_SHAPE = (104, 124, 96)
"""Slices, rows and columns of a phantom: a head at 2 mm."""

FIELD_OF_VIEW = (208.0, 248.0, 192.0)
"""mm along z, y and x that show a whole head."""

LESION_MM = (6.0, 20.0)
"""Smallest and largest diameter of a lesion."""


STREAMS = ("anatomy", "folds", "grid", "lesions", "scan")
"""What is drawn at random, each on its own."""

SLAB_VOXELS = 150_000
"""Painted at a time: the intermediate arrays then stay in the cache, and small for a scan of 256 x 256 x 256."""


class Brain(IntEnum):
    """Labels of the head."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    SKULL = 4
    MARROW = 5
    CSF = 6
    GREY = 7
    WHITE = 8
    VENTRICLE = 9
    DEEP_GREY = 10
    THALAMUS = 11
    CEREBELLAR_GREY = 12
    CEREBELLAR_WHITE = 13
    BRAINSTEM = 14
    EYE = 15
    LESION = 16


BRAIN_TISSUES = {
    Brain.AIR: MRTissue(0, 1000, 10),
    Brain.SKIN: MRTissue(0.70, 900, 20, 0.1, 0.1),
    Brain.FAT: MRTissue(0.75, 380, 30, 0.05, 0.1),
    Brain.MUSCLE: MRTissue(0.80, 1400, 25, 0.04, 0.1),
    Brain.SKULL: MRTissue(0.08, 500, 3),
    Brain.MARROW: MRTissue(0.45, 550, 12, 0.1, 0.15),
    Brain.CSF: MRTissue(1.00, 4200, 500),
    Brain.GREY: MRTissue(0.82, 1390, 62, 0.03, 0.03),
    Brain.WHITE: MRTissue(0.70, 840, 53, 0.03, 0.02),
    Brain.VENTRICLE: MRTissue(1.00, 4300, 500),
    Brain.DEEP_GREY: MRTissue(0.80, 1230, 50, 0.03, 0.03),
    Brain.THALAMUS: MRTissue(0.78, 1120, 52, 0.03, 0.03),
    Brain.CEREBELLAR_GREY: MRTissue(0.82, 1350, 60, 0.03, 0.04),
    Brain.CEREBELLAR_WHITE: MRTissue(0.71, 870, 53, 0.03, 0.02),
    Brain.BRAINSTEM: MRTissue(0.73, 930, 55, 0.03, 0.03),
    Brain.EYE: MRTissue(0.98, 3900, 300),
    Brain.LESION: MRTissue(0.88, 2100, 90, 0.1, 0.05),
}
"""Proton densities and relaxation times at 3 tesla (Wansapura et al. 1999, Stanisz et al. 2005, Peters et al. 2007;
bone and marrow as they look in gradient echoes)."""


class BrainPhantom(NamedTuple):
    """A phantom: ``t1`` int16 and ``labels`` uint8 [z, y, x]; ``spacing`` (x, y, z) and ``origin`` (x, y, z) in mm."""

    t1: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    lesions: list[Lesion]


def brain_labels(
    seed: int | Sequence[int],
    shape: Sequence[int] = DEFAULT_SHAPE,
    spacing: Sequence[float] | None = None,
    lesions: int = 0,
) -> np.ndarray:
    """Label map of a head, uint8 [z, y, x] of ``Brain``; the arguments are those of ``brain_t1``."""
    return _rasterise(streams(seed, *STREAMS), shape, spacing, lesions)[0]


def brain_t1(
    seed: int | Sequence[int],
    shape: Sequence[int] = DEFAULT_SHAPE,
    spacing: Sequence[float] | None = None,
    lesions: int = 0,
) -> BrainPhantom:
    """T1-weighted image (MPRAGE at 3 tesla) of a head, from the crown to the jaw.

    Args:
        seed: non-negative integers as ``numpy.random.default_rng`` takes them; they decide on the patient and the
            scan. The same seed with another number of lesions is the same patient.
        shape: slices, rows and columns.
        spacing: (z, y, x) in mm; by default voxels are cubes, just large enough for ``FIELD_OF_VIEW``.
        lesions: number of dark lesions of 6 to 20 mm (and of at least two voxels) to put into the white matter.

    Raises:
        ValueError: the shape or the number of lesions is not positive, or the lesions do not fit.
    """
    drawn = streams(seed, *STREAMS)
    labels, grid, placed = _rasterise(drawn, shape, spacing, lesions)
    rng = drawn["scan"]
    image = mr_image(labels, BRAIN_TISSUES, MPRAGE(), MRScanner.draw(rng), rng, grid.spacing)
    # where the patient lies in the scanner's coordinates
    offset = np.round(rng.uniform(-15, 15, 3), 1)
    first = [axis.flat[0] for axis in (grid.x, grid.y, grid.z)]
    origin = tuple(np.round(np.add(first, offset), 4).tolist())
    placed = [Lesion(tuple((lesion.centre + offset).tolist()), lesion.diameter) for lesion in placed]
    return BrainPhantom(image, labels, tuple(reversed(grid.spacing)), origin, placed)


def _rasterise(
    drawn: dict[str, np.random.Generator], shape: Sequence[int], spacing: Sequence[float] | None, lesions: int
) -> tuple[np.ndarray, Grid, list[Lesion]]:
    """Label map, its grid in the patient's mm, and the lesions in the same coordinates."""
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is three positive numbers, slices, rows and columns; got {tuple(shape)}")
    if lesions < 0:
        raise ValueError(f"the number of lesions cannot be negative; got {lesions}")
    anatomy = BrainAnatomy.draw(drawn["anatomy"])
    folds = Folds.draw(drawn["folds"])
    depths = Folds.draw(drawn["folds"], (50, 80), 6)
    if spacing is None:
        spacing = [round(max(extent / n for extent, n in zip(FIELD_OF_VIEW, shape, strict=True)), 4)] * 3
    rng = drawn["grid"]
    crown = anatomy.scale[2] * 92
    centre = (rng.uniform(-3, 3), rng.uniform(-8, -2), crown + rng.uniform(4, 9) - spacing[0] * shape[0] / 2)
    grid = Grid.centred(shape, spacing, centre)
    labels = head_labels(grid, anatomy, folds, depths)
    rng = drawn["lesions"]
    # the gyri are narrow, so a lesion may lie against the cortex
    placed = [
        add_lesion(labels, grid, rng, Brain.LESION, (Brain.WHITE,), LESION_MM, margin=0.5) for _ in range(lesions)
    ]
    return labels, grid, placed


def head_labels(grid: Grid, anatomy: BrainAnatomy, folds: Folds, depths: Folds) -> np.ndarray:
    """Label map of a head, uint8 [z, y, x] of ``Brain``; ``grid`` in the patient's mm."""
    shape = (grid.z.size, grid.y.size, grid.x.size)
    labels = np.zeros(shape, np.uint8)
    thick = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    reference = [1 / s for s in anatomy.scale]
    for first in range(0, shape[0], thick):
        slab = (slice(first, first + thick), slice(None), slice(None))
        paint_brain(labels[slab], grid.part(slab).scaled(reference), anatomy, folds, depths)
    return labels


def paint_brain(labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy, folds: Folds, depths: Folds) -> None:
    """Paint the head into ``labels`` [z, y, x] (zeros), in place, from the outside in; ``grid`` in reference mm."""
    voxel = float(np.mean(grid.spacing))
    # the anatomy's own coordinates of every voxel: the head is turned on the grid
    matrix = anatomy.turn.as_matrix().T.astype(np.float32)
    x, y, z = (row[0] * grid.x + row[1] * grid.y + row[2] * grid.z for row in matrix)
    cavity = _cranial_cavity(x, y, z, anatomy)
    _paint_head(labels, x, y, z, cavity, anatomy)
    _paint_face(labels, grid, anatomy)
    _paint_skull(labels, z, cavity, voxel, anatomy)
    labels[cavity > 0] = Brain.CSF
    _paint_spine(labels, grid, anatomy)
    inside = np.flatnonzero(cavity > 0)
    points = np.stack([c.ravel()[inside] for c in (x, y, z)])
    labels.ravel()[inside] = _brain(points, cavity.ravel()[inside], voxel, anatomy, folds, depths)
    _paint_deep(labels, grid, anatomy)


_SOFT = (Brain.SKIN, Brain.FAT, Brain.MUSCLE)
_BRAIN = (Brain.CSF, Brain.GREY, Brain.WHITE)


def _cranial_cavity(x: np.ndarray, y: np.ndarray, z: np.ndarray, anatomy: BrainAnatomy) -> np.ndarray:
    """Depth in the cavity of the skull: that of the brain's outline, smoothed over."""
    side = np.abs(x)
    fossa = tuple(c * f for c, f in zip((53, 33, 24.5), anatomy.cerebellum, strict=True))
    depth = blend(
        depth_in((x, y, z), *CEREBRUM),
        depth_in((side, y, z), (43, 2, -20), (25, 46, 22 * max(anatomy.temporal))),
        8,
    )
    depth = blend(depth, depth_in((x, y, z), (0, 48, -41), fossa), 16) + np.float32(anatomy.gap)
    return np.minimum(depth, -depth_in((x, y, z), (0, -22, -48), (21, 26, 23)))  # the base of the skull


def _paint_head(
    labels: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, cavity: np.ndarray, anatomy: BrainAnatomy
) -> None:
    """The outline of the head, skin, fat and muscle."""
    f = anatomy.face
    width, depth = anatomy.neck
    head = cavity + np.float32(anatomy.skull + anatomy.scalp)
    head = blend(head, depth_in((x, y, z), (0, -50, -60), (60 * f, 56 * f, 62 * f)), 10)
    neck = (1 - np.hypot(x / np.float32(width), (y - 20) / np.float32(depth))) * np.float32(min(width, depth))
    head = blend(head, np.minimum(neck, -40 - z), 14)
    head = blend(head, depth_in((x, y, z), (0, -98 * f - 8, -50), (12, 16, 19)), 6)
    labels[head > 0] = Brain.SKIN
    labels[head > 1.5] = Brain.FAT
    labels[(head > 7) & (cavity < -anatomy.skull - 1)] = Brain.MUSCLE


def _paint_face(labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy) -> None:
    """Return what lies in front of and below the brain: jaws, orbits, sinuses, muscles of the temples."""
    put = Putter(labels, grid, anatomy)
    for s in (-1, 1):
        put.ellipsoid((s * 70, -18, -14), (10, 34, 40), Brain.MUSCLE, (Brain.FAT, Brain.MUSCLE))
        put.ellipsoid((s * 46, -68, -72), (13, 20, 24), Brain.FAT, _SOFT[1:])
        put.tube([(s * 48, -14, -62), (s * 46, -22, -92), (s * 30, -76, -108)], [8, 9, 8], Brain.SKULL, _SOFT[1:])
        put.tube([(s * 48, -14, -62), (s * 46, -22, -92), (s * 30, -76, -108)], [5, 6, 5], Brain.MARROW)
        put.ellipsoid((s * 54, 30, -46), (13, 16, 19), Brain.SKULL, _SOFT)
        put.tube([(s * 50, 20, -38), (s * 14, 2, -38)], [10, 8], Brain.SKULL)
        put.ellipsoid((s * 29, -75, -62), (15, 17, 17), Brain.SKULL, _SOFT)
        put.ellipsoid((s * 29, -75, -62), (13, 15, 15), Brain.AIR)
        put.ellipsoid((s * 31, -70, -31), (19, 26, 17), Brain.FAT)
        put.tube([(s * 31, -76, -31), (s * 8, -38, -24)], [2.2, 2.2], Brain.MUSCLE)
        for dz in (-12, 12):
            put.tube([(s * 33, -80, -31 + dz), (s * 12, -46, -26)], [2.5, 2.0], Brain.MUSCLE)
        put.ellipsoid((s * 31, -84, -31), (12, 12, 12), Brain.EYE)
    put.ellipsoid((0, -78, -84), (30, 24, 10), Brain.MARROW, _SOFT[1:])
    put.ellipsoid((0, -72, -56), (13, 30, 20), Brain.AIR)
    put.ellipsoid((0, -72, -56), (1.5, 30, 22), Brain.MUSCLE, (Brain.AIR,))
    for s in (-1, 1):
        put.tube([(s * 8, -88, -62), (s * 8, -54, -60)], [3.5, 3.5], Brain.MUSCLE, (Brain.AIR,))
    put.tube([(0, -12, -40), (0, 8, -64)], [9, 7], Brain.SKULL)
    put.tube([(0, -12, -40), (0, 8, -64)], [7, 5], Brain.MARROW)
    put.ellipsoid((0, -36, -36), (14, 13, 11), Brain.SKULL)
    put.ellipsoid((0, -38, -37), (12, 11, 9), Brain.AIR)
    put.tube([(0, -36, -62), (0, -14, -80), (0, -8, -130)], [7, 8, 8], Brain.AIR)


def _paint_skull(labels: np.ndarray, z: np.ndarray, cavity: np.ndarray, voxel: float, anatomy: BrainAnatomy) -> None:
    """Two tables of compact bone, with marrow between them where the skull is thick."""
    labels[(cavity > -anatomy.skull) & (labels != Brain.AIR)] = Brain.SKULL
    table = max(2.0, 1.2 * voxel)  # else it would be lost between voxels
    diploe = (cavity < -table) & (cavity > table - anatomy.skull) & (z > -20)
    labels[diploe] = Brain.MARROW


def _paint_spine(labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy) -> None:
    """Vertebrae, their canal and the cord in it."""
    put = Putter(labels, grid, anatomy)
    onto = (*_SOFT, Brain.SKULL)
    put.tube([(0, 16, -72), (0, 22, -135)], [12, 12], Brain.SKULL, onto)
    put.tube([(0, 16, -74), (0, 22, -135)], [10, 10], Brain.MARROW, onto)
    put.tube([(0, 34, -78), (0, 42, -135)], [14, 14], Brain.SKULL, onto)
    put.tube([(0, 28, -60), (0, 32, -78), (0, 40, -135)], [11, 9, 8], Brain.CSF)
    put.tube([(0, 28, -60), (0, 32, -78), (0, 40, -135)], [6.5, 5.5, 5], Brain.BRAINSTEM)


def _brain(
    points: np.ndarray, room: np.ndarray, voxel: float, anatomy: BrainAnatomy, folds: Folds, depths: Folds
) -> np.ndarray:
    """Labels of ``points`` [3, n] in the cranial cavity, ``room`` [n] mm from its wall: cerebrum, cerebellum and the
    fluid around them.
    """
    x, y, z = points
    uneven = np.clip(depths.value(points), -2, 2)
    x = x + uneven  # so that nothing in the middle is flat
    right = x < 0
    side = np.abs(x)

    def of_side(pair: Sequence[float]) -> np.ndarray:
        return np.where(right, np.float32(pair[0]), np.float32(pair[1]))

    # one hemisphere lies a little in front of the other
    y = y + np.where(right, 0.5, -0.5).astype(np.float32) * np.float32(anatomy.torque)
    centre, half_axes = HEMISPHERE
    hull = blend(depth_in((side, y, z), centre, half_axes), depth_in((x, y, z), *CEREBRUM), 3)
    room = room - np.float32(0.6 * anatomy.gap)
    hull = np.minimum(hull, room)
    hull = np.minimum(hull, -depth_in((x, y, z), (0, -6, -27), (24, 20, 15)))  # cisterns in front of the brainstem
    size = of_side(anatomy.temporal)
    temporal = depth_in((side / size, y / size, z / size), (44, 2, -20), (24, 45, 22)) * size
    hull = blend(hull, temporal, 5)
    depth = np.minimum(hull, side - np.float32(anatomy.fissure))

    # grey matter follows the surface, the sulci's walls and the insula's
    half_width, mean_depth = anatomy.sulci
    half_width = max(half_width, 0.4 * voxel)  # else a sulcus would be lost between voxels
    middle = np.stack([np.where(right, -centre[0], centre[0]), np.full_like(x, centre[1]), np.full_like(x, centre[2])])
    main, shallow = folds.distances(np.stack([x, y, z]), middle.astype(np.float32), np.asarray(half_axes, np.float32))
    reach = mean_depth * (1 + 0.3 * uneven)
    sheet = np.minimum(
        np.hypot(main, np.maximum(depth - reach, 0)), np.hypot(shallow, np.maximum(depth - 0.6 * reach, 0))
    )
    pial = np.minimum(depth, sheet - half_width)
    lateral = z - (of_side(anatomy.sylvian) * (y + 12) - 7) - 3 * uneven
    insula = of_side(anatomy.insula) - ((y + 4) / 16) ** 2 + 2 * uneven
    along = np.maximum(np.abs(y + 4) - 34, 0)
    sylvian = np.sqrt(lateral**2 + np.maximum(insula - side, 0) ** 2 + along**2) - max(1.0, half_width)
    plate = np.sqrt((side - insula) ** 2 + np.maximum(np.abs(lateral - 2) - 11, 0) ** 2 + np.maximum(along - 4, 0) ** 2)
    pial = np.minimum(pial, np.minimum(sylvian, plate - half_width))

    found = np.full(x.shape, Brain.CSF, np.uint8)
    found[pial > 0] = Brain.GREY
    found[pial > anatomy.cortex] = Brain.WHITE

    # the leaves of the cerebellum fan out from the fourth ventricle
    y = points[1]
    wide, long, high = anatomy.cerebellum
    hind = depth_in((side, y, z), (24 * wide, 50, -43), (32 * wide, 33 * long, 24 * high))
    hind = blend(hind, depth_in((x, y, z), (0, 48, -42), (12, 30 * long, 23 * high)), 4)
    leaves, phase = anatomy.folia
    angle = np.arctan2(z + 38, y - 24)
    leaf = np.cos(leaves * angle + 0.7 * np.sin(side / 10) + np.float32(phase))
    hind = np.minimum(hind, room)
    here = (hind > 0) & (hull < -1.5)
    cleft = (leaf < -0.7) & (hind < 4.5)
    found[here] = Brain.CEREBELLAR_GREY
    found[here & (hind > 9.5 - 5.5 * leaf)] = Brain.CEREBELLAR_WHITE
    found[here & cleft] = Brain.CSF
    return found


def _paint_deep(labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy) -> None:
    """Brainstem, corpus callosum, deep grey matter and ventricles."""
    put = Putter(labels, grid, anatomy)
    r = anatomy.brainstem
    n = anatomy.nuclei
    everything = (*_BRAIN, Brain.CEREBELLAR_GREY, Brain.CEREBELLAR_WHITE)
    for s in (-1, 1):
        put.tube([(s * 5, 10, -24), (s * 22, 40, -38)], [8, 6], Brain.CEREBELLAR_WHITE, everything)
    stem = [(0, 4, -2), (0, 8, -14), (0, 11, -30), (0, 20, -50), (0, 28, -62)]
    put.tube(stem, [12 * r, 13 * r, 14 * r, 9 * r, 6.5 * r], Brain.BRAINSTEM, everything)
    for s in (-1, 1):
        put.tube([(s * 8, 2, -12), (s * 14, -6, 0)], [6, 7], Brain.WHITE, everything)  # peduncles
        put.ellipsoid((s * 13, -2, 4), (16, 26, 14), Brain.WHITE, _BRAIN)
    arch = [(0, -38, 0), (0, -50, 8), (0, -44, 20), (0, -22, 28), (0, 4, 28), (0, 24, 22), (0, 30, 12)]
    for s in (-1, 0, 1):
        put.tube(
            [(s * 9, y, z + (1 if s else 0)) for _, y, z in arch], [3, 5.5, 4, 3.2, 3.2, 4, 5], Brain.WHITE, _BRAIN
        )
    ventricles = dict(zip((-1, 1), anatomy.ventricles, strict=True))
    for s, v in ventricles.items():
        put.ellipsoid((s * 26, -16, 1), (5.5 * n, 19 * n, 11 * n), Brain.DEEP_GREY, _BRAIN)  # putamen
        put.ellipsoid((s * 19.5, -12, 0), (4 * n, 10 * n, 7 * n), Brain.THALAMUS, everything)  # pallidum
        head = [(s * 12, -40, 6), (s * 14, -30, 12), (s * 17, -8, 21), (s * 20, 12, 20)]
        put.tube(head, [6 * n, 5.5 * n, 3.5 * n, 2 * n], Brain.DEEP_GREY, _BRAIN)  # caudate
        put.ellipsoid((s * 11, 3, 6), (9 * n, 15 * n, 9 * n), Brain.THALAMUS, _BRAIN)
        put.tube([(s * 24, -10, -22), (s * 29, 6, -20), (s * 26, 22, -8)], [6, 4.5, 3.5], Brain.DEEP_GREY, _BRAIN)
        lateral = [(6, -46, 8), (7, -34, 15), (9, -12, 22), (13, 10, 23), (22, 26, 15), (24, anatomy.horns, 8)]
        radii = [3.5, 4.5, 4.0, 3.8, 5.5, 2.0]
        put.tube([(s * a, b, c) for a, b, c in lateral], [v * q for q in radii], Brain.VENTRICLE)
        temporal = [(22, 26, 15), (30, 18, -4), (33, 0, -18), (30, -14, -20)]
        put.tube([(s * a, b, c) for a, b, c in temporal], [4 * v, 2.6 * v, 2 * v, 1.8 * v], Brain.VENTRICLE)
    for y, z in ((-12, -6), (-8, 0), (-4, 4), (2, 2), (6, 0)):
        put.ellipsoid((0, y, z), (1.6 * np.mean(anatomy.ventricles), 6, 7), Brain.VENTRICLE)
    put.tube([(0, 12, -4), (0, 22, -22)], [1.2, 1.5], Brain.VENTRICLE)
    put.ellipsoid((0, 28, -36), (7, 4.5, 9), Brain.VENTRICLE)


class Putter:
    """Paints shapes that are given in the anatomy's coordinates: the head is turned on the grid."""

    def __init__(self, labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy) -> None:
        self.labels, self.grid, self.turn = labels, grid, anatomy.turn
        self.least = 0.5 * float(np.mean(grid.spacing))  # radius of a tube that leaves no gaps

    def ellipsoid(self, centre, half_axes, label: int, onto: Sequence[int] | None = None) -> None:
        half_axes = np.maximum(half_axes, self.least)
        paint(self.labels, ellipsoid(self.grid, self.turn.apply(centre), half_axes, self.turn), label, onto)

    def tube(self, points, radii, label: int, onto: Sequence[int] | None = None) -> None:
        for segment in path(self.turn.apply(points), radii):
            paint(self.labels, tube(self.grid, segment, least=self.least), label, onto)
