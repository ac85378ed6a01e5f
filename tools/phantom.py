"""``python -m tools phantom``: write phantoms to disk and a picture of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

from tools.data.phantoms import abdomen, brain, thorax
from tools.data.phantoms.chaos import write_chaos_phantoms
from tools.data.phantoms.gsp import write_gsp_phantoms
from tools.data.phantoms.luna16 import write_luna16_phantoms

Window = tuple[float, float] | None
"""Values that are black and white; None for 0 and each volume's 99th percentile."""

WINDOW = (-1024, 600)
"""HU that are black and white in the preview of a CT; the window that the networks see."""

SOFT_WINDOW = (-160, 240)
"""The same for the organs of the abdomen."""

SHAPES = {"thorax": thorax.DEFAULT_SHAPE, "brain": brain.DEFAULT_SHAPE, "abdomen": abdomen.DEFAULT_SHAPE}

OPTIONS = {"nodules": "thorax", "lesions": "brain", "contrast": "abdomen"}
"""Which anatomy has what."""


def phantom(
    output_dir: str,
    anatomy: str = "thorax",
    count: int = 24,
    seed: int = 0,
    nodules: str | None = None,
    image_size: int | Sequence[int] | None = None,
    lesions: str | None = None,
    contrast: bool | None = None,
) -> None:
    """Write synthetic patients in the layout of the dataset they stand in for, and preview.png beside them.

    Thorax: CT in HU like LUNA16's (subset0..9/<id>.mhd and .zraw, annotations.csv); subset9 is for validation.
    Brain: T1-weighted MR of heads like GSP's (Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii.gz and so on).
    Abdomen: MR and CT like CHAOS's, as DICOM (Train_Sets/MR/<n>/T1DUAL/DICOM_anon/InPhase and so on). MR and CT are of
    different bodies, but in Test_Sets of the same, and Truth has the CT of these on the MR's grid.
    All come with labels.csv, the class of each volume (1 with nodules, lesions or a fatty liver, 0 without), and
    phantom.json, how they were made. A folder that already holds what is asked for is left as it is.

    Args:
        output_dir: folder to create.
        anatomy: part of the body; "thorax", "brain" or "abdomen".
        count: number of volumes, or of bodies for the abdomen; at least 2, for the abdomen 4.
        seed: other seeds give other patients.
        nodules: for thorax, which volumes have lung nodules: "none" (the default), "half" or "all".
        image_size: slices, rows and columns, or one number for all three; (96, 112, 112) for thorax,
            (104, 124, 96) for brain and (28, 96, 96) for the MR of the abdomen by default.
        lesions: for brain, which volumes have lesions in the white matter: "none" (the default), "half" or "all".
        contrast: for abdomen, whether CT is in the portal venous phase (the default) or without contrast agent.
    """
    if anatomy not in SHAPES:
        raise ValueError(f'anatomy must be "thorax", "brain" or "abdomen"; got {anatomy!r}')
    for option, value in (("nodules", nodules), ("lesions", lesions), ("contrast", contrast)):
        if value is not None and anatomy != OPTIONS[option]:
            article = "an" if anatomy == "abdomen" else "a"
            raise ValueError(f"{option} is {value!r}, but {article} {anatomy} has none; leave it out")
    if image_size is None:
        image_size = SHAPES[anatomy]
    shape = [image_size] * 3 if isinstance(image_size, int) else list(image_size)
    if anatomy == "thorax":
        folder = write_luna16_phantoms(output_dir, count, seed, shape, nodules or "none")
        names = ("chest CT phantoms", "(subset9) ", "with lung nodules")
    elif anatomy == "brain":
        folder = write_gsp_phantoms(output_dir, count, seed, shape, lesions or "none")
        names = ("brain T1 phantoms", "", "with lesions")
    else:
        folder = write_chaos_phantoms(output_dir, count, seed, shape, contrast is not False)
        names = ("abdomen studies, MR or CT,", "(Test_Sets) ", "with a fatty liver")
    volumes = json.loads((folder / "phantom.json").read_text())["volumes"]
    picture = folder / "preview.png"
    preview(_shown(folder, volumes, anatomy)).save(picture)
    validation = sum(v.get("subset") == 9 or v.get("section") == "validation" for v in volumes)
    affected = sum(v["label"] for v in volumes)
    what, where, ill = names
    print(f"{len(volumes)} {what} of {' x '.join(map(str, shape))} voxels in {folder}")
    print(f"  {len(volumes) - validation} to train on, {validation} {where}to validate; {affected} {ill}")
    print(f"  preview: {picture}")


def _shown(folder: Path, volumes: Sequence[dict], anatomy: str) -> list[tuple[Path, Window]]:
    """What to preview: the first four volumes, or all images of the abdomen that was held out last."""
    if anatomy != "abdomen":
        return [(folder / v["image"], WINDOW if anatomy == "thorax" else None) for v in volumes[:4]]
    images = {kind: path for v in volumes[-2:] for kind, path in v["images"].items()}
    return [(folder / path, SOFT_WINDOW if kind == "ct" else None) for kind, path in images.items()]


def preview(volumes: Sequence[tuple[Path, Window]], height: int = 240) -> Image.Image:
    """A row per volume: axial slices low, in the middle and high, then a coronal and a sagittal one, in true shape.

    Args:
        volumes: files that SimpleITK reads, or folders of DICOM slices, each with its window.
        height: of a row, in pixels.
    """
    rows = [_row(_read(path), window, height) for path, window in volumes]
    width = max(row.shape[1] for row in rows)
    return Image.fromarray(np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]))) for row in rows]))


def _read(path: Path) -> sitk.Image:
    # the names of the phantoms' slices are in the order of their positions
    return sitk.ReadImage([str(p) for p in sorted(path.iterdir())] if path.is_dir() else str(path))


def _row(image: sitk.Image, window: Window, height: int) -> np.ndarray:
    if window is None:
        window = (0, float(np.percentile(sitk.GetArrayViewFromImage(image), 99)))
    return np.concatenate([_scaled(pixels, aspect, window, height) for pixels, aspect in _slices(image)], axis=1)


def _slices(image: sitk.Image) -> list[tuple[np.ndarray, float]]:
    """Slices as radiologists hang them, head up and the patient's right on the left, with their width over height."""
    volume = sitk.GetArrayFromImage(image)
    z, y, x = volume.shape
    length, depth, width = (n * h for n, h in zip((z, y, x), reversed(image.GetSpacing()), strict=True))
    axial = [(volume[int(z * f)], width / depth) for f in (0.25, 0.5, 0.75)]
    return [*axial, (volume[::-1, y // 2], width / length), (volume[::-1, :, x // 2], depth / length)]


def _scaled(pixels: np.ndarray, aspect: float, window: tuple[float, float], height: int) -> np.ndarray:
    low, high = window
    grey = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1) * 255
    image = Image.fromarray(grey.astype(np.uint8)).resize((round(height * aspect), height), Image.Resampling.BILINEAR)
    return np.pad(np.asarray(image), ((0, 0), (0, 4)))
