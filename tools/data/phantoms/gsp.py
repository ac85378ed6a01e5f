"""Brain phantoms on disk in the layout of GSP, so that phantoms and the real scans take the same path.

``Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii.gz``, one session for each subject, int16. Beside these ``labels.csv``
(``id,label``: 1 with lesions, 0 without) is for conditional training, ``participants.csv`` (``id,ventricles``) for a
condition that is a number, the radius of the lateral ventricles, the mean of both relative to the reference patient's,
and ``phantom.json`` says how all was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tools.data.phantoms.brain import DEFAULT_SHAPE, STREAMS, BrainPhantom, brain_t1
from tools.data.phantoms.brain_anatomy import BrainAnatomy
from tools.data.phantoms.fields import streams
from tools.data.phantoms.folder import checked_settings, is_affected, numbered, write_csv, write_folder
from tools.data.phantoms.shapes import affine_of
from tools.io.nifti import write_nifti

VERSION = 1
"""Raise this when the same seed gives another phantom than before."""


def write_gsp_phantoms(
    output_dir: str | Path,
    count: int,
    seed: int = 0,
    shape: Sequence[int] = DEFAULT_SHAPE,
    lesions: str = "none",
    progress: bool = True,
) -> Path:
    """Write brain phantoms to ``output_dir``, or return at once if they are there already.

    The folder appears only when it is complete, so several processes may ask for it at the same time: each gets it.
    A volume depends on ``seed``, its subject's number, ``shape`` and ``lesions`` alone, to the byte where the package
    versions are the same.

    Args:
        output_dir: folder to create; its parents are created too.
        count: number of volumes, at least 2. The subjects' numbers are chosen so that the split of GSP holds a tenth of
            them, but at least 4 of 20 or more, out for validation.
        seed: non-negative; another seed gives other patients.
        shape: slices, rows and columns of a volume.
        lesions: volumes that have 1 to 3 lesions in the white matter: "none", "half" (every other one) or "all".
        progress: True shows a progress bar.

    Returns:
        ``output_dir`` as a path.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    settings = checked_settings("brain", VERSION, count, seed, shape, lesions=lesions)
    return write_folder(output_dir, settings, lambda folder: _write(folder, settings, progress))


def subject_numbers(count: int) -> list[tuple[int, int, bool]]:
    """Each of ``count`` volumes: its subject's number, its place among those on the same side of the split, and
    whether it is for validation.

    On each side these are the first numbers that the split puts there, so more volumes leave the others as they are.
    """
    return numbered(count, lambda number: f"Sub{number:04d}")


def phantom_volume(seed: int, number: int, shape: Sequence[int], affected: bool) -> BrainPhantom:
    """The volume of subject ``number``, as ``write_gsp_phantoms`` writes it, with 1 to 3 lesions if ``affected``."""
    lesions = int(np.random.default_rng([seed, number, 1]).integers(1, 4)) if affected else 0
    return brain_t1([seed, number], shape, lesions=lesions)


def ventricles(seed: int, number: int) -> float:
    """Radius of the lateral ventricles of subject ``number``, the mean of both relative to the reference patient's."""
    drawn = streams([seed, number], *STREAMS)["anatomy"]
    return round(sum(BrainAnatomy.draw(drawn).ventricles) / 2, 4)


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    volumes = []
    subjects = subject_numbers(settings["count"])
    for number, place, validation in tqdm(subjects, desc="brain phantoms", unit="volume", disable=not progress):
        affected = is_affected(settings["lesions"], place)  # so that both sides of the split have both classes
        phantom = phantom_volume(settings["seed"], number, settings["shape"], affected)
        session = f"Sub{number:04d}_Ses1"
        name = f"{session}_Scan_01_ANAT1"
        path = folder / session / f"{name}.nii.gz"
        path.parent.mkdir()
        write_nifti(path, phantom.t1.T, affine_of(phantom.spacing, phantom.origin))
        volumes.append(
            {
                "id": name,
                "image": path.relative_to(folder).as_posix(),
                "section": "validation" if validation else "training",
                "label": int(bool(phantom.lesions)),
                "spacing": phantom.spacing,
                "ventricles": ventricles(settings["seed"], number),
                "lesions": [
                    {"centre_mm": [round(c, 3) for c in lesion.centre], "diameter_mm": round(lesion.diameter, 3)}
                    for lesion in phantom.lesions
                ],
            }
        )
    write_csv(folder / "participants.csv", ["id", "ventricles"], [[v["id"], v["ventricles"]] for v in volumes])
    return volumes
