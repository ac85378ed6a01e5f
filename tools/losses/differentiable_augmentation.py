"""Augmentation through which a generator learns: DiffAugment, by kinds of channels.

Zhao S, Liu Z, Lin J, Zhu JY, Han S. Differentiable augmentation for data-efficient GAN training. NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

NUMBERS = {"color": 2, "translation": 2, "cutout": 2}
"""Random numbers that each kind of change takes of an image; of its colour, of each of its channels."""


class DifferentiableAugmentation:
    """The same kinds of random changes for real and generated images, before D sees them.

    | kind | change | to |
    |---|---|---|
    | color | + U(-1/2, 1/2); distances from the channel's mean times U(1/2, 3/2) | each image channel by itself |
    | translation | by up to 1/8 of the side in whole pixels, zeros come in | all channels alike |
    | cutout | a square of half the side, its centre anywhere, becomes 0 | all channels alike |

    "color" leaves out the change of saturation of photographs: it is none of one channel, and would mix modalities and
    labels. Labels keep their values. 0 is the middle of a window, and of a label neither in nor out.

    Args:
        kinds: kinds of changes, in their order; none for no change at all.
        is_label: bool for each channel, see `tools.transforms.channels.Channels.is_label`; None for images alone.
        brightness: greatest change that is added, 1/2 in the paper: a quarter of a window of HU is much.
        contrast: greatest relative change of contrast, 1/2 in the paper.
        shift: greatest translation, relative to the side.

    Raises:
        ValueError: a kind is unknown.
    """

    def __init__(
        self,
        kinds: Sequence[str] = ("color", "translation"),
        is_label: Tensor | None = None,
        brightness: float = 0.5,
        contrast: float = 0.5,
        shift: float = 0.125,
    ) -> None:
        if not set(kinds) <= NUMBERS.keys():
            raise ValueError(f"kinds are {list(kinds)}, expected some of {list(NUMBERS)}")
        self.kinds = tuple(kinds)
        self.is_label = is_label
        self.brightness = brightness
        self.contrast = contrast
        self.shift = shift

    def numbers(self, channels: int) -> int:
        """Number of random numbers that an image of so many channels takes."""
        return sum(NUMBERS[kind] * (channels if kind == "color" else 1) for kind in self.kinds)

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Change each image by its own random numbers: the same numbers are the same change at any resolution.

        Args:
            images: [B, channels, H, W] in [-1, 1].
            uniforms: uniform in [0, 1), [B, ``numbers(channels)``], on the images' device.

        Returns:
            [B, channels, H, W], which may leave [-1, 1].
        """
        taken = 0
        for kind in self.kinds:
            number = NUMBERS[kind] * (images.shape[1] if kind == "color" else 1)
            own = uniforms[:, taken : taken + number].to(images.dtype)
            taken += number
            if kind == "color":
                images = self.change_intensities(images, own.view(len(images), images.shape[1], 2))
            elif kind == "translation":
                images = translated(images, (2 * own - 1) * self.shift)
            else:
                images = cut_out(images, own)
        return images

    def change_intensities(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Brightness and contrast of image channels, by uniform numbers [B, channels, 2]."""
        added, stretched = (2 * uniforms - 1)[..., None, None].unbind(2)
        changed = images + self.brightness * added
        mean = changed.mean((2, 3), keepdim=True)
        changed = (changed - mean) * (1 + self.contrast * stretched) + mean
        if self.is_label is None:
            return changed
        return torch.where(self.is_label.to(images.device).view(1, -1, 1, 1), images, changed)


def translated(images: Tensor, shares: Tensor) -> Tensor:
    """Images [B, C, H, W] moved down and right by shares [B, 2] of H and W, to whole pixels; zeros come in."""
    for axis in (0, 1):
        size = images.shape[2 + axis]
        source = torch.arange(size, device=images.device) - (shares[:, axis : axis + 1] * size).round().long()
        inside = (source >= 0) & (source < size)
        shape = [len(images), 1, size, 1] if axis == 0 else [len(images), 1, 1, size]
        index = source.clamp(0, size - 1).view(shape).expand(images.shape)
        images = images.gather(2 + axis, index) * inside.view(shape)
    return images


def cut_out(images: Tensor, centres: Tensor) -> Tensor:
    """Images [B, C, H, W] with 0 in a square of half their side around centres [B, 2], shares of H and W."""
    inside = []
    for axis in (0, 1):
        size = images.shape[2 + axis]
        distance = torch.arange(size, device=images.device) - (centres[:, axis : axis + 1] * size).floor()
        inside.append((distance >= -(size // 4)) & (distance < size // 4))
    rows, columns = inside
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])
