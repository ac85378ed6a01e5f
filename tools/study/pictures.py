"""Images as readers get them: of one size in pixels and in bytes, with nothing in them but grey values."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.transforms.planes import PLANES, resized, section
from tools.transforms.window import Window

GREY_LEVELS = 255
MOST_LEVELS = 65535

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Geometry:
    """Shape (D, H, W) of a volume and its voxel size in mm; (1, 1, 1) where it is not known."""

    shape: tuple[int, int, int]
    spacing: Spacing = (1.0, 1.0, 1.0)

    def same_as(self, other: Geometry, plane: str | None = None, tolerance: float = 0.01) -> bool:
        """Equal shapes, and voxel sizes equal up to a hundredth; with a plane only within it."""
        axes = [axis for axis in range(3) if plane is None or axis != PLANES.index(plane)]
        return all(self.shape[axis] == other.shape[axis] for axis in axes) and np.allclose(
            [self.spacing[axis] for axis in axes], [other.spacing[axis] for axis in axes], rtol=tolerance
        )

    def picture_size(self, plane: str) -> tuple[int, int]:
        """Height and width in pixels of a slice, with square pixels as fine as the finer voxel side."""
        axes = [axis for axis in range(3) if axis != PLANES.index(plane)]
        finest = min(self.spacing[axis] for axis in axes)
        height, width = (max(1, round(self.shape[axis] * self.spacing[axis] / finest)) for axis in axes)
        return height, width

    def __str__(self) -> str:
        shape = " x ".join(str(n) for n in self.shape)
        return f"{shape} voxels of {' x '.join(f'{mm:.4g}' for mm in self.spacing)} mm"


def slice_picture(grey: np.ndarray, geometry: Geometry, plane: str, index: int) -> np.ndarray:
    """A slice as it is looked at, the head or the front of the body at the top.

    Args:
        grey: uint8 [D, H, W], from feet to head.
        geometry: geometry of the volume.
        plane: one of `PLANES`.
        index: number of the slice.

    Returns:
        uint8 [h, w], see `Geometry.picture_size`.
    """
    return resized(section(grey, plane, index), *geometry.picture_size(plane))


def grey_png(picture: np.ndarray) -> bytes:
    """uint8 [h, w] as a PNG without compression, so that its size says nothing about what it shows.

    Only the three chunks that a PNG must have (IHDR, IDAT, IEND): no date, no program's name, no comment.
    """
    height, width = picture.shape
    rows = np.zeros((height, width + 1), np.uint8)  # every row begins with its filter, 0 for none
    rows[:, 1:] = picture
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def levels_of(window: Window) -> int:
    """How many steps a window is cut into: one per unit, such as HU, and 255 for narrow windows, such as [-1, 1].

    Numbers are brought to these steps, so that real images in whole numbers and synthetic ones in fractions look alike
    to a program too.
    """
    return min(max(round(window.width), GREY_LEVELS), MOST_LEVELS)


def quantised(volume: np.ndarray, window: Window, levels: int) -> np.ndarray:
    """Values clipped to the window and brought to 0..levels; uint8 up to 255 levels, else little-endian uint16."""
    steps = np.rint(np.clip(window.share(volume), 0, 1) * levels)
    return steps.astype(np.uint8 if levels <= GREY_LEVELS else "<u2")


def grey_values(volume: np.ndarray, window: Window) -> np.ndarray:
    """Values of a window as uint8 grey.

    They go through the steps of `levels_of` first. Whole HU spread over 255 greys leave a comb in a histogram that
    fractions would not; so both have it.
    """
    levels = levels_of(window)
    return np.rint(quantised(volume, window, levels) * (GREY_LEVELS / levels)).astype(np.uint8)


def volume_display(geometry: Geometry, window: Window, levels: int, hounsfield: bool) -> dict[str, Any]:
    """What the page must know to show a volume; the same for all volumes of a study."""
    return {
        "shape": list(geometry.shape),
        "spacing": [round(mm, 4) for mm in geometry.spacing],
        "low": window.low,
        "high": window.high,
        "levels": levels,
        "hounsfield": hounsfield,
    }
