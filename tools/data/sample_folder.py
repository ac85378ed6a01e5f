"""All labelled samples of a folder, whatever its layout, in a store with a manifest, to be read from then on.

The files are those that a training from the original keeps in its `cache_dir`, see `tools.data.stored_samples`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.transforms import Compose

from tools.data.cases import cases_with, complete_items, label_of
from tools.data.found import Found, find
from tools.data.preprocessed import FORMAT, HU, MANIFEST, phantom_info, preprocessed_info
from tools.data.preprocessed_samples import CLASSES
from tools.data.stored_samples import SampleMaker
from tools.files import as_text, whole_file
from tools.io.volume import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.sample_volumes import sample_volumes
from tools.transforms.samples import sample_pictures, sample_slices

PERCENTILE = 99.5
"""Scale of images without a unit."""

GREY = (0.0, 255.0)
"""Window of pictures."""

BITS = {"volumes": 32, "slices": 16}
"""Kind of samples -> bits of a voxel where none are given, as trainings have them."""


@dataclass
class FoundSamples:
    """What of a folder becomes samples.

    Attributes:
        what: description of the folder for people.
        items: cases as `tools.transforms.samples` takes them.
        channels: channels of the samples.
        modality: "MR" or "CT", see `tools.transforms.samples.sample_slices`.
        classes: kind of the items' "class", one of `CLASSES`; None without it.
        folders: names of the folders around a case's first image, by its id.
        lacking: sentence on what it lacks, by the id of each other case.
        is_pictures: True for pictures, without place and unit.
        grey_values: values that stand for black and white, by name of each image of which the folder says them.
    """

    what: str
    items: list[dict[str, Any]]
    channels: Channels
    modality: str | None = None
    classes: str | None = None
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    is_pictures: bool = False
    grey_values: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def chain(self, kind: str, image_size: int | Sequence[int], field_of_view: float | None) -> Compose:
        """Transforms from an item to its sample, of a kind of `tools.data.preprocessed.SAMPLES`."""
        if kind == "volumes":
            if self.is_pictures:
                raise ValueError(f"kind is 'volumes', but the data are {self.what}; take 'slices'")
            size = [image_size] * 3 if isinstance(image_size, int) else image_size
            return sample_volumes(self.channels, size, self.modality)
        if self.is_pictures:
            return sample_pictures(self.channels, image_size)
        return sample_slices(self.channels, image_size, field_of_view, self.modality)


def find_samples(
    folder: Path,
    images: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
    modality: str | None = None,
    window: Sequence[float] | None = None,
    classes: str | None = None,
) -> FoundSamples:
    """The cases of a folder that have all that is asked for.

    Args:
        folder: dataset in a published layout, or in the Decathlon's or nnU-Net's, volumes and label maps under any
            names, or pictures.
        images: scale by name of each image, see `Channels`; all of the dataset's if None, CT in ``window`` and others
            by the grey values that the folder says, as that of samples does, or else by `PERCENTILE`. The one image of
            volumes under any names, and of pictures, may be given any name.
        labels: value by name of each class; those of the dataset if None, where some case has a label map.
        modality: "MR" or "CT"; the dataset's, if it has one, where None is given.
        window: lowest and highest HU.
        classes: one of `CLASSES` if each case must have them.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
        VolumeError: no case has all that is asked for.
        ValueError: the dataset has no such image, or an argument is none.
    """
    if classes not in (None, *CLASSES):
        raise ValueError(f"classes is {classes!r}, expected {' or '.join(map(repr, CLASSES))}, or nothing")
    found = find(folder)
    names = [*images] if images else [*found.images]
    kinds = {found.voxels.get(name) for name in names}
    modality = kinds.pop() if modality is None and len(kinds) == 1 else modality
    said = {} if found.dataset is None else found.dataset.images
    grey = {name: of.grey_values for name, of in said.items() if of.grey_values is not None}
    if found.is_pictures:
        scales = dict.fromkeys(names, GREY)
    else:
        low, high = HU if window is None else window
        unsaid = modality or (None if window is None else "CT")
        is_ct = {name: (found.voxels.get(name) or unsaid) == "CT" for name in names}
        if window is not None and not any(is_ct.values()):
            raise ValueError(f"window is {window}, but no image is CT; MR has no window of HU")
        scales = {name: (low, high) if is_ct[name] else grey.get(name, PERCENTILE) for name in names}
    if found.dataset is None or found.dataset.unit == "slice":
        chosen = _as_found(found, names, labels)
    else:
        chosen = _complete(found, folder, names, labels, classes)
    items, lacking, folders, has_labels = chosen
    if not items:
        raise VolumeError(
            f"{folder}: none of {len(lacking)} cases has {', '.join(names)}" + " and a label map" * has_labels + "; "
            "choose with --images and --labels, such as --images \"{'ct': [-160, 240]}\" or --labels '{}'"
        )
    own = found.classes if labels is None else labels
    channels = Channels(images or scales, own if has_labels else None)
    if found.dataset is not None and found.dataset.unit == "slice":
        classes = "findings" if all("class" in item for item in items) else None
    return FoundSamples(found.what, items, channels, modality, classes, folders, lacking, found.is_pictures, grey)


Chosen = tuple[list[dict[str, Any]], dict[str, str], dict[str, Sequence[str]], bool]


def _complete(
    found: Found, folder: Path, names: Sequence[str], labels: Mapping[str, Any] | None, classes: str | None
) -> Chosen:
    """Cases of a published dataset, as `case_datalist` has them."""
    dataset = found.dataset
    cases = cases_with(dataset, folder, names)
    labelled = labels != {} and any(label_of(dataset, case, names[0]) for case in cases)
    items, lacking = complete_items(dataset, cases, names, labelled, classes == "class", classes == "findings")
    return items, lacking, {case.id: case.folders for case in cases}, labelled


def _as_found(found: Found, names: Sequence[str], labels: Mapping[str, Any] | None) -> Chosen:
    """Slices with a patient in their headers, volumes under any names, pictures."""
    if len(names) != 1:
        raise ValueError(f"images has {', '.join(names)}, but the data, {found.what}, have one image each; name one")
    if found.dataset is not None:
        return found.items, {}, {}, False
    labelled = labels != {} and any("label" in item for item in found.items)
    items, lacking = [], {}
    for item in found.items:
        if labelled and "label" not in item:
            lacking[item["id"]] = "lacks a label map"
            continue
        image = item.get("image")
        items.append(item | ({"image": [*image.values()]} if isinstance(image, Mapping) else {}))
        items[-1]["subject"] = item["subject"] or item["id"]
    return items, lacking, {}, labelled


def fill(
    output: Path, source: Path, samples: FoundSamples, make: SampleMaker, settings: Mapping[str, Any], workers: int
) -> dict[str, str]:
    """Compute what is missing in the folder ``output``, with a manifest that says what is there.

    Args:
        output: folder of ``make``.
        source: folder of the originals.
        samples: cases that become samples.
        make: maker of ``samples``.
        settings: settings as the manifest records them.
        workers: number of volumes that are worked on at a time.

    Returns:
        reasons by id of the cases that cannot be used.
    """
    manifest: dict[str, Any] = {"format": FORMAT, **settings, "bits": make.bits, "classes": samples.classes}
    manifest |= {"digest": make.digest, "bad": {}, "complete": False}
    if (phantom := phantom_info(source)) is not None:
        manifest["phantom"] = phantom
    before = (preprocessed_info(output) or {"volumes": {}})["volumes"]
    _write(output, manifest | {"volumes": before})  # an interrupted run is told by it
    made = make.all(0 if workers == 1 else workers)
    bad = dict(samples.lacking)
    manifest["volumes"] = {}
    for index, (item, one) in enumerate(zip(samples.items, made, strict=True)):
        if isinstance(one, str):
            bad[item["id"]] = one
            continue
        manifest["volumes"][item["id"]] = {
            "image": make.name(index),
            "source": _source(item, source),
            "subject": item["subject"],
            "folders": [*map(as_text, samples.folders.get(item["id"], ()))],
        }
    if not manifest["volumes"]:
        return bad
    _write(output, manifest | {"bad": bad, "complete": True})
    return bad


def _source(item: Mapping[str, Any], source: Path) -> str:
    """Where the first image of an item lies below the folder of the originals."""
    first = item["slices"][0] if "slices" in item else item["image"]
    path = Path(first if isinstance(first, str) else first[0])
    return as_text(path.relative_to(source).as_posix()) if path.is_relative_to(source) else as_text(path.name)


def _write(output: Path, manifest: Mapping[str, Any]) -> None:
    with whole_file(output / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
