"""CT of the head without contrast agent, with and without bleeding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tools.data.phantoms.bleeds import DURA, OEDEMA, Bleed, Bleeding, add_bleeds
from tools.data.phantoms.brain import Brain, Putter, head_labels
from tools.data.phantoms.brain_anatomy import BrainAnatomy, Folds
from tools.data.phantoms.ct import Scanner, Tissue, ct_image, paint_table
from tools.data.phantoms.fields import streams
from tools.data.phantoms.shapes import Grid

DEFAULT_SHAPE = (32, 192, 192)
"""Slices, rows and columns: slices of 5 mm, pixels of about 1.2 mm."""

SECTIONS = 3
"""Label slices in a slice, which is thick: its HU are their mean, its labels those of the one in the middle."""

EXTENT = (160.0, 236.0, 236.0)
"""mm along z, y and x that show a head from the vertex to the base of the skull."""

CALCIFIED, TABLE, TABLE_FOAM = 37, 38, 39
"""Labels beside those of ``Brain`` and of bleeding: choroid plexus and pineal gland, and what the head lies on."""

HEAD_TISSUES = {
    Brain.AIR: Tissue(-1000),
    Brain.SKIN: Tissue(30, 10),
    Brain.FAT: Tissue(-85, 8, 12),
    Brain.MUSCLE: Tissue(55, 5, 8),
    Brain.SKULL: Tissue(1050, 90, 90),
    Brain.MARROW: Tissue(520, 90, 90),
    Brain.CSF: Tissue(6, 2),
    Brain.GREY: Tissue(38, 1.2, 1),
    Brain.WHITE: Tissue(28.5, 1.2, 1),
    Brain.VENTRICLE: Tissue(5, 1.5),
    Brain.DEEP_GREY: Tissue(38, 1.2, 1),
    Brain.THALAMUS: Tissue(36, 1.2, 1),
    Brain.CEREBELLAR_GREY: Tissue(37, 1.2, 1),
    Brain.CEREBELLAR_WHITE: Tissue(31, 1.2, 1),
    Brain.BRAINSTEM: Tissue(31, 1.2, 1),
    Brain.EYE: Tissue(12, 3),
    Brain.LESION: Tissue(22, 2),
    OEDEMA: Tissue(19, 2, 2),
    DURA: Tissue(52, 4),
    CALCIFIED: Tissue(170, 40, 30),
    TABLE: Tissue(-80, 40),
    TABLE_FOAM: Tissue(-930, 15),
}
"""HU without contrast agent: grey and white matter as Kucinski et al. 2003 and Cala et al. 1981 measured them in
adults, fluid, bone and fat as in any scan."""

FRESH_HU = (56.0, 74.0)
"""Of clotted blood, between patients; 50 to 80 within one (New and Aronow 1976, doi 10.1148/121.3.635: in proportion to
the haematocrit)."""

HU_PER_DAY = 1.4
"""By how much a clot fades (Dolinskas et al. 1977, doi 10.1148/122.2.393), down to ``OLD_HU``."""

OLD_HU = 18.0

STREAMS = ("anatomy", "folds", "bleeds", "age", "calcium")


class HeadPhantom(NamedTuple):
    """A head: ``hu`` int16 and ``labels`` uint8 of ``Brain`` and ``Bleed`` [z, y, x]; ``spacing`` (x, y, z) and
    ``origin`` (x, y, z) in mm, LPS; ``bleeds``; ``days`` since they happened; ``midline`` shift in mm.
    """

    hu: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    bleeds: list[Bleeding]
    days: float
    midline: float

    @property
    def bleed_labels(self) -> np.ndarray:
        """0 none, 1 epidural, 2 intraparenchymal, 3 intraventricular, 4 subarachnoid, 5 subdural; uint8 [z, y, x]."""
        found = (self.labels >= Bleed.EPIDURAL) & (self.labels <= Bleed.SUBDURAL)
        return np.where(found, self.labels - (Bleed.EPIDURAL - 1), 0).astype(np.uint8)


def head_ct(
    seed: int | Sequence[int],
    shape: Sequence[int] = DEFAULT_SHAPE,
    bleeds: Sequence[str] = (),
    days: float | None = None,
    scan: int = 0,
) -> HeadPhantom:
    """CT of a head, in HU.

    Args:
        seed: seed as ``numpy.random.default_rng`` takes it; it decides on the patient, the bleeding and the scan.
        shape: slices, rows and columns, of ``EXTENT`` together.
        bleeds: types of bleeding, of ``tools.data.phantoms.bleeds.TYPES``.
        days: days since it happened: blood fades. None: at most 2 in most patients, up to 30 in others. Blood in
            the sulci and the ventricles, which is washed away, is always fresh.
        scan: number of the scan of this patient, who lies otherwise in each.

    Raises:
        ValueError: a shape or a type is wrong, or a bleeding finds no place.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is three positive numbers, slices, rows and columns; got {tuple(shape)}")
    drawn = streams(seed, *STREAMS)
    rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), scan, 1])  # of the scan
    anatomy = BrainAnatomy.draw(drawn["anatomy"])
    tilt = (rng.uniform(-8, 8), rng.uniform(-1, 1), rng.uniform(-1.5, 1.5))
    anatomy = replace(anatomy, tilt=tuple(float(t) for t in tilt))
    folds, depths = Folds.draw(drawn["folds"]), Folds.draw(drawn["folds"], (50, 80), 6)
    spacing = tuple(extent / n for extent, n in zip(EXTENT, shape, strict=True))
    fine = (shape[0] * SECTIONS, *shape[1:])
    crown = 92 * anatomy.scale[2]
    grid = Grid.centred(
        fine, (spacing[0] / SECTIONS, *spacing[1:]), (rng.uniform(-3, 3), rng.uniform(-6, 0), crown + 6 - EXTENT[0] / 2)
    )
    labels = head_labels(grid, anatomy, folds, depths)
    # the head nods, but hardly turns to a side: what bleeds keeps clear of the falx by more than that
    own = grid.scaled([1 / s for s in anatomy.scale])
    _paint_dura(labels, own, anatomy)
    found, midline = add_bleeds(labels, own, drawn["bleeds"], bleeds)
    _paint_calcium(labels, own, anatomy, drawn["calcium"])
    _paint_head_rest(labels, grid)
    age = drawn["age"]
    usual = age.uniform(0, 2) if age.random() < 0.7 else age.uniform(3, 30)
    days = float(usual) if days is None else float(days)
    tissues = {**HEAD_TISSUES, **blood(age, days)}
    scanner = Scanner(
        noise=float(rng.uniform(2.2, 4.5)) * SECTIONS**0.5,
        grain=float(rng.uniform(0.45, 0.75)),
        blur=float(rng.uniform(0.4, 0.55)),
        air=-1000.0,
        padding=[None, -1024, -2000, -3024][rng.integers(4)],
    )
    patient = one_patients(tissues, drawn["age"])
    hu = ct_image(labels, patient, scanner, rng, grid.spacing)
    hu = np.rint(hu.reshape(-1, SECTIONS, *hu.shape[1:]).mean(1, dtype=np.float32)).astype(np.int16)
    labels = np.ascontiguousarray(labels[SECTIONS // 2 :: SECTIONS])
    offset = np.round(rng.uniform((-10, -40, 300), (10, 20, 900)), 1)
    first = [grid.x.flat[0], grid.y.flat[0], grid.z.flat[SECTIONS // 2]]
    origin = tuple(np.round(np.add(first, offset), 4).tolist())
    return HeadPhantom(hu, labels, tuple(reversed(spacing)), origin, found, days, midline)


def blood(rng: np.random.Generator, days: float) -> dict[int, Tissue]:
    """HU of each type of bleeding, ``days`` after it happened."""
    fresh = float(rng.uniform(*FRESH_HU))
    faded = max(OLD_HU, fresh - HU_PER_DAY * days)
    ages = {Bleed.SUBARACHNOID: min(days, 3.0), Bleed.INTRAVENTRICULAR: min(days, 3.0)}
    return {
        label: Tissue(max(OLD_HU, fresh - HU_PER_DAY * ages[label]) if label in ages else faded, 0.0, 3.0)
        for label in Bleed
    }


def one_patients(tissues: dict[int, Tissue], rng: np.random.Generator) -> dict[int, Tissue]:
    """One patient's tissues, the same in all scans: means drawn within twice their ``spread``, which is then 0."""
    return {
        label: Tissue(float(t.mean + t.spread * np.clip(rng.standard_normal(), -2, 2)), 0.0, t.texture)
        for label, t in sorted(tissues.items())
    }


def _turned(grid: Grid, anatomy: BrainAnatomy) -> tuple[np.ndarray, ...]:
    """The anatomy's own x, y and z of every voxel."""
    matrix = anatomy.turn.as_matrix().T.astype(np.float32)
    return tuple(row[0] * grid.x + row[1] * grid.y + row[2] * grid.z for row in matrix)


def _paint_dura(labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy) -> None:
    """The falx, in the fluid between the hemispheres, above the corpus callosum and around it."""
    x, y, z = _turned(grid, anatomy)
    above = (z - 10) / 38 + np.abs(y) / 72 > 1
    falx = (np.abs(x) < max(0.9, 0.55 * grid.spacing[2])) & above & (z > -12) & (labels == Brain.CSF)
    labels[falx] = DURA


def _paint_calcium(labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy, rng: np.random.Generator) -> None:
    """Calcium in the choroid plexus and the pineal gland, as two of three adults have it."""
    size, present = rng.uniform(1.2, 2.6, 3), rng.random(2) < 0.65
    put = Putter(labels, grid, anatomy)
    soft = (Brain.VENTRICLE, Brain.WHITE, Brain.CSF, Brain.THALAMUS, Brain.BRAINSTEM, Bleed.INTRAVENTRICULAR)
    for s, r in zip((-1, 1), size, strict=False):
        if present[0]:
            put.ellipsoid((s * 22, 26, 14), (r, 1.6 * r, r), CALCIFIED, soft)
    if present[1]:
        put.ellipsoid((0, 22, 4), (size[2], size[2], size[2]), CALCIFIED, soft)


def _paint_head_rest(labels: np.ndarray, grid: Grid) -> None:
    """A narrow trough under the head."""
    behind = np.nonzero((labels > 0).any((0, 2)))[0].max()
    factor = 2.9  # the couch of a body scan, that much smaller
    top = float(grid.y[0, behind, 0]) * factor
    paint_table(labels, grid.scaled((factor, factor, 1.0)), top + 6, TABLE, TABLE_FOAM)
