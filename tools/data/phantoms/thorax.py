"""The chest: its labels and tissues, the painting of its anatomy into a label map, and its CT."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from tools.data.phantoms.ct import Scanner, Tissue, ct_image, paint_table
from tools.data.phantoms.fields import streams
from tools.data.phantoms.lesions import Lesion, add_lesion
from tools.data.phantoms.shapes import Grid, ellipsoid, paint, superellipse, tube
from tools.data.phantoms.thorax_anatomy import Anatomy, Tubes

DEFAULT_SHAPE = (96, 112, 112)
"""Slices, rows and columns of a phantom: chest CT at about 3.3 mm."""


class Thorax(IntEnum):
    """Labels of the chest."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    LUNG = 4
    AIRWAY = 5
    VESSEL = 6
    MEDIASTINUM = 7
    MYOCARDIUM = 8
    BLOOD = 9
    CORTEX = 10
    MARROW = 11
    CARTILAGE = 12
    SPINAL_CANAL = 13
    LIVER = 14
    SPLEEN = 15
    STOMACH = 16
    NODULE = 17
    TABLE = 18
    TABLE_FOAM = 19
    STOMACH_GAS = 20


THORAX_TISSUES = {
    Thorax.AIR: Tissue(-1000),
    Thorax.SKIN: Tissue(10, 15),
    Thorax.FAT: Tissue(-100, 8, 8),
    Thorax.MUSCLE: Tissue(50, 6, 12),
    Thorax.LUNG: Tissue(-855, 22, 22),
    Thorax.AIRWAY: Tissue(-990, 5),
    Thorax.VESSEL: Tissue(40, 8),
    Thorax.MEDIASTINUM: Tissue(-15, 20, 25),
    Thorax.MYOCARDIUM: Tissue(50, 5, 5),
    Thorax.BLOOD: Tissue(40, 5, 4),
    Thorax.CORTEX: Tissue(900, 90, 80),
    Thorax.MARROW: Tissue(220, 35, 45),
    Thorax.CARTILAGE: Tissue(110, 20, 20),
    Thorax.SPINAL_CANAL: Tissue(20, 5, 5),
    Thorax.LIVER: Tissue(60, 7, 8),
    Thorax.SPLEEN: Tissue(50, 4, 5),
    Thorax.STOMACH: Tissue(30, 15, 20),
    Thorax.NODULE: Tissue(30, 15, 15),
    Thorax.TABLE: Tissue(-120, 60),
    Thorax.TABLE_FOAM: Tissue(-900, 15),
    Thorax.STOMACH_GAS: Tissue(-980, 10),
}
"""Look of each tissue without contrast agent, in HU."""

LUNG_GRADIENT = 0.35
"""HU per mm towards the back: blood settles in the parts of the lung that lie low."""

NODULE_MM = (4.0, 30.0)
"""Smallest and largest diameter of a nodule."""

STREAMS = ("anatomy", "tubes", "grid", "nodules", "scan")
"""What is drawn at random, each on its own."""

SLAB_VOXELS = 300_000
"""Painted at a time: the intermediate arrays then stay in the cache, and small for a scan of 512 x 512 x 300."""


class ThoraxPhantom(NamedTuple):
    """A phantom: ``hu`` int16 and ``labels`` uint8 [z, y, x]; ``spacing`` (x, y, z) and ``origin`` (x, y, z) in mm."""

    hu: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    nodules: list[Lesion]


def thorax_labels(
    seed: int | Sequence[int],
    shape: Sequence[int] = DEFAULT_SHAPE,
    spacing: Sequence[float] | None = None,
    nodules: int = 0,
) -> np.ndarray:
    """Label map of a chest, uint8 [z, y, x] of ``Thorax``; the arguments are those of ``thorax_ct``."""
    return _rasterise(streams(seed, *STREAMS), shape, spacing, nodules)[0]


def thorax_ct(
    seed: int | Sequence[int],
    shape: Sequence[int] = DEFAULT_SHAPE,
    spacing: Sequence[float] | None = None,
    nodules: int = 0,
    contrast: bool | None = None,
) -> ThoraxPhantom:
    """CT of a chest, from below the diaphragm to the shoulders, supine, arms up.

    Args:
        seed: non-negative integers as ``numpy.random.default_rng`` takes them; they decide on the patient and the
            scan. The same seed with another number of nodules is the same patient.
        shape: slices, rows and columns.
        spacing: (z, y, x) in mm; by default the field of view is a little wider than the patient, in a third of the
            scans up to a fifth wider, and as high as the chest, whatever the shape.
        nodules: number of solid nodules of 4 to 30 mm (and of at least two voxels) to put into the lungs.
        contrast: True enhances blood; by default in about a third of the patients.

    Raises:
        ValueError: the shape or the number of nodules is not positive, or the nodules do not fit.
    """
    drawn = streams(seed, *STREAMS)
    labels, grid, placed = _rasterise(drawn, shape, spacing, nodules)
    rng = drawn["scan"]
    scanner = Scanner.draw(rng)
    tissues = dict(THORAX_TISSUES)
    enhanced, blood = rng.random() < 0.35, rng.uniform(110, 260)
    if contrast or (contrast is None and enhanced):
        tissues[Thorax.BLOOD] = Tissue(blood, 0, 6)
        tissues[Thorax.VESSEL] = Tissue(0.85 * blood)
        tissues[Thorax.MYOCARDIUM] = Tissue(95, 5, 5)
    hu = ct_image(labels, tissues, scanner, rng, grid.spacing, {Thorax.LUNG: LUNG_GRADIENT})
    # where the patient lies in the scanner's coordinates; LUNA16's are arbitrary too
    offset = np.round([rng.uniform(-15, 15), rng.uniform(-40, 40), rng.uniform(-350, -150)], 1)
    first = [axis.flat[0] for axis in (grid.x, grid.y, grid.z)]
    origin = tuple(np.round(np.add(first, offset), 4).tolist())
    placed = [Lesion(tuple((n.centre + offset).tolist()), n.diameter) for n in placed]
    return ThoraxPhantom(hu, labels, tuple(reversed(grid.spacing)), origin, placed)


def _rasterise(
    drawn: dict[str, np.random.Generator],
    shape: Sequence[int],
    spacing: Sequence[float] | None,
    nodules: int,
) -> tuple[np.ndarray, Grid, list[Lesion]]:
    """Label map, its grid in the patient's mm, and the nodules in the same coordinates."""
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is three positive numbers, slices, rows and columns; got {tuple(shape)}")
    if nodules < 0:
        raise ValueError(f"the number of nodules cannot be negative; got {nodules}")
    anatomy = Anatomy.draw(drawn["anatomy"])
    tubes = Tubes.draw(anatomy, drawn["tubes"])
    grid = _place_grid(anatomy, drawn["grid"], shape, spacing)
    labels = np.zeros(shape, np.uint8)
    thick = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    reference = [1 / s for s in anatomy.scale]
    for first in range(0, shape[0], thick):
        slab = (slice(first, first + thick), slice(None), slice(None))
        paint_thorax(labels[slab], grid.part(slab).scaled(reference), anatomy, tubes)
    heights = grid.z * np.float32(reference[2])
    _, half_depth, centre = anatomy.body_section(heights)
    back = float((half_depth + centre).max()) * anatomy.scale[1]
    paint_table(labels, grid, back - 1, Thorax.TABLE, Thorax.TABLE_FOAM)
    lung = (Thorax.LUNG, Thorax.VESSEL)
    placed = [add_lesion(labels, grid, drawn["nodules"], Thorax.NODULE, lung, NODULE_MM) for _ in range(nodules)]
    return labels, grid, placed


def _place_grid(
    anatomy: Anatomy, rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float] | None
) -> Grid:
    """The reconstructed volume around the patient; coordinates are the patient's, in mm."""
    z = np.linspace(-100, 100, 21)
    widths, depths, centres = anatomy.body_section(z)
    scale = anatomy.scale
    margin = float(rng.choice([rng.uniform(1.02, 1.08), rng.uniform(1.02, 1.08), rng.uniform(1.08, 1.2)]))
    low, high = rng.uniform(-152, -132), anatomy.apex + rng.uniform(12, 30)
    centre = (
        rng.uniform(-6, 6),
        scale[1] * float(centres.mean()) + rng.uniform(-4, 10),
        scale[2] * (low + high) / 2,
    )
    if spacing is None:
        in_plane = margin * 2 * max(scale[0] * float(widths.max()), scale[1] * float(depths.max())) / max(shape[1:])
        spacing = (scale[2] * (high - low) / shape[0], in_plane, in_plane)
    return Grid.centred(shape, [round(float(h), 4) for h in spacing], centre)


def paint_thorax(labels: np.ndarray, grid: Grid, anatomy: Anatomy, tubes: Tubes) -> None:
    """Paint the chest into ``labels`` [z, y, x] (zeros), in place, from the outside in; ``grid`` in reference mm."""
    voxel = float(np.mean(grid.spacing))
    _paint_body(labels, grid, anatomy)
    _paint_bony_cage(labels, grid, anatomy, tubes)
    _paint_cavity(labels, grid, anatomy)
    _paint_heart(labels, grid, anatomy)
    for segment in tubes.great_vessels:
        paint(labels, tube(grid, segment), Thorax.BLOOD, _CAVITY)
    for segment in tubes.lung_vessels:
        paint(labels, tube(grid, segment, least=0.5 * voxel), Thorax.VESSEL, (Thorax.LUNG,))
    for segment in tubes.airways:
        paint(labels, tube(grid, segment, wall=2.0), Thorax.MEDIASTINUM, _CAVITY)
    for segment in tubes.airways:
        paint(labels, tube(grid, segment, least=0.6 * voxel), Thorax.AIRWAY, _CAVITY)
    _paint_spine(labels, grid, anatomy)


_CAVITY = (Thorax.LUNG, Thorax.VESSEL, Thorax.MEDIASTINUM, Thorax.AIRWAY, Thorax.MUSCLE, Thorax.LIVER, Thorax.FAT)
_WALL = (Thorax.FAT, Thorax.MUSCLE)


def _paint_body(labels: np.ndarray, grid: Grid, anatomy: Anatomy) -> None:
    """Skin, fat and muscle."""
    width, depth, centre = anatomy.body_section(grid.z)
    angle = np.arctan2(grid.y / 1.3, grid.x)
    a, b = anatomy.lopsided
    dents = 1 + a * np.cos(2 * angle) + b * np.sin(2 * angle)
    # the furrow over the spine
    dents = dents - 0.12 * np.exp(-((grid.x / 16) ** 2)) * (grid.y > 0)
    n = anatomy.roundness + 0.15
    skin = max(2.0, 0.55 * max(grid.spacing[1:]))
    body = superellipse(grid, (0, centre), (width, depth), n, dents)
    under_skin = superellipse(grid, (0, centre), (width - skin, depth - skin), n, dents)
    for side in (-1, 1) if anatomy.breasts else ():
        front = centre.flat[np.abs(grid.z + 8).argmin()] - 0.93 * depth.flat[np.abs(grid.z + 8).argmin()]
        for thick, mask in ((anatomy.breasts, body), (anatomy.breasts - skin, under_skin)):
            box, breast = ellipsoid(grid, (side * 66, front, -8), (50 + thick - anatomy.breasts, thick, 54))
            mask[box] |= breast
    labels[body] = Thorax.SKIN
    labels[under_skin] = Thorax.FAT
    width, depth, centre = anatomy.body_section(grid.z, 1.0)
    labels[superellipse(grid, (0, centre), (width, depth), n, dents) & under_skin] = Thorax.MUSCLE


def _paint_bony_cage(labels: np.ndarray, grid: Grid, anatomy: Anatomy, tubes: Tubes) -> None:
    """Ribs, sternum, scapulae, clavicles; what lies inside the ribs is painted over later."""
    n = anatomy.roundness
    pitch, phase = anatomy.vertebra

    def cage(out: float) -> np.ndarray:
        width, depth, centre = anatomy.cage_section(grid.z, out)
        return superellipse(grid, (0, centre), (width, depth), n)

    # a rib lies in a shell around the lungs, on an oblique surface of its own: q is constant along a rib
    _, depth, centre = anatomy.cage_section(grid.z, 5.0)
    ahead = np.clip((centre - grid.y) / np.maximum(depth, 1), -1, 1)  # -1 at the back, 1 at the front
    q = grid.z + (anatomy.rib_drop - 0.2 * grid.z) * (1 + ahead) / 2  # [Z, Y, 1]
    off = np.abs((q - phase) % pitch - pitch / 2)
    true_rib = ahead < np.clip(1.0 + (q + 10) / 90, -0.2, 1.0)  # the lower ones end early
    shell = cage(9.0) & ~cage(1.5) & (grid.z < anatomy.apex - 8)  # and not over the top
    rib = shell & (off < 6.5) & true_rib
    bone = ahead < 0.72
    labels[rib & bone] = Thorax.CORTEX
    labels[rib & ~bone] = Thorax.CARTILAGE
    labels[(off < 4.5) & true_rib & bone & shell & cage(7.4) & ~cage(3.2)] = Thorax.MARROW

    _, depth, centre = anatomy.cage_section(grid.z)
    breastbone = (grid.z > -78) & (grid.z < 76)
    front = centre - depth - 6
    half = np.where(grid.z > 45, 26.0, 18.0)  # the manubrium is broader
    labels[superellipse(grid, (0, front), (half, 6.5), 3.0) & breastbone] = Thorax.CORTEX
    labels[superellipse(grid, (0, front), (half - 2.5, 4.3), 3.0) & breastbone] = Thorax.MARROW

    voxel = float(np.mean(grid.spacing))
    outside = ~cage(12.0)
    for side in (-1, 1):
        turn = Rotation.from_euler("zy", [-side * 38, side * 12], degrees=True)
        blade = ellipsoid(grid, (side * 92, 76, 72), (42, max(3.0, 0.6 * voxel), 62), turn)
        paint(labels, (blade[0], blade[1] & outside[blade[0]]), Thorax.CORTEX, _WALL)
        head = (side * (anatomy.cage[0] + 24 + 0.4 * anatomy.shoulders), 18, 140)
        paint(labels, ellipsoid(grid, head, (22, 22, 24)), Thorax.CORTEX, _WALL)
        paint(labels, ellipsoid(grid, head, (19, 19, 21)), Thorax.MARROW, (Thorax.CORTEX,))
    for segment in tubes.clavicles:
        paint(labels, tube(grid, segment), Thorax.CORTEX, _WALL)
    for segment in tubes.clavicles:
        paint(labels, tube(grid, segment, wall=-3.0), Thorax.MARROW, (Thorax.CORTEX,))


def _paint_cavity(labels: np.ndarray, grid: Grid, anatomy: Anatomy) -> None:
    """Lungs and mediastinum above the diaphragm, liver, spleen and stomach below."""
    width, depth, centre = anatomy.cage_section(grid.z)
    cage = superellipse(grid, (0, centre), (width, depth), anatomy.roundness)
    floor = anatomy.diaphragm(grid.x, grid.y)
    above = cage & (grid.z > floor)
    labels[above] = Thorax.LUNG
    # a slender column from the breastbone to the spine, broader where the great vessels and the hila are
    half = anatomy.mediastinum * (1 + 0.15 * np.exp(-(((grid.z - anatomy.carina + 20) / 30) ** 2)))
    column = superellipse(grid, (0, 0), (half, 1.15 * anatomy.cage[1]), 2.0)
    labels[above & column] = Thorax.MEDIASTINUM
    labels[cage & (grid.z <= floor)] = Thorax.MUSCLE
    abdomen = superellipse(grid, (0, centre), (width - 3, depth - 3), anatomy.roundness) & (grid.z < floor - 4)
    labels[abdomen] = Thorax.FAT
    right, left = anatomy.domes

    def organ(centre: tuple, semi_axes: tuple, label: int, rotation: Rotation | None = None) -> None:
        box, mask = ellipsoid(grid, centre, semi_axes, rotation)
        paint(labels, (box, mask & abdomen[box]), label)

    organ((92, 42, left - 58), (30, 40, 50), Thorax.SPLEEN)
    stomach = (60, -24, left - 54)
    organ(stomach, (48, 46, 50), Thorax.MUSCLE)
    organ(stomach, (43, 41, 45), Thorax.STOMACH)
    box, mask = ellipsoid(grid, stomach, (43, 41, 45))
    paint(labels, (box, mask & (grid.y[:, box[1]] < anatomy.gas)), Thorax.STOMACH_GAS, (Thorax.STOMACH,))
    # the liver fills the right dome and reaches over to the left in front
    organ((-58, -4, right - 75), (100, 108, 100), Thorax.LIVER)
    organ((-5, -45, right - 62), (62, 44, 42), Thorax.LIVER, Rotation.from_euler("y", 18, degrees=True))


def _paint_heart(labels: np.ndarray, grid: Grid, anatomy: Anatomy) -> None:
    """A tilted ellipsoid with its tip to the left, front and bottom, and four chambers."""
    size = anatomy.heart_size
    left, down = anatomy.heart_axis
    turn = Rotation.from_euler("zy", [-left, down], degrees=True)  # the long axis is the ellipsoid's own x
    # where it meets them, the heart presses the diaphragm and what lies below it down
    below = (Thorax.MUSCLE, Thorax.FAT, Thorax.LIVER, Thorax.STOMACH, Thorax.STOMACH_GAS)
    onto = (Thorax.LUNG, Thorax.MEDIASTINUM, *below)

    def part(offset: tuple, semi_axes: tuple, label: int, onto: tuple) -> None:
        centre = np.add(anatomy.heart, turn.apply(size * np.asarray(offset)))
        paint(labels, ellipsoid(grid, centre, size * np.asarray(semi_axes), turn), label, onto)

    part((0, 0, 0), (74, 49, 54), Thorax.MEDIASTINUM, onto)  # pericardial fat
    part((0, 0, 0), (71, 46, 51), Thorax.MYOCARDIUM, onto)
    inside = (Thorax.MYOCARDIUM,)
    part((20, 14, 0), (33, 19, 24), Thorax.BLOOD, inside)  # left ventricle
    part((14, -27, -6), (40, 14, 30), Thorax.BLOOD, inside)  # right ventricle
    part((-36, 16, 8), (23, 28, 28), Thorax.BLOOD, inside)  # left atrium
    part((-40, -22, -4), (22, 20, 32), Thorax.BLOOD, inside)  # right atrium


def _paint_spine(labels: np.ndarray, grid: Grid, anatomy: Anatomy) -> None:
    """Vertebral bodies and discs, the canal, arches, and processes that slope down to the back."""
    x, y = anatomy.spine(grid.z)
    pitch, phase = anatomy.vertebra
    # a lower vertebra is larger
    size = 1 - 0.0012 * grid.z
    width, depth = 17 * size, 15 * size
    height = (grid.z - phase) % pitch  # 0 at the lower face of a disc

    processes = superellipse(grid, (x, y + 32), (29 * size, 5.5), 2.5) & (np.abs(height - 14) < 5)
    labels[processes] = Thorax.CORTEX
    core = superellipse(grid, (x, y + 32), (27 * size, 3.5), 2.5) & (np.abs(height - 14) < 3)
    labels[core] = Thorax.MARROW
    slope = (height + 0.5 * (grid.y - y) + 2) % pitch  # [Z, Y, 1]
    spinous = (np.abs(grid.x - x) < 4.5) & (grid.y > y + 28) & (grid.y < y + 52) & (slope < 13)
    labels[spinous] = Thorax.CORTEX
    labels[(np.abs(grid.x - x) < 2.5) & (grid.y > y + 31) & (grid.y < y + 49) & (slope < 10.5) & (slope > 2.5)] = (
        Thorax.MARROW
    )

    arch = superellipse(grid, (x, y + 22), (14 * size, 13 * size), 2.0)
    labels[arch] = Thorax.MUSCLE
    labels[arch & (height > 8)] = Thorax.CORTEX
    rim = max(1.5, 0.45 * max(grid.spacing[1:]))
    labels[superellipse(grid, (x, y), (width, depth), 2.2)] = Thorax.CORTEX
    labels[superellipse(grid, (x, y), (width - rim, depth - rim), 2.2)] = Thorax.MARROW
    disc = (height < 5) & superellipse(grid, (x, y), (width + 0.5, depth + 0.5), 2.2)
    labels[disc] = Thorax.CARTILAGE
    labels[superellipse(grid, (x, y + 23), (9 * size, 8 * size), 2.0)] = Thorax.SPINAL_CANAL
