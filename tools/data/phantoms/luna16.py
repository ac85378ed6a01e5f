"""Chest phantoms on disk in the layout of LUNA16, so that phantoms and the real scans take the same path.

``subset0 .. subset9/<id>.mhd`` with a compressed ``.zraw`` beside it, HU in int16; ``annotations.csv`` lists the
nodules as LUNA16's does. Beside these ``labels.csv`` (``id,label``: 1 with nodules, 0 without) is for conditional
training, and ``phantom.json`` says how everything was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from tools.data.phantoms.folder import checked_settings, held_out, is_affected, write_csv, write_folder
from tools.data.phantoms.thorax import DEFAULT_SHAPE, ThoraxPhantom, thorax_ct
from tools.files import as_text

VERSION = 1
"""Raise this when the same seed gives another phantom than before."""

SUBSETS = 10
"""Number of subsets of LUNA16; the last one is held out for validation."""


def write_luna16_phantoms(
    output_dir: str | Path,
    count: int,
    seed: int = 0,
    shape: Sequence[int] = DEFAULT_SHAPE,
    nodules: str = "none",
    progress: bool = True,
) -> Path:
    """Write chest phantoms to ``output_dir``, or return at once if they are there already.

    The folder appears only when it is complete, so several processes may ask for it at the same time: each gets it.
    A volume depends on ``seed``, its number, ``shape`` and ``nodules`` alone, to the byte where
    the package versions are the same.

    Args:
        output_dir: folder to create; its parents are created too.
        count: number of volumes, at least 2. A tenth of them, but at least 4 of 20 or more, go to ``subset9``, which
            the project holds out for validation; the others take turns in subset0 to subset8.
        seed: non-negative; another seed gives other patients.
        shape: slices, rows and columns of a volume.
        nodules: volumes that have 1 to 3 lung nodules: "none", "half" (every other one) or "all".
        progress: True shows a progress bar.

    Returns:
        ``output_dir`` as a path.

    Raises:
        ValueError: an argument is out of range, or ``output_dir`` is no UTF-8.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    if as_text(output_dir) != str(output_dir):  # ITK, which writes here, would end the process
        raise ValueError(f"the name of {as_text(output_dir)} is no UTF-8; write phantoms into another folder")
    settings = checked_settings("thorax", VERSION, count, seed, shape, nodules=nodules)
    return write_folder(output_dir, settings, lambda folder: _write(folder, settings, progress))


def subset_of(index: int, count: int) -> int:
    """The subset, 0 to 9, of volume ``index`` of ``count``: the last ones are subset 9."""
    return SUBSETS - 1 if index >= count - held_out(count) else index % (SUBSETS - 1)


def phantom_volume(seed: int, index: int, shape: Sequence[int], nodules: str) -> ThoraxPhantom:
    """Volume number ``index`` of a set, as ``write_luna16_phantoms`` writes it."""
    number = int(np.random.default_rng([seed, index, 1]).integers(1, 4)) if is_affected(nodules, index) else 0
    return thorax_ct([seed, index], shape, nodules=number)


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    seed, count, shape = settings["seed"], settings["count"], settings["shape"]
    volumes = []
    for index in tqdm(range(count), desc="chest phantoms", unit="volume", disable=not progress):
        phantom = phantom_volume(seed, index, shape, settings["nodules"])
        name, subset = f"phantom-{seed:04d}-{index:04d}", subset_of(index, count)
        path = folder / f"subset{subset}" / f"{name}.mhd"
        path.parent.mkdir(exist_ok=True)
        image = sitk.GetImageFromArray(phantom.hu)
        image.SetSpacing(phantom.spacing)
        image.SetOrigin(phantom.origin)
        sitk.WriteImage(image, str(path), useCompression=True)
        volumes.append(
            {
                "id": name,
                "image": path.relative_to(folder).as_posix(),
                "subset": subset,
                "label": int(bool(phantom.nodules)),
                "spacing": phantom.spacing,
                "nodules": [
                    {"centre_mm": [round(c, 3) for c in nodule.centre], "diameter_mm": round(nodule.diameter, 3)}
                    for nodule in phantom.nodules
                ],
            }
        )
    write_csv(
        folder / "annotations.csv",
        ["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"],
        [[v["id"], *n["centre_mm"], n["diameter_mm"]] for v in volumes for n in v["nodules"]],
    )
    return volumes
