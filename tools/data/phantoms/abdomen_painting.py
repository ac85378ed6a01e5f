"""The painting of an abdomen's anatomy into a label map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from tools.data.phantoms.abdomen_anatomy import AbdomenAnatomy, AbdomenTubes
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tissues import Abdomen
from tools.data.phantoms.fields import Ripples
from tools.data.phantoms.shapes import Grid, Segment, ellipsoid, paint, superellipse, tube


def paint_abdomen(labels: np.ndarray, grid: Grid, body: AbdomenBody) -> None:
    """Paint the abdomen into ``labels`` [z, y, x] (zeros), in place, from the outside in; ``grid`` in reference mm."""
    anatomy, tubes = body.anatomy, body.tubes
    uneven = body.ripples[0].on(grid)
    _paint_trunk(labels, grid, anatomy, body.ripples[1])
    _paint_ribs(labels, grid, anatomy)
    _paint_cavity(labels, grid, anatomy, tubes)
    _paint_spleen(labels, grid, anatomy, uneven)
    _paint_gut(labels, grid, anatomy, tubes)
    _paint_liver(labels, grid, anatomy, uneven)
    _paint_stomach(labels, grid, anatomy, tubes)
    _paint_kidneys(labels, grid, anatomy)
    _paint_vessels(labels, grid, tubes)
    _paint_heart(labels, grid, anatomy)
    _paint_spine(labels, grid, anatomy)


_FAT = (Abdomen.VISCERAL_FAT,)
_GUT = (Abdomen.GUT_WALL, Abdomen.STOMACH, Abdomen.BOWEL, Abdomen.STOOL, Abdomen.GAS)


def _paint_trunk(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy, ripples: Ripples) -> None:
    """Skin, fat under it, and the wall: muscles at the back, the sides and the front."""
    n = anatomy.roundness
    angle = np.arctan2(grid.y / 1.2, grid.x)
    a, b = anatomy.lopsided
    dents = 1 + a * np.cos(2 * angle) + b * np.sin(2 * angle)
    furrow = -0.1 * np.exp(-((grid.x / 16) ** 2)) * (grid.y > 0)
    # a slow unevenness, the same in all slices of a slab and of its neighbours
    dents = dents + furrow + 0.02 * ripples.on(grid)
    skin = max(2.0, 0.5 * max(grid.spacing[1:]))
    width, depth = anatomy.section(grid.z, grid.y, "skin")
    labels[superellipse(grid, (0, 0), (width, depth), n, dents)] = Abdomen.SKIN
    under = superellipse(grid, (0, 0), (width - skin, depth - skin), n, dents)
    labels[under] = Abdomen.SUBCUTANEOUS_FAT
    width, depth = anatomy.section(grid.z, grid.y, "muscle")
    wall = superellipse(grid, (0, 0), (width, depth), n, dents) & under
    labels[wall] = Abdomen.MUSCLE
    # fat between the long muscles of the back, the latissimus around them, and the two straight ones in front
    within = superellipse(grid, (0, 0), (width - 9, depth - 8), n, dents)
    sx, sy = anatomy.spine(grid.z)
    cleft = wall & within & (grid.y > 48)
    for side in (-1, 1):
        cleft &= ~superellipse(grid, (sx + side * 35, sy + 42), (32, 23), 2.3)
        cleft &= ~superellipse(grid, (sx + side * 62, sy + 18), (21, 12), 2.0)
    labels[cleft & (np.abs(grid.x - sx) > 4)] = Abdomen.SUBCUTANEOUS_FAT
    inner = anatomy.section(grid.z, grid.y, "cavity")
    sheath = superellipse(grid, (0, 0), (inner[0] + 3, inner[1] + 3), n)
    seam = (np.abs(grid.x) < 5) | (np.abs(np.abs(grid.x) - 70) < 4)
    labels[wall & ~sheath & seam & (grid.y < -30)] = Abdomen.SUBCUTANEOUS_FAT


def _paint_ribs(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy) -> None:
    """Lower ribs: each lies in the wall on an oblique surface of its own, and ends the earlier the lower it is."""
    n = anatomy.roundness
    width, depth = anatomy.section(grid.z, grid.y, "cavity")

    def cage(out: float) -> np.ndarray:
        return superellipse(grid, (0, 0), (width + out, depth + out), n)

    pitch, phase = anatomy.vertebra
    # from 0 at the back to 1 at the front, around the trunk
    around = np.arctan2(np.abs(grid.x), grid.y * np.float32(anatomy.cavity[0] / anatomy.cavity[1])) / np.float32(np.pi)
    # constant along a rib, which descends to its lowest point at the side, from where its cartilage rises
    q = grid.z + np.float32(anatomy.rib_drop) * (np.minimum(around, 0.62) - 1.2 * np.maximum(around - 0.62, 0))
    off = np.abs((q - phase) % pitch - pitch / 2)
    centre = q - (q - phase) % pitch + pitch / 2  # the rib's height at the spine
    end = 0.1 + 0.0085 * centre
    rib = (off < 6.5) & (around < end) & (centre > 0)
    bone = around < np.minimum(end - 0.05, 0.66)
    shell = cage(10.5) & ~cage(2.0) & (labels > 0)
    labels[shell & rib & bone] = Abdomen.CORTEX
    labels[shell & rib & ~bone] = Abdomen.CARTILAGE
    labels[cage(8.6) & ~cage(3.9) & (labels == Abdomen.CORTEX) & (off < 4.4)] = Abdomen.MARROW


def _paint_cavity(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy, tubes: AbdomenTubes) -> None:
    """Lungs above the diaphragm, fat below it, the muscles beside the spine."""
    width, depth = anatomy.section(grid.z, grid.y, "cavity")
    cavity = superellipse(grid, (0, 0), (width, depth), anatomy.roundness)
    floor = anatomy.diaphragm(grid.x, grid.y)
    labels[cavity] = Abdomen.VISCERAL_FAT
    above = cavity & (grid.z > floor)
    labels[cavity & ~above & (grid.z > floor - 3)] = Abdomen.MUSCLE
    labels[above] = Abdomen.LUNG
    least = 0.4 * float(np.mean(grid.spacing))
    for segment in tubes.lung_vessels:
        paint(labels, tube(grid, segment, least=least), Abdomen.LUNG_VESSEL, (Abdomen.LUNG,))
    column = superellipse(grid, (2, 22), (27, 32), 2.2) & (grid.z > 0)
    labels[above & column] = Abdomen.VISCERAL_FAT
    x, y = anatomy.spine(grid.z)
    # the psoas arises from the first lumbar vertebra and grows on its way down
    size = anatomy.psoas * np.clip((26 - grid.z) / 120, 0, 1) ** 0.6
    for side in (-1, 1):
        psoas = superellipse(grid, (x + side * (23 + 15 * size), y + 2), (19 * size, 23 * size), 2.0)
        labels[psoas & cavity] = Abdomen.MUSCLE
    for segment in tubes.crura:
        paint(labels, tube(grid, segment), Abdomen.MUSCLE, _FAT)


def _paint_spleen(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy, uneven: np.ndarray) -> None:
    """A slice of an orange under the left dome, at the back, hollow towards the stomach."""
    size = anatomy.spleen
    box = grid.box((30, -60, -60), (140, 110, 140))
    part = grid.part(box)
    turn = Rotation.from_euler("zx", [-25, 20], degrees=True)
    centre = np.array([88.0, 32.0, anatomy.domes[1] - 46])
    outer = _radius(part, centre, np.array([38, 58, 54]) * size, turn)
    hollow = _radius(part, np.add(centre, (-54, -26, -6)), np.array([48, 56, 70]), turn)
    inside = anatomy.cavity_depth(part.x, part.y, part.z) > 2
    mask = (outer < 1 + 0.04 * uneven[box]) & (hollow > 1) & inside
    paint(labels, (box, mask), Abdomen.SPLEEN, _FAT)


def _radius(grid: Grid, centre: np.ndarray, semi_axes: np.ndarray, turn: Rotation) -> np.ndarray:
    """Distance from the centre of an ellipsoid, 1 on its surface: [Z, Y, X]."""
    rows = (turn.as_matrix() / semi_axes).T.astype(np.float32)
    x, y, z = (axis - np.float32(c) for axis, c in zip((grid.x, grid.y, grid.z), centre, strict=True))
    return np.sqrt(sum((r[0] * x + r[1] * y + r[2] * z) ** 2 for r in rows))


def _paint_liver(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy, uneven: np.ndarray) -> None:
    """Liver and gallbladder."""
    box = grid.box((-150, -130, -120), (110, 110, 140))
    if any(s.start >= s.stop for s in box):
        return
    part = grid.part(box)
    depth = anatomy.liver_depth(part.x, part.y, part.z) + 2 * uneven[box]
    paint(labels, (box, depth > 0), Abdomen.LIVER, (*_FAT, *_GUT, Abdomen.SPLEEN, Abdomen.PANCREAS))
    if anatomy.gallbladder:
        r, lower = anatomy.gallbladder, anatomy.liver[0]
        onto = (*_FAT, *_GUT, Abdomen.LIVER)
        segment = Segment((-40, -18, lower + 24), (-56, -56, lower - 6), (0.45 * r, r))
        paint(labels, tube(grid, segment, wall=1.5), Abdomen.GUT_WALL, onto)
        paint(labels, tube(grid, segment), Abdomen.GALLBLADDER, onto)


def _paint_gut(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy, tubes: AbdomenTubes) -> None:
    """Small bowel, colon, pancreas and duodenum in the fat of the belly, and the vessels of the mesentery."""
    for segment in tubes.mesentery:
        paint(labels, tube(grid, segment), Abdomen.VEIN, _FAT)
    for segment in tubes.pancreas:
        paint(labels, tube(grid, segment), Abdomen.PANCREAS, _FAT)
    inside = (*_FAT, Abdomen.VEIN)
    _paint_hollow(labels, grid, tubes.small_bowel, Abdomen.BOWEL, inside, lambda i: -0.2 if i // 13 % 5 == 0 else None)
    _paint_hollow(labels, grid, tubes.duodenum, Abdomen.BOWEL, (*inside, Abdomen.PANCREAS), lambda i: None)
    level = anatomy.colon[1]
    _paint_hollow(labels, grid, tubes.colon, Abdomen.STOOL, (*inside, *_GUT), lambda i: level)


def _paint_hollow(
    labels: np.ndarray,
    grid: Grid,
    segments: Sequence[Segment],
    content: int,
    onto: Sequence[int],
    gas: Callable[[int], float | None],
) -> None:
    """A gut: its wall, then its content, then gas where it is higher than ``gas(i)`` radii behind the axis of segment
    i, as the patient lies on the back; None for no gas.
    """
    wall = 2.4
    for segment in segments:
        paint(labels, tube(grid, segment), Abdomen.GUT_WALL, onto)
    for i, segment in enumerate(segments):
        inner = tube(grid, segment, wall=-wall)
        paint(labels, inner, content, (Abdomen.GUT_WALL,))
        if gas(i) is not None:
            box, mask = inner
            level = (segment.start[1] + segment.end[1]) / 2 + gas(i) * sum(segment.radii) / 2
            paint(labels, (box, mask & (grid.y[:, box[1]] < level)), Abdomen.GAS, (Abdomen.GUT_WALL, content))


def _paint_stomach(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy, tubes: AbdomenTubes) -> None:
    """The stomach with fluid below and gas above, and the gullet that leads into it."""
    onto = (*_FAT, Abdomen.GUT_WALL, Abdomen.BOWEL, Abdomen.STOOL, Abdomen.PANCREAS, Abdomen.SPLEEN, Abdomen.LIVER)
    for segment in tubes.oesophagus:
        paint(labels, tube(grid, segment), Abdomen.GUT_WALL, _FAT)
    for segment in tubes.stomach:
        paint(labels, tube(grid, segment), Abdomen.GUT_WALL, onto)
    for segment in tubes.stomach:
        box, mask = tube(grid, segment, wall=-4.0)
        paint(labels, (box, mask), Abdomen.STOMACH, (Abdomen.GUT_WALL,))
        high = mask & (grid.y[:, box[1]] < anatomy.stomach[1])
        paint(labels, (box, high), Abdomen.GAS, (Abdomen.GUT_WALL, Abdomen.STOMACH))


def _paint_kidneys(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy) -> None:
    """Kidneys in their fat, with pyramids of medulla around the sinus."""
    right_size, right_z, left_size, left_z = anatomy.kidneys
    yields = (*_FAT, *_GUT, Abdomen.LIVER, Abdomen.SPLEEN, Abdomen.PANCREAS, Abdomen.VEIN)
    for side, size, z in ((-1, right_size, right_z), (1, left_size, left_z)):
        # the upper pole leans to the spine and to the back, the hilum looks to the front
        turn = Rotation.from_euler("yxz", [-side * 14, 12, side * 32], degrees=True)
        centre = np.array([side * 64.0, 42.0, z])
        semi_axes = np.array([27.0, 24.0, 55.0]) * size
        reach = semi_axes.max() + 25
        box = grid.box(centre - reach, centre + reach)
        if any(s.start >= s.stop for s in box):
            continue
        part = grid.part(box)
        inside = anatomy.cavity_depth(part.x, part.y, part.z) > 1
        fat = _radius(part, centre, semi_axes + anatomy.renal_fat, turn) < 1
        paint(labels, (box, fat & inside), Abdomen.VISCERAL_FAT, yields)
        radius = _radius(part, centre, semi_axes, turn)
        paint(labels, (box, (radius < 1) & inside), Abdomen.RENAL_CORTEX, (*_FAT, Abdomen.MUSCLE))
        rows = turn.as_matrix().T.astype(np.float32)
        x, y, h = (
            r[0] * (part.x - np.float32(centre[0]))
            + r[1] * (part.y - np.float32(centre[1]))
            + r[2] * (part.z - np.float32(z))
            for r in rows
        )
        around, along = np.arctan2(y, side * x), np.arctan2(h / 2, np.hypot(x, y))
        pyramids = (np.cos(6 * around) > -0.35) & (np.cos(7 * along) > -0.5)
        kidney = (Abdomen.RENAL_CORTEX, Abdomen.RENAL_MEDULLA)
        paint(labels, (box, (radius < 0.76) & pyramids), Abdomen.RENAL_MEDULLA, kidney)
        hilum = centre + turn.apply((-side * 13.0 * size, 0, 0))
        sinus = _radius(part, hilum, np.array([17.0, 8.5, 25.0]) * size, turn) < 1
        paint(labels, (box, sinus), Abdomen.VISCERAL_FAT, kidney)
        pelvis = _radius(part, hilum, np.array([10.0, 4.0, 13.0]) * size, turn) < 1
        paint(labels, (box, pelvis), Abdomen.RENAL_PELVIS, (*_FAT, *kidney))


def _paint_vessels(labels: np.ndarray, grid: Grid, tubes: AbdomenTubes) -> None:
    """Adrenal glands and the large vessels, then those of the liver."""
    soft = (*_FAT, Abdomen.PANCREAS, Abdomen.LIVER, Abdomen.MUSCLE, Abdomen.RENAL_PELVIS, *_GUT)
    least = 0.45 * float(np.mean(grid.spacing[1:]))
    for segment in tubes.adrenals:
        paint(labels, tube(grid, segment, least=least), Abdomen.ADRENAL, _FAT)
    for segment in tubes.veins:
        paint(labels, tube(grid, segment), Abdomen.VEIN, soft)
    for segment in tubes.arteries:
        paint(labels, tube(grid, segment), Abdomen.ARTERY, (*soft, Abdomen.VEIN, Abdomen.LUNG))
    for segment in tubes.portal:
        paint(labels, tube(grid, segment), Abdomen.PORTAL_VEIN, (*_FAT, Abdomen.PANCREAS, Abdomen.LIVER))
    for segment in tubes.hepatic:
        paint(labels, tube(grid, segment), Abdomen.PORTAL_VEIN, (Abdomen.LIVER,))


def _paint_heart(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy) -> None:
    """Return what a scan of the abdomen shows of the heart, which lies on the diaphragm."""
    x, y = anatomy.heart
    centre = (x, y, min(anatomy.domes) + 32)
    turn = Rotation.from_euler("zy", [-38, 20], degrees=True)
    onto = (Abdomen.LUNG, Abdomen.LUNG_VESSEL, Abdomen.VISCERAL_FAT, Abdomen.MUSCLE)

    def part(offset: tuple, semi_axes: tuple, label: int, onto: tuple) -> None:
        box, mask = ellipsoid(grid, np.add(centre, turn.apply(offset)), semi_axes, turn)
        above = grid.z[box[0]] > anatomy.diaphragm(grid.x[:, :, box[2]], grid.y[:, box[1]]) - 6
        inside = anatomy.cavity_depth(grid.x[:, :, box[2]], grid.y[:, box[1]], grid.z[box[0]]) > 1
        paint(labels, (box, mask & above & inside), label, onto)

    part((0, 0, 0), (70, 46, 44), Abdomen.VISCERAL_FAT, onto)
    part((0, 0, 0), (65, 42, 40), Abdomen.MYOCARDIUM, onto)
    part((16, 12, 2), (34, 18, 22), Abdomen.ARTERY, (Abdomen.MYOCARDIUM,))
    part((6, -22, 0), (40, 13, 26), Abdomen.VEIN, (Abdomen.MYOCARDIUM,))


def _paint_spine(labels: np.ndarray, grid: Grid, anatomy: AbdomenAnatomy) -> None:
    """Vertebral bodies and discs, the canal with the cord, arches and processes."""
    x, y = anatomy.spine(grid.z)
    pitch, phase = anatomy.vertebra
    size = 1 - 0.0011 * grid.z  # a lower vertebra is larger
    width, depth = 23 * size, 17 * size
    height = (grid.z - phase) % pitch  # 0 at the lower face of a disc
    rim = max(1.5, 0.4 * max(grid.spacing[1:]))

    processes = superellipse(grid, (x, y + 27), (40 * size, 5.0), 2.5) & (np.abs(height - 18) < 6)
    labels[processes] = Abdomen.CORTEX
    labels[superellipse(grid, (x, y + 27), (37 * size, 2.8), 2.5) & (np.abs(height - 18) < 3.5)] = Abdomen.MARROW
    spinous = (np.abs(grid.x - x) < 4.2) & (grid.y > y + 32) & (grid.y < y + 60)
    slope = (height + 0.25 * (grid.y - y)) % pitch  # [Z, Y, 1]
    labels[spinous & (slope < 19)] = Abdomen.CORTEX
    core = (np.abs(grid.x - x) < 1.9) & (grid.y > y + 36) & (grid.y < y + 56) & (slope > 3) & (slope < 16)
    labels[core] = Abdomen.MARROW
    arch = superellipse(grid, (x, y + 26), (17 * size, 15 * size), 2.0)
    labels[arch] = Abdomen.MUSCLE
    labels[arch & (height > 10)] = Abdomen.CORTEX
    labels[superellipse(grid, (x, y), (width, depth), 2.3)] = Abdomen.CORTEX
    labels[superellipse(grid, (x, y), (width - rim, depth - rim), 2.3)] = Abdomen.MARROW
    disc = (height < 7) & superellipse(grid, (x, y), (width + 0.5, depth + 0.5), 2.3)
    labels[disc] = Abdomen.DISC
    endplate = np.minimum(np.abs(height - 8), np.abs(height - pitch + 1)) < 0.9
    labels[endplate & superellipse(grid, (x, y), (width, depth), 2.3)] = Abdomen.CORTEX
    labels[superellipse(grid, (x, y + 25), (11 * size, 8.5 * size), 2.0)] = Abdomen.SPINAL_CANAL
    # the cord ends at the first lumbar vertebra
    cord = np.clip((grid.z - 18) / 30, 0, 1)
    labels[superellipse(grid, (x, y + 25), (5.0 * cord, 4.0 * cord), 2.0)] = Abdomen.CORD
