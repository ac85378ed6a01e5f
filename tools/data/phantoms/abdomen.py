"""The abdomen: one patient's body, its label map, its CT and its MR images.

One seed is one body. Its CT, its T1-weighted images in and out of phase and its T2-weighted one show the same anatomy
at the same place in the world, each on a grid of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tools.data.phantoms.abdomen_anatomy import HEIGHT, TOP, AbdomenAnatomy
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_painting import paint_abdomen
from tools.data.phantoms.abdomen_tissues import ABDOMEN_CT, ABDOMEN_MR, ENHANCED, FAT_HU, Abdomen
from tools.data.phantoms.ct import Scanner, Tissue, ct_image, paint_table
from tools.data.phantoms.mr import FastSpinEcho, MRScanner, SpoiledGradientEcho, WaterFat, water_fat_images
from tools.data.phantoms.shapes import Grid

DEFAULT_SHAPE = (28, 96, 96)
"""Slices, rows and columns of the MR images: about 9 x 4.5 x 4.5 mm."""

SECTIONS = 3
"""Label slices in a thick slice of MR."""

SLAB_VOXELS = 300_000
"""Painted at a time: the intermediate arrays then stay in the cache, and small for a scan of 512 x 512 x 100."""


Disease = Callable[[np.ndarray, Grid, Mapping[int, Tissue]], dict[int, Tissue]]
"""What paints itself into a label map [z, y, x] on a grid in the patient's mm, in place, and returns the HU of its own
labels, given those of the patient."""


class Volume(NamedTuple):
    """An image and where it lies: ``image`` int16 and ``labels`` uint8 [z, y, x]; ``spacing`` and ``origin`` (x, y, z)
    in mm, LPS.
    """

    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]


def abdomen_ct(
    body: AbdomenBody, shape: Sequence[int], contrast: bool = True, disease: Disease | None = None
) -> Volume:
    """CT in HU of a body on a couch, in the portal venous phase or without contrast agent.

    Args:
        body: the patient.
        shape: slices, rows and columns; slices are thin, with no overlap.
        contrast: True if a contrast agent was given.
    """
    drawn = body.random("ct", "grid", "scan")
    grid = _place_grid(body.anatomy, drawn["grid"], shape, (1.0, 1.12))
    labels = abdomen_labels(body, grid)
    scale = body.anatomy.scale
    _, depth = body.anatomy.section(grid.z / scale[2], np.ones(1, np.float32), "skin")
    paint_table(labels, grid, float(depth.max()) * scale[1] - 3, Abdomen.TABLE, Abdomen.TABLE_FOAM)
    scanner = Scanner.draw(drawn["scan"])
    tissues = patient_hu(body, contrast)
    if disease is not None:
        tissues |= disease(labels, grid, tissues)
    return _volume(body, ct_image(labels, tissues, scanner, drawn["scan"], grid.spacing), labels, grid)


def abdomen_true_ct(body: AbdomenBody, shape: Sequence[int], contrast: bool = True) -> Volume:
    """Return what a perfect translation of ``abdomen_t1`` gives: HU on its grid, without couch, noise and texture.

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
