"""Brains with tumours on disk in the layout of BraTS, by its names of 2020 or the later ones.

``BraTS20_Training_001/BraTS20_Training_001_{t1,t1ce,t2,flair,seg}.nii.gz`` with the annotation 0, 1, 2, 4 and
``name_mapping.csv``; since 2023 ``BraTS-GLI-00000-000/BraTS-GLI-00000-000-{t1n,t1c,t2w,t2f,seg}.nii.gz`` with 3 for 4.
Volumes have 240 x 240 x 155 voxels of 1 mm, axes to the left, the back and the head, and are 0 outside the brain.
Beside these ``labels.csv`` (``id,label``: 1 of high grade, 0 of low) and ``phantom.json``, which says how all was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tools.data.phantoms.brain_tumour import EXTENT, TumourPhantom, tumour_mr
from tools.data.phantoms.folder import checked_settings, numbered, write_csv, write_folder
from tools.io.nifti import write_nifti

VERSION = 1
"""Raise this when the same seed gives another phantom than before."""

DEFAULT_SHAPE = (155, 240, 240)
"""Slices, rows and columns of BraTS; others show the same in larger voxels."""

NAMES = {
    2020: {"t1": "_t1", "t1ce": "_t1ce", "t2": "_t2", "flair": "_flair", "seg": "_seg"},
    2023: {"t1": "-t1n", "t1ce": "-t1c", "t2": "-t2w", "flair": "-t2f", "seg": "-seg"},
}
"""What follows a subject's name in a file's, by the year from which it is so."""


def write_brats_phantoms(
    output_dir: str | Path,
    count: int = 8,
    seed: int = 0,
    shape: Sequence[int] = DEFAULT_SHAPE,
    names: int = 2020,
    progress: bool = True,
) -> Path:
    """Write brains with gliomas to ``output_dir``, or return at once if they are there already.

    The folder appears only when it is complete. One tumour in five is of low grade, as in BraTS 2020 (76 of 369), and
    has no enhancing part.

    Args:
        output_dir: folder to create; its parents are created too.
        count: number of subjects, at least 2. Their numbers are chosen so that a tenth of them, but at least 4 of 20 or
            more, are held out for validation by the hash of their name, one in ten.
        seed: non-negative; another seed gives other patients.
        shape: slices, rows and columns of a volume, of 155 x 240 x 240 mm together.
        names: 2020, or 2023 for the names and the annotation from then on.
        progress: True shows a progress bar.

    Returns:
        ``output_dir`` as a path.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    if names not in NAMES:
        raise ValueError(f"names must be one of {', '.join(map(str, NAMES))}; got {names!r}")
    settings = {**checked_settings("brain with tumour", VERSION, count, seed, shape), "names": names}
    return write_folder(output_dir, settings, lambda folder: _write(folder, settings, progress))


def subject(number: int, names: int) -> str:
    """The name of subject ``number``, from 1 in 2020, from 0 later."""
    return f"BraTS20_Training_{number:03d}" if names == 2020 else f"BraTS-GLI-{number:05d}-000"


def phantom_subject(seed: int, number: int, shape: Sequence[int]) -> tuple[TumourPhantom, bool]:
    """Subject ``number``, as ``write_brats_phantoms`` writes it, and whether its tumour is of high grade."""
    high_grade = number % 5 != 2
    return tumour_mr([seed, number], shape, high_grade), high_grade


def brats_affine(shape: Sequence[int]) -> np.ndarray:
    """4x4, voxel index (x, y, z) to mm in RAS, as BraTS has it: origin (0, 239, 0) at 1 mm; ``shape`` (z, y, x)."""
    dz, dy, dx = (extent / n for extent, n in zip(EXTENT, shape, strict=True))
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:3, 3] = -(dx - 1) / 2, 239.5 - dy / 2, (dz - 1) / 2  # the outer faces stay where they are
    return affine


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    volumes, grades = [], []
    names, shape = settings["names"], settings["shape"]
    first = 1 if names == 2020 else 0
    numbers = numbered(settings["count"], lambda number: subject(number, names), first)
    for number, _, validation in tqdm(numbers, desc="brains with tumours", unit="subject", disable=not progress):
        phantom, high_grade = phantom_subject(settings["seed"], number, shape)
        name = subject(number, names)
        annotation = phantom.annotation if names == 2020 else np.where(phantom.annotation == 4, 3, phantom.annotation)
        (folder / name).mkdir()
        files = {}
        for kind, image in (*phantom.images.items(), ("seg", annotation.astype(np.uint8))):
            path = folder / name / f"{name}{NAMES[names][kind]}.nii.gz"
            write_nifti(path, image.T, brats_affine(shape))
            files[kind] = path.relative_to(folder).as_posix()
        annotated = files.pop("seg")
        grades.append(["HGG" if high_grade else "LGG", "NA", "NA", "NA", "NA", name])
        voxel = float(np.prod(phantom.spacing)) / 1000
        volumes.append(
            {
                "id": name,
                "section": "validation" if validation else "training",
                "images": files,
                "annotation": annotated,
                "label": int(high_grade),
                "spacing": phantom.spacing,
                "millilitres": {
                    part: round(float((phantom.annotation == value).sum()) * voxel, 2)
                    for part, value in (("core", 1), ("oedema", 2), ("enhancing", 4))
                },
            }
        )
    if names == 2020:
        ids = [f"BraTS_{year}_subject_ID" for year in (2017, 2018)]
        header = ["Grade", *ids, "TCGA_TCIA_subject_ID", "BraTS_2019_subject_ID", "BraTS_2020_subject_ID"]
        write_csv(folder / "name_mapping.csv", header, grades)
    return volumes
