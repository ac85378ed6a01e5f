"""The cases of any dataset of which there is a record: a subject's images at one time, their label map and class."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from tools.data.folders import walk
from tools.data.preprocessed import finished_info
from tools.data.preprocessed_samples import stored_datalist
from tools.datasets.decathlon import DESCRIPTION, described
from tools.datasets.published import DATASETS
from tools.datasets.record import Dataset, Labels, Sphere
from tools.datasets.splitting import check_section, split
from tools.files import as_text
from tools.io import left_out
from tools.io.dicom import is_dicom_folder
from tools.io.label_slices import label_slices
from tools.io.pictures import PICTURES
from tools.io.readers import VolumeError, volume_suffix, with_channel
from tools.io.volume_reader import volume_header
from tools.transforms.spheres import check_spheres

FIRST = 50
"""Folders of which the first images are looked at to recognise a dataset."""

SLICE_SUFFIXES = (".dcm", ".png")
"""Of files that hold one slice, besides those of volumes."""


@dataclass
class Case:
    """What a dataset holds of one subject at one time; where its unit is a slice, of one slice.

    Attributes:
        id: name of the case, as the record's patterns find it.
        subject: name of the subject.
        folders: names of the folders around its first image, from the outside in.
        images: modality -> path, of a file or of a folder of DICOM slices.
        label: path of the label map of all images, or spheres, see `Labels.spheres`; None without one.
        own_labels: modality -> path of its own label map, see `Images.labels`.
        class_name: name of the class of the scan; None without one.
        said: entry of the dataset's table for it.
    """

    id: str
    subject: str
    folders: tuple[str, ...]
    images: dict[str, str] = field(default_factory=dict)
    label: str | list[Sphere] | None = None
    own_labels: dict[str, str] = field(default_factory=dict)
    class_name: str | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


def recognise(folder: str | os.PathLike) -> Dataset | None:
    """The dataset that a folder holds: the published one whose record knows most of its first images, or else what its
    `dataset.json` describes, as the Decathlon and nnU-Net have it; or None.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: its `dataset.json` is none as the Decathlon or nnU-Net have it.
    """
    known = dict.fromkeys(DATASETS, 0)
    for number, (_, names) in enumerate(groupby(images_in(Path(folder)), key=lambda image: image[2])):
        if number == FIRST:
            break
        for name, _, _ in islice(names, 2):
            for dataset in DATASETS.values():
                known[dataset.name] += any(re.fullmatch(images.pattern, name) for images in dataset.images.values())
    best = max(known, key=known.get)
    if known[best]:
        return DATASETS[best]
    return described(Path(folder)) if (Path(folder) / DESCRIPTION).is_file() else None


def labelled_dataset(folder: str | os.PathLike) -> Dataset:
    """The dataset that a folder holds, which has label maps.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: dataset that is not known or described, or has no label maps.
    """
    dataset = recognise(folder)
    if dataset is None or not dataset.classes_of_labels:
        found = "no dataset that is known" if dataset is None else f"{dataset.name}, which has no label maps"
        raise ValueError(
            f"{folder} holds {found}; expected images with label maps, for instance as nnU-Net has them: "
            "imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz, and dataset.json with channel_names and labels"
        )
    return dataset


def find_cases(dataset: Dataset, folder: str | os.PathLike) -> list[Case]:
    """Every case in a folder of a dataset, sorted by id, whatever images it has.

    Raises:
        FileNotFoundError: there is no such folder, or no image of this dataset in it.
        VolumeError: two images are the same modality of one case, or two label maps are of one case.
    """
    root = Path(folder)
    table = dataset.table(root) if dataset.table else {}
    cases: dict[str, Case] = {}
    maps: dict[tuple[str, str | None], str] = {}
    for name, path, folders in images_in(root, dataset):
        found = [(modality, re.fullmatch(labels.pattern, name)) for modality, labels in _label_maps(dataset)]
        if any(match for _, match in found):
            for modality, match in found:
                if match:
                    _put(maps, (match["id"], modality), path, f"label maps of {match['id']!r}")
            continue
        for modality, images in dataset.images.items():
            if match := re.fullmatch(images.pattern, name):
                said = table.get(match["id"]) or table.get(dataset.subject(match["id"]), {})
                subject = said.get("subject", dataset.subject(match["id"]))
                case = Case(match["id"], subject, folders, class_name=said.get("class"), said=said)
                case = cases.setdefault(case.id, case)
                volume = path if images.channel is None else with_channel(path, images.channel)
                _put(case.images, modality, volume, f"{modality} of {case.id!r}")
    if not cases:
        raise FileNotFoundError(f"there is no image of {dataset.name} in {root.absolute()}; looked for {dataset.looks}")
    spheres = dataset.labels.spheres(root) if dataset.labels and dataset.labels.spheres else None
    if spheres is not None:
        for case in cases.values():
            case.label = list(spheres.get(case.id, ()))
    for (name, modality), path in maps.items():
        if name in cases and modality is None:
            cases[name].label = path
        elif name in cases:
            cases[name].own_labels[modality] = path
    return sorted(cases.values(), key=lambda case: case.id)


def case_datalist(
    dataset: Dataset,
    folder: str | os.PathLike,
    section: str,
    modalities: Sequence[str] | None = None,
    labelled: bool = False,
    classified: bool = False,
    findings: bool = False,
    validation_folds: Collection[int] | None = None,
) -> list[dict[str, Any]]:
    """MONAI datalist of the cases of one section that have all that is asked for; others are named in a warning.

    Args:
        dataset: record of the dataset.
        folder: folder of the dataset, or what `python -m tools preprocess` made of it.
        section: "training" or "validation", see `Dataset.holds_out`.
        modalities: names of modalities, in the order in which a network takes them; all of the dataset's if None.
        labelled: True if each case must have a label map.
        classified: True if each case must have a class.
        findings: True if the dataset's table must say what each case shows.
        validation_folds: numbers of the publisher's folders for validation; those of the record if None.

    Returns:
        ``[{"id", "subject", "image": [path, ...]}, ...]``, a path per modality. With ``labelled`` also what `label_of`
        says of the label map, of the first modality where each has its own; with ``classified`` also "class", the
        number of the scan's class; with ``findings`` "class" is 0 or 1 for each of the record's findings, a row for all
        slices, or one for each in the order of the file. Items of a preprocessed folder are those of
        `tools.data.preprocessed_samples.stored_datalist`.

    Raises:
        FileNotFoundError: there is no such folder, or no image of this dataset in it.
        VolumeError: no case of the section has all that is asked for.
        ValueError: ``section`` is neither, or the dataset has no such modality.
    """
    check_section(section)
    if (info := finished_info(folder)) is not None:
        classes = "findings" if findings else "class" if classified else None
        return stored_datalist(dataset, Path(folder), info, section, classes, validation_folds)
    modalities = [*dataset.images] if modalities is None else modalities

    def held_out(case: Case) -> bool:
        return dataset.holds_out(case.subject, case.folders, validation_folds)

    rule, few = dataset.rule(validation_folds), dataset.share_few
    cases = cases_with(dataset, folder, modalities)
    cases = split(cases, section, held_out, folder, "cases", rule, few, stacklevel=2) if cases else []
    found, lacking = complete_items(dataset, cases, modalities, labelled, classified, findings)
    if not found:
        raise VolumeError(f"{folder}: none of {len(cases)} cases is complete:\n{left_out.listed(lacking)}")
    if lacking:
        left_out.warn_of(str(folder), lacking, len(cases), "cases", stacklevel=2)
    return found if dataset.unit == "slice" else usable_items(found, str(folder), "cases", stacklevel=2)


def cases_with(dataset: Dataset, folder: str | os.PathLike, modalities: Sequence[str]) -> list[Case]:
    """Every case of a dataset that has an image of one of these modalities, sorted by id.

    Raises:
        FileNotFoundError: there is no such folder, or no image of this dataset in it.
        ValueError: the dataset has no such modality, or none is named.
    """
    unknown = [modality for modality in modalities if modality not in dataset.images]
    if unknown or not modalities:
        raise ValueError(f"modalities has {unknown}, expected some of those of {dataset.name}: {[*dataset.images]}")
    return [case for case in find_cases(dataset, folder) if case.images.keys() & set(modalities)]


def complete_items(
    dataset: Dataset,
    cases: Iterable[Case],
    modalities: Sequence[str],
    labelled: bool = False,
    classified: bool = False,
    findings: bool = False,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Items of the cases that have all that is asked for, see `case_datalist`, and by id what others lack."""
    found, lacking = [], {}
    for case in cases:
        label = label_of(dataset, case, modalities[0]) if labelled else {}
        missing = [modality for modality in modalities if modality not in case.images]
        missing += ["a label map"] * (labelled and not label)
        missing += ["a class"] * (classified and case.class_name not in dataset.classes)
        missing += ["findings"] * (findings and not {"findings", "slice_findings"} & case.said.keys())
        if missing:
            lacking[case.id] = f"lacks {', '.join(missing)}"
            continue
        item = {"id": case.id, "subject": case.subject, "image": [case.images[modality] for modality in modalities]}
        item |= label
        item |= {"class": dataset.classes.index(case.class_name)} if classified else {}
        item |= {"class": marks_of(dataset, case.said)} if findings else {}
        found.append(item)
    return found, lacking


def label_of(dataset: Dataset, case: Case, modality: str) -> dict[str, Any]:
    """What an item says of a case's label map, as `tools.transforms.samples` takes it; nothing where it has none.

    Args:
        dataset: record of the dataset.
        case: case of the dataset.
        modality: modality of the item's first image, whose own label map is taken where each has one.

    Returns:
        ``{"label": path or spheres, "known": [name of each class in it, ...]}``; also "label_by", one of
        `tools.datasets.record.PLACES`, where its header does not say where it lies; and "label_values",
        name -> values, where label maps of the dataset's modalities differ in them.
    """
    own = dataset.images[modality].labels
    labels, label = (own, case.own_labels.get(modality)) if own else (dataset.labels, case.label)
    if label is None:
        return {}
    item = {"label": label, "known": [*labels.classes]}
    item |= {} if labels.by == "header" else {"label_by": labels.by}
    return item | ({"label_values": dict(labels.classes)} if own else {})


def usable_items(items: Iterable[dict[str, Any]], where: str, what: str, stacklevel: int = 1) -> list[dict[str, Any]]:
    """Those items all of whose volumes, in "image" and "label", can be used by their headers; a warning names others.

    Raises:
        VolumeError: none can be used.
    """
    good, bad = [], {}
    for item in items:
        try:
            paths = list(item["image"])
            if item.get("label_by") == "slices":
                label_slices(item["label"], paths[0])
            elif item.get("label_by") == "spheres":
                check_spheres(paths[0], item["label"])
            elif "label" in item:
                paths.append(item["label"])
            doubts = {path: volume_header(path).doubt for path in paths}
            good.append(item)
            left_out.keep({path: doubt for path, doubt in doubts.items() if doubt})
        except VolumeError as error:
            bad[item["id"]] = str(error)
    if not good:
        raise VolumeError(f"{where}: none of {len(bad)} {what} can be used:\n{left_out.listed(bad)}")
    if bad:
        left_out.warn_of(where, bad, len(bad) + len(good), what, stacklevel + 1)
    return good


def marks_of(dataset: Dataset, said: Mapping[str, Any]) -> list[list[int]]:
    """What a case shows, a row for all of its slices or one for each."""
    if "slice_findings" in said:
        return [dataset.marks(names) for _, names in sorted(said["slice_findings"].items())]
    return [dataset.marks(said["findings"])]


def images_in(root: Path, dataset: Dataset | None = None) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every file and folder of DICOM slices that may be an image, or a label map of ``dataset``, which may be a folder
    of pictures.

    It is given by its path below the folder without suffix, as patterns have it, its path, and the folders around it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root.absolute()}; looked for a dataset there")
    suffixes = SLICE_SUFFIXES if dataset is None or dataset.unit == "slice" else ()
    maps = [labels for _, labels in _label_maps(dataset)] if dataset is not None else []
    of_pictures = [labels.pattern for labels in maps if labels.by == "slices"]
    for place, names in walk(root, expected_labels=dataset is None, with_labels=bool(maps)):
        folders = place.relative_to(root).parts
        may_be_dicom = folders and not all(map(volume_suffix, names)) and (dataset is None or dataset.unit == "volume")
        if may_be_dicom and is_dicom_folder(place):
            yield as_text("/".join(folders)), str(place), folders
        elif of_pictures and any(name.lower().endswith(PICTURES) for name in names):
            below = as_text("/".join(folders))
            if any(re.fullmatch(pattern, below) for pattern in of_pictures):
                yield below, str(place), folders
        for name in names:
            suffix = volume_suffix(name) or next((s for s in suffixes if name.lower().endswith(s)), None)
            if suffix:
                yield as_text("/".join([*folders, name[: -len(suffix)]])), str(place / name), folders


def _label_maps(dataset: Dataset) -> list[tuple[str | None, Labels]]:
    """The kinds of label maps of a dataset that are files, each with the modality whose own it is, None of all."""
    own = [(modality, images.labels) for modality, images in dataset.images.items()]
    return [(modality, labels) for modality, labels in [(None, dataset.labels), *own] if labels and labels.pattern]


def _put(known: dict[Any, str], key: Any, path: str, what: str) -> None:
    other = known.setdefault(key, path)
    if other != path:
        raise VolumeError(f"two files are {what}: {as_text(other)} and {as_text(path)}; rename or remove one")
