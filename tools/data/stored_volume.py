"""One labelled volume in files: its arrays, and the description that names them."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tools.files import whole_file

DTYPES = {8: np.uint8, 16: np.float16, 32: np.float32}
"""Bits of an image's voxel -> how it is kept: 256 grey values, float16 (steps of at most 1/2048 in [-1, 1]), or as it
was computed."""

Arrays = tuple[np.ndarray, np.ndarray | None]
"""Of a volume: its images [axial, images, H, W], and its label map [axial, H, W] or the images [axial, ...] that its
own are to become."""


@dataclass
class StoredVolume:
    """What is known of a stored volume besides its voxels; what is said of slices is in arrays [axial, ...]."""

    id: str
    subject: str
    shape: list[int]  # [axial, images, H, W]
    affine: list[list[float]] | None
    scale: list[list[float]]  # values of -1 and 1 of every image
    brightest: np.ndarray
    foreground: np.ndarray  # [axial, images], share of a square
    pixels: np.ndarray  # [axial, classes with background]
    known: list[bool] | None
    classes: np.ndarray | None  # as the dataset's table says
    field_of_view_mm: list[float] | None = None
    version: str = ""  # of what it was computed from
    files: dict[str, str] = field(default_factory=dict)  # "image" and "label" -> name of the array's file
    shapes: dict[str, list[int]] = field(default_factory=dict)  # of each
    checks: dict[str, int] = field(default_factory=dict)  # CRC-32 of each

    def __post_init__(self) -> None:
        self.brightest = np.asarray(self.brightest, np.float32)
        self.foreground = np.asarray(self.foreground, np.float32)
        self.pixels = np.asarray(self.pixels, np.int32)
        self.classes = None if self.classes is None else np.asarray(self.classes)

    def as_json(self) -> str:
        return json.dumps(vars(self), default=np.ndarray.tolist)


def write_volume(path: Path, stem: str, volume: StoredVolume, arrays: Arrays) -> None:
    """Write a volume; a former one goes when the new one is whole.

    Args:
        path: path of its description.
        stem: name of its arrays' files, without ending.
        volume: all but its voxels; files and checksums are filled in.
        arrays: its voxels.
    """
    for name, array in zip(("image", "label"), arrays, strict=True):
        if array is not None:
            volume.files[name] = f"{stem}.{name}.npy"
            volume.shapes[name], volume.checks[name] = list(array.shape), _crc(array)
            with whole_file(path.with_name(volume.files[name])) as partial:
                np.save(partial, array)
    before = named_files(path)
    with whole_file(path) as partial:  # from here on the new arrays count
        partial.write_text(volume.as_json())
    for name in before - {*volume.files.values()}:
        path.with_name(name).unlink(missing_ok=True)


def named_files(path: Path) -> set[str]:
    """Files that a description names; none where it is missing or damaged."""
    try:
        return {str(name) for name in json.loads(path.read_text())["files"].values()}
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return set()


def mapped(path: Path, verify: bool) -> tuple[StoredVolume, Arrays]:
    """A volume with its arrays, by its description; any of several errors if they are not as it says."""
    volume = StoredVolume(**json.loads(path.read_text()))
    image = _array(path, "image", volume, verify)
    return volume, (image, _array(path, "label", volume, verify) if "label" in volume.files else None)


def _array(path: Path, name: str, volume: StoredVolume, verify: bool) -> np.ndarray:
    array = np.load(path.with_name(volume.files[name]), mmap_mode="r")
    if list(array.shape) != volume.shapes[name]:
        raise ValueError(f"{name} has shape {array.shape}, expected {volume.shapes[name]}")
    if verify and _crc(array) != volume.checks[name]:
        raise ValueError(f"{name} has another checksum")
    return array


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    kept = np.rint((values + 1) * 127.5) if bits == 8 else values
    return np.ascontiguousarray(kept, DTYPES[bits])


def unpacked(stored: np.ndarray) -> torch.Tensor:
    """Voxels in [-1, 1], float32, of those that are kept."""
    values = torch.from_numpy(np.array(stored, order="C"))  # a copy: what is mapped cannot be written
    return values.float() / 127.5 - 1 if values.dtype == torch.uint8 else values.float()


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array))
