"""What is in a folder of images, whatever its layout: a published dataset, pictures, or volumes under any names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tools.data.cases import find_cases, label_of, marks_of, recognise
from tools.data.folders import walk
from tools.data.own_folders import find_series
from tools.data.scans import all_scans
from tools.datasets.record import Dataset
from tools.io.pictures import PICTURES, picture_names
from tools.io.readers import read_volume, volume_suffix
from tools.io.volume import VolumeError
from tools.io.volume_reader import volume_header
from tools.transforms.channels import UNKNOWN

LABEL_WORDS = {"label", "labels", "seg", "segmentation", "mask", "organs", "annotation", "gt"}
"""Parts of a file's name that say that it is a label map."""

PICTURES_TOGETHER = 500
"""Pictures of one item: they have no patient that could tell them apart."""


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        what: description for people.
        items: one for each case, as `tools.transforms.samples` takes them, with "section" besides.
        images: names of the images of a case.
        voxels: "CT" or "MR" by the name of an image; empty where nobody says.
        classes: value in label files by name of the class.
        dataset: record, if the folder was recognised.
        is_pictures: True for items that are pictures, without place and unit.
    """

    what: str
    items: list[dict[str, Any]]
    images: Sequence[str]
    voxels: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    dataset: Dataset | None = None
    is_pictures: bool = False


def find(folder: str | Path) -> Found:
    """Everything in a folder, or in a zip of pictures.

    Raises:
        FileNotFoundError: there is nothing at that place, or no image in it.
        VolumeError: the folder holds what cannot be told apart, such as two images of one case.
    """
    root = Path(folder)
    if root.is_file() and root.suffix.lower() == ".zip":
        return _pictures(root)
    dataset = recognise(root)
    if dataset is not None:
        return _published(dataset, root)
    try:
        series = find_series(root)
    except FileNotFoundError:
        archives = sorted(root.glob("*.zip"))
        if len(archives) == 1:
            return _pictures(archives[0])
        if any(path.suffix.lower() in PICTURES for path in root.rglob("*")):
            return _pictures(root)
        raise
    return _own_names(root, series)


def _own_names(root: Path, series: Mapping[str, str]) -> Found:
    """Volumes under any names; a label map, by its name, belongs to the volume whose name begins most alike."""
    labels = {
        str(place.relative_to(root) / name): str(place / name)
        for place, names in walk(root, with_labels=True)
        for name in names
        if volume_suffix(name) and LABEL_WORDS & set(re.split(r"[^a-z]+", name.lower()))
    }
    images = {name: path for name, path in series.items() if path not in labels.values()}
    if not images:  # labels alone, or volumes whose names only sound so
        images, labels = dict(series), {}
    items = {n: {"id": n, "subject": n, "section": "any"} | _image(p) for n, p in sorted(images.items())}
    values: set[int] = set()
    for name, path in labels.items():
        image = max(images, key=lambda other: _alike(other, name))
        if _alike(image, name) and "label" not in items[image]:
            items[image]["label"] = path
            values |= set(np.unique(_voxels(path)).astype(int).tolist()) if len(values) < UNKNOWN else set()
    slicewise = any("slices" in item for item in items.values())
    what = "volumes under names of their own; each counts as a patient"
    what += ", labels are told by their names" if values else ""
    what += "; series whose slices make no volume are read slice by slice" if slicewise else ""
    classes = {f"label {value}": value for value in sorted(values)[: UNKNOWN - 1] if value > 0}
    return Found(what, list(items.values()), ["image"], classes=classes)


def _image(path: str) -> dict[str, Any]:
    """An item's image; the slices of a folder of DICOM that is no volume, as where a gantry was tilted by degrees."""
    if Path(path).is_dir():
        try:
            volume_header(path)
        except VolumeError:
            return {"slices": [str(file) for file in sorted(Path(path).iterdir()) if file.is_file()]}
    return {"image": {"image": path}}


def _alike(name: str, other: str) -> int:
    """Number of characters with which two names begin alike."""
    pairs = zip(name, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(name), len(other)))


def _voxels(path: str) -> np.ndarray:
    try:
        return np.asarray(read_volume(path)[0])
    except VolumeError:
        return np.zeros(1)  # which is said when its case is read


def _published(dataset: Dataset, root: Path) -> Found:
    items: list[dict[str, Any]] = []
    if dataset.unit == "slice":
        items = all_scans(dataset, root)
        for item in items:
            item["section"] = "validation" if dataset.holds_out(item["subject"]) else "training"
    else:
        for case in find_cases(dataset, root):
            held_out = dataset.holds_out(case.subject, case.folders)
            item = {"id": case.id, "subject": case.subject, "image": case.images}
            item["section"] = "validation" if held_out else "training"
            item |= label_of(dataset, case, next(iter(case.images)))
            item |= {"class": marks_of(dataset, case.said)} if {"findings", "slice_findings"} & case.said.keys() else {}
            item |= {"class_name": case.class_name} if case.class_name in dataset.classes else {}
            items.append(item)
    return Found(
        f"{dataset.name}: {dataset.looks}",
        items,
        [*dataset.images],
        {name: images.voxels for name, images in dataset.images.items()},
        dataset.classes_of_labels,
        dataset,
    )


def _pictures(path: Path) -> Found:
    try:
        names = picture_names(path)
    except VolumeError as error:
        raise FileNotFoundError(str(error)) from error
    parts = [names[start : start + PICTURES_TOGETHER] for start in range(0, len(names), PICTURES_TOGETHER)]
    items = [
        {"id": f"{part[0]} to {part[-1]}", "subject": "", "section": "any", "image": str(path), "names": part}
        for part in parts
    ]
    what = f"{len(names)} pictures, of which nobody says the patient, the place and the unit"
    return Found(what, items, ["image"], is_pictures=True)
