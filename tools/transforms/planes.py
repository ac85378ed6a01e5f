"""The painter of planes: slices of volumes upright, in grey, with square pixels, and side by side.

Volumes are [D, H, W], axial first: axis 0 runs to the head (S), axis 1 to the back (P), axis 2 to the patient's left
(L), as SimpleITK reads a LUNA16 file. Planes are shown in radiological convention: the patient's left is on the right
of the axial and the coronal plane, the head is up, and the sagittal plane looks to the viewer's left.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.utils import convert_to_numpy
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from tools.files import whole_file
from tools.transforms.flat import is_flat
from tools.transforms.window import Window

Volume = np.ndarray | torch.Tensor

PLANES = ("axial", "coronal", "sagittal")
"""Planes and, by their place here, the axis of a volume [D, H, W] that they cut."""

CUBES = (1.0, 1.0, 1.0)
"""Voxel size where it is not known."""

GAP = 2  # pixels between planes
HEADING = 22  # pixels above a picture, where its columns are named
TEXT = {True: 13, False: 10}  # height of letters, in pictures of 128 pixels or more and in smaller ones


def planes_of(shape: Sequence[int]) -> tuple[str, ...]:
    """The planes in which there is something to see: one of a 2D image, three of a volume [D, H, W]."""
    return PLANES[:1] if is_flat(shape) else PLANES


def section(volume: Volume, plane: str, index: int) -> np.ndarray:
    """A slice of a volume [D, H, W], upright: its first row is anterior in the axial plane, superior in the others.

    It is cut first, so that a volume on a GPU stays there.
    """
    cut = (slice(None),) * PLANES.index(plane) + (index,)
    pixels = convert_to_numpy(volume[cut])
    # axis 0 runs to the head while rows run down, so the planes that hold it are flipped
    return pixels if plane == "axial" else pixels[::-1]


def pixel_size(plane: str, spacing: Sequence[float] | None) -> tuple[float, float]:
    """Height and width in mm of a pixel of a plane.

    Args:
        plane: one of `PLANES`.
        spacing: voxel size (D, H, W) in mm; None takes cubes.
    """
    height, width = (mm for axis, mm in enumerate(spacing or CUBES) if axis != PLANES.index(plane))
    return height, width


def mid_planes(volume: Volume) -> dict[str, np.ndarray]:
    """The mid planes of a volume, upright.

    Args:
        volume: [D, H, W], axes to S, P, L.

    Returns:
        axial [H, W], coronal [D, W] and sagittal [D, H] by name; of an image of depth one the axial plane alone.

    Raises:
        ValueError: the volume has another number of axes, is empty, or has NaN or infinite voxels in a plane.
    """
    if volume.ndim != 3 or min(volume.shape) == 0:
        raise ValueError(f"a montage takes volumes [depth, height, width], got shape {tuple(volume.shape)}")
    middles = dict(zip(PLANES, (side // 2 for side in volume.shape), strict=True))
    planes = {plane: section(volume, plane, middles[plane]) for plane in planes_of(volume.shape)}
    if not all(np.isfinite(plane).all() for plane in planes.values()):
        raise ValueError("the volume has NaN or infinite voxels in a mid plane")
    return planes


def grey(values: np.ndarray, window: Window | Sequence[float]) -> np.ndarray:
    """Values of a window as uint8, clipped to it: its lowest black, its highest white."""
    return np.round(np.clip(Window.of(window).share(values.astype(np.float64)), 0, 1) * 255).astype(np.uint8)


def resized(
    picture: np.ndarray, height: float, width: float, how: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    """A picture [h, w], uint8, in another number of pixels, at least one a side."""
    size = max(1, round(width)), max(1, round(height))
    return np.ascontiguousarray(picture) if size == picture.shape[::-1] else _pil(picture, size, how)


def _pil(picture: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size, how))


def render(
    planes: dict[str, np.ndarray], window: Window | Sequence[float] | None, spacing: Sequence[float] | None
) -> list[np.ndarray]:
    """Planes as uint8 pictures with square pixels of the smallest side of a voxel.

    Args:
        planes: planes of a volume by name, see `mid_planes`.
        window: values that are black and white; None: the planes' own least and greatest.
        spacing: voxel size along S, P, L in mm; None: voxels are cubes.

    Raises:
        ValueError: an empty window, or spacing that is not three positive lengths.
    """
    if window is None:
        low = float(min(plane.min() for plane in planes.values()))
        high = float(max(plane.max() for plane in planes.values()))
        window = Window(low, high if low < high else low + 1)  # one value everywhere is black
    spacing = CUBES if spacing is None else tuple(float(mm) for mm in spacing)
    if len(spacing) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing):
        raise ValueError(f"spacing must be three positive lengths along S, P, L, got {spacing}")
    pictures = []
    for name, plane in planes.items():
        height, width = (n * mm / min(spacing) for n, mm in zip(plane.shape, pixel_size(name, spacing), strict=True))
        pictures.append(resized(grey(plane, window), height, width))
    return pictures


def montage(
    volumes: Sequence[Volume],
    window: Window | Sequence[float] | None = None,
    titles: Sequence[str] | None = None,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """One row per volume: its mid planes, centred in black cells of one size.

    Args:
        volumes: list of [D, H, W], axes to S, P, L; sizes may differ.
        window: (low, high) shown as black and white. None: each volume's own least and greatest value.
        titles: text per volume, written at the upper left of its row.
        spacing: voxel size along S, P, L in mm. Planes are resampled to square pixels of the smallest of the
            three, so that thick slices do not look squashed. None: voxels are cubes.

    Returns:
        uint8 [rows * cell, planes * cell].

    Raises:
        ValueError: there are no volumes, one has another number of axes, a voxel is not finite, the window is empty, or
            the number of titles or spacings does not fit.
    """
    return grid([render(mid_planes(volume), window, spacing) for volume in volumes], titles)


def centred(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture, grey or RGB, in the middle of a black canvas."""
    canvas = np.zeros((height, width, *picture.shape[2:]), np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] | None = None) -> np.ndarray:
    """Rows of pictures, all grey or all RGB, as one picture, each in the middle of a cell of the size of the largest.

    Raises:
        ValueError: no row, or another number of titles than of rows.
    """
    if not rows:
        raise ValueError("a montage needs at least one volume, got none")
    if titles is not None and len(titles) != len(rows):
        raise ValueError(f"a montage of {len(rows)} volumes needs as many titles, got {len(titles)}")
    height = max(picture.shape[0] for row in rows for picture in row) + GAP
    width = max(picture.shape[1] for row in rows for picture in row) + GAP
    canvas = np.zeros((height * len(rows), max(map(len, rows)) * width, *rows[0][0].shape[2:]), np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            cell = canvas[i * height : (i + 1) * height, j * width : (j + 1) * width]
            cell[:] = centred(picture, height, width)
    if titles is None:
        return canvas
    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT[height >= 128])
    for i, title in enumerate(titles):
        draw.text((GAP, i * height + GAP), title, fill="white", font=font, stroke_width=1, stroke_fill="black")
    return np.array(image)


def headed(picture: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """A picture, grey or RGB, of columns of one width, with their names above."""
    image = Image.fromarray(np.pad(picture, ((HEADING, 0), *[(0, 0)] * (picture.ndim - 1))))
    draw = ImageDraw.Draw(image)
    width = picture.shape[1] // len(columns)
    for number, column in enumerate(columns):
        draw.text((number * width + GAP, 3), column, fill="white", font=ImageFont.load_default(TEXT[True]))
    return np.array(image)


def save_png(path: str | os.PathLike, picture: np.ndarray, text: PngInfo | None = None) -> Path:
    """Write a picture as a PNG, all or nothing, and return the path."""
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, format="PNG", pnginfo=text)
    return Path(path)
