"""Labels that are spheres: what is known of a lesion by its centre and diameter, and not by its outline."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from monai.data import MetaTensor

from tools.io.volume import VolumeError
from tools.io.volume_reader import volume_header
from tools.transforms.channels import Channels


def paint_spheres(
    shape: Sequence[int], affine: np.ndarray, spheres: Sequence[tuple[float, float, float, float]]
) -> np.ndarray:
    """Voxels of a grid whose centres lie in a sphere, distances in mm: uint8 of ``shape``, 1 inside.

    A sphere between the centres has the voxel nearest to its own, so that none is lost; else the volume of its voxels
    is right on average: pi / 6 times the cube of the diameter.

    Args:
        shape: voxels along the three axes.
        affine: 4x4, voxel index to mm in RAS.
        spheres: centre x, y, z and diameter of each in mm of RAS; those beyond the grid are cut off.
    """
    inside = np.zeros(shape, np.uint8)
    inverse = np.linalg.inv(affine)
    voxels_per_mm = np.linalg.norm(inverse[:3, :3], axis=1)
    for *centre, diameter in spheres:
        index = (inverse @ [*centre, 1])[:3]
        reach = voxels_per_mm * diameter / 2
        low = np.clip(np.floor(index - reach), 0, shape).astype(int)
        high = np.clip(np.ceil(index + reach) + 1, 0, shape).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        apart = np.indices(inside[box].shape).reshape(3, -1) + (low - index)[:, None]
        near = np.linalg.norm(affine[:3, :3] @ apart, axis=0) <= diameter / 2
        inside[box] |= near.reshape(inside[box].shape)
        nearest = np.rint(index).astype(int)
        if (nearest >= 0).all() and (nearest < shape).all():
            inside[tuple(nearest)] = 1
    return inside


def spheres_label(
    spheres: Sequence[tuple[float, float, float, float]],
    image: MetaTensor,
    channels: Channels,
    values: Mapping[str, int | Sequence[int]] | None = None,
) -> MetaTensor:
    """Class indices uint8 [1, ...] of spheres on the grid of an image [images, ...], see `paint_spheres`.

    Args:
        spheres: centre x, y, z and diameter of each in mm of RAS.
        image: image whose grid is taken.
        channels: channels that say which class has the value 1.
        values: values by name of the class where ``channels`` has others, see `Channels.indices`.
    """
    painted = paint_spheres(image.shape[1:], image.affine.numpy(), spheres)
    return MetaTensor(torch.from_numpy(channels.indices(painted, values))[None], affine=image.affine.clone())


def check_spheres(path: str | os.PathLike, spheres: Sequence[tuple[float, float, float, float]]) -> None:
    """Looks by the header of a volume whether the centres of spheres lie in it.

    Raises:
        VolumeError: one does not.
    """
    header = volume_header(path)
    for *centre, _ in spheres:
        index = (np.linalg.inv(header.affine) @ [*centre, 1])[:3]
        if not ((index >= -0.5) & (index <= np.array(header.shape) - 0.5)).all():
            found = ", ".join(f"{value:.1f}" for value in centre)
            raise VolumeError.of(
                path, f"a label at ({found}) mm in RAS lies outside; check whose it is and the signs of its coordinates"
            )
