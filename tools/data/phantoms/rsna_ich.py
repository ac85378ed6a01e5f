"""Head CT on disk in the layout of the RSNA's challenge on intracranial haemorrhage of 2019.

All slices of all patients lie in one folder, ``stage_2_train/ID_<9 digits>.dcm``, named at random;
``stage_2_train.csv`` (``ID,Label``) has six rows for each: ``ID_<9 digits>_epidural`` and so on, and ``_any``. Which
slices are of one scan is in their headers alone (PatientID, StudyInstanceUID, SeriesInstanceUID, each ``ID_...``, and
ImagePositionPatient); these have few other tags. One patient in four has two scans, some days apart. Beside these,
``Truth/<StudyInstanceUID>`` has each scan and the type of every voxel, which the RSNA does not publish, ``labels.csv``
(``id,label``: 1 with bleeding) and ``phantom.json``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pydicom
from pydicom.config import disable_value_validation

from tools.data.phantoms.bleeds import TYPES
from tools.data.phantoms.folder import write_csv
from tools.data.phantoms.head_ct import DEFAULT_SHAPE
from tools.data.phantoms.head_patients import HeadScan, head_scans, record, write_head_phantoms, write_truth
from tools.data.phantoms.shapes import affine_of
from tools.io.dicom_writer import write_dicom_series

TAGS = (
    "SOPInstanceUID",
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "WindowCenter",
    "WindowWidth",
    "RescaleIntercept",
    "RescaleSlope",
    "PixelData",
)
"""All that the headers have; and SyntheticData, because this is."""


def write_rsna_ich_phantoms(
    output_dir: str | Path, count: int = 12, seed: int = 0, shape: Sequence[int] = DEFAULT_SHAPE, progress: bool = True
) -> Path:
    """`write_head_phantoms` in this layout: the split is by the hash of the PatientID.

    Every fourth patient has two scans.
    """
    return write_head_phantoms(output_dir, "rsna_ich", _write, count, seed, shape, progress)


def identifier(length: int, *what: str | int) -> str:
    """``ID_`` and so many hexadecimal digits, which follow from ``what``."""
    return "ID_" + hashlib.sha256(repr(what).encode()).hexdigest()[:length]


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    seed = settings["seed"]
    (folder / "stage_2_train").mkdir()
    volumes, rows = [], {}
    scans = head_scans(
        settings, lambda n: identifier(8, "patient", seed, n), 0, lambda n: 2 if n % 4 == 1 else 1, progress
    )
    for scan in scans:
        study = identifier(10, "study", seed, scan.number, scan.scan)
        rows |= _write_slices(folder / "stage_2_train", scan, seed, study)
        entry = record(study, scan) | write_truth(folder, study, scan.phantom)
        volumes.append(entry | {"patient": identifier(8, "patient", seed, scan.number)})
    table = [
        [f"{name}_{kind}", int(value)]
        for name in sorted(rows)  # in no order of the scans
        for kind, value in zip((*TYPES, "any"), rows[name], strict=True)
    ]
    write_csv(folder / "stage_2_train.csv", ["ID", "Label"], table)
    return volumes


def _write_slices(folder: Path, scan: HeadScan, seed: int, study: str) -> dict[str, list[bool]]:
    """One scan's slices; which types each has, and whether any."""
    phantom, key = scan.phantom, (seed, scan.number, scan.scan)
    signed = bool(scan.number % 2)  # scanners store HU with an offset, some of them signed
    hu = phantom.hu if signed else np.maximum(phantom.hu, -1024)
    types = phantom.bleed_labels
    rows = {}
    with TemporaryDirectory(dir=folder.parent) as beside:
        series = write_dicom_series(
            Path(beside) / "series",
            hu.T,
            affine_of(phantom.spacing, phantom.origin),
            patient=identifier(8, "patient", seed, scan.number),
            signed=signed,
            uid_seed=repr(key),
        )
        for index, path in enumerate(sorted(series.iterdir())):
            dataset = pydicom.dcmread(path)
            name = identifier(9, "slice", *key, index)
            with disable_value_validation():  # the published UIDs are none
                dataset.StudyInstanceUID, dataset.SOPInstanceUID = study, name
                dataset.SeriesInstanceUID = identifier(10, "series", *key)
                dataset.StudyID = ""
                dataset.WindowCenter, dataset.WindowWidth = "40", "80"
                for element in list(dataset):
                    if element.keyword not in (*TAGS, "SyntheticData"):
                        del dataset[element.tag]
                dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
            present = [bool((types[index] == value).any()) for value in range(1, len(TYPES) + 1)]
            rows[name] = [*present, any(present)]
    return rows
