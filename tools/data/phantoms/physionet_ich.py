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
from tools.data.phantoms.folder import write_csv
from tools.data.phantoms.head_ct import DEFAULT_SHAPE
from tools.data.phantoms.head_patients import head_scans, record, write_head_phantoms, write_truth
from tools.data.phantoms.shapes import affine_of
from tools.io.nifti import write_nifti

COLUMNS = ("Intraventricular", "Intraparenchymal", "Subarachnoid", "Epidural", "Subdural")
"""The types in the order of the table."""

FIRST = 49
"""Number of the first patient."""


def write_physionet_ich_phantoms(
    output_dir: str | Path, count: int = 12, seed: int = 0, shape: Sequence[int] = DEFAULT_SHAPE, progress: bool = True
) -> Path:
    """`write_head_phantoms` in this layout: the split is by the hash of a patient's three digits."""
    return write_head_phantoms(output_dir, "physionet_ich", _write, count, seed, shape, progress)


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
