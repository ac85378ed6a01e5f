"""Cubes around given places, such as the nodules of a chest CT, with spheres as labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, Pad, SpatialCrop, SpatialResample

from tools.io.readers import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.ct import PADDING, ReplaceNaNd
from tools.transforms.samples import LoadSampled, ScaleImagesd
from tools.transforms.spatial import checked_size
from tools.transforms.spheres import spheres_label

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 1


def nodule_crops(channels: Channels, size: int = 32, spacing: float | Sequence[float] | None = None) -> Compose:
    """From an item of `tools.data.nodules.nodule_datalist` to a cube around its nodule.

    "image" is [1, size, size, size] in [-1, 1], "label" [1, size, size, size] of class indices, in which every nodule
    of the scan that reaches into the cube is a sphere of its diameter, and not its outline; "known" bool [classes]. The
    whole scan is read for each cube, so keep them, by `tools.data.cache.cached_dataset` or MONAI's `CacheDataset`.

    Args:
        channels: channels of a sample, one CT image and the class "nodule".
        size: voxels a side; 32 are those of Bu et al. (Int J Imaging Syst Technol 31(2):670-681, 2021).
        spacing: side of a voxel in mm, or three of them for slices, rows and columns; None takes the scan's voxels.
    """
    return Compose(
        [
            LoadSampled(Channels(channels.images), "CT"),
            ReplaceNaNd("image"),
            CropCubed("image", size, spacing),
            PaintSpheresd(channels),
            ScaleImagesd(channels),
        ]
    )


class CropCubed(MapTransform):
    """A cube of volumes [C, axial, H, W] around an item's "centre", x, y, z in mm of RAS.

    In the scan's own voxels the one nearest to the centre is that with the index ``size // 2``. In given mm the centre
    of the cube is exactly there; values are interpolated linearly, the scan's axes stay. Outside of the scan there is
    one value, between which and the scan's last voxels is interpolated too.

    Args:
        keys: keys of volumes.
        size: voxels a side.
        spacing: side of a voxel in mm, one or three (slices, rows, columns); None takes the scan's voxels.
        outside: value where there is no scan, -1024 HU in CT.

    Raises:
        VolumeError: the centre lies outside of the volume.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int,
        spacing: float | Sequence[float] | None = None,
        outside: float = PADDING,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.size = checked_size(size)
        self.outside = float(outside)
        self.spacing = None if spacing is None else tuple(np.broadcast_to(np.asarray(spacing, float), 3).tolist())
        if self.spacing is not None and not min(self.spacing) > 0:
            raise ValueError(f"spacing is {spacing}, expected one number of mm above 0, or three")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self._cropped(d[key], np.asarray(d["centre"], float))
        return d

    def _cropped(self, image: MetaTensor, centre: np.ndarray) -> MetaTensor:
        affine = image.affine.numpy()
        index = np.linalg.solve(affine, [*centre, 1])[:3]
        if ((index < -0.5) | (index > np.array(image.shape[1:]) - 0.5)).any():
            name = str(image.meta.get("filename_or_obj", "a volume"))
            raise VolumeError.of(name, f"the centre {centre.tolist()} mm of RAS lies outside of it")
        if self.spacing is None:
            start = np.rint(index).astype(int) - self.size // 2
            return self._box(image, start, start + self.size)
        grid = np.eye(4)
        grid[:3, :3] = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0) * self.spacing
        grid[:3, 3] = centre - grid[:3, :3] @ np.full(3, (self.size - 1) / 2)
        corners = np.linalg.solve(affine, grid @ np.array([[0, self.size - 1]] * 3 + [[1, 1]]))[:3]
        # a voxel more on each side, for those of the cube between two of the scan
        around = self._box(image, np.floor(corners.min(1)).astype(int) - 1, np.ceil(corners.max(1)).astype(int) + 2)
        resample = SpatialResample(mode="bilinear", padding_mode="border", dtype=np.float64)
        return resample(around, dst_affine=grid, spatial_size=(self.size,) * 3).float()

    def _box(self, image: MetaTensor, low: np.ndarray, high: np.ndarray) -> MetaTensor:
        """Voxels from index ``low`` to before ``high``, which may lie outside."""
        first, last = (np.clip(end, 0, image.shape[1:]) for end in (low, high))
        beside = [(0, 0), *zip((first - low).tolist(), (high - last).tolist(), strict=True)]
        return Pad(beside, mode="constant", value=self.outside)(SpatialCrop(roi_start=first, roi_end=last)(image))


class PaintSpheresd(MapTransform):
    """Spheres, "label" of an item, become a label map [1, ...] of class indices on the grid of "image".

    "known" becomes bool [classes].

    Args:
        channels: channels whose classes are meant.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__("label")
        self.channels = channels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d["label"] = spheres_label(d["label"], d["image"], self.channels, d.get("label_values"))
        d["known"] = self.channels.known(d.get("known"))
        return d
