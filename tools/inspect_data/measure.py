"""What is measured of every case: size, spacing, intensities, volumes of labels, and a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from monai.data import MetaTensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from tools.data.found import Found
from tools.io.volume import VolumeError
from tools.io.volume_reader import volume_header
from tools.transforms.channels import UNKNOWN, Channels
from tools.transforms.outlines import outlined
from tools.transforms.planes import grey, resized
from tools.transforms.samples import LoadPicturesd, LoadSampled

SAMPLE = 20_000
"""Voxels of an image whose intensities are looked at."""

SIDE = 192
"""Longer side of a picture in pixels."""


@dataclass
class CaseFacts:
    """What is known of a case.

    Attributes:
        id: name of the case.
        subject: name of its patient.
        section: "training", "validation" or "any".
        shape: columns, rows and slices.
        spacing: distances of voxels in mm along the same axes; empty for pictures.
        images: names of the images that it has.
        labelled: True where it has a label map.
        class_name: name of the class of the scan; "" without one.
        findings: finding -> number of slices that show it, or 1 where only the scan is said to; empty where nobody
            says.
        by_slice: True where the findings are said of slices.
        intensities: image -> values of a sample of its voxels, float32; empty where voxels were not read.
        millilitres: class -> volume, or pixels for pictures.
        picture: RGB [rows, columns, 3] of the slice with most of a label, or the middle; None where not read.
        reason: cause for which it cannot be used; "" if it can.
    """

    id: str
    subject: str
    section: str
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    images: tuple[str, ...] = ()
    labelled: bool = False
    class_name: str = ""
    findings: dict[str, int] = field(default_factory=dict)
    by_slice: bool = False
    intensities: dict[str, np.ndarray] = field(default_factory=dict)
    millilitres: dict[str, float] = field(default_factory=dict)
    picture: np.ndarray | None = None
    reason: str = ""


def measured(found: Found, most: int, num_workers: int = 0) -> list[CaseFacts]:
    """All cases by their headers, and ``most`` of them, evenly spread, by their voxels."""
    number = len(found.items)
    cases = _Cases(found, set(np.linspace(0, number - 1, min(most, number)).astype(int).tolist()))
    loader = DataLoader(cases, None, num_workers=num_workers, generator=torch.Generator())
    return list(tqdm(loader, desc="Cases", unit="case", leave=False, disable=None))


class _Cases(Dataset):
    def __init__(self, found: Found, read: set[int]) -> None:
        self.found, self.read = found, read

    def __len__(self) -> int:
        return len(self.found.items)

    def __getitem__(self, index: int) -> CaseFacts:
        item = self.found.items[index]
        names = tuple(item["image"]) if isinstance(item.get("image"), dict) else tuple(self.found.images)
        facts = CaseFacts(str(item["id"]), str(item["subject"]), item["section"], images=names)
        facts.labelled = "label" in item
        facts.class_name = item.get("class_name", "")
        if "class" in item:
            marks = [*item["class"].values()] if isinstance(item["class"], Mapping) else item["class"]
            facts.by_slice = isinstance(item["class"], Mapping) or len(marks) > 1
            facts.findings = dict(zip(self.found.dataset.findings, np.sum(marks, axis=0).tolist(), strict=True))
        try:
            if isinstance(item.get("image"), dict):
                header = volume_header(next(iter(item["image"].values())))
                facts.shape, facts.spacing = header.shape, _rounded(np.linalg.norm(header.affine[:3, :3], axis=0))
            if index in self.read:
                self._read(item, facts)
        except Exception as error:
            reason = VolumeError.behind(error)
            if reason is None:
                raise
            facts.reason = reason.reason
        return facts

    def _read(self, item: dict, facts: CaseFacts) -> None:
        channels = Channels(dict.fromkeys(facts.images, 99.5), self.found.classes)
        load = LoadPicturesd() if self.found.is_pictures else LoadSampled(channels)
        made = load(item)
        image: MetaTensor = made["image"]
        facts.shape = tuple(image.shape[:0:-1])
        spacing = image.pixdim.tolist()  # slices, rows, columns
        facts.spacing = () if self.found.is_pictures else _rounded(spacing[::-1])
        voxels = image.numpy()
        step = max(1, voxels[0].size // SAMPLE)
        facts.intensities = {
            name: one.ravel()[::step].astype(np.float32) for name, one in zip(facts.images, voxels, strict=True)
        }
        index = np.asarray(made["label"])[0] if facts.labelled else np.zeros(voxels.shape[1:], np.uint8)
        if facts.labelled:
            counts = np.bincount(index.ravel(), minlength=256)
            facts.millilitres = {
                name: round(float(counts[number] * math.prod(spacing) / 1000), 3)
                for number, (name, known) in enumerate(zip(self.found.classes, made["known"], strict=True), start=1)
                if known
            }
        index = np.where(index == UNKNOWN, 0, index)
        row = _row((index > 0).sum((1, 2)), made.get("class"))
        facts.picture = _picture(voxels[0], index, spacing[1:], self._window(facts), row)

    def _window(self, facts: CaseFacts) -> tuple[float, float] | None:
        """Of the first image: HU of the brain or the body, None by its own intensities."""
        if self.found.voxels.get(facts.images[0]) != "CT":
            return None
        return (-20.0, 100.0) if self.found.dataset.findings else (-200.0, 300.0)


def _row(labelled: np.ndarray, marks: np.ndarray | None) -> int:
    """The slice to show: that with most of a label, the middle one of those with most findings, or the middle."""
    if labelled.any() or marks is None or len(marks) != len(labelled):
        return int(labelled.argmax()) if labelled.any() else len(labelled) // 2
    most = np.flatnonzero(marks.sum(1) == marks.sum(1).max())
    return int(most[len(most) // 2])


def _picture(
    volume: np.ndarray, index: np.ndarray, spacing: list[float], window: tuple[float, float] | None, row: int
) -> np.ndarray:
    if window is None:
        low, high = np.percentile(volume[row], [0.5, 99.5])
        window = (float(low), float(max(high, low + 1e-6)))
    extent = np.array(volume.shape[1:]) * np.array(spacing)
    return outlined(resized(grey(volume[row], window), *(extent / extent.max() * SIDE)), index[row])


def _rounded(values: np.ndarray | list[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)
