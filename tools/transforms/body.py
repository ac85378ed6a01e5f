"""Where in a CT the patient is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from tools.transforms.ct import BODY, PADDING

TABLE_MM = 5.0
"""Shells of tables, sheets and tubes are thinner than this, twice."""

CROPPED = 0.25
"""Part of the slices' border that a body covers only where the volume was cut out of it."""

LIMB = 0.1
"""Parts of at least this much of the largest are limbs or the like, and of the body."""


def body_mask(hu: np.ndarray, thin: int = 1) -> np.ndarray:
    """The body, lungs and gas included: what is denser than -500 HU, filled slice by slice.

    Tables are left out: they are thin, or apart from the body and small.

    Args:
        hu: [axial, H, W].
        thin: structures of up to twice as many pixels across, in slices, are no body.

    Returns:
        bool [axial, H, W].

    Raises:
        ValueError: nothing so thick is denser than -500 HU; are these HU?
    """
    square = np.ones((1, 3, 3))
    dense = ndimage.binary_opening(hu > BODY, structure=square, iterations=thin)
    parts, count = ndimage.label(dense)
    if count == 0:
        raise ValueError(
            f"nothing in the volume that is as thick as a body is denser than {BODY:g} HU (values from {hu.min():g} to "
            f"{hu.max():g})"
        )
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = (sizes >= LIMB * sizes.max())[parts]
    return np.stack([ndimage.binary_fill_holes(section) for section in kept])


class ClearOutsideBodyd(MapTransform):
    """Sets what is outside of the body to air: table, mattress, sheets, tubes.

    MR shows no table, so a network that is to learn CT from unpaired MR would have to invent it. A rim of
    `TABLE_MM` around the body's smoothed outline is kept, so that no skin is lost.

    Args:
        keys: keys of CT in HU, [1, axial, H, W].

    Left as they are: a volume in which nothing that is as thick as a body is denser than -500 HU, and one that was cut
    out of a body, whose lungs may be open to the border and then look like air around it.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        for key in self.key_iterator(d):
            volume = d[key]
            hu = np.asarray(volume[0])
            pixel = float(min(volume.pixdim[1:])) if isinstance(volume, MetaTensor) else 1.0
            thin = max(1, round(TABLE_MM / pixel))
            try:
                body = body_mask(hu, thin)
            except ValueError:
                continue
            if _border(body).mean() > CROPPED:
                continue
            body = ndimage.binary_dilation(body, structure=np.ones((1, 3, 3)), iterations=thin)
            d[key] = volume.clone()
            d[key][0][~torch.from_numpy(body)] = PADDING
        return d


def _border(slices: np.ndarray) -> np.ndarray:
    """The outermost pixels of slices [axial, H, W]."""
    return np.concatenate([slices[:, 0], slices[:, -1], slices[:, :, 0], slices[:, :, -1]], axis=1)
