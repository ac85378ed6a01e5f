"""Reading, orientation and size: what every chain of preprocessing does, whatever the modality.

Volumes here are MetaTensors [1, axial, H, W], float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirstd, LoadImaged, MapTransform, Orientationd
from monai.transforms.utils import scale_affine
from monai.utils import convert_to_dst_type, convert_to_tensor

from tools.io.volume_reader import VolumeReader

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 1

THINNEST = 2
"""Fewest voxels along any axis of what is a volume, and not a single slice."""


def load_volume(as_stored: bool = False) -> list:
    """The transforms that every chain begins with: a path becomes a MetaTensor [1, axial, H, W].

    ``as_stored`` keeps the type of the file's numbers: the whole ones of CT take half the memory of float32, and half
    the time to pass over.

    Slices run from feet to head, rows from front to back and columns from the patient's right to left ("SPL"), so that
    `imshow` of a slice is upright and seen from the feet, as radiologists see it.
    """
    dtype = None if as_stored else np.float32
    return [
        LoadImaged(keys="image", reader=VolumeReader, dtype=dtype, axial_first=True, least=THINNEST),
        EnsureChannelFirstd(keys="image"),
        Orientationd(keys="image", axcodes="SPL", labels=None),
    ]


FIELD_OF_VIEW = "field_of_view_mm"
"""Key of the extent of an item's volume."""


class FieldOfViewd(MapTransform):
    """Adds what space a volume [1, axial, H, W] covers: "field_of_view_mm", float32 [3], in mm along its axes."""

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            d[FIELD_OF_VIEW] = (d[key].pixdim * torch.tensor(d[key].shape[1:])).float()
        return d


def checked_size(image_size: int) -> int:
    """`image_size` as an integer.

    Raises:
        ValueError: the size is not a positive whole number.
    """
    if image_size != int(image_size) or image_size < 1:
        raise ValueError(f"image_size is {image_size}, expected a number of voxels such as 64, 128 or 256")
    return int(image_size)


SLICES = 4  # that are worked on at a time: they stay in the processor's cache between one pass over them and the next


class ResizeVolumed(MapTransform):
    """Resizes [1, axial, H, W] to `spatial_size`: linear, and averaging where the volume shrinks, as the original's
    `skimage.transform.resize` does to keep detail from aliasing.

    MONAI's `Resized(anti_aliasing=True)` does not do: it pads with zeros, which in HU is water around the body, and
    takes half a minute for a chest CT where this takes half a second.
    """

    def __init__(
        self, keys: KeysCollection, spatial_size: Sequence[int] | int, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.spatial_size = (spatial_size,) * 3 if isinstance(spatial_size, int) else tuple(spatial_size)

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.resized(d[key])
        return d

    def resized(
        self, image: torch.Tensor, prepare: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """One volume [1, axial, H, W] in its new size.

        ``prepare`` is done first to a few slices at a time, [1, n, H, W], and gives floats of that shape: for what is
        done voxel by voxel this is faster than to do it to the volume, for large new memory costs more than such
        arithmetic.
        """
        old, (a, h, w) = tuple(image.shape[1:]), self.spatial_size
        voxels = convert_to_tensor(image, track_meta=False)
        # torch averages in 2D only: the slices first, then the axial direction with the slices unrolled
        slices = torch.empty(1, old[0], h, w, device=voxels.device)
        for part, place in zip(voxels.split(SLICES, dim=1), slices.split(SLICES, dim=1), strict=True):
            place.copy_(_resize2d(prepare(part) if prepare else part, (h, w)))
        made = _resize2d(slices.reshape(1, 1, old[0], h * w), (a, h * w)).reshape(1, a, h, w)
        result = convert_to_dst_type(made, image, dtype=made.dtype)[0]
        if isinstance(image, MetaTensor):
            step = torch.as_tensor(scale_affine(old, self.spatial_size), dtype=image.affine.dtype)
            result.affine = image.affine @ step
        return result


def _resize2d(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
