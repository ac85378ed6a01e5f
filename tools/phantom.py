"""``python -m tools phantom``: write phantoms to disk and a picture of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.phantoms.thorax import DEFAULT_SHAPE

WINDOW = (-1024, 600)
"""HU that are black and white in the preview; the window that the networks see."""


def phantom(
    output_dir: str,
    anatomy: str = "thorax",
    count: int = 24,
    seed: int = 0,
    nodules: str = "none",
    image_size: int | Sequence[int] = DEFAULT_SHAPE,
) -> None:
    """Write synthetic patients in the layout of the dataset they stand in for, and preview.png beside them.

    Thorax: CT in HU like LUNA16's (subset0..9/<id>.mhd and .zraw, annotations.csv), labels.csv with the class
    of each volume (1 with nodules, 0 without) and phantom.json with how they were made. subset9 is for validation.
    A folder that already holds what is asked for is left as it is.

    Args:
        output_dir: folder to create.
        anatomy: part of the body; "thorax".
        count: number of volumes, at least 2.
        seed: other seeds give other patients.
        nodules: which volumes have lung nodules: "none", "half" or "all".
        image_size: slices, rows and columns, or one number for all three.
    """
    if anatomy != "thorax":
        raise ValueError(f'anatomy must be "thorax"; got {anatomy!r}')
    shape = [image_size] * 3 if isinstance(image_size, int) else list(image_size)
    folder = write_luna16_phantoms(output_dir, count=count, seed=seed, shape=shape, nodules=nodules)
    volumes = json.loads((folder / "phantom.json").read_text())["volumes"]
    files = [folder / f"subset{v['subset']}" / f"{v['id']}.mhd" for v in volumes]
    picture = folder / "preview.png"
    preview(files[:4]).save(picture)
    held_out = sum(v["subset"] == 9 for v in volumes)
    affected = sum(v["label"] for v in volumes)
    print(f"{len(volumes)} chest CT phantoms of {' x '.join(map(str, shape))} voxels in {folder}")
    print(f"  {len(volumes) - held_out} to train on, {held_out} (subset9) to validate; {affected} with lung nodules")
    print(f"  preview: {picture}")


def preview(files: Sequence[Path], height: int = 240) -> Image.Image:
    """A row per volume: axial slices low, in the middle and high, then a coronal and a sagittal one, in true shape.

    Args:
        files: volumes in HU that SimpleITK reads.
        height: of a row, in pixels.
    """
    rows = [np.concatenate([_scaled(*s, height) for s in _slices(sitk.ReadImage(str(f)))], axis=1) for f in files]
    width = max(row.shape[1] for row in rows)
    return Image.fromarray(np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]))) for row in rows]))


def _slices(image: sitk.Image) -> list[tuple[np.ndarray, float]]:
    """Slices as radiologists hang them, head up and the patient's right on the left, with their width over height."""
    volume = sitk.GetArrayFromImage(image)
    z, y, x = volume.shape
    length, depth, width = (n * h for n, h in zip((z, y, x), reversed(image.GetSpacing()), strict=True))
    axial = [(volume[int(z * f)], width / depth) for f in (0.25, 0.5, 0.75)]
    return [*axial, (volume[::-1, y // 2], width / length), (volume[::-1, :, x // 2], depth / length)]


def _scaled(pixels: np.ndarray, aspect: float, height: int) -> np.ndarray:
    low, high = WINDOW
    grey = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1) * 255
    image = Image.fromarray(grey.astype(np.uint8)).resize((round(height * aspect), height), Image.Resampling.BILINEAR)
    return np.pad(np.asarray(image), ((0, 0), (0, 4)))
