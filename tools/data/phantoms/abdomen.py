"""The abdomen: its labels and tissues, the painting of its anatomy into a label map, its CT and its MR images.

One seed is one body. Its CT, its T1-weighted images in and out of phase and its T2-weighted one show the same anatomy
at the same place in the world, each on a grid of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from tools.data.phantoms.abdomen_anatomy import (
    HEIGHT,
    TOP,
    AbdomenAnatomy,
    AbdomenTubes,
    Ripples,
)
from tools.data.phantoms.ct import Scanner, Tissue, ct_image, paint_table
from tools.data.phantoms.fields import streams
from tools.data.phantoms.mr import FastSpinEcho, MRScanner, SpoiledGradientEcho, WaterFat, water_fat_images
from tools.data.phantoms.shapes import Grid, Segment, ellipsoid, paint, superellipse, tube

DEFAULT_SHAPE = (28, 96, 96)
"""Slices, rows and columns of the MR images: about 9 x 4.5 x 4.5 mm."""

SECTIONS = 3
"""Label slices in a thick slice of MR."""

SLAB_VOXELS = 300_000
"""Painted at a time: the intermediate arrays then stay in the cache, and small for a scan of 512 x 512 x 100."""


class Abdomen(IntEnum):
    """Labels of the abdomen."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    VISCERAL_FAT = 3
    MUSCLE = 4
    LIVER = 5
    GALLBLADDER = 6
    SPLEEN = 7
    RENAL_CORTEX = 8
    RENAL_MEDULLA = 9
    RENAL_PELVIS = 10
    ADRENAL = 11
    PANCREAS = 12
    GUT_WALL = 13
    STOMACH = 14
    BOWEL = 15
    STOOL = 16
    GAS = 17
    ARTERY = 18
    VEIN = 19
    PORTAL_VEIN = 20
    MYOCARDIUM = 21
    LUNG = 22
    LUNG_VESSEL = 23
    CORTEX = 24
    MARROW = 25
    CARTILAGE = 26
    DISC = 27
    SPINAL_CANAL = 28
    CORD = 29
    TABLE = 30
    TABLE_FOAM = 31


CLASSES = {
    "air": (Abdomen.AIR, Abdomen.GAS),
    "lung": (Abdomen.LUNG, Abdomen.LUNG_VESSEL),
    "fat": (Abdomen.SUBCUTANEOUS_FAT, Abdomen.VISCERAL_FAT),
    "bone": (Abdomen.CORTEX, Abdomen.MARROW),
}
"""Labels of coarse classes of tissue; all others of a patient are "soft"."""


def tissue_class(label: Abdomen) -> str:
    """The class of a patient's label: "air", "lung", "fat", "bone" or "soft"."""
    return next((name for name, labels in CLASSES.items() if label in labels), "soft")


ABDOMEN_CT = {
    Abdomen.AIR: Tissue(-1000),
    Abdomen.SKIN: Tissue(10, 15),
    Abdomen.SUBCUTANEOUS_FAT: Tissue(-104, 5, 7),
    Abdomen.VISCERAL_FAT: Tissue(-98, 6, 9),
    Abdomen.MUSCLE: Tissue(54, 6, 12),
    Abdomen.LIVER: Tissue(62, 5, 6),
    Abdomen.GALLBLADDER: Tissue(9, 5, 2),
    Abdomen.SPLEEN: Tissue(49, 4, 5),
    Abdomen.RENAL_CORTEX: Tissue(34, 4, 4),
    Abdomen.RENAL_MEDULLA: Tissue(32, 4, 4),
    Abdomen.RENAL_PELVIS: Tissue(6, 4, 2),
    Abdomen.ADRENAL: Tissue(28, 8, 4),
    Abdomen.PANCREAS: Tissue(40, 6, 12),
    Abdomen.GUT_WALL: Tissue(40, 6, 6),
    Abdomen.STOMACH: Tissue(25, 15, 16),
    Abdomen.BOWEL: Tissue(20, 8, 10),
    Abdomen.STOOL: Tissue(10, 30, 70),
    Abdomen.GAS: Tissue(-985, 8),
    Abdomen.ARTERY: Tissue(42, 4, 4),
    Abdomen.VEIN: Tissue(42, 4, 4),
    Abdomen.PORTAL_VEIN: Tissue(42, 4, 3),
    Abdomen.MYOCARDIUM: Tissue(48, 4, 4),
    Abdomen.LUNG: Tissue(-850, 25, 22),
    Abdomen.LUNG_VESSEL: Tissue(30, 10),
    Abdomen.CORTEX: Tissue(850, 90, 80),
    Abdomen.MARROW: Tissue(180, 40, 40),
    Abdomen.CARTILAGE: Tissue(110, 20, 20),
    Abdomen.DISC: Tissue(85, 10, 10),
    Abdomen.SPINAL_CANAL: Tissue(10, 5, 4),
    Abdomen.CORD: Tissue(38, 4, 3),
    Abdomen.TABLE: Tissue(-120, 60),
    Abdomen.TABLE_FOAM: Tissue(-900, 15),
}
"""Look of each tissue without contrast agent, in HU."""

ENHANCED = {
    Abdomen.MUSCLE: Tissue(62, 6, 12),
    Abdomen.LIVER: Tissue(112, 10, 6),
    Abdomen.SPLEEN: Tissue(122, 9, 5),
    Abdomen.RENAL_CORTEX: Tissue(190, 18, 8),
    Abdomen.RENAL_MEDULLA: Tissue(162, 18, 8),
    Abdomen.RENAL_PELVIS: Tissue(20, 10, 5),
    Abdomen.ADRENAL: Tissue(75, 10, 6),
    Abdomen.PANCREAS: Tissue(95, 10, 12),
    Abdomen.GUT_WALL: Tissue(85, 10, 8),
    Abdomen.ARTERY: Tissue(155, 16, 4),
    Abdomen.VEIN: Tissue(140, 16, 10),
    Abdomen.PORTAL_VEIN: Tissue(168, 16, 3),
    Abdomen.MYOCARDIUM: Tissue(105, 10, 5),
    Abdomen.LUNG_VESSEL: Tissue(130, 15),
}
"""The same in the portal venous phase, 70 s after the injection, of what takes up the agent (Bae 2010, doi
10.1148/radiol.10090908)."""

FAT_HU = -104.0
"""HU of fat; a fatty liver is a mixture of liver and fat, and darker in proportion (Kodama et al. 2007)."""

STEATOSIS = 0.056
"""Fraction of fat from which a liver is fatty (Szczepaniak et al. 2005, doi 10.1152/ajpendo.00064.2004)."""

ABDOMEN_MR = {
    Abdomen.AIR: WaterFat(0, 0, 1000, 50, 10),
    Abdomen.SKIN: WaterFat(0.45, 0.1, 900, 35, 12, 0.1, 0.1),
    Abdomen.SUBCUTANEOUS_FAT: WaterFat(0.06, 0.84, 900, 40, 20, 0.05, 0.04),
    Abdomen.VISCERAL_FAT: WaterFat(0.10, 0.78, 900, 40, 20, 0.05, 0.07),
    Abdomen.MUSCLE: WaterFat(0.77, 0.02, 860, 31, 25, 0.04, 0.09),
    Abdomen.LIVER: WaterFat(0.78, 0.0, 586, 46, 27, 0.06, 0.04),
    Abdomen.GALLBLADDER: WaterFat(0.95, 0.0, 2300, 400, 150, 0.3, 0.02),
    Abdomen.SPLEEN: WaterFat(0.82, 0.0, 1057, 79, 45, 0.06, 0.04),
    Abdomen.RENAL_CORTEX: WaterFat(0.84, 0.0, 966, 87, 55, 0.05, 0.05),
    Abdomen.RENAL_MEDULLA: WaterFat(0.88, 0.0, 1412, 85, 45, 0.05, 0.05),
    Abdomen.RENAL_PELVIS: WaterFat(0.97, 0.0, 3000, 500, 150, 0.1, 0.02),
    Abdomen.ADRENAL: WaterFat(0.70, 0.12, 700, 60, 35, 0.1, 0.05),
    Abdomen.PANCREAS: WaterFat(0.74, 0.08, 584, 46, 33, 0.06, 0.1),
    Abdomen.GUT_WALL: WaterFat(0.78, 0.02, 900, 50, 25, 0.08, 0.08),
    Abdomen.STOMACH: WaterFat(0.85, 0.03, 1500, 75, 30, 0.3, 0.15),
    Abdomen.BOWEL: WaterFat(0.85, 0.02, 1500, 85, 30, 0.3, 0.2),
    Abdomen.STOOL: WaterFat(0.50, 0.05, 600, 60, 10, 0.3, 0.3),
    Abdomen.GAS: WaterFat(0, 0, 1000, 50, 1),
    # blood that flows out of the slice between pulse and echo gives a fast spin echo no signal, hence the short T2
    Abdomen.ARTERY: WaterFat(0.85, 0.0, 1200, 22, 80, 0.05, 0.08),
    Abdomen.VEIN: WaterFat(0.85, 0.0, 1200, 35, 50, 0.05, 0.06),
    Abdomen.PORTAL_VEIN: WaterFat(0.85, 0.0, 1200, 38, 50, 0.05, 0.04),
    Abdomen.MYOCARDIUM: WaterFat(0.80, 0.01, 1030, 40, 30, 0.04, 0.15),
    Abdomen.LUNG: WaterFat(0.16, 0.0, 1100, 40, 1.8, 0.1, 0.15),
    Abdomen.LUNG_VESSEL: WaterFat(0.70, 0.0, 1200, 35, 12, 0.05, 0.1),
    Abdomen.CORTEX: WaterFat(0.05, 0.02, 500, 5, 2),
    Abdomen.MARROW: WaterFat(0.40, 0.36, 800, 50, 18, 0.08, 0.1),
    Abdomen.CARTILAGE: WaterFat(0.60, 0.0, 1000, 30, 10, 0.05, 0.05),
    Abdomen.DISC: WaterFat(0.75, 0.0, 1200, 75, 25, 0.1, 0.08),
    Abdomen.SPINAL_CANAL: WaterFat(0.97, 0.0, 3500, 300, 120, 0.05, 0.03),
    Abdomen.CORD: WaterFat(0.75, 0.02, 900, 80, 50, 0.03, 0.03),
}
"""Densities of water and fat, relaxation times of the water at 1.5 tesla: T1 and T2 of organs from de Bazelaire et al.
2004 (doi 10.1148/radiol.2303021331) and Stanisz et al. 2005 (doi 10.1002/mrm.20605), T2* in the order of Chavhan et al.
2009 (doi 10.1148/rg.295095034); contents of the gut, bone and lung as they look."""


class Volume(NamedTuple):
    """An image and where it lies: ``image`` int16 and ``labels`` uint8 [z, y, x]; ``spacing`` and ``origin`` (x, y, z)
    in mm, LPS.
    """

    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]


@dataclass(frozen=True)
class AbdomenBody:
    """A patient: shape of everything, fraction of fat in the liver, and where the patient lies in the world (x, y, z),
    mm.
    """

    anatomy: AbdomenAnatomy
    tubes: AbdomenTubes
    ripples: tuple[Ripples, Ripples]  # of the liver and the spleen, and of the trunk's outline
    liver_fat: float
    offset: tuple[float, float, float]
    seeds: dict[str, Sequence[int]]  # of what is drawn for an image

    @classmethod
    def draw(cls, seed: int | Sequence[int]) -> AbdomenBody:
        """The patient of a seed, as ``numpy.random.default_rng`` takes it."""
        drawn = streams(seed, "anatomy", "tubes", "ripples", "patient")
        anatomy = AbdomenAnatomy.draw(drawn["anatomy"])
        rng = drawn["patient"]
        fat = rng.uniform(0.01, 0.045) if rng.random() < 0.65 else rng.uniform(0.07, 0.25)
        offset = np.round([rng.uniform(-12, 12), rng.uniform(-30, 30), rng.uniform(-300, 100)], 1)
        seeds = [*np.atleast_1d(seed).tolist()]
        return cls(
            anatomy=anatomy,
            tubes=AbdomenTubes.draw(anatomy, drawn["tubes"]),
            ripples=(Ripples.draw(drawn["ripples"]), Ripples.draw(drawn["ripples"], (90.0, 180.0))),
            liver_fat=float(fat),
            offset=tuple(offset.tolist()),
            seeds={name: [*seeds, number] for number, name in enumerate(("ct", "t1", "t2", "hu"), start=1)},
        )

    def random(self, what: str, *names: str) -> dict[str, np.random.Generator]:
        """Streams for an image of this body, the same at every call."""
        return streams(self.seeds[what], *names)


def abdomen_ct(body: AbdomenBody, shape: Sequence[int], contrast: bool = True) -> Volume:
    """CT in HU of a body on a couch, in the portal venous phase or without contrast agent.

    Args:
        body: the patient.
        shape: slices, rows and columns; slices are thin, with no overlap.
        contrast: whether an agent was given.
    """
    drawn = body.random("ct", "grid", "scan")
    grid = _place_grid(body.anatomy, drawn["grid"], shape, (1.0, 1.12))
    labels = abdomen_labels(body, grid)
    scale = body.anatomy.scale
    _, depth = body.anatomy.section(grid.z / scale[2], np.ones(1, np.float32), "skin")
    paint_table(labels, grid, float(depth.max()) * scale[1] - 3, Abdomen.TABLE, Abdomen.TABLE_FOAM)
    scanner = Scanner.draw(drawn["scan"])
    tissues = patient_hu(body, contrast)
    return _volume(body, ct_image(labels, tissues, scanner, drawn["scan"], grid.spacing), labels, grid)


def abdomen_true_ct(body: AbdomenBody, shape: Sequence[int], contrast: bool = True) -> Volume:
    """What a perfect translation of ``abdomen_t1`` gives: HU on its grid, without couch, noise and texture.

    A voxel has the mean of the HU within it. The arguments are those of ``abdomen_ct`` and ``abdomen_t1``.
    """
    grid = _place_grid(body.anatomy, body.random("t1", "grid", "scan")["grid"], shape, MR_MARGINS)
    labels = abdomen_labels(body, _sections(grid))
    tissues = {label: replace(tissue, texture=0.0) for label, tissue in patient_hu(body, contrast).items()}
    perfect = Scanner(noise=0.0, grain=0.5, blur=0.45, air=-1000.0, padding=None)
    hu = ct_image(labels, tissues, perfect, np.random.default_rng(0), grid.spacing)
    hu = np.rint(hu.reshape(-1, SECTIONS, *hu.shape[1:]).mean(1, dtype=np.float32)).astype(np.int16)
    return _volume(body, hu, labels[SECTIONS // 2 :: SECTIONS], grid)


def abdomen_t1(body: AbdomenBody, shape: Sequence[int] = DEFAULT_SHAPE) -> tuple[Volume, Volume]:
    """T1-weighted images in and out of phase, from one acquisition at 1.5 tesla, 0 to 4095.

    Args:
        body: the patient.
        shape: slices, rows and columns.
    """
    drawn = body.random("t1", "grid", "scan")
    grid = _place_grid(body.anatomy, drawn["grid"], shape, MR_MARGINS)
    labels = abdomen_labels(body, _sections(grid))
    rng = drawn["scan"]
    sequence = SpoiledGradientEcho(repetition=float(rng.uniform(110, 255)))  # CHAOS's range
    scanner = _mr_scanner(rng, gain=(3200, 6400), noise=(0.002, 0.005))
    images = water_fat_images(labels, patient_protons(body), sequence, scanner, rng, _fine(grid), SECTIONS)
    middle = labels[SECTIONS // 2 :: SECTIONS]
    in_phase, out_phase = (_volume(body, image, middle, grid) for image in images)
    return in_phase, out_phase


def abdomen_t2(body: AbdomenBody, shape: Sequence[int] = DEFAULT_SHAPE) -> Volume:
    """T2-weighted image with the fat suppressed, at 1.5 tesla, 0 to 4095; its grid is another than that of the T1.

    Args:
        body: the patient.
        shape: slices, rows and columns.
    """
    drawn = body.random("t2", "grid", "scan")
    grid = _place_grid(body.anatomy, drawn["grid"], shape, MR_MARGINS)
    labels = abdomen_labels(body, _sections(grid))
    rng = drawn["scan"]
    sequence = FastSpinEcho(repetition=float(rng.uniform(1600, 2000)), fat=float(rng.uniform(0.08, 0.2)))
    scanner = _mr_scanner(rng, gain=(2600, 5200), noise=(0.003, 0.007))
    (image,) = water_fat_images(labels, patient_protons(body), sequence, scanner, rng, _fine(grid), SECTIONS)
    return _volume(body, image, labels[SECTIONS // 2 :: SECTIONS], grid)


MR_MARGINS = (1.04, 1.25)
"""Field of view of MR over the width of the patient."""


def patient_hu(body: AbdomenBody, contrast: bool) -> dict[int, Tissue]:
    """This patient's HU of every tissue: ``spread`` is 0."""
    rng = body.random("hu", "hu")["hu"]
    tissues = {}
    for label, tissue in sorted(ABDOMEN_CT.items()):
        away = float(np.clip(rng.standard_normal(), -2, 2))  # the same patient with and without contrast
        tissue = ENHANCED.get(label, tissue) if contrast else tissue
        tissues[label] = Tissue(tissue.mean + tissue.spread * away, 0.0, tissue.texture)
    liver = tissues[Abdomen.LIVER]
    mixed = (1 - body.liver_fat) * liver.mean + body.liver_fat * FAT_HU
    tissues[Abdomen.LIVER] = replace(liver, mean=mixed)
    return tissues


def patient_protons(body: AbdomenBody) -> dict[int, WaterFat]:
    """Water and fat of every tissue in this patient."""
    liver = ABDOMEN_MR[Abdomen.LIVER]
    density = liver.water
    fatty = replace(liver, water=density * (1 - body.liver_fat), fat=density * body.liver_fat)
    return {**ABDOMEN_MR, Abdomen.LIVER: fatty}


def _mr_scanner(rng: np.random.Generator, gain: tuple[float, float], noise: tuple[float, float]) -> MRScanner:
    """A body coil array: its sensitivity varies more than a head coil's."""
    return MRScanner(
        gain=float(rng.uniform(*gain)),
        noise=float(rng.uniform(*noise)),
        bias=float(rng.uniform(0.08, 0.2)),
        blur=float(rng.uniform(0.42, 0.55)),
    )


def _volume(body: AbdomenBody, image: np.ndarray, labels: np.ndarray, grid: Grid) -> Volume:
    first = [axis.flat[0] for axis in (grid.x, grid.y, grid.z)]
    origin = tuple(np.round(np.add(first, body.offset), 4).tolist())
    return Volume(image, np.ascontiguousarray(labels), tuple(reversed(grid.spacing)), origin)


def _fine(grid: Grid) -> tuple[float, float, float]:
    """Spacing of the label slices that make thick ones."""
    return (grid.spacing[0] / SECTIONS, *grid.spacing[1:])


def _sections(grid: Grid) -> Grid:
    """The grid with each slice cut into ``SECTIONS`` thin ones."""
    steps = (np.arange(SECTIONS) - (SECTIONS - 1) / 2) * grid.spacing[0] / SECTIONS
    z = (grid.z.reshape(-1, 1) + steps).astype(np.float32)
    return Grid(z.reshape(-1, 1, 1), grid.y, grid.x, _fine(grid))


def _place_grid(
    anatomy: AbdomenAnatomy, rng: np.random.Generator, shape: Sequence[int], margins: tuple[float, float]
) -> Grid:
    """The scanned volume around the patient, square pixels; coordinates are the patient's, in mm."""
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is three positive numbers, slices, rows and columns; got {tuple(shape)}")
    z = np.linspace(TOP - HEIGHT, TOP, 26)
    width, front = anatomy.section(z, np.full(1, -1.0), "skin")
    back = anatomy.section(z, np.ones(1), "skin")[1]
    half = max(anatomy.scale[0] * width.max(), anatomy.scale[1] * (front + back).max() / 2)
    in_plane = rng.uniform(*margins) * 2 * float(half) / max(shape[1:])
    spacing = (anatomy.scale[2] * HEIGHT / shape[0], in_plane, in_plane)
    middle = anatomy.scale[1] * float(back.max() - front.max()) / 2
    centre = (
        rng.uniform(-4, 4),
        middle + rng.uniform(-3, 6),
        anatomy.scale[2] * (TOP - HEIGHT / 2) + rng.uniform(-4, 4),
    )
    return Grid.centred(shape, [round(float(h), 4) for h in spacing], centre)


def abdomen_labels(body: AbdomenBody, grid: Grid) -> np.ndarray:
    """Label map of a body, uint8 [z, y, x] of ``Abdomen``; ``grid`` in the patient's mm, without ``offset``."""
    labels = np.zeros((grid.z.size, grid.y.size, grid.x.size), np.uint8)
    thick = max(1, SLAB_VOXELS // (labels.shape[1] * labels.shape[2]))
    reference = [1 / s for s in body.anatomy.scale]
    for first in range(0, labels.shape[0], thick):
        slab = (slice(first, first + thick), slice(None), slice(None))
        paint_abdomen(labels[slab], grid.part(slab).scaled(reference), body)
    return labels


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
    """What a scan of the abdomen shows of the heart, which lies on the diaphragm."""
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
