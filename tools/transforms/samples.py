"""From the files of a labelled sample to its channels on square slices, with all that the way back needs.

An item is `{"image": {name: path, ...} or [path, ...], "label": path, "known": [class, ...]}`; label and known may be
missing. "label_by" says of a label that its header does not tell where it lies: "voxels" that it has the voxels of the
first image, columns, rows, and slices from the feet up; "slices" that it is a folder of pictures, one for each DICOM
slice of the first image, see `tools.io.label_slices`; "spheres" that it is no file but [(x, y, z, diameter), ...] in mm
of RAS, whose voxels have the value 1. "label_values", {class: value, or values}, are those of this
label where they differ from those of the sample's `Channels`. Instead of an image there may be "slices": [path, ...] of
DICOM, and "class" for all slices, for each, or by the name of its file. In between there is a MetaTensor "image"
[images, axial, H, W] in [-1, 1] and one "label" [1, axial, H, W] of class indices: slices from feet to head, rows from
front to back, columns from the patient's right to left.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    LoadImage,
    MapTransform,
    Orientation,
    ResampleToMatch,
)
from monai.utils import convert_to_tensor
from torch import Tensor

from tools.io.dicom_scan import read_scan
from tools.io.label_slices import read_label_slices
from tools.io.pictures import read_pictures
from tools.io.readers import VolumeError
from tools.io.volume_reader import VolumeReader, volume_header
from tools.transforms.channels import UNKNOWN, Channels, scaled
from tools.transforms.ct import ReplaceNaNd
from tools.transforms.slices import BACKGROUND, GRID_TOLERANCE, LoadStudyd, corner_distance
from tools.transforms.spatial import checked_size
from tools.transforms.spheres import spheres_label
from tools.transforms.squares import GRID_SQUARE, SquareSlicesd, cut_squares

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 1

SCALE = "scale"
"""Metadata of a sample: values of -1 and 1 of every image, in its own unit, [images, 2]."""


def sample_slices(
    channels: Channels, image_size: int, field_of_view: float | None = None, modality: str | None = None
) -> Compose:
    """From an item with paths to square slices of `image_size` pixels; items of pictures are as for `LoadPicturesd`.

    Args:
        channels: channels of the sample.
        image_size: side of the squares in pixels.
        field_of_view: side of the squares in mm; None takes the longer side of the slices. 256 pads BraTS's 240 pixels
            of 1 mm to 256.
        modality: "MR" or "CT"; a volume that is not so by its values or files is refused. None takes every volume.
    """
    cleaned = [ReplaceNaNd("image")] if modality == "CT" else []
    return Compose(
        [
            LoadSampled(channels, modality),
            *cleaned,
            CountForegroundd(),
            ScaleImagesd(channels),
            SquareSamplesd(image_size, field_of_view),
        ]
    )


class LoadSampled(MapTransform):
    """Paths of co-registered images and of their label -> "image" and "label" on the grid of the first image.

    Args:
        channels: channels whose images are read, in their order, and whose classes the label's values become.
        modality: "MR" or "CT", see `sample_slices`.

    Raises:
        VolumeError: a file cannot be used, an image that `channels` names is not in the item, the label holds other
            than whole numbers, or covers less than half of the image's slices.
    """

    def __init__(self, channels: Channels, modality: str | None = None) -> None:
        super().__init__(("image", "label"), allow_missing_keys=True)
        self.channels = channels
        self.modality = modality

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        if "names" in d:
            return LoadPicturesd()(d)
        paths, affine, files = self._sources(d)
        study = LoadStudyd("image", BACKGROUND[self.modality or "MR"], self.modality)
        image = d["image"] = study({"image": paths})["image"]
        if "class" in d:
            d["class"] = self._of_slices(d["class"], affine, files, len(image[0]))
        if self.channels.labels:
            d["label"] = self._read_label(d, image, paths[0])
            d["known"] = self.channels.known(d.get("known"))
        return d

    def _sources(self, item: Mapping[Hashable, Any]) -> tuple[list, np.ndarray, list[Path]]:
        """Paths, or an image in memory, the affine of the first, and its slices' files where they come one by one."""
        if "slices" not in item:
            paths = self._paths(item)
            return paths, volume_header(paths[0]).affine, []
        voxels, affine, files = read_scan(item["slices"])
        image = MetaTensor(torch.from_numpy(voxels), affine=torch.from_numpy(affine))
        return [image], affine, files

    def _of_slices(self, given: Any, affine: np.ndarray, files: Sequence[Path], number: int) -> np.ndarray:
        """Classes of slices from the feet up, from one for all, one for each in the order of the file, or by name."""
        if isinstance(given, Mapping):
            given = [given[file.name] for file in files]
        classes = np.asarray(given)
        if classes.ndim == 0 or (classes.ndim == 2 and len(classes) == 1):
            return np.repeat(classes.reshape(1, *classes.shape[1:]), number, axis=0)
        axial = int(np.abs(affine[2, :3]).argmax())
        return classes[::-1].copy() if affine[2, axial] < 0 else classes

    def _paths(self, item: Mapping[Hashable, Any]) -> list:
        given = item["image"]
        if isinstance(given, Mapping):
            missing = [name for name in self.channels.images if name not in given]
            if missing:
                raise VolumeError.of(
                    str(item.get("id", "a sample")),
                    f"it has no {', '.join(missing)}; it has {', '.join(given) or 'nothing'}",
                )
            return [given[name] for name in self.channels.images]
        paths = list(given) if isinstance(given, list | tuple) else [given]
        if len(paths) != self.channels.num_images:
            raise VolumeError.of(
                str(item.get("id", paths[0])),
                f"it has {len(paths)} images, expected {self.channels.num_images}: {', '.join(self.channels.images)}",
            )
        return paths

    def _read_label(self, item: Mapping[Hashable, Any], image: MetaTensor, source: Any) -> MetaTensor:
        path = item.get("label")
        if path is None:
            index = np.full((1, *image.shape[1:]), UNKNOWN, np.uint8)  # nobody has looked
            return MetaTensor(torch.from_numpy(index), affine=image.affine.clone())
        if item.get("label_by") == "spheres":
            return spheres_label(path, image, self.channels, item.get("label_values"))
        if item.get("label_by") == "slices":
            pictures, affine = read_label_slices(path, source)
            stored = MetaTensor(torch.from_numpy(pictures)[None], affine=torch.from_numpy(affine))
        else:
            stored = LoadImage(reader=VolumeReader, ensure_channel_first=True)(path)
        by_voxels = item.get("label_by") == "voxels"
        values = stored.permute(0, 3, 2, 1) if by_voxels else Orientation("SPL", labels=None)(stored)
        try:
            index = torch.from_numpy(self.channels.indices(values.numpy(), item.get("label_values")))
        except ValueError as error:
            raise VolumeError.of(str(path), f"it is taken for a label map, but {error}") from error
        if by_voxels:
            if index.shape[1:] != image.shape[1:]:
                raise VolumeError.of(
                    str(path), f"it has {tuple(stored.shape[1:])} voxels, and its image {tuple(image.shape[:0:-1])}"
                )
            return MetaTensor(index, affine=image.affine.clone())
        label = MetaTensor(index, affine=values.affine)
        if label.shape[1:] == image.shape[1:] and corner_distance(label, image) < GRID_TOLERANCE:
            return label
        match = ResampleToMatch(mode="nearest", padding_mode="zeros", dtype=torch.float64)
        covered = match(MetaTensor(torch.ones(label.shape), affine=label.affine), img_dst=image[:1])
        if (covered.amax((0, 2, 3)) > 0.5).float().mean() < 0.5:
            raise VolumeError.of(str(path), "it covers less than half of the slices of its image, in mm of the patient")
        moved = match(MetaTensor(index.float(), affine=label.affine), img_dst=image[:1]).as_tensor()
        moved = moved.round().to(torch.uint8).masked_fill(covered.as_tensor() < 0.5, 0)
        return MetaTensor(moved, affine=image.affine.clone())


class CountForegroundd(MapTransform):
    """Count the pixels of every slice that are brighter than the mean of the whole volume: "foreground".

    It is what Eklund's preparation of BraTS asks of a slice: more than 15% of it brighter than T1's mean. Counts are
    float32 [images, axial], in pixels of the files.
    """

    def __init__(self, keys: KeysCollection = "image") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key].as_tensor().double()
            d["foreground"] = (image > image.mean((1, 2, 3), keepdim=True)).sum((2, 3)).float()
        return d


class ScaleImagesd(MapTransform):
    """Every image to [-1, 1] by its own scale; what -1 and 1 were is kept in the metadata, see `SCALE`.

    Raises:
        VolumeError: an image has NaN, or one value everywhere.
    """

    def __init__(self, channels: Channels, keys: KeysCollection = "image") -> None:
        super().__init__(keys)
        self.channels = channels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key].clone()
            values, ends = [], []
            for (name, scale), volume in zip(self.channels.images.items(), image.numpy(), strict=True):
                try:
                    one, of = scaled(volume, scale)
                except ValueError as error:
                    path = image.meta.get("filename_or_obj", d.get("id", "a sample"))
                    raise VolumeError.of(str(path), f"{name}: {error}") from error
                values.append(one)
                ends.append(of)
            image.array = torch.from_numpy(np.stack(values))
            image.meta[SCALE] = torch.tensor(ends, dtype=torch.float64)
            d[key] = image
        return d


class SquareSamplesd(MapTransform):
    """Squares of image and label alike, by `SquareSlicesd`: each pixel of a label gets the class that fills most of it.

    "foreground", counts of pixels, becomes the share of a square.

    Args:
        image_size: side of the squares in pixels.
        field_of_view: side of the squares in mm; None takes the longer side of the slices.
    """

    def __init__(self, image_size: int, field_of_view: float | None = None) -> None:
        super().__init__(("image", "label", "foreground"), allow_missing_keys=True)
        self.image_size = checked_size(image_size)
        self.field_of_view = field_of_view
        self._squares = SquareSlicesd("image", image_size, field_of_view)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = self._squares(data)
        square = [int(n) for n in d["image"].meta[GRID_SQUARE]]
        if "foreground" in d:
            d["foreground"] = d["foreground"] / (square[0] * square[1])
        if "label" in d:
            label = convert_to_tensor(d["label"], track_meta=False)
            d["label"] = majority(cut_squares(label, square, outside=0), (self.image_size, self.image_size))
        return d


def majority(index: Tensor, size: Sequence[int]) -> Tensor:
    """Class indices uint8 [1, axial, H, W] in another size: the class that covers most of a pixel, none in between.

    Where two cover the same the lower index wins; `UNKNOWN` is a class like any other here.
    """
    if tuple(index.shape[2:]) == tuple(size):
        return index
    most = torch.full((*index.shape[:2], *size), -1.0)
    winner = torch.zeros(most.shape, dtype=torch.uint8)
    for value in index.unique().tolist():
        inside = index == value
        there = inside[0].flatten(1).any(1)  # an organ is in few of a volume's slices; in others its share is 0
        share = F.interpolate(inside[:, there].float(), tuple(size), mode="bilinear", antialias=True)
        more = share > most[:, there] + 1e-6
        winner[:, there] = winner[:, there].masked_fill(more, value)
        most[:, there] = torch.maximum(most[:, there], share)
    return winner


class LoadPicturesd(MapTransform):
    """Pictures, which have no place and no unit, as a sample's "image" [1, pictures, H, W] of grey values.

    An item is `{"image": zip or folder, "names": [name, ...]}`, see `tools.io.pictures`.

    Raises:
        VolumeError: a picture cannot be read.
    """

    def __init__(self) -> None:
        super().__init__("image")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        grey = read_pictures(d["image"], d["names"]).astype(np.float32)
        d["image"] = MetaTensor(torch.from_numpy(grey)[None], meta={"filename_or_obj": str(d["image"])})
        return d


def sample_pictures(channels: Channels, image_size: int) -> Compose:
    """From pictures to squares of `image_size` pixels, as `sample_slices` does it from volumes; without labels."""
    return Compose(
        [LoadPicturesd(), CountForegroundd(), ScaleImagesd(channels), SquareSamplesd(checked_size(image_size))]
    )
