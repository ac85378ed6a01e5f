"""The abdomen out of a longer scan, by positions or by the lungs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SpatialCrop
from scipy import ndimage

from tools.io.readers import VolumeError
from tools.transforms.ct import BODY
from tools.transforms.squares import GRID_AFFINE, GRID_SHAPE

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 1

LUNG_FRACTION = 0.15
ABDOMEN_MM = (230.0, 40.0)
"""Extent of the abdomen below and above the lungs' lowest slice."""


class CropAxiald(MapTransform):
    """Keeps the slices of one part of the body, of a whole-body CT for instance.

    Args:
        keys: keys of CT in HU, [1, axial, H, W], from feet to head.
        axial_range: lowest and highest position in mm along the head-foot axis, or "abdomen" for `abdomen_slices`.

    Raises:
        ValueError: an unknown name, or a range that is empty.
        VolumeError: the volume has no slice in the range.
    """

    def __init__(
        self, keys: KeysCollection, axial_range: str | Sequence[float] = "abdomen", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        known = axial_range == "abdomen" if isinstance(axial_range, str) else axial_range[0] < axial_range[1]
        if not known:
            raise ValueError(f"axial_range is {axial_range!r}, expected 'abdomen' or (lowest, highest) in mm")
        self.axial_range = axial_range

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        for key in self.key_iterator(d):
            volume = d[key]
            step, origin = float(volume.affine[2, 0]), float(volume.affine[2, 3])
            count = volume.shape[1]
            if self.axial_range == "abdomen":
                first, last = abdomen_slices(np.asarray(volume[0]), step)
            else:
                low, high = self.axial_range
                first, last = (
                    max(0, math.ceil((low - origin) / step)),
                    min(count, math.floor((high - origin) / step) + 1),
                )
            if first >= last:
                name = str(volume.meta.get("filename_or_obj", "a CT"))
                raise VolumeError.of(
                    name,
                    f"it has no slice in {self.axial_range}; it lies between {origin:.0f} and "
                    f"{origin + (count - 1) * step:.0f} mm",
                )
            d[key] = SpatialCrop(roi_start=(first, 0, 0), roi_end=(last, *volume.shape[2:]))(volume)
            d[key].meta[GRID_SHAPE] = torch.tensor(d[key].shape[1:])
            d[key].meta[GRID_AFFINE] = d[key].affine.clone()
        return d


def abdomen_slices(hu: np.ndarray, slice_spacing: float) -> tuple[int, int]:
    """First slice of the abdomen and the one after its last, by the lungs.

    The lungs are the longest run of slices in which air fills more than 15 percent of the body's section; gas in the
    bowel seldom fills more than a few percent of it. CHAOS's CT begin with the lung bases and are 90 slices of 3 to
    3.2 mm high on average (Crespi et al., section 3), so the abdomen reaches from 40 mm above the lungs' lowest slice
    to 230 mm below it. Where there are no lungs the scan is taken to be an abdomen already, and nothing is cut off.

    Args:
        hu: [axial, H, W] from feet to head.
        slice_spacing: distance of neighbouring slices in mm.
    """
    filled = np.array([_air_in_body(section) for section in hu[:, ::2, ::2]])
    runs, count = ndimage.label(filled > LUNG_FRACTION)
    if count == 0:
        return 0, len(hu)
    longest = 1 + int(np.argmax(np.bincount(runs)[1:]))
    base = int(np.flatnonzero(runs == longest)[0])
    below, above = (round(mm / slice_spacing) for mm in ABDOMEN_MM)
    return max(0, base - below), min(len(hu), base + above)


def _air_in_body(section: np.ndarray) -> float:
    """Part of the body's section in an axial slice that is air."""
    parts, count = ndimage.label(section > BODY)
    if count == 0:
        return 0.0
    body = ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
    return float((section[body] <= BODY).mean())
