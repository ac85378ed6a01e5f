"""Tumours of the liver and the pancreas in the label map of an abdomen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tissues import Abdomen
from tools.data.phantoms.ct import Tissue
from tools.data.phantoms.masses import Mass, first_place
from tools.data.phantoms.shapes import Grid, paint, tube


class AbdomenTumour(IntEnum):
    """Labels beside those of ``Abdomen``."""

    LIVER_TUMOUR = 40
    LIVER_NECROSIS = 41  # in the middle of a large one
    PANCREAS_TUMOUR = 42
    PANCREATIC_DUCT = 43  # wide, behind a tumour that blocks it


LIVER = (Abdomen.LIVER, Abdomen.PORTAL_VEIN)

METASTASIS_MM, CARCINOMA_MM, PANCREAS_MM = (10.0, 55.0), (30.0, 100.0), (18.0, 50.0)
"""Smallest and largest diameter: of a metastasis and of a hepatocellular carcinoma, as in the liver tumours of Bilic et
al. 2023 (doi 10.1016/j.media.2022.102680); of a ductal adenocarcinoma, whose median is 3 cm (Yamamoto et al. 2013)."""


@dataclass
class Tumours:
    """What a patient has; called by ``abdomen_ct`` with the label map, it paints itself.

    Attributes:
        body: the patient.
        seed: numbers that decide on everything, as ``numpy.random.default_rng`` takes them.
        liver: True for one to five metastases or one carcinoma in the liver.
        pancreas: True for an adenocarcinoma of the pancreas.
        contrast: True for the portal venous phase, in which tumours take up less than the organ.
        found: each tumour that was painted, with its ``kind`` and ``diameter_mm``, that of a ball of its volume.
    """

    body: AbdomenBody
    seed: list[int]
    liver: bool = False
    pancreas: bool = False
    contrast: bool = True
    found: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, labels: np.ndarray, grid: Grid, tissues: Mapping[int, Tissue]) -> dict[int, Tissue]:
        """Paint the tumours into ``labels`` [z, y, x], in place; return the HU of their labels."""
        liver, pancreas, values = np.random.default_rng(self.seed).spawn(3)
        carcinoma = liver.random() < 0.4
        own = grid.scaled([1 / s for s in self.body.anatomy.scale])
        if self.liver:
            self._paint_liver(labels, own, liver, carcinoma)
        if self.pancreas:
            self._paint_pancreas(labels, own, pancreas)
        less = values.uniform(22, 42) if carcinoma else values.uniform(32, 58)
        least = values.uniform(25, 48)
        if not self.contrast:
            less, least = 0.4 * less, 0.12 * least
        organ, gland = tissues[Abdomen.LIVER].mean, tissues[Abdomen.PANCREAS].mean
        return {
            AbdomenTumour.LIVER_TUMOUR: Tissue(max(20.0, organ - less), 0.0, 8.0),
            AbdomenTumour.LIVER_NECROSIS: Tissue(max(12.0, organ - less - (35 if self.contrast else 12)), 0.0, 5.0),
            AbdomenTumour.PANCREAS_TUMOUR: Tissue(gland - least, 0.0, 7.0),
            AbdomenTumour.PANCREATIC_DUCT: Tissue(10.0, 0.0, 2.0),
        }

    def _paint_liver(self, labels: np.ndarray, grid: Grid, rng: np.random.Generator, carcinoma: bool) -> None:
        voxel = max(grid.spacing)
        for _ in range(1 if carcinoma else int(rng.integers(1, 6))):
            low, high = CARCINOMA_MM if carcinoma else METASTASIS_MM
            radius = max(float(np.exp(rng.uniform(np.log(low), np.log(high)))) / 2, 1.5 * voxel)
            inside = np.isin(labels, LIVER)
            room = distance_transform_edt(inside, sampling=grid.spacing)
            # it may bulge the surface a little, but not grow out of it
            centre = None
            while centre is None and radius > 1.2 * voxel:
                centre = first_place(room > 0.7 * radius, grid, rng, (-140, -110, -80), (90, 90, 120))
                radius *= 1 if centre else 0.85
            if centre is None:
                continue
            depth = Mass.draw(rng, centre, radius, lobes=3 if carcinoma else int(rng.integers(1, 3)), uneven=0.08)
            depth = depth.depth(grid)
            tumour = (depth > 0) & inside
            labels[tumour] = AbdomenTumour.LIVER_TUMOUR
            if radius > 14:
                labels[tumour & (depth > rng.uniform(0.4, 0.65) * radius)] = AbdomenTumour.LIVER_NECROSIS
            self._note("hepatocellular carcinoma" if carcinoma else "metastasis", tumour, grid)
        if not np.isin(labels, (AbdomenTumour.LIVER_TUMOUR, AbdomenTumour.LIVER_NECROSIS)).any():
            raise ValueError(f"no room for a tumour in the liver in a phantom of shape {labels.shape}")

    def _paint_pancreas(self, labels: np.ndarray, grid: Grid, rng: np.random.Generator) -> None:
        """Two of three lie in the head; the duct is wide from there to the tail, and the gland thin."""
        segments = self.body.tubes.pancreas
        at = int((rng.uniform(0.05, 0.3) if rng.random() < 2 / 3 else rng.uniform(0.4, 0.85)) * len(segments))
        radius = max(float(np.exp(rng.uniform(*np.log(PANCREAS_MM)))) / 2, 1.2 * max(grid.spacing))
        centre = np.asarray(segments[at].start) + rng.normal(0, 2, 3)
        # it grows out of the gland into the fat around, but not into bowel, vessels and other organs
        hosts = (Abdomen.PANCREAS, Abdomen.VISCERAL_FAT)
        near = [
            (axis - np.float32(c)) ** 2 for axis, c in zip((grid.x, grid.y, grid.z), segments[at].start, strict=True)
        ]
        within = sum(near) < (segments[at].radii[0] + 0.5 * radius) ** 2
        tumour = (Mass.draw(rng, centre, radius, lobes=2, uneven=0.1).depth(grid) > 0) & within & np.isin(labels, hosts)
        width = float(rng.uniform(2.0, 3.5))  # radius; a normal duct has 1.5 mm at most
        for segment in segments[at:-2]:
            box, mask = tube(grid, type(segment)(segment.start, segment.end, (width, width)))
            paint(labels, (box, mask), AbdomenTumour.PANCREATIC_DUCT, (Abdomen.PANCREAS,))
        labels[tumour] = AbdomenTumour.PANCREAS_TUMOUR
        if not tumour.any():
            raise ValueError(f"no room for a tumour in the pancreas in a phantom of shape {labels.shape}")
        self._note("ductal adenocarcinoma", tumour, grid)

    def _note(self, kind: str, tumour: np.ndarray, grid: Grid) -> None:
        volume = tumour.sum() * np.prod(grid.spacing) * np.prod(self.body.anatomy.scale)
        self.found.append({"kind": kind, "diameter_mm": round(float((6 * volume / np.pi) ** (1 / 3)), 2)})
