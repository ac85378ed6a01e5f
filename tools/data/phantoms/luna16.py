"""Chest phantoms on disk in the layout of LUNA16, so that phantoms and the real scans take the same path.

``subset0 .. subset9/<id>.mhd`` with a compressed ``.zraw`` beside it, HU in int16; ``annotations.csv`` lists the
nodules as LUNA16's does. Beside these ``labels.csv`` (``id,label``: 1 with nodules, 0 without) is for conditional
training, and ``phantom.json`` says how everything was made.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from tools.data.phantoms.thorax import DEFAULT_SHAPE, ThoraxPhantom, thorax_ct

VERSION = 1
"""Raise this when the same seed gives another phantom than before."""

NODULES = {"none": 0, "half": 2, "all": 1}
"""For each choice of ``nodules``: one phantom in this many has some; 0 for none of them."""

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
        nodules: which volumes have 1 to 3 lung nodules: "none", "half" (every other one) or "all".
        progress: whether to show a progress bar.

    Returns:
        ``output_dir`` as a path.

    Raises:
        ValueError: if an argument is out of range.
        FileExistsError: if ``output_dir`` holds phantoms with other settings, or anything else.
    """
    output_dir = Path(output_dir)
    settings = _check_settings(count, seed, shape, nodules)
    if _is_written(output_dir, settings):
        return output_dir
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, for a rename does not cross file systems
    unfinished = output_dir.parent / f".{output_dir.name}.{uuid.uuid4().hex}"
    unfinished.mkdir()
    try:
        _write(unfinished, settings, progress)
        try:
            os.rename(unfinished, output_dir)
        except OSError:
            # another process was faster; it wrote the same bytes, or _is_written says what else it was
            if not _is_written(output_dir, settings):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return output_dir


def _check_settings(count: int, seed: int, shape: Sequence[int], nodules: str) -> dict[str, Any]:
    """The settings that decide on every byte, as ``phantom.json`` records them."""
    shape = [int(n) for n in shape]
    if count < 2:
        raise ValueError(f"count must be at least 2, one volume to train on and one to validate; got {count}")
    if seed < 0:
        raise ValueError(f"seed must not be negative; got {seed}")
    if len(shape) != 3 or min(shape) < 16:
        raise ValueError(f"shape must be slices, rows and columns, 16 or more each; got {shape}")
    if nodules not in NODULES:
        raise ValueError(f"nodules must be one of {', '.join(NODULES)}; got {nodules!r}")
    return {
        "anatomy": "thorax",
        "version": VERSION,
        "count": int(count),
        "seed": int(seed),
        "shape": shape,
        "nodules": nodules,
    }


def _is_written(output_dir: Path, settings: dict[str, Any]) -> bool:
    """Whether the folder is there with these settings; an error if something else is in its place."""
    if not output_dir.exists():
        return False
    record = output_dir / "phantom.json"
    if not record.is_file():
        if output_dir.is_dir() and not any(output_dir.iterdir()):
            return False
        raise FileExistsError(
            f"{output_dir} exists but is no folder of phantoms (it has no phantom.json); choose another folder"
        )
    found = json.loads(record.read_text())
    different = [
        f"{key} is {found.get(key)!r} there, {value!r} is asked for"
        for key, value in settings.items()
        if found.get(key) != value
    ]
    if different:
        raise FileExistsError(
            f"{output_dir} holds phantoms with other settings: {'; '.join(different)}. "
            "Choose another folder, or delete this one."
        )
    return True


def subset_of(index: int, count: int) -> int:
    """The subset, 0 to 9, of volume ``index`` of ``count``: the last tenth is subset 9, and not too few."""
    fewest = 4 if count >= 20 else 2 if count >= 4 else 1  # distances between sets need two volumes of each
    held_out = max(fewest, round(count / SUBSETS))
    return SUBSETS - 1 if index >= count - held_out else index % (SUBSETS - 1)


def phantom_volume(seed: int, index: int, shape: Sequence[int], nodules: str) -> ThoraxPhantom:
    """Volume number ``index`` of a set, as ``write_luna16_phantoms`` writes it."""
    every = NODULES[nodules]
    affected = every > 0 and index % every == every - 1
    number = int(np.random.default_rng([seed, index, 1]).integers(1, 4)) if affected else 0
    return thorax_ct([seed, index], shape, nodules=number)


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> None:
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
                "subset": subset,
                "label": int(bool(phantom.nodules)),
                "spacing": phantom.spacing,
                "nodules": [
                    {"centre_mm": [round(c, 3) for c in nodule.centre], "diameter_mm": round(nodule.diameter, 3)}
                    for nodule in phantom.nodules
                ],
            }
        )
    _write_csv(folder / "labels.csv", ["id", "label"], [[v["id"], v["label"]] for v in volumes])
    _write_csv(
        folder / "annotations.csv",
        ["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"],
        [[v["id"], *n["centre_mm"], n["diameter_mm"]] for v in volumes for n in v["nodules"]],
    )
    (folder / "phantom.json").write_text(json.dumps({**settings, "volumes": volumes}, indent=2) + "\n")


def _write_csv(path: Path, header: list[str], rows: list[list]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
