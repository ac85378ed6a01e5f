"""Whole volumes together with their labels, as networks take them: `tools.transforms.samples` in three dimensions."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch import Tensor

from tools.transforms.channels import Channels
from tools.transforms.ct import ReplaceNaNd
from tools.transforms.samples import LoadSampled, ScaleImagesd
from tools.transforms.spatial import FieldOfViewd, ResizeVolumed, checked_size

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 1


def sample_volumes(channels: Channels, image_size: Sequence[int], modality: str | None = None) -> Compose:
    """From an item with paths, see `tools.transforms.samples`, to "image" [images, D, H, W] and "label" [1, D, H, W].

    A volume is resized as a whole, whatever its voxels: "field_of_view_mm" says what space it covers.

    Args:
        channels: channels of the sample.
        image_size: D, H and W, axial first.
        modality: "MR" or "CT"; a volume that is not so by its values or files is refused. None takes every volume.
    """
    cleaned = [ReplaceNaNd("image")] if modality == "CT" else []
    return Compose(
        [
            LoadSampled(channels, modality),
            *cleaned,
            FieldOfViewd("image"),
            ScaleImagesd(channels),
            ResizeSamplesd(image_size),
        ]
    )


class ResizeSamplesd(MapTransform):
    """Resize "image" [images, D, H, W] by `ResizeVolumed`, and "label" [1, D, H, W] so that no class is made.

    A voxel of a label gets the class that has the greatest share of it, by the weights with which images are resized;
    the lower index where two are alike. Both keep their place in space. What has the size already stays as it is.
    "class", said of slices [axial, ...], becomes that of the whole volume, the greatest, for each of its new slices.

    Args:
        image_size: D, H and W, axial first.

    Raises:
        ValueError: these are not three positive whole numbers.
    """

    def __init__(self, image_size: Sequence[int]) -> None:
        super().__init__(("image", "label"), allow_missing_keys=True)
        if not isinstance(image_size, list | tuple) or len(image_size) != 3:
            raise ValueError(f"image_size is {image_size!r}, expected three numbers of voxels: slices, rows, columns")
        self.image_size = tuple(checked_size(n) for n in image_size)
        self._resize = ResizeVolumed("image", self.image_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            given = d[key]
            if tuple(given.shape[1:]) == self.image_size:
                continue
            voxels = convert_to_tensor(given, track_meta=False)
            if key == "image":
                made = torch.cat([self._resize.resized(one[None]) for one in voxels])
            else:
                made = self._majority(voxels)
            d[key] = convert_to_dst_type(made, given, dtype=made.dtype)[0]
            if isinstance(given, MetaTensor):
                # one channel of it, for its affine alone
                d[key].affine = self._resize.resized(given[:1]).affine
        if "class" in d:
            whole = np.asarray(d["class"]).max(0, keepdims=True)
            d["class"] = np.repeat(whole, self.image_size[0], axis=0)
        return d

    def _majority(self, index: Tensor) -> Tensor:
        most = torch.full((1, *self.image_size), -1.0)
        winner = torch.zeros(most.shape, dtype=torch.uint8)
        for value in index.unique().tolist():
            share = self._resize.resized((index == value).float())
            winner = torch.where(share > most + 1e-6, torch.tensor(value, dtype=torch.uint8), winner)
            most = torch.maximum(most, share)
        return winner
