"""Samples of a folder that a bundle wrote: each case with its images, and its label map where there is one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tools.data.image_sets import ImageFile, find_images, pictures_apart, read_image
from tools.evaluation.units import unit_of
from tools.io.labelled_folder import DESCRIPTION
from tools.io.readers import VolumeError, volume_suffix
from tools.transforms.window import Window

SPACE = Window(-1024.0, 3071.0)
"""HU that CT can hold."""

BRIGHT = 99.9
"""Percentile of an image that is not CT which is shown white: single voxels may be brighter by far."""


@dataclass(frozen=True)
class Case:
    """One sample.

    Attributes:
        id: name of it, unique in its folder.
        images: files of its images by their names.
        label: file of its label map; None without one.
        classes: value by name of what the label map can hold, without background.
    """

    id: str
    images: Mapping[str, ImageFile]
    label: ImageFile | None = None
    classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """A case that was read, as float32 [D, H, W] from feet to head, front to back and right to left.

    Attributes:
        images: voxels of each image by its name, all of one shape.
        windows: lowest and highest value to show, by the image's name.
        hounsfield: True by the image's name where values are HU.
        label: classes uint8 of one shape with the images, or None.
        spacing: voxel size (D, H, W) in mm.
        reduced: number of voxels along each axis that one stands for.
    """

    images: dict[str, np.ndarray]
    windows: dict[str, Window]
    hounsfield: dict[str, bool]
    label: np.ndarray | None
    spacing: tuple[float, float, float]
    reduced: tuple[int, int, int] = (1, 1, 1)


def cases_of(folder: str | os.PathLike) -> list[Case]:
    """The samples in a folder: those that its `dataset.json` lists, or else every image that there is.

    Raises:
        FileNotFoundError: there is no such folder, or no sample in it.
    """
    folder = Path(folder)
    listing = folder / DESCRIPTION
    if not listing.is_file():
        return [Case(file.id, {"image": file}) for file in pictures_apart(find_images(folder), folder)]
    content = json.loads(listing.read_text(encoding="utf-8"))
    names = [name for _, name in sorted(content.get("channel_names", {}).items(), key=lambda item: int(item[0]))]
    classes = _classes(content.get("labels", {}))
    cases = []
    for one in content.get("training", []):
        images = one["image"] if isinstance(one["image"], list) else [one["image"]]
        files = [_file(folder, path) for path in images]
        known = names if len(names) == len(files) else [f"image {number}" for number in range(len(files))]
        label = _file(folder, one["label"]) if "label" in one else None
        name = re.sub(r"_\d{4}$", "", files[0].id) if label is None else label.id  # without the number of its channel
        cases.append(Case(name, dict(zip(known, files, strict=True)), label, classes))
    if not cases:
        raise FileNotFoundError(f"{listing} lists no case")
    return cases


def _classes(labels: Mapping[str, object]) -> dict[str, int]:
    """Value by name: nnU-Net lists names first, the Decathlon values, and background is the one of 0."""
    pairs = [(name, value) if isinstance(value, int) else (value, int(name)) for name, value in labels.items()]
    return {str(name): value for name, value in pairs if value}


def _file(folder: Path, path: str) -> ImageFile:
    name = Path(path).name
    suffix = volume_suffix(name)
    stem = name[: -len(suffix or Path(name).suffix) or None]
    return ImageFile(stem, str(folder / path), "volume" if suffix else "png")


def read_sample(case: Case, longest: int) -> Sample:
    """Read a sample, as small as the longest side says: images by means of blocks, label maps by their middle voxels.

    Args:
        case: sample to read.
        longest: number of voxels that a side has at the most.

    Raises:
        VolumeError: an image cannot be read or holds NaN, or shapes differ.
    """
    images, windows, hounsfield, shape, spacing = {}, {}, {}, None, None
    for name, file in case.images.items():
        volume, spacing = read_image(file)
        if not np.isfinite(volume).all():
            raise VolumeError.of(file.path, "it holds values that are no numbers (NaN)")
        images[name], shape = volume, _one_shape(file, volume, shape)
        windows[name], hounsfield[name] = window_of(volume)
    label = None
    if case.label is not None:
        label = read_image(case.label, is_label=True)[0]
        _one_shape(case.label, label, shape)
        label = np.rint(label).astype(np.uint8)
    steps = tuple(-(-n // longest) for n in shape)
    mm = tuple(float(a * b) for a, b in zip(spacing or (1.0, 1.0, 1.0), steps, strict=True))
    images = {name: block_means(volume, steps) for name, volume in images.items()}
    label = None if label is None else _middles(label, steps)
    return Sample(images, windows, hounsfield, label, mm, steps)


def window_of(volume: np.ndarray) -> tuple[Window, bool]:
    """Lowest and highest value to show of an image, and whether they are HU."""
    low, high = float(volume.min()), float(volume.max())
    unit = unit_of((low, high))
    if unit is not None and unit.name == "HU":
        low, high = max(low, SPACE.low), min(high, SPACE.high)
        return Window(low, max(high, low + 1)), True
    high = float(np.percentile(volume, BRIGHT))
    return Window(low, high if high > low else low + 1), False


def block_means(volume: np.ndarray, steps: tuple[int, int, int]) -> np.ndarray:
    """Means of blocks of so many voxels along each axis, float32; the last of an axis may be of fewer."""
    for axis, step in enumerate(steps):
        if step > 1:
            starts = np.arange(0, volume.shape[axis], step)
            counts = np.diff([*starts, volume.shape[axis]]).reshape([-1 if i == axis else 1 for i in range(3)])
            volume = np.add.reduceat(volume, starts, axis=axis) / counts
    return np.asarray(volume, np.float32)


def _middles(label: np.ndarray, steps: tuple[int, int, int]) -> np.ndarray:
    places = [np.minimum(np.arange(0, n, step) + step // 2, n - 1) for n, step in zip(label.shape, steps, strict=True)]
    return label[np.ix_(*places)]


def _one_shape(file: ImageFile, volume: np.ndarray, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape not in (None, volume.shape):
        raise VolumeError.of(file.path, f"it has {volume.shape} voxels, and the case's first image {shape}")
    return volume.shape
