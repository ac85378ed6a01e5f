"""Images of depth one: 2D images where volumes are expected, taken in at one door.

A 2D image [C, H, W] is a volume [C, 1, H, W] of one axial slice. Metrics, features, montages and reports pass what they
are given through `as_volume` and go by the depth from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from monai.data import MetaTensor

Image = TypeVar("Image", np.ndarray, torch.Tensor)


def as_volume(image: Image, name: str = "the image") -> Image:
    """An image with channels as a volume [C, D, H, W].

    Args:
        image: [C, D, H, W], which is returned as it is, or [C, H, W], which becomes [C, 1, H, W].
        name: name of the image in a message.

    Raises:
        ValueError: another number of axes, or an empty one.
    """
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise ValueError(
            f"{name} must be a volume [channels, depth, height, width] or an image [channels, height, width], got "
            f"shape {tuple(image.shape)}"
        )
    return image[:, None] if image.ndim == 3 else image


def is_flat(shape: Sequence[int]) -> bool:
    """Whether a volume of the shape [..., D, H, W] has one slice."""
    return shape[-3] == 1


def squeezed(volume: Image) -> Image:
    """A volume [D, H, W] as what it shows: [H, W] if it has one slice, else itself."""
    return volume[0] if is_flat(volume.shape) else volume


def spacing_of(image: np.ndarray | torch.Tensor) -> tuple[float, float, float] | None:
    """Voxel size (D, H, W) in mm of a MetaTensor with channels, 1 for the depth of a 2D image; None of other arrays."""
    if not isinstance(image, MetaTensor):
        return None
    sizes = [float(mm) for mm in image.pixdim]
    # a 2D image that was cut out of a volume may still have the volume's affine
    return tuple(sizes) if image.ndim == 4 else (1.0, *sizes[:2])
