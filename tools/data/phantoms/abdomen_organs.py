"""Which organ each voxel of an abdomen belongs to, in the codes of datasets whose labels are organs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.data.phantoms.abdomen import Volume
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tissues import Abdomen
from tools.data.phantoms.abdomen_tumours import AbdomenTumour
from tools.data.phantoms.shapes import Grid, Segment, tube

AMOS = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gall bladder",
    5: "esophagus",
    6: "liver",
    7: "stomach",
    8: "arota",
    9: "postcava",
    10: "pancreas",
    11: "right adrenal gland",
    12: "left adrenal gland",
    13: "duodenum",
    14: "bladder",
    15: "prostate/uterus",
}
"""AMOS22's labels, spelt as there (Ji et al. 2022, arXiv 2206.08023). The last two lie below what is scanned
here; the right adrenal gland is small and in some bodies hidden by the liver."""

KIDNEY = (Abdomen.RENAL_CORTEX, Abdomen.RENAL_MEDULLA)
GUT = (Abdomen.GUT_WALL, Abdomen.BOWEL, Abdomen.STOMACH, Abdomen.GAS)
LIVER_TUMOUR = (AbdomenTumour.LIVER_TUMOUR, AbdomenTumour.LIVER_NECROSIS)
PANCREAS = (Abdomen.PANCREAS, AbdomenTumour.PANCREATIC_DUCT, AbdomenTumour.PANCREAS_TUMOUR)

AORTA_SEGMENTS, CAVAL_SEGMENTS = 8, 5
"""How many of a body's first arteries and veins are the aorta and the inferior vena cava."""


def grid_of(volume: Volume, body: AbdomenBody) -> Grid:
    """The grid of a volume in the reference patient's mm, which is that of the body's ``tubes``."""
    axes = [
        (first - offset + step * np.arange(n)).astype(np.float32)
        for first, offset, step, n in zip(
            volume.origin, body.offset, volume.spacing, reversed(volume.labels.shape), strict=True
        )
    ]
    x, y, z = axes
    grid = Grid(z[:, None, None], y[None, :, None], x[None, None, :], tuple(reversed(volume.spacing)))
    return grid.scaled([1 / s for s in body.anatomy.scale])


def amos_organs(volume: Volume, body: AbdomenBody) -> np.ndarray:
    """AMOS22's label of every voxel, uint8 [z, y, x]; what is none of its organs is 0."""
    grid, labels = grid_of(volume, body), volume.labels
    right = np.broadcast_to(grid.x < 0, labels.shape)
    found = np.zeros_like(labels)
    found[np.isin(labels, GUT) & _within(grid, body.tubes.duodenum)] = 13
    found[(labels == Abdomen.GUT_WALL) & _within(grid, body.tubes.oesophagus)] = 5
    found[np.isin(labels, (Abdomen.GUT_WALL, Abdomen.STOMACH, Abdomen.GAS)) & _within(grid, body.tubes.stomach)] = 7
    found[labels == Abdomen.SPLEEN] = 1
    found[np.isin(labels, KIDNEY) & right] = 2
    found[np.isin(labels, KIDNEY) & ~right] = 3
    found[labels == Abdomen.GALLBLADDER] = 4
    found[liver(labels, grid, body)] = 6
    found[(labels == Abdomen.ARTERY) & _within(grid, body.tubes.arteries[:AORTA_SEGMENTS])] = 8
    found[(labels == Abdomen.VEIN) & _within(grid, body.tubes.veins[:CAVAL_SEGMENTS])] = 9
    found[np.isin(labels, PANCREAS)] = 10
    found[(labels == Abdomen.ADRENAL) & right] = 11
    found[(labels == Abdomen.ADRENAL) & ~right] = 12
    return found


def liver(labels: np.ndarray, grid: Grid, body: AbdomenBody) -> np.ndarray:
    """Mask of the liver with its tumours and the vessels within it."""
    vessels = (labels == Abdomen.PORTAL_VEIN) & (body.anatomy.liver_depth(grid.x, grid.y, grid.z) > 1)
    return np.isin(labels, (Abdomen.LIVER, *LIVER_TUMOUR)) | vessels


def _within(grid: Grid, segments: Sequence[Segment]) -> np.ndarray:
    """Mask of what lies in one of the tubes."""
    found = np.zeros((grid.z.size, grid.y.size, grid.x.size), bool)
    for segment in segments:
        box, mask = tube(grid, segment)
        found[box] |= mask
    return found
