"""MR of the hippocampus: a small volume around one of them, with its two parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tools.data.phantoms.brain import BRAIN_TISSUES, Brain, Putter, head_labels
from tools.data.phantoms.brain_anatomy import BrainAnatomy, Folds
from tools.data.phantoms.fields import streams
from tools.data.phantoms.mr import MPRAGE, MRScanner, mr_image
from tools.data.phantoms.shapes import Grid

DEFAULT_SHAPE = (36, 50, 34)
"""Slices, rows and columns of 1 mm, as the volumes of the Decathlon's Task04 have on average."""

AXIS, RADII = [(24, -10, -22), (29, 6, -20), (26, 22, -8)], [6, 4.5, 3.5]
"""The left hippocampus as ``brain`` paints it: from its head to its tail, in the anatomy's mm."""

BORDER = -1.0
"""y in the anatomy's mm where the head, which is anterior, ends and body and tail, posterior, begin."""


class HippocampusPhantom(NamedTuple):
    """``image`` float32 and ``labels`` uint8 (1 anterior, 2 posterior) [z, y, x]; ``spacing``, ``origin`` (x, y, z)."""

    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]


def hippocampus_mr(seed: int | Sequence[int], shape: Sequence[int] = DEFAULT_SHAPE) -> HippocampusPhantom:
    """T1-weighted MR around one hippocampus, the right or the left.

    The hippocampus has about 3 ml. The unit of the image differs from scan to scan by a factor of up to 10^4, as in the
    Decathlon.

    Args:
        seed: seed as ``numpy.random.default_rng`` takes it.
        shape: slices, rows and columns, of 36 x 50 x 34 mm together.
    """
    drawn = streams(seed, "anatomy", "folds", "scan")
    rng = drawn["scan"]
    anatomy = BrainAnatomy.draw(drawn["anatomy"])
    folds, depths = Folds.draw(drawn["folds"]), Folds.draw(drawn["folds"], (50, 80), 6)
    side = int(rng.choice([-1, 1]))
    points = np.multiply(AXIS, (side, 1, 1))
    spacing = tuple(extent / n for extent, n in zip(DEFAULT_SHAPE, shape, strict=True))
    centre = anatomy.turn.apply(points.mean(0)) * anatomy.scale + rng.uniform(-2, 2, 3)
    grid = Grid.centred(shape, spacing, centre)
    tissue = head_labels(grid, anatomy, folds, depths)
    labels = _parts(tissue, grid.scaled([1 / s for s in anatomy.scale]), anatomy, points)
    image = mr_image(tissue, BRAIN_TISSUES, MPRAGE(), MRScanner.draw(rng), rng, spacing)
    unit = 10 ** rng.uniform(-2, 2)
    first = [float(axis.flat[0]) for axis in (grid.x, grid.y, grid.z)]
    return HippocampusPhantom((image * unit).astype(np.float32), labels, tuple(reversed(spacing)), tuple(first))


def _parts(tissue: np.ndarray, grid: Grid, anatomy: BrainAnatomy, points: np.ndarray) -> np.ndarray:
    """1 where the hippocampus is in front of ``BORDER``, 2 behind it."""
    marked = tissue.copy()
    here = max(Brain) + 1
    Putter(marked, grid, anatomy).tube(points, RADII, here, (Brain.DEEP_GREY,))
    row = anatomy.turn.as_matrix().T[1].astype(np.float32)
    y = row[0] * grid.x + row[1] * grid.y + row[2] * grid.z
    return np.where(marked == here, np.where(y < BORDER, 1, 2), 0).astype(np.uint8)
