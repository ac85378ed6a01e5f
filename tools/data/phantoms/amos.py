"""Abdominal CT on disk in the layout of AMOS22 (Ji et al. 2022, arXiv 2206.08023): 15 organs.

``imagesTr/amos_0001.nii.gz``, ``labelsTr/amos_0001.nii.gz``, ``imagesVa`` and ``labelsVa`` for validation, an empty
``imagesTs``, and ``dataset.json``. Bladder and prostate or uterus lie below what is scanned. Beside these
``labels.csv`` (``id,label``: 1 with a tumour, which AMOS labels as its organ) and ``phantom.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tools.data.phantoms.abdomen_organs import AMOS, amos_organs
from tools.data.phantoms.abdomen_patients import DEFAULT_SHAPE, abdomen_patient, write_abdomen_phantoms
from tools.data.phantoms.folder import numbered
from tools.data.phantoms.msd import write_dataset_json
from tools.data.phantoms.shapes import affine_of
from tools.io.nifti import write_nifti


def write_amos_phantoms(
    output_dir: str | Path, count: int = 8, seed: int = 0, shape: Sequence[int] = DEFAULT_SHAPE, progress: bool = True
) -> Path:
    """`write_abdomen_phantoms` in this layout: those for validation are in ``imagesVa``.

    Three patients of four were given contrast agent, half have tumours of the liver.
    """
    return write_abdomen_phantoms(output_dir, "amos22", _write, count, seed, shape, progress)


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    volumes, pairs = [], {"training": [], "validation": []}
    for kind in ("imagesTr", "labelsTr", "imagesVa", "labelsVa", "imagesTs"):
        (folder / kind).mkdir()
    numbers = numbered(settings["count"], lambda n: f"amos_{n:04d}")
    for number, place, validation in tqdm(numbers, desc="AMOS22", unit="volume", disable=not progress):
        name, section = f"amos_{number:04d}", "Va" if validation else "Tr"
        patient = abdomen_patient(settings["seed"], number, settings["shape"], place % 2 == 1, False, None)
        volume = patient.volume
        image, label = f"images{section}/{name}.nii.gz", f"labels{section}/{name}.nii.gz"
        affine = affine_of(volume.spacing, volume.origin)
        write_nifti(folder / image, volume.image.T, affine)
        write_nifti(folder / label, amos_organs(volume, patient.body).T, affine)
        pairs["validation" if validation else "training"].append((image, label))
        volumes.append(patient.record(name, validation) | {"images": {"ct": image}, "annotation": label})
    names = {0: "background", **AMOS}
    write_dataset_json(folder / "dataset.json", "AMOS", "Abdominal multi-organ segmentation", "CT", names, pairs)
    return volumes
