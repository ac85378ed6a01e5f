"""What slices are taken from: volumes or scans of a dataset, a folder in another layout, or pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tools.data.cases import case_datalist, recognise
from tools.data.scans import scan_datalist
from tools.datasets.record import Dataset
from tools.datasets.splitting import check_section
from tools.io.pictures import PICTURES, picture_names
from tools.transforms.channels import Channels

TOGETHER = 500
"""Pictures of one item, and most that are held out: they have no patient that could tell them apart."""


def slice_datalist(
    dataset: Dataset, folder: str | os.PathLike, section: str, channels: Channels, findings: bool = False
) -> list[dict[str, Any]]:
    """Datalist of one section for a `tools.data.sample_store.SampleStore`; a patient's slices lie on one side.

    The folder may be another dataset that is recognised, with images and classes of the same names, whatever the values
    in its label files: BraTS of 2023 for that of 2020, or a folder that `dataset.json` describes. Of pictures, in a zip
    or a folder, the last tenth in alphabetical order, at most 500, is for validation.

    Args:
        dataset: record of the dataset that the folder should hold.
        folder: folder of the dataset, or a zip of pictures.
        section: "training" or "validation".
        channels: channels of a sample: cases without one of its images, or without a label map where it has labels, are
            left out with a warning.
        findings: True for items with "class", what a table says that they show.

    Raises:
        FileNotFoundError: there is no such folder, or nothing of the dataset in it.
        VolumeError: no case is complete.
        ValueError: another section, or labels are asked of pictures.
    """
    check_section(section)
    root = Path(folder)
    if _is_pictures(root):
        if channels.labels:
            raise ValueError(
                f"{folder} holds pictures, which have no labels; give --labels {{}}, or volumes with labels"
            )
        return _picture_datalist(root, section)
    source = _source(dataset, root, channels)
    if source.unit == "slice":
        return scan_datalist(source, folder, section)
    labelled = bool(channels.labels)
    items = case_datalist(source, folder, section, [*channels.images], labelled=labelled, findings=findings)
    if labelled and source is not dataset and source.labels:
        items = [{"label_values": dict(source.labels.classes), **item} for item in items]
    return items


def _source(dataset: Dataset, root: Path, channels: Channels) -> Dataset:
    """The record of what is there, if that has all images and some of the classes; else the one that was expected."""
    known = recognise(root) if root.is_dir() else None
    if known is None or not channels.images.keys() <= known.images.keys():
        return dataset
    if channels.labels and not channels.labels.keys() & known.classes_of_labels.keys():
        return dataset
    return dataset if known.name == dataset.name else known


def _is_pictures(root: Path) -> bool:
    if root.is_file():
        return root.suffix.lower() == ".zip"
    return any(path.suffix.lower() in PICTURES for path in root.glob("*"))


def _picture_datalist(root: Path, section: str) -> list[dict[str, Any]]:
    names = picture_names(root)
    held_out = min(TOGETHER, max(1, len(names) // 10))
    names = names[-held_out:] if section == "validation" else names[:-held_out]
    parts = [names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER)]
    return [{"id": f"{part[0]} to {part[-1]}", "subject": "", "image": str(root), "names": part} for part in parts]
