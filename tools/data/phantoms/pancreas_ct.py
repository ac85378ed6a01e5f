"""Abdominal CT on disk in the layout of NIH Pancreas-CT (Roth et al. 2015, doi 10.1007/978-3-319-24553-9_68).

``Pancreas-CT/PANCREAS_0001/<study>/<series>/1-001.dcm`` in the portal venous phase, healthy, and the pancreas as NIfTI
in ``TCIA_pancreas_labels-02-05-2017/label0001.nii.gz``, with the geometry of its images. Beside these ``labels.csv``
(``id,label``: all 0) and ``phantom.json``, which says how all was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tools.data.phantoms.abdomen_patients import DEFAULT_SHAPE, abdomen_patient, write_abdomen_phantoms
from tools.data.phantoms.folder import numbered
from tools.data.phantoms.msd import pancreas_labels
from tools.data.phantoms.shapes import affine_of
from tools.io.dicom_writer import write_dicom_series
from tools.io.nifti import write_nifti

LABELS = "TCIA_pancreas_labels-02-05-2017"


def write_pancreas_ct_phantoms(
    output_dir: str | Path, count: int = 8, seed: int = 0, shape: Sequence[int] = DEFAULT_SHAPE, progress: bool = True
) -> Path:
    """`write_abdomen_phantoms` in this layout: the split is by the hash of a patient's four digits."""
    return write_abdomen_phantoms(output_dir, "pancreas_ct", _write, count, seed, shape, progress)


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    volumes = []
    (folder / LABELS).mkdir()
    numbers = numbered(settings["count"], lambda n: f"{n:04d}")
    for number, _, validation in tqdm(numbers, desc="Pancreas-CT", unit="patient", disable=not progress):
        name = f"PANCREAS_{number:04d}"
        patient = abdomen_patient(settings["seed"], number, settings["shape"], liver=False, pancreas=False)
        affine = affine_of(patient.volume.spacing, patient.volume.origin)
        study = f"11-24-2015-PANCREAS{number:04d}-Pancreas-{10000 + 37 * number}"
        series = folder / "Pancreas-CT" / name / study / f"Pancreas-{20000 + 41 * number}"
        write_dicom_series(
            series,
            patient.volume.image.T,
            affine,
            description="Pancreas",
            image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
            patient=name,
            signed=True,
            rescale=(1, 0),
            uid_seed=f"{settings['seed']} {name}",
            names="1-{:03d}.dcm",
        )
        label = f"{LABELS}/label{number:04d}.nii.gz"
        write_nifti(folder / label, pancreas_labels(patient).T, affine)
        files = {"images": {"ct": series.relative_to(folder).as_posix()}, "annotation": label}
        volumes.append(patient.record(name, validation) | files)
    return volumes
