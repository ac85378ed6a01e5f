"""Small pictures of an image at fixed positions, so that images of several sets can be shown side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tools.evaluation.units import SIGNED
from tools.transforms.flat import is_flat
from tools.transforms.planes import PLANES, grey, pixel_size, resized, section

SIDE = 160  # pixels of a picture's longer side

PLACES = {f"axial {place:.0%}": ("axial", place) for place in (0.1, 0.3, 0.5, 0.7, 0.9)}
PLACES |= {"coronal": ("coronal", 0.5), "sagittal": ("sagittal", 0.5)}
"""Plane and place of each view of a volume, from the feet, 0, to the head, 1, and so along the other axes."""

FLAT = {"image": ("axial", 0.5)}
"""That of a 2D image."""


def views_of(volume: np.ndarray, spacing: Sequence[float] | None = None) -> dict[str, np.ndarray]:
    """Axial slices at five places and the middle coronal and sagittal slice; of an image of depth one itself.

    Args:
        volume: [D, H, W] in [-1, 1], axial first, from feet to head.
        spacing: voxel size (D, H, W) in mm, for pictures in proportion; None takes cubes.

    Returns:
        uint8 [h, w] by name, at most 160 a side; the head is at the top.
    """
    places = FLAT if is_flat(volume.shape) else PLACES
    return {name: _picture(volume, plane, place, spacing) for name, (plane, place) in places.items()}


def _picture(volume: np.ndarray, plane: str, place: float, spacing: Sequence[float] | None) -> np.ndarray:
    pixels = section(volume, plane, int(place * volume.shape[PLANES.index(plane)]))
    extent = [n * mm for n, mm in zip(pixels.shape, pixel_size(plane, spacing), strict=True)]
    scale = min(SIDE, max(pixels.shape)) / max(extent)
    return resized(grey(pixels, SIGNED.window), *(mm * scale for mm in extent), Image.Resampling.BOX)
