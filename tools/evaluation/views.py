"""Small pictures of an image at fixed positions, so that images of several sets can be shown side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

SIDE = 160  # pixels of a picture's longer side
AXIAL = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Places of the axial views, from the feet, 0, to the head, 1."""

VIEWS = (*(f"axial {place:.0%}" for place in AXIAL), "coronal", "sagittal")


def views_of(volume: np.ndarray, spacing: Sequence[float] | None = None) -> dict[str, np.ndarray]:
    """Axial slices at five places and the middle coronal and sagittal slice.

    Args:
        volume: [D, H, W] in [-1, 1], axial first, from feet to head.
        spacing: (D, H, W) in mm, for pictures in proportion; None takes cubes.

    Returns:
        name in `VIEWS` -> uint8 [h, w], at most 160 a side; the head is at the top.
    """
    depth, height, width = volume.shape
    dz, dy, dx = (1.0, 1.0, 1.0) if spacing is None else spacing
    slices = {name: (volume[int(place * depth)], (dy, dx)) for name, place in zip(VIEWS, AXIAL, strict=False)}
    slices["coronal"] = volume[::-1, height // 2], (dz, dx)
    slices["sagittal"] = volume[::-1, :, width // 2], (dz, dy)
    return {name: _picture(section, pixel) for name, (section, pixel) in slices.items()}


def _picture(section: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    grey = np.round((section + 1) * 127.5).astype(np.uint8)
    extent = [n * mm for n, mm in zip(section.shape, pixel, strict=True)]
    scale = min(SIDE, max(section.shape)) / max(extent)
    size = [max(1, round(mm * scale)) for mm in extent]
    return np.asarray(Image.fromarray(grey).resize((size[1], size[0]), Image.Resampling.BOX))
