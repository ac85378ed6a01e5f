"""Labelled volumes on disk in the layout of the Medical Segmentation Decathlon (Antonelli et al. 2022, doi
10.1038/s41467-022-30695-9): Task03_Liver, Task04_Hippocampus and Task07_Pancreas; and chests, which it does not have.

``imagesTr/liver_0.nii.gz``, ``labelsTr/liver_0.nii.gz`` and ``dataset.json`` with the names of the labels. Beside these
``labels.csv`` (``id,label``: 1 with a tumour) and ``phantom.json``, which says how all was made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tools.data.phantoms import abdomen_patients, hippocampus
from tools.data.phantoms.abdomen_organs import LIVER_TUMOUR, PANCREAS, grid_of, liver
from tools.data.phantoms.abdomen_patients import AbdomenPatient, abdomen_patient
from tools.data.phantoms.abdomen_tumours import AbdomenTumour
from tools.data.phantoms.folder import checked_settings, numbered, write_folder
from tools.data.phantoms.luna16 import VERSION as THORAX_VERSION
from tools.data.phantoms.luna16 import phantom_volume
from tools.data.phantoms.shapes import affine_of
from tools.data.phantoms.thorax import DEFAULT_SHAPE as THORAX_SHAPE
from tools.data.phantoms.thorax import Thorax
from tools.io.nifti import write_nifti


@dataclass(frozen=True)
class Task:
    """A task of the Decathlon: how its files are named, and what its ``dataset.json`` says."""

    name: str
    prefix: str
    digits: int
    modality: str
    labels: tuple[str, ...]
    description: str


CHEST = {
    "soft tissue": (Thorax.SKIN, Thorax.FAT, Thorax.MUSCLE, Thorax.MEDIASTINUM, Thorax.CARTILAGE, Thorax.SPINAL_CANAL),
    "lung": (Thorax.LUNG,),
    "vessel": (Thorax.VESSEL,),
    "airway": (Thorax.AIRWAY,),
    "heart": (Thorax.MYOCARDIUM, Thorax.BLOOD),
    "bone": (Thorax.CORTEX, Thorax.MARROW),
    "liver": (Thorax.LIVER,),
    "spleen": (Thorax.SPLEEN,),
    "stomach": (Thorax.STOMACH, Thorax.STOMACH_GAS),
    "nodule": (Thorax.NODULE,),
}
"""Classes of a chest's label map in the order of their values, from 1, and the phantom's labels that they unite."""

TASKS = {
    "liver": Task("Liver", "liver", 1, "CT", ("background", "liver", "cancer"), "Liver and cancer segmentation"),
    "pancreas": Task(
        "Pancreas", "pancreas", 3, "CT", ("background", "pancreas", "cancer"), "Pancreas and cancer segmentation"
    ),
    "hippocampus": Task(
        "Hippocampus",
        "hippocampus",
        3,
        "MRI",
        ("background", "Anterior", "Posterior"),
        "Left and right hippocampus segmentation",
    ),
    "chest": Task(
        "Chest", "chest", 3, "CT", ("background", *CHEST), "Tissues and organs of the chest, and nodules in the lungs"
    ),
}
"""Tasks by the names that ``write_msd_phantoms`` takes."""


def write_msd_phantoms(
    output_dir: str | Path,
    task: str,
    count: int = 8,
    seed: int = 0,
    shape: Sequence[int] | None = None,
    contrast: bool = True,
    progress: bool = True,
) -> Path:
    """Write a task of the Decathlon to ``output_dir``, or return at once if it is there already.

    The folder appears only when it is complete.

    Args:
        output_dir: folder to create; its parents are created too.
        task: name of the task, "liver", "pancreas" or "hippocampus"; or "chest", each with 1 to 3 nodules.
        count: number of volumes, at least 2. Their numbers are chosen so that a tenth of them, but at least 4 of 20 or
            more, are held out for validation by the hash of their name, one in ten.
        seed: number, 0 or more; another seed gives other patients.
        shape: slices, rows and columns; None for those of the task.
        contrast: True for CT in the portal venous phase, as the Decathlon's is; False for CT without contrast agent.
            Of chests a third has contrast agent, whatever is given.
        progress: True shows a progress bar.

    Returns:
        ``output_dir`` as a path.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}")
    shapes = {"hippocampus": hippocampus.DEFAULT_SHAPE, "chest": THORAX_SHAPE}
    shape = shapes.get(task, abdomen_patients.DEFAULT_SHAPE) if shape is None else shape
    version = THORAX_VERSION if task == "chest" else abdomen_patients.VERSION
    checked = checked_settings(task, version, count, seed, shape)
    settings = {**checked, "layout": "msd", "contrast": bool(contrast)}
    return write_folder(output_dir, settings, lambda folder: _write(folder, settings, TASKS[task], progress))


def _write(folder: Path, settings: dict[str, Any], task: Task, progress: bool) -> list[dict]:
    volumes = []

    def name_of(number: int) -> str:
        return f"{task.prefix}_{number:0{task.digits}d}"

    first = 0 if task.digits == 1 else 1
    numbers = numbered(settings["count"], name_of, first)
    for number, _, validation in tqdm(numbers, desc=task.prefix, unit="volume", disable=not progress):
        name = name_of(number)
        image, labels, affine, entry = _volume(task.prefix, settings, number, name, validation)
        files = {}
        for kind, array in (("imagesTr", image), ("labelsTr", labels)):
            path = folder / kind / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            write_nifti(path, array.T, affine)
            files[kind] = path.relative_to(folder).as_posix()
        kind = "ct" if task.modality == "CT" else "mr"
        volumes.append(entry | {"images": {kind: files["imagesTr"]}, "annotation": files["labelsTr"]})
    write_dataset_json(
        folder / "dataset.json",
        task.name,
        task.description,
        task.modality,
        dict(enumerate(task.labels)),
        {"training": [(v["images"]["ct" if task.modality == "CT" else "mr"], v["annotation"]) for v in volumes]},
    )
    return volumes


def _volume(
    task: str, settings: dict[str, Any], number: int, name: str, validation: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    """Image and labels [z, y, x], their affine, and what ``phantom.json`` says of them."""
    seed, shape = settings["seed"], settings["shape"]
    if task == "hippocampus":
        phantom = hippocampus.hippocampus_mr([seed, number], shape)
        section = "validation" if validation else "training"
        entry = {"id": name, "section": section, "label": 0, "spacing": phantom.spacing}
        return phantom.image, phantom.labels, affine_of(phantom.spacing, phantom.origin), entry
    if task == "chest":
        thorax = phantom_volume(seed, number, shape, "all")
        section = "validation" if validation else "training"
        entry = {"id": name, "section": section, "label": 1, "spacing": thorax.spacing}
        return thorax.hu, chest_labels(thorax.labels), affine_of(thorax.spacing, thorax.origin), entry
    patient = abdomen_patient(seed, number, shape, task == "liver", task == "pancreas", settings["contrast"])
    labels = liver_labels(patient) if task == "liver" else pancreas_labels(patient)
    affine = affine_of(patient.volume.spacing, patient.volume.origin)
    return patient.volume.image, labels, affine, patient.record(name, validation)


def chest_labels(labels: np.ndarray) -> np.ndarray:
    """The classes of ``CHEST`` by their values, of a label map of ``Thorax``; the table is background."""
    table = np.zeros(max(Thorax) + 1, np.uint8)
    for value, tissues in enumerate(CHEST.values(), start=1):
        table[list(tissues)] = value
    return table[labels]


def liver_labels(patient: AbdomenPatient) -> np.ndarray:
    """1 the liver with the vessels in it, 2 its tumours; uint8 [z, y, x]."""
    labels = patient.volume.labels
    organ = liver(labels, grid_of(patient.volume, patient.body), patient.body).astype(np.uint8)
    organ[np.isin(labels, LIVER_TUMOUR)] = 2
    return organ


def pancreas_labels(patient: AbdomenPatient) -> np.ndarray:
    """1 the pancreas with its duct, 2 its tumour; uint8 [z, y, x]."""
    labels = patient.volume.labels
    organ = np.isin(labels, PANCREAS).astype(np.uint8)
    organ[labels == AbdomenTumour.PANCREAS_TUMOUR] = 2
    return organ


def write_dataset_json(
    path: Path,
    name: str,
    description: str,
    modality: str,
    labels: dict[int, str],
    pairs: dict[str, list[tuple[str, str]]],
) -> None:
    """Write a ``dataset.json`` as the Decathlon's.

    Args:
        path: file to write.
        name: name of the dataset.
        description: description of it, to which is added that it is synthetic.
        modality: modality of its one channel, "CT" or "MRI".
        labels: names of the labels by their value.
        pairs: lists of image and label, relative to the folder, by section: "training", and "validation" if there is.
    """
    listed = {
        section: [{"image": f"./{image}", "label": f"./{label}"} for image, label in files]
        for section, files in pairs.items()
    }
    record = {
        "name": name,
        "description": f"{description}; synthetic phantoms",
        "reference": "computed phantoms, no patients",
        "licence": "Apache-2.0",
        "tensorImageSize": "3D",
        "modality": {"0": modality},
        "labels": {str(value): label for value, label in sorted(labels.items())},
        "numTraining": len(listed["training"]),
        "numTest": 0,
        **listed,
        "test": [],
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
