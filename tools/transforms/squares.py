"""Slices of any size to the squares that a translation network sees, and what it makes of them back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Orientation
from monai.transforms.utils import scale_affine
from monai.utils import MetaKeys, convert_to_tensor

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 2

GRID_SHAPE, GRID_AFFINE, GRID_SQUARE = "grid_shape", "grid_affine", "grid_square"
"""Metadata of a study: its first modality's grid, [axial, H, W], and the squares in its pixels before resizing."""

ORIGINAL_AFFINE = str(MetaKeys.ORIGINAL_AFFINE.value)


class SquareSlicesd(MapTransform):
    """Cuts squares of one size in mm out of the middle of slices, and resizes them.

    Squares that are larger than the slices are filled up with -1. The number of slices stays.

    Args:
        keys: keys of MetaTensors [channels, axial, H, W] in [-1, 1].
        image_size: side of the squares in pixels.
        field_of_view: side of the squares in mm; None takes the longer side of the slices.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_size: int,
        field_of_view: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if field_of_view is not None and field_of_view <= 0:
            raise ValueError(f"field_of_view is {field_of_view} mm, expected a positive length or None")
        self.image_size = image_size
        self.field_of_view = field_of_view

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key]
            plane, spacing = image.shape[2:], image.pixdim[1:].tolist()
            side_mm = self.field_of_view or max(n * mm for n, mm in zip(plane, spacing, strict=True))
            square = [max(1, round(side_mm / mm)) for mm in spacing]
            starts = _starts(square, plane)
            resized = to_squares(image.as_tensor(), square, self.image_size)
            shift = torch.eye(4, dtype=image.affine.dtype)
            shift[1:3, 3] = torch.tensor(starts)
            scale = scale_affine((image.shape[1], *square), resized.shape[1:])
            d[key] = image.clone()
            d[key].array = resized
            d[key].affine = image.affine @ shift @ torch.as_tensor(scale, dtype=image.affine.dtype)
            d[key].meta[GRID_SQUARE] = torch.tensor(square)
        return d


class ToSourceGridd(MapTransform):
    """Brings what was made of a study's slices back to the study's own voxels: the way back of `SquareSlicesd`.

    Args:
        keys: keys of predictions [channels, axial, S, S].
        source: key of the study that they were made from, as `mr_slices` or `ct_slices` left it.
        outside: value of voxels that lay outside the squares.
    """

    def __init__(
        self, keys: KeysCollection, source: str = "image", outside: float = -1, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.source = source
        self.outside = outside

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        meta = d[self.source].meta
        axial, *plane = (int(n) for n in meta[GRID_SHAPE])
        square = [int(n) for n in meta[GRID_SQUARE]]
        for key in self.key_iterator(d):
            made = convert_to_tensor(d[key], track_meta=False).float()
            if made.shape[1] != axial:
                raise ValueError(f"{key!r} has {made.shape[1]} slices and its source {axial}; they must correspond")
            made = from_squares(made, square, plane, self.outside)
            own = {k: meta[k] for k in ("filename_or_obj", ORIGINAL_AFFINE) if k in meta}
            d[key] = MetaTensor(made, affine=torch.as_tensor(meta[GRID_AFFINE]), meta=own)
        return d


class ToSourceAxesd(MapTransform):
    """Turns volumes so that their axes run as those of the file or image that they were made from.

    Args:
        keys: keys of volumes [channels, axial, H, W] from `ToSourceGridd`; they become [channels, x, y, z].
    """

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        for key in self.key_iterator(d):
            axes = nib.aff2axcodes(np.asarray(d[key].meta[ORIGINAL_AFFINE]))
            d[key] = Orientation(axcodes="".join(axes), labels=None)(d[key])
        return d


def to_squares(slices: torch.Tensor, square: Sequence[int], image_size: int) -> torch.Tensor:
    """The middle of slices [channels, axial, H, W] in [-1, 1], ``square`` pixels large, in ``image_size`` pixels."""
    return _resized(cut_squares(slices, square), (image_size, image_size))


def cut_squares(slices: torch.Tensor, square: Sequence[int], outside: float = -1) -> torch.Tensor:
    """The middle of slices [channels, axial, H, W], ``square`` pixels large, and ``outside`` beyond their edges."""
    for axis, start in enumerate(_starts(square, slices.shape[2:]), start=2):
        slices = _cut(slices, axis, start, square[axis - 2], outside)
    return slices


def from_squares(made: torch.Tensor, square: Sequence[int], plane: Sequence[int], outside: float = -1) -> torch.Tensor:
    """The way back of `to_squares`, to slices of ``plane`` pixels."""
    made = _resized(made, square)
    for axis, start in enumerate(_starts(square, plane), start=2):
        made = _cut(made, axis, -start, plane[axis - 2], outside)
    return made


def _starts(square: Sequence[int], plane: Sequence[int]) -> list[int]:
    """The first pixels of centred squares, negative where they are larger than the slices."""
    return [-((s - n) // 2) for s, n in zip(square, plane, strict=True)]


def _resized(slices: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Slices [channels, axial, H, W] in another size, within their own range of values.

    Cubic, and smoothed first where they shrink: there and back costs an abdominal CT half of the error in HU that
    linear interpolation and averaging cost it.
    """
    resized = F.interpolate(slices, tuple(size), mode="bicubic", antialias=True)
    return resized.clamp(slices.amin(), slices.amax())


def _cut(x: torch.Tensor, axis: int, start: int, size: int, outside: float = -1) -> torch.Tensor:
    """``size`` elements of an axis from ``start`` on, which may be negative; what lies outside is filled."""
    before, after = max(0, -start), max(0, start + size - x.shape[axis])
    padding = [0, 0] * (x.ndim - 1 - axis) + [before, after]
    return F.pad(x, padding, value=outside).narrow(axis, start + before, size)
