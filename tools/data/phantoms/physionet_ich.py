"""Head CT on disk in the layout of PhysioNet's CT-ICH (Hssayeni et al. 2020, doi 10.3390/data5010014), version 1.3.1.

``ct_scans/049.nii`` with HU and ``masks/049.nii`` with any bleeding (more than 0), numbers from 049;
``hemorrhage_diagnosis_raw_ct.csv`` has the types of each slice, counted from 1. Beside these, ``Truth/049`` has the
type of every voxel, ``labels.csv`` (``id,label``: 1 with bleeding), and ``phantom.json`` says how all was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tools.data.phantoms.bleeds import TYPES
from tools.data.phantoms.folder import write_csv, write_folder
from tools.data.phantoms.head_ct import DEFAULT_SHAPE
from tools.data.phantoms.head_patients import head_scans, head_settings, record, write_truth
from tools.data.phantoms.shapes import affine_of
from tools.io.nifti import write_nifti

COLUMNS = ("Intraventricular", "Intraparenchymal", "Subarachnoid", "Epidural", "Subdural")
"""The types in the order of the table."""

FIRST = 49
"""Number of the first patient."""


def write_physionet_ich_phantoms(
    output_dir: str | Path, count: int = 12, seed: int = 0, shape: Sequence[int] = DEFAULT_SHAPE, progress: bool = True
) -> Path:
    """Write head CT to ``output_dir``, or return at once if they are there already; the folder appears complete.

    Args:
        output_dir: folder to create; its parents are created too.
        count: number of patients, at least 2. A tenth, but at least 4 of 20 or more, are held out for validation by
            the hash of their three digits, one in ten.
        seed: number, 0 or more; another seed gives other patients.
        shape: slices, rows and columns of a scan.
        progress: True shows a progress bar.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    settings = head_settings("physionet_ich", count, seed, shape)
    return write_folder(output_dir, settings, lambda folder: _write(folder, settings, progress))


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    volumes, rows = [], []
    for kind in ("ct_scans", "masks"):
        (folder / kind).mkdir()
    for scan in head_scans(settings, lambda n: f"{n:03d}", FIRST, lambda _: 1, progress):
        name, phantom = f"{scan.number:03d}", scan.phantom
        types, affine = phantom.bleed_labels, affine_of(phantom.spacing, phantom.origin)
        write_nifti(folder / "ct_scans" / f"{name}.nii", phantom.hu.T, affine)
        write_nifti(folder / "masks" / f"{name}.nii", (types > 0).astype(np.uint8).T, affine)
        for index, section in enumerate(types, start=1):
            present = [int((section == TYPES.index(column.lower()) + 1).any()) for column in COLUMNS]
            rows.append([scan.number, index, *present, int(not any(present)), 0])
        volumes.append(record(name, scan) | write_truth(folder, name, phantom))
    header = ["PatientNumber", "SliceNumber", *COLUMNS, "No_Hemorrhage", "Fracture_Yes_No"]
    write_csv(folder / "hemorrhage_diagnosis_raw_ct.csv", header, rows)
    return volumes
