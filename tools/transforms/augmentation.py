"""Ordinary augmentation of samples: images and labels moved alike, intensities changed in images alone."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms import Randomizable, Transform
from monai.utils import convert_to_tensor
from torch import Tensor


class RandomSamples(Randomizable, Transform):
    """Samples "image" [images, (D,) H, W] and "label" [1, (D,) H, W], moved, in another contrast and with noise.

    It does what MONAI's `RandFlipd`, `RandAffined`, `RandAdjustContrastd` and `RandGaussianNoised` do one after the
    other, in a third of their time: all images are resampled at once, in single precision. Images are moved linearly
    and labels by the nearest voxel, so that no class is made that was not there; beyond the edges both go on as they
    end.

    Args:
        image_size: (D,) H, W.
        mirror: True mirrors left for right (the last axis), in half of the samples whatever ``prob`` is.
        degrees: greatest turn in the slices' plane.
        scaling: greatest relative change of size, the same for all axes.
        shift: greatest shift along each axis, relative to its length.
        gamma: range of exponents of intensities, taken from a sample's least to its greatest value.
        noise: greatest standard deviation of Gaussian noise.
        prob: probability with which moving, contrast and noise are applied, each by itself.

    Raises:
        ValueError: `image_size` has not two or three lengths.

    Example::

        RandomSamples((256, 256)).set_random_state(0)({"image": image, "label": label})
    """

    def __init__(
        self,
        image_size: Sequence[int],
        mirror: bool = True,
        degrees: float = 10,
        scaling: float = 0.1,
        shift: float = 0.05,
        gamma: tuple[float, float] = (0.8, 1.25),
        noise: float = 0.02,
        prob: float = 0.5,
    ) -> None:
        if len(image_size) not in (2, 3):
            raise ValueError(f"image_size is {image_size}, expected two lengths of slices or three of volumes")
        self.image_size = tuple(image_size)
        self.mirror = mirror
        self.degrees = degrees
        self.scaling = scaling
        self.shift = shift
        self.gamma = gamma
        self.noise = noise
        self.prob = prob

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        image = convert_to_tensor(d["image"], track_meta=False)
        label = convert_to_tensor(d["label"], track_meta=False) if "label" in d else None
        if self.mirror and self.R.random() < 0.5:
            image = image.flip(-1)
            label = None if label is None else label.flip(-1)
        if self.R.random() < self.prob:
            image, label = moved(image, label, self.matrix())
        if self.R.random() < self.prob:
            image = contrasted(image, self.R.uniform(*self.gamma))
        if self.R.random() < self.prob:
            generator = torch.Generator(image.device).manual_seed(int(self.R.randint(2**31)))
            noise = torch.empty_like(image).normal_(0, self.R.uniform(0, self.noise), generator=generator)
            image = image + noise
        d["image"] = image
        return d if label is None else d | {"label": label}

    def matrix(self) -> np.ndarray:
        """Draw where each voxel of the moved sample comes from, in voxels from its middle: [axes, axes + 1]."""
        axes = len(self.image_size)
        turn = math.radians(self.R.uniform(-self.degrees, self.degrees))
        rotation = np.eye(axes)
        rotation[-2:, -2:] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        scale = 1 + self.R.uniform(-self.scaling, self.scaling)
        shift = self.R.uniform(-self.shift, self.shift, axes) * self.image_size
        return rotation @ np.column_stack([scale * np.eye(axes), shift])


def moved(image: Tensor, label: Tensor | None, matrix: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """Image [images, (D,) H, W] and label [1, (D,) H, W], resampled: value at p is that at ``matrix`` (p, 1).

    Args:
        matrix: [axes, axes + 1], for places from the middle in voxels, in the order of the axes.
    """
    half = np.array(image.shape[1:]) / 2
    # torch's grids run from -1 to 1 between the outer edges, and have the last axis first
    theta = np.column_stack([matrix[:, :-1] * half, matrix[:, -1]]) / half[:, None]
    theta = np.column_stack([theta[::-1, -2::-1], theta[::-1, -1]])
    theta = torch.as_tensor(theta, dtype=torch.float32, device=image.device)[None]
    grid = F.affine_grid(theta, [1, 1, *image.shape[1:]], align_corners=False)
    image = F.grid_sample(image[None].float(), grid, "bilinear", "border", align_corners=False)[0]
    if label is not None:
        nearest = F.grid_sample(label[None].float(), grid, "nearest", "border", align_corners=False)
        label = nearest[0].to(label.dtype)
    return image, label


def contrasted(image: Tensor, gamma: float) -> Tensor:
    """Intensities from the least to the greatest, as a share of their range, to the power ``gamma``."""
    low, high = image.aminmax()
    return ((image - low) / (high - low + 1e-7)).pow_(gamma).mul_(high - low).add_(low)
