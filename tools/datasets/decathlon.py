"""The Medical Segmentation Decathlon (Antonelli et al. 2022), and any dataset in its layout or in nnU-Net's.

`imagesTr/<case>.nii.gz`, with several images of a case as channels of one 4D file, `labelsTr/<case>.nii.gz` and
`dataset.json` with modalities and labels, value -> name. nnU-Net's second version has `imagesTr/<case>_0000.nii.gz` and
so on, a file per image, and in `dataset.json` channel_names and labels, name -> value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.datasets.record import Dataset, Images, Labels

DESCRIPTION = "dataset.json"

GREY_VALUES = "grey_values"
"""Entry of it, of folders that this project writes: values that stand for black and white, by an image's number."""

SOURCE = "Medical Segmentation Decathlon, {task}, http://medicaldecathlon.com"

REFERENCE = "Antonelli M et al. The Medical Segmentation Decathlon. Nat Commun 13:4128, 2022."

TERMS = """\
{counts}
It is {task} of the Medical Segmentation Decathlon (http://medicaldecathlon.com), published under CC BY-SA 4.0
(https://creativecommons.org/licenses/by-sa/4.0/). The volumes are not part of this bundle. Cite:
- Antonelli M, Reinke A, Bakas S, et al. The Medical Segmentation Decathlon. Nat Commun 13:4128, 2022.
- Simpson AL, Antonelli M, Bakas S, et al. A large annotated medical image dataset for the development and evaluation of
  segmentation algorithms. arXiv:1902.09063, 2019.
"""


def _task(name: str, task: str, voxels: str, classes: Mapping[str, int], counts: str) -> Dataset:
    return Dataset(
        name=name,
        looks=f"imagesTr/{name}_001.nii.gz, labelsTr/{name}_001.nii.gz and so on as the Decathlon's {task}",
        images={"ct" if voxels == "CT" else "mr": Images(rf"(.*/)?imagesT[rs]/(?P<id>{name}_\d+)", voxels)},
        labels=Labels(rf"(.*/)?labelsTr/(?P<id>{name}_\d+)", classes),
        ids=rf"{name}_\d+$",
        source=SOURCE.format(task=task),
        files="NIfTI",
        reference=REFERENCE,
        terms=TERMS.format(counts=counts, task=task),
    )


HIPPOCAMPUS = _task(
    "hippocampus",
    "Task04_Hippocampus",
    "MR",
    {"anterior": 1, "posterior": 2},
    "Hippocampus has 260 crops of T1 volumes to train on, about 35 x 50 x 35 voxels of 1 mm, with two labels, and 130\n"
    "without.",
)

LIVER = _task(
    "liver",
    "Task03_Liver",
    "CT",
    {"liver": 1, "liver tumour": 2},
    "Liver has 131 abdominal CT in the portal venous phase to train on, with two labels, and 70 without.",
)

PANCREAS = _task(
    "pancreas",
    "Task07_Pancreas",
    "CT",
    {"pancreas": 1, "pancreas tumour": 2},
    "Pancreas has 281 abdominal CT in the portal venous phase to train on, with two labels, and 139 without.",
)


def described(folder: Path) -> Dataset:
    """The record of a dataset that its own `dataset.json` describes.

    Raises:
        ValueError: the file is not one of the Decathlon or nnU-Net.
    """
    path = folder / DESCRIPTION
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        channels = {int(k): str(v) for k, v in (said.get("channel_names") or said["modality"]).items()}
        classes = _classes(said["labels"])
        grey = {int(k): (float(low), float(high)) for k, (low, high) in said.get(GREY_VALUES, {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no description of a dataset ({type(error).__name__}: {error}); expected modality or "
            'channel_names, {"0": "CT"}, and labels, {"0": "background", "1": "liver"} or {"background": 0, "liver": 1}'
        ) from error
    one_file_each = "channel_names" in said
    names = _names(channels)
    images = {}
    for number, name in names.items():
        voxels = "CT" if channels[number].upper() == "CT" else "MR"
        if one_file_each:
            images[name] = Images(rf"imagesT[rs]/(?P<id>.+)_{number:04d}", voxels, grey_values=grey.get(number))
        else:
            channel = number if len(names) > 1 else None
            images[name] = Images(r"imagesT[rs]/(?P<id>.+)", voxels, channel, grey_values=grey.get(number))
    layout = "imagesTr/<case>_0000.nii.gz" if one_file_each else "imagesTr/<case>.nii.gz"
    return Dataset(
        name=str(said.get("name") or folder.name),
        looks=f"{layout} and labelsTr/<case>.nii.gz as {DESCRIPTION} says",
        images=images,
        labels=Labels(r"labelsTr/(?P<id>.+)", classes) if classes else None,
        ids=r"(?!)",  # of any form
        source=str(said.get("reference") or "not said in its dataset.json"),
        files="NIfTI",
        reference=str(said.get("reference") or "not said in its dataset.json"),
        terms=f"Licence: {said.get('licence') or said.get('license') or 'not said in its dataset.json'}\n",
    )


def _classes(labels: Mapping[str, Any]) -> dict[str, int]:
    """Value by name, without background, of either way to write it."""
    by_name = {}
    for key, value in labels.items():
        if isinstance(value, list):
            raise ValueError(f"class {key!r} is a region of the values {value}, expected one value for each class")
        name, number = (str(value), int(key)) if str(key).isdigit() else (str(key), int(value))
        if number != 0:
            by_name[name.lower()] = number
    return by_name


def _names(channels: Mapping[int, str]) -> dict[int, str]:
    """Channels' names in small letters, with their numbers where two are alike."""
    names = [name.lower() for name in channels.values()]
    return {
        number: name.lower() if names.count(name.lower()) == 1 else f"{name.lower()}_{number}"
        for number, name in sorted(channels.items())
    }
