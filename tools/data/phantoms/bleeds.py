"""Bleeding within the skull, of the five types and in their places, painted into the label map of a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy.ndimage import distance_transform_edt

from tools.data.phantoms.brain import Brain
from tools.data.phantoms.fields import Ripples
from tools.data.phantoms.masses import Mass, push_of, pushed
from tools.data.phantoms.shapes import Grid

CAVITY = (0.0, 0.0, 20.0)
"""A point in the middle of the skull's cavity, (x, y, z) in mm of the reference patient."""


class Bleed(IntEnum):
    """Labels beside those of ``Brain``; the types in the order of the RSNA's table."""

    EPIDURAL = 30
    INTRAPARENCHYMAL = 31
    INTRAVENTRICULAR = 32
    SUBARACHNOID = 33
    SUBDURAL = 34


TYPES = tuple(bleed.name.lower() for bleed in Bleed)

OEDEMA, DURA = 35, 36
"""Labels of the oedema around blood in the brain, and of the falx."""

WITHIN = (
    Brain.CSF,
    Brain.GREY,
    Brain.WHITE,
    Brain.VENTRICLE,
    Brain.DEEP_GREY,
    Brain.THALAMUS,
    Brain.CEREBELLAR_GREY,
    Brain.CEREBELLAR_WHITE,
    Brain.BRAINSTEM,
    DURA,
)
"""Labels of what lies within the skull."""


@dataclass(frozen=True)
class Bleeding:
    """One haemorrhage: its ``type``, the ``side`` (-1 right, 1 left, 0 both) and by how many mm it pushes the brain."""

    type: str
    side: int
    shift: float


def add_bleeds(
    labels: np.ndarray, grid: Grid, rng: np.random.Generator, types: Sequence[str]
) -> tuple[list[Bleeding], float]:
    """Paint haemorrhages of ``types`` into ``labels`` [z, y, x], in place.

    Those with a mass push the brain aside first: all of them, before anything is painted. ``grid`` is in the reference
    patient's mm.

    Returns:
        the haemorrhages, and by how many mm the midline has moved at most.

    Raises:
        ValueError: a type is unknown, or one finds no place: voxels are too coarse.
    """
    unknown = [kind for kind in types if kind not in TYPES]
    if unknown:
        raise ValueError(f"types of bleeding are {', '.join(TYPES)}; got {', '.join(map(repr, unknown))}")
    rngs = dict(zip(TYPES, rng.spawn(len(TYPES)), strict=True))  # one more type leaves the others as they are
    inside = np.isin(labels, WITHIN)
    room = distance_transform_edt(inside, sampling=grid.spacing).astype(np.float32)
    found, late, midline = [], [], 0.0
    for kind in ("epidural", "subdural", "intraparenchymal"):
        if kind in types:
            bleeding, centre, push, masks = MASSES[kind](labels, grid, room, rngs[kind])
            labels[...] = pushed(labels, grid, centre, push, inside & (labels != Brain.BRAINSTEM))
            middle = np.abs(grid.x) < grid.spacing[2]
            midline += float((push * middle).max()) if bleeding.shift else 0.0
            found.append(bleeding)
            late.append(masks)
    if "intraventricular" in types:
        found.append(_intraventricular(labels, grid, rngs["intraventricular"]))
    if "subarachnoid" in types:
        found.append(_subarachnoid(labels, grid, room, rngs["subarachnoid"]))
    for masks in late:
        for label, mask, onto in masks:
            labels[mask & np.isin(labels, onto)] = label
    for bleeding in found:
        if not (labels == Bleed[bleeding.type.upper()]).any():
            raise ValueError(
                f"no room for {bleeding.type} bleeding in a phantom of shape {labels.shape}; ask for smaller voxels"
            )
    return found, midline


BLOOD_AND_BRAIN = (*WITHIN, Bleed.SUBARACHNOID, Bleed.INTRAVENTRICULAR)


def _surface(inside: np.ndarray, grid: Grid, direction: np.ndarray) -> np.ndarray:
    """Return the point (x, y, z) in mm where the line from ``CAVITY`` in a unit ``direction`` leaves ``inside``."""
    axes = [axis.ravel() for axis in (grid.x, grid.y, grid.z)]
    last = np.asarray(CAVITY)
    for reach in np.arange(0.0, 120.0, 0.5):
        point = np.asarray(CAVITY) + reach * direction
        i, j, k = (int(np.abs(axis - c).argmin()) for axis, c in zip(axes, point, strict=True))
        if not inside[k, j, i]:
            break
        last = point
    return last


def _direction(rng: np.random.Generator, lower: Sequence[float], upper: Sequence[float]) -> tuple[np.ndarray, int]:
    """A unit vector (x, y, z) between the bounds for the left side, on a random side; and the side."""
    side = int(rng.choice([-1, 1]))
    vector = rng.uniform(lower, upper) * (side, 1, 1)
    return vector / np.linalg.norm(vector), side


def _distance(grid: Grid, point: Sequence[float]) -> np.ndarray:
    offset = [axis - np.float32(c) for axis, c in zip((grid.x, grid.y, grid.z), point, strict=True)]
    return np.sqrt(sum(o**2 for o in offset))


def _epidural(labels: np.ndarray, grid: Grid, room: np.ndarray, rng: np.random.Generator) -> tuple:
    """A lens between skull and dura, mostly under the temporal and parietal bone: convex on both sides.

    Its inner face is that of a ball around a point outside the skull. 12 to 26 mm thick, 56 to 84 mm wide: about 20 to
    90 ml; from 30 ml on it is operated (Bullock et al. 2006, doi 10.1227/01.NEU.0000210363.91172.A8).
    """
    direction, side = _direction(rng, (0.8, -0.45, -0.25), (1.0, 0.45, 0.45))
    thick, half = rng.uniform(12, 26), rng.uniform(28, 42)
    point = _surface(room > 0, grid, direction)
    radius = (half**2 + thick**2) / (2 * thick)
    far = _distance(grid, point + direction * (radius - thick))
    lens = (far < radius) & (room > 0) & (np.sign(grid.x) == side) & (np.abs(grid.x) > 8)
    bleeding = Bleeding("epidural", side, float(0.4 * thick))
    push = _inward(grid, point, bleeding.shift, room)
    return bleeding, point + 10 * direction, push, [(Bleed.EPIDURAL, lens, BLOOD_AND_BRAIN)]


def _subdural(labels: np.ndarray, grid: Grid, room: np.ndarray, rng: np.random.Generator) -> tuple:
    """A crescent along one hemisphere, between dura and arachnoid: it crosses sutures, but not the falx.

    5 to 13 mm thick in the middle, tapering over two thirds of the convexity; from 10 mm on it is operated (Bullock et
    al. 2006, doi 10.1227/01.NEU.0000210364.29290.C9).
    """
    direction, side = _direction(rng, (0.8, -0.5, 0.05), (1.0, 0.4, 0.5))
    thick, reach = rng.uniform(5, 13), np.deg2rad(rng.uniform(60, 80))
    offset = [axis - np.float32(c) for axis, c in zip((grid.x, grid.y, grid.z), CAVITY, strict=True)]
    along = sum(o * np.float32(d) for o, d in zip(offset, direction, strict=True))
    angle = np.arccos(np.clip(along / np.maximum(np.sqrt(sum(o**2 for o in offset)), 1), -1, 1))
    uneven = 1 + 0.12 * Ripples.draw(rng, (30, 60)).on(grid)
    depth = thick * np.sqrt(np.clip(1 - (angle / reach) ** 2, 0, 1)) * uneven
    # above the tentorium, on one side of the falx
    crescent = (room > 0) & (room < depth) & (np.sign(grid.x) == side) & (np.abs(grid.x) > 3) & (grid.z > -24)
    bleeding = Bleeding("subdural", side, float(0.45 * thick))
    point = _surface(room > 0, grid, direction)
    push = _inward(grid, point, bleeding.shift, room)
    return bleeding, point + 30 * direction, push, [(Bleed.SUBDURAL, crescent, BLOOD_AND_BRAIN)]


def _inward(grid: Grid, point: Sequence[float], shift: float, room: np.ndarray) -> np.ndarray:
    """Return how far blood at the ``point`` of the skull pushes the brain; nothing moves at the skull further away."""
    far = _distance(grid, point)
    held = np.maximum(np.clip(room / 12, 0, 1), np.exp(-((far / 35) ** 2)))
    return (shift * np.exp(-np.maximum(far - 20, 0) / 70) * held).astype(np.float32)


def _intraparenchymal(labels: np.ndarray, grid: Grid, room: np.ndarray, rng: np.random.Generator) -> tuple:
    """A lump in the basal ganglia or the thalamus, or under the cortex, with a rim of oedema.

    8 to 22 mm in radius, 2 to 45 ml: three of five lie deep (Qureshi et al. 2001, doi 10.1056/NEJM200105103441907).
    """
    side = int(rng.choice([-1, 1]))
    place = rng.choice(["putamen", "thalamus", "lobe"], p=[0.4, 0.2, 0.4])
    largest = {"putamen": 22.0, "thalamus": 13.0, "lobe": 20.0}[place]
    radius = float(rng.uniform(8.0, largest))
    lobes = [(34, -38, 36), (36, 30, 34), (26, 52, 20), (44, 4, -22)]
    centre = {"putamen": (28, -8, 4), "thalamus": (13, 4, 6), "lobe": lobes[rng.integers(len(lobes))]}[place]
    centre = np.add(centre, rng.normal(0, 2, 3)) * (side, 1, 1)
    depth = Mass.draw(rng, centre, radius, lobes=int(rng.integers(1, 4)), uneven=0.1).depth(grid)
    inside = (room > 4) & (np.sign(grid.x) == side) & (np.abs(grid.x) > 2)
    tissue = (Brain.GREY, Brain.WHITE, Brain.DEEP_GREY, Brain.THALAMUS, Brain.CSF)
    halo = float(rng.uniform(2.0, 6.0))
    shift = float(rng.uniform(0.15, 0.3) * radius)
    push = push_of(_distance(grid, centre), radius, shift, 30.0, room)
    masks = [
        (OEDEMA, (depth > -halo) & inside, (Brain.WHITE,)),
        (Bleed.INTRAPARENCHYMAL, (depth > 0) & inside, (*tissue, OEDEMA, Bleed.SUBARACHNOID)),
    ]
    return Bleeding("intraparenchymal", side, shift), centre, push, masks


MASSES = {"epidural": _epidural, "subdural": _subdural, "intraparenchymal": _intraparenchymal}
"""Type -> what draws it: the haemorrhage, the point that it pushes away from, by how much, and what is painted."""


def _intraventricular(labels: np.ndarray, grid: Grid, rng: np.random.Generator) -> Bleeding:
    """Blood that fills one lateral ventricle and what is in the middle, or lies where it has settled, at the back."""
    side = int(rng.choice([-1, 1]))
    ventricles = labels == Brain.VENTRICLE
    settled = ventricles & (grid.y > rng.uniform(26, 34)) & (grid.z > -12)  # the patient lies on the back
    cast = ventricles & (np.sign(grid.x) == side) & (grid.z > -25) & (grid.y > rng.uniform(-40, 10))
    middle = ventricles & (np.abs(grid.x) < 8) & (grid.z < 10)
    blood = settled.copy()
    if rng.random() < 0.6:
        blood |= cast | (middle if rng.random() < 0.6 else False)
    else:
        side = 0
    labels[blood] = Bleed.INTRAVENTRICULAR
    return Bleeding("intraventricular", side, 0.0)


def _subarachnoid(labels: np.ndarray, grid: Grid, room: np.ndarray, rng: np.random.Generator) -> Bleeding:
    """Blood instead of fluid: in the cisterns at the base and the Sylvian fissures, as from an aneurysm, or in the
    sulci over one place, as after an injury.
    """
    fluid = labels == Brain.CSF
    if rng.random() < 0.6:
        star = _distance(grid.scaled((0.9, 1.0, 1.0)), (rng.normal(0, 8), -16, -16)) < rng.uniform(36, 46)
        labels[fluid & star & (grid.z > -45)] = Bleed.SUBARACHNOID
        return Bleeding("subarachnoid", 0, 0.0)
    direction, side = _direction(rng, (0.5, -0.8, 0.1), (1.0, 0.8, 0.7))
    point = _surface(room > 0, grid, direction)
    sulci = fluid & (_distance(grid, point) < rng.uniform(32, 45)) & (np.sign(grid.x) == side)
    labels[sulci & (room > 0.8 * max(grid.spacing))] = Bleed.SUBARACHNOID
    return Bleeding("subarachnoid", side, 0.0)
