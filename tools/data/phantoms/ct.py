"""From a label map to a CT in Hounsfield units, for any part of the body: tissues, then the scanner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from tools.data.phantoms.fields import grain
from tools.data.phantoms.shapes import Grid


@dataclass(frozen=True)
class Tissue:
    """How a tissue looks in CT, in HU.

    ``mean`` over patients, ``spread`` (standard deviation) of that mean between patients, ``texture`` (standard
    deviation) within one patient over a few mm.
    """

    mean: float
    spread: float = 0.0
    texture: float = 0.0


@dataclass(frozen=True)
class Scanner:
    """One acquisition: noise in HU, resolution in voxels, what lies outside the reconstructed circle.

    ``air`` is what the scanner reports for air: it is off by some HU where the calibration has drifted, in
    proportion to the distance from water. ``padding`` is the value outside the circle, None where the whole square
    is reconstructed.
    """

    noise: float
    grain: float
    blur: float
    air: float
    padding: int | None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Scanner:
        """Noise of 8 to 25 HU; half of the scanners report air as -985 to -1015 HU, the others as -1000 HU."""
        return cls(
            noise=float(rng.uniform(8, 25)),
            grain=float(rng.uniform(0.4, 0.7)),
            blur=float(rng.uniform(0.4, 0.55)),
            air=float(rng.choice([-1000.0, rng.uniform(-1015, -985)])),
            padding=[None, -1024, -2000, -3024][rng.integers(4)],
        )


def paint_table(labels: np.ndarray, grid: Grid, top: float, shell: int, core: int) -> None:
    """Paint a curved couch under the patient into the air (label 0) of ``labels`` [z, y, x], in place.

    ``top`` is the height (y, mm) of its lowest upper point, where the back rests; a skin with the label ``shell``
    covers a foam of label ``core``. The couch hangs like a hammock: 40 cm wide, radius 45 cm.
    """
    radius, half_width, thickness = 450.0, 200.0, 24.0
    skin = max(2.0, 1.05 * max(grid.spacing[1:]))  # else it would be lost between voxels
    depth = np.hypot(grid.x, grid.y - (top - radius)) - radius
    couch = (depth >= 0) & (depth < thickness) & (np.abs(grid.x) < half_width)
    foam = couch & (depth >= skin) & (depth < thickness - skin)
    section = np.where(foam, core, np.where(couch, shell, 0)).astype(labels.dtype)[0]
    np.copyto(labels, section, where=(labels == 0) & (section > 0))


def ct_image(
    labels: np.ndarray,
    tissues: Mapping[int, Tissue],
    scanner: Scanner,
    rng: np.random.Generator,
    spacing: tuple[float, float, float],
    gradients: Mapping[int, float] | None = None,
) -> np.ndarray:
    """CT of a label map.

    Args:
        labels: label map [z, y, x].
        tissues: tissue of every label in the map.
        scanner: the acquisition.
        rng: generator that draws the patient's mean of each tissue, the texture and the noise.
        spacing: (z, y, x) in mm.
        gradients: HU per mm along y by label: blood settles in the parts of the lung that lie low.

    Returns:
        HU, int16 [z, y, x], within [-1024, 3071] or ``scanner.padding`` outside the reconstructed circle.
    """
    size = max(tissues) + 1
    mean, texture = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for label, tissue in sorted(tissues.items()):
        mean[label] = tissue.mean + tissue.spread * np.clip(rng.standard_normal(), -2, 2)
        texture[label] = tissue.texture
    hu = mean[labels]
    y = (np.arange(labels.shape[1], dtype=np.float32) - (labels.shape[1] - 1) / 2) * spacing[1]
    for label, gradient in (gradients or {}).items():
        hu += (labels == label) * (np.float32(gradient) * y)[:, None]
    field = grain(rng, labels.shape, [2.5 / h for h in spacing])
    field *= texture[labels]
    hu += field
    del field
    # the point spread function: a voxel on a boundary holds some of both sides
    gaussian_filter(hu, scanner.blur, output=hu, mode="nearest", truncate=3)
    noise = grain(rng, labels.shape, scanner.grain)
    noise *= np.float32(scanner.noise)
    hu += noise
    del noise
    hu *= np.float32(scanner.air / -1000)
    image = np.clip(np.rint(hu, out=hu), -1024, 3071, out=hu).astype(np.int16)
    if scanner.padding is not None:
        image[:, _outside_circle(labels.shape[1:])] = scanner.padding
    return image


def _outside_circle(shape: tuple[int, int]) -> np.ndarray:
    """Mask [y, x] of what the largest circle in a slice leaves out."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    return y[:, None] ** 2 + x[None] ** 2 > (min(shape) / 2) ** 2
