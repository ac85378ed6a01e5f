"""Gliomas in the brain: oedema, core and enhancing rim in a label map, and the four contrasts that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from tools.data.phantoms.brain import Brain, Putter, head_labels
from tools.data.phantoms.brain_anatomy import BrainAnatomy, Folds
from tools.data.phantoms.fields import grain, streams
from tools.data.phantoms.masses import Mass, first_place, push_of, pushed
from tools.data.phantoms.mr import MRScanner, mr_image
from tools.data.phantoms.shapes import Grid
from tools.data.phantoms.spin_echo import InversionRecovery, SpinEcho, SpinTissue, one_patients

EXTENT = (155.0, 240.0, 240.0)
"""mm along z, y and x of a volume of BraTS."""

CORE_MM = (13.0, 26.0)
"""Smallest and largest radius of a tumour's core: 9 to 74 ml. In BraTS's training data core and rim have about 40 ml,
the whole tumour about 100 ml (Bakas et al. 2018, arXiv 1811.02629, have the same quantities as features)."""


class Tumour(IntEnum):
    """Labels beside those of ``Brain``."""

    OEDEMA = 20
    CORE = 21  # necrotic, or without enhancement
    RIM = 22  # takes up contrast agent
    VESSEL = 23
    CHOROID = 24  # the plexus in the ventricles, which takes up the agent too


TUMOUR_TISSUES: Mapping[int, SpinTissue] = {
    Brain.AIR: SpinTissue(0, 1000, 50),
    Brain.SKIN: SpinTissue(0.70, 900, 40),
    Brain.FAT: SpinTissue(0.80, 380, 70),
    Brain.MUSCLE: SpinTissue(0.80, 1400, 35),
    Brain.SKULL: SpinTissue(0.05, 500, 5),
    Brain.MARROW: SpinTissue(0.45, 550, 50),
    Brain.CSF: SpinTissue(1.00, 4163, 1500, 0.0, 0.03),
    Brain.GREY: SpinTissue(0.82, 1331, 95, 0.01, 0.03, 0.03),
    Brain.WHITE: SpinTissue(0.70, 832, 76, 0.005, 0.03, 0.02),
    Brain.VENTRICLE: SpinTissue(1.00, 4163, 1500, 0.0, 0.03),
    Brain.DEEP_GREY: SpinTissue(0.80, 1230, 84, 0.01, 0.03, 0.03),
    Brain.THALAMUS: SpinTissue(0.78, 1120, 80, 0.01, 0.03, 0.03),
    Brain.CEREBELLAR_GREY: SpinTissue(0.82, 1290, 94, 0.01, 0.03, 0.04),
    Brain.CEREBELLAR_WHITE: SpinTissue(0.71, 870, 77, 0.005, 0.03, 0.02),
    Brain.BRAINSTEM: SpinTissue(0.73, 930, 78, 0.005, 0.03, 0.03),
    Brain.EYE: SpinTissue(0.98, 3900, 800),
    Brain.LESION: SpinTissue(0.86, 1500, 150),
    Tumour.OEDEMA: SpinTissue(0.86, 1500, 170, 0.01, 0.08, 0.07),
    Tumour.CORE: SpinTissue(0.92, 2300, 230, 0.01, 0.15, 0.12),
    Tumour.RIM: SpinTissue(0.84, 1400, 120, 0.45, 0.10, 0.16),
    Tumour.VESSEL: SpinTissue(0.60, 1650, 30, 0.8, 0.05, 0.05),
    Tumour.CHOROID: SpinTissue(0.85, 1500, 110, 0.5, 0.05, 0.10),
}
"""Densities and relaxation times at 3 tesla: T1 and T2 of grey and white matter from Wansapura et al. 1999 (doi
10.1002/(SICI)1522-2586(199904)9:4<531::AID-JMRI4>3.0.CO;2-L; T2 of grey a little shorter, for FLAIR's contrast), of
blood from Stanisz et al. 2005 with the loss of signal by flow; oedema, necrosis and rim in the order that Badve et al.
2017 (doi 10.3174/ajnr.A5035) and Hattingen et al. 2013 (doi 10.1593/neo.13374) measured; gadolinium some minutes after
0.1 mmol/kg."""

LOW_GRADE_CORE = SpinTissue(0.88, 1800, 160, 0.0, 0.1, 0.07)
"""A solid core without necrosis: bright in FLAIR, where necrosis is as dark as it is fluid."""

CONTRASTS = {
    "t1": (SpinEcho(550, 10), False),
    "t1ce": (SpinEcho(550, 10), True),
    "t2": (SpinEcho(4500, 95), False),
    "flair": (InversionRecovery(9000, 2500, 115), False),
}
"""Name -> sequence, and whether it is acquired after the injection."""

BRATS_LABELS = {Tumour.CORE: 1, Tumour.OEDEMA: 2, Tumour.RIM: 4}
"""BraTS's annotation: 1 necrotic and non-enhancing core, 2 oedema, 4 enhancing tumour; the later names have 3 for 4."""

STREAMS = ("anatomy", "folds", "tumour", "tissues", "scan")


class TumourPhantom(NamedTuple):
    """A brain with a tumour: ``images`` int16 by contrast, ``labels`` of ``Brain`` and ``Tumour``, and BraTS's
    ``annotation``, uint8; all [z, y, x], 0 outside the brain in all but ``labels``. ``spacing`` (x, y, z) in mm.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    annotation: np.ndarray
    spacing: tuple[float, float, float]
    glioma: Glioma


@dataclass(frozen=True)
class Glioma:
    """A tumour in mm: ``centre`` (x, y, z) in the brain's coordinates; ``radius`` of its core with the rim, whose
    thickness is ``rim``, 0 if it does not take up contrast agent; ``oedema`` how far the oedema reaches beyond the
    core; ``shift`` how far it pushes its surroundings aside.
    """

    centre: tuple[float, float, float]
    radius: float
    rim: float
    oedema: float
    shift: float


def tumour_mr(
    seed: int | Sequence[int], shape: Sequence[int] = (155, 240, 240), high_grade: bool = True
) -> TumourPhantom:
    """T1, T1 after contrast agent, T2 and FLAIR of a brain with a glioma, aligned and without the skull, as in BraTS.

    Args:
        seed: seed as ``numpy.random.default_rng`` takes it; it decides on the patient, the tumour and the scans.
        shape: slices, rows and columns, of ``EXTENT`` together.
        high_grade: True gives the tumour a necrotic core within an enhancing rim; else nothing of it enhances, as in
            most gliomas of low grade.

    Raises:
        ValueError: voxels are too coarse for a tumour, above 6 mm.
    """
    grid = _grid(shape)
    drawn = streams(seed, *STREAMS)
    anatomy = replace(BrainAnatomy.draw(drawn["anatomy"]), tilt=(0.0, 0.0, 0.0))  # they are registered to an atlas
    folds, depths = Folds.draw(drawn["folds"]), Folds.draw(drawn["folds"], (50, 80), 6)
    labels = head_labels(grid, anatomy, folds, depths)
    _paint_vessels(labels, grid.scaled([1 / s for s in anatomy.scale]), anatomy)
    glioma = _add_glioma(labels, grid, drawn["tumour"], high_grade)
    brain = brain_mask(labels, grid)
    annotation = np.zeros_like(labels)
    for tumour, value in BRATS_LABELS.items():
        annotation[labels == tumour] = value
    tissues = TUMOUR_TISSUES if high_grade else {**TUMOUR_TISSUES, Tumour.CORE: LOW_GRADE_CORE}
    images = tumour_images(labels, grid, brain, one_patients(tissues, drawn["tissues"]), drawn["scan"])
    return TumourPhantom(images, labels, annotation, tuple(reversed(grid.spacing)), glioma)


def _grid(shape: Sequence[int]) -> Grid:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is three positive numbers, slices, rows and columns; got {tuple(shape)}")
    spacing = [extent / n for extent, n in zip(EXTENT, shape, strict=True)]
    if max(spacing) > 6:
        raise ValueError(
            f"a brain with a tumour needs voxels of 6 mm or less; shape {tuple(shape)} over {EXTENT} mm gives "
            f"{max(spacing):.1f} mm: ask for at least {[int(np.ceil(e / 6)) for e in EXTENT]}"
        )
    return Grid.centred(shape, spacing, (0.0, -2.0, 8.0))


def _paint_vessels(labels: np.ndarray, grid: Grid, anatomy: BrainAnatomy) -> None:
    """The arteries at the base, the veins in the middle and the choroid plexus: what is bright after contrast agent."""
    put = Putter(labels, grid, anatomy)
    fluid = (Brain.CSF, Brain.GREY)
    everywhere = (Brain.CSF, Brain.GREY, Brain.WHITE, Brain.THALAMUS, Brain.VENTRICLE, Brain.CEREBELLAR_GREY)
    put.tube([(0, -8, -40), (0, -5, -24), (0, -6, -14)], [1.8, 1.8, 1.6], Tumour.VESSEL, (Brain.CSF, Brain.BRAINSTEM))
    put.tube([(0, 32, 0), (0, 48, 6), (0, 66, 2), (0, 80, -6)], [1.6, 2, 2.2, 2.6], Tumour.VESSEL, everywhere)
    put.tube([(0, -84, -2), (0, -62, 62), (0, 0, 78), (0, 62, 60), (0, 86, 4)], [1.2, 2, 2.6, 3, 3.4], Tumour.VESSEL)
    for s in (-1, 1):
        put.tube([(s * 12, -18, -16), (s * 34, -14, -12), (s * 38, 4, 0)], [1.6, 1.5, 1.2], Tumour.VESSEL, fluid)
        put.tube([(s * 12, -18, -16), (s * 2, -38, -6), (s * 2, -58, 8)], [1.2, 1.2, 1.1], Tumour.VESSEL, fluid)
        put.tube([(s * 2, -58, 8), (s * 2, -50, 34), (s * 2, -10, 44)], [1.1, 1, 0.9], Tumour.VESSEL, fluid)
        put.tube([(s * 3, -8, 10), (s * 3, 14, 12), (s * 1, 32, 2)], [1, 1.2, 1.5], Tumour.VESSEL, everywhere)
        plexus = [(s * 13, 10, 22), (s * 21, 25, 14), (s * 25, 25, 4)]
        put.tube(plexus, [1.6, 3.0, 1.8], Tumour.CHOROID, (Brain.VENTRICLE,))


SOFT = (Brain.GREY, Brain.WHITE, Brain.DEEP_GREY, Brain.THALAMUS, Brain.VENTRICLE, Brain.CSF, Tumour.VESSEL)


def _add_glioma(labels: np.ndarray, grid: Grid, rng: np.random.Generator, high_grade: bool) -> Glioma:
    """Push the brain aside, then paint core, rim and oedema into ``labels``, in place."""
    voxel = max(grid.spacing)
    inside = ~np.isin(labels, OUTSIDE)
    room = distance_transform_edt(inside, sampling=grid.spacing).astype(np.float32)
    radius = float(rng.triangular(CORE_MM[0], 17, CORE_MM[1]))
    centre = _centre(labels, grid, room, radius, rng)
    low, high = (0.6, 1.5) if high_grade else (0.15, 0.6)
    glioma = Glioma(
        centre=centre,
        radius=radius,
        rim=float(rng.uniform(3.0, 6.0)) if high_grade else 0.0,
        oedema=float(rng.uniform(low, high) * radius),
        shift=float(rng.uniform(0.2, 0.36) * radius),
    )
    offset = [axis - np.float32(c) for axis, c in zip((grid.x, grid.y, grid.z), centre, strict=True)]
    distance = np.sqrt(sum(o**2 for o in offset))
    push = push_of(distance, radius, glioma.shift, 30.0, room)
    labels[...] = pushed(labels, grid, centre, push, np.isin(labels, (*SOFT, Tumour.CHOROID)))

    depth = Mass.draw(rng, centre, radius, uneven=0.15).depth(grid)
    # it grows through grey and white matter and closes sulci, but not into a ventricle, another hemisphere or the dura
    crossed = np.sign(grid.x) != np.sign(centre[0])
    hosts = (Brain.GREY, Brain.WHITE, Brain.DEEP_GREY, Brain.THALAMUS, Brain.CSF)
    core = (depth > 0) & np.isin(labels, hosts) & (room > 3) & ~(crossed & (np.abs(grid.x) < 3))
    core = _connected(core, grid, centre)
    # oedema runs through the white matter, in fingers between the gyri, and spares cortex and deep grey matter
    ragged = grain(rng, labels.shape, [6 / h for h in grid.spacing])
    reach = depth + np.float32(glioma.oedema) * (1 + 0.3 * ragged)
    oedema = (reach > 0) & (labels == Brain.WHITE) | core
    labels[_connected(oedema, grid, centre)] = Tumour.OEDEMA
    labels[core] = Tumour.CORE
    if high_grade:
        # nowhere thinner than a voxel and a half, so that it parts the core from the oedema everywhere
        uneven = grain(rng, labels.shape, [5 / h for h in grid.spacing])
        thickness = np.maximum(glioma.rim * (1 + 0.55 * uneven), 1.5 * voxel)
        within = distance_transform_edt(core, sampling=grid.spacing)
        labels[core & (within <= thickness)] = Tumour.RIM
    return glioma


def _centre(
    labels: np.ndarray, grid: Grid, room: np.ndarray, radius: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Place in the white matter of one hemisphere, above the tentorium, hardly nearer to the skull than the radius."""
    deep = (labels == Brain.WHITE) & (room > 0.75 * radius) & (room < 45)
    deep &= (np.abs(grid.x) > 0.6 * radius + 4) & (grid.z > -8) & (grid.z < 55)
    centre = first_place(deep, grid, rng, (-60, -75, -8), (60, 75, 55))
    if centre is None:
        raise ValueError(f"no room for a tumour with a core of {radius:.0f} mm in radius")
    return centre


def _connected(mask: np.ndarray, grid: Grid, centre: Sequence[float]) -> np.ndarray:
    """The part of ``mask`` that holds its voxel nearest to ``centre``."""
    parts, _ = label(mask)
    places = np.argwhere(mask)
    points = np.stack([axis.ravel()[i] for axis, i in zip((grid.z, grid.y, grid.x), places.T, strict=True)], 1)
    nearest = places[((points - centre[::-1]) ** 2).sum(1).argmin()]
    return parts == parts[tuple(nearest)]


OUTSIDE = (Brain.AIR, Brain.SKIN, Brain.FAT, Brain.MUSCLE, Brain.SKULL, Brain.MARROW, Brain.EYE)


def brain_mask(labels: np.ndarray, grid: Grid) -> np.ndarray:
    """Mask of what a skull-stripping leaves: the brain, the fluid in its sulci and cisterns, none on it [z, y, x]."""
    not_brain = (*OUTSIDE, Brain.CSF, Tumour.VESSEL)
    tissue = ~np.isin(labels, not_brain) & (grid.z > -62)
    box = tuple(slice(max(0, w.min() - 1), w.max() + 2) for w in np.nonzero(tissue))
    part = tissue[box]
    size = max(5.0, 1.5 * max(grid.spacing))
    grown = np.pad(part, 8)
    grown = distance_transform_edt(~grown, sampling=grid.spacing) <= size
    closed = distance_transform_edt(grown, sampling=grid.spacing) > size
    mask = np.zeros(labels.shape, bool)
    mask[box] = closed[(slice(8, -8),) * 3] | part
    return mask & ~np.isin(labels, OUTSIDE)


def tumour_images(
    labels: np.ndarray,
    grid: Grid,
    brain: np.ndarray,
    patient: Mapping[int, SpinTissue],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """The images of ``CONTRASTS``, int16 [z, y, x], at least 1 in the mask ``brain`` and 0 outside.

    ``patient`` has the tissue of every label, without a spread; each image has a scanner of its own from ``rng``.
    """
    after = {label: tissue.enhanced() for label, tissue in patient.items()}
    box = tuple(slice(max(0, w.min() - 2), w.max() + 3) for w in np.nonzero(brain))
    images = {}
    for name, stream in zip(CONTRASTS, rng.spawn(len(CONTRASTS)), strict=True):
        sequence, enhanced = CONTRASTS[name]
        scanner = MRScanner(
            gain=float(stream.uniform(1500, 6000)),
            noise=float(stream.uniform(0.004, 0.009)),
            bias=float(stream.uniform(0.03, 0.08)),
            blur=float(stream.uniform(0.45, 0.6)),
        )
        image = np.zeros(labels.shape, np.int16)
        found = mr_image(labels[box], after if enhanced else patient, sequence, scanner, stream, grid.spacing)
        image[box] = np.where(brain[box], np.maximum(found, 1), 0)
        images[name] = image
    return images
