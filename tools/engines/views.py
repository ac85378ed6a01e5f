"""Volumes changed anew in every iteration, on the device that trains: at other sizes and spacings, mirrored, moved."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tools.engines.draws import Draws
from tools.transforms.augmentation import RandomSamples
from tools.transforms.channels import Channels
from tools.transforms.spatial import FIELD_OF_VIEW
from tools.transforms.views import AIR, label_channels, told, view

logger = logging.getLogger(__name__)


class RandomViews:
    """A box of every volume of a batch, of a size that all share and a spacing of its own.

    Along the body, and in the plane with square pixels, a spacing lies between that of the volume's own voxels and the
    one with which the box is as large as the volume, evenly in its logarithm; it is the latter in some of the boxes,
    ``whole``. Where a box is smaller than its volume it lies anywhere in it. A box of the volume's own size and spacing
    is the volume.

    Args:
        sizes: voxels that a box may have along an axis: one drawn for the slices, one for rows and columns.
        whole: share of the boxes that are as large as their volume.
        channels: channels of samples with labels, which go to the network as they are in a sample, in "labels"; each
            voxel has the class that has the greatest share of it. None for images alone.

    Raises:
        ValueError: no size, one that is no whole number above 0, or a share outside [0, 1].
    """

    def __init__(self, sizes: Sequence[int], whole: float = 0.5, channels: Channels | None = None) -> None:
        if not sizes or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes):
            raise ValueError(f"sizes is {list(sizes)}, expected numbers of voxels, such as [32, 48, 64]")
        if not 0 <= whole <= 1:
            raise ValueError(f"whole is {whole}, expected a share in [0, 1]")
        self.sizes = tuple(sizes)
        self.whole = whole
        self.channels = channels

    def __call__(self, batch: dict, draws: Draws) -> dict:
        """
        Args:
            batch: "image" [B, 1, D, H, W] in [-1, 1], "field_of_view_mm" [B, 3], and with channels "label", class
                indices [B, 1, D, H, W], and perhaps "known".
            draws: the iteration's source of random numbers.

        Returns:
            The batch with "image" [B, 1, d, h, w], "spacing" [B, 3] in mm, "bottom_region" and "top_region" [B, 12],
            see `tools.transforms.views`, and with channels "labels" [B, label channels, d, h, w].
        """
        image, field = batch["image"].float(), batch[FIELD_OF_VIEW].float()
        axial, plane = (self.sizes[draws.integer(0, len(self.sizes) - 1)] for _ in range(2))
        size = (axial, plane, plane)
        is_whole, of_axis, of_plane, *place = draws.uniform(len(image), 6).unbind(1)
        own = field / torch.tensor(image.shape[2:], device=field.device)
        coarsest = field / torch.tensor(size, device=field.device)
        free = is_whole >= self.whole
        spacing = torch.empty_like(field)
        spacing[:, 0] = between(own[:, 0], coarsest[:, 0], of_axis * free)
        spacing[:, 1:] = between(own[:, 1:].amax(1), coarsest[:, 1:].amin(1), of_plane * free)[:, None]
        extent = spacing * torch.tensor(size, device=field.device)
        start = torch.stack(place, 1) * (field - extent).clamp(min=0)
        made = {**batch, "image": view(image, field, size, spacing, start, AIR)}
        made |= told(spacing, start / field, (start + extent) / field)
        if self.channels is not None:
            made["labels"] = self._labels(batch, field, size, spacing, start)
            del made["label"]
        return made

    def _labels(self, batch: dict, field: Tensor, size: tuple, spacing: Tensor, start: Tensor) -> Tensor:
        """Label channels of the boxes."""
        label = batch["label"]
        shares = torch.cat([label == k for k in range(len(self.channels.labels) + 1)], 1).float()
        index = view(shares, field, size, spacing, start, 0.0).argmax(1, keepdim=True)
        return label_channels(self.channels, index, batch.get("known"))


def warn_unseen(
    size: Sequence[int],
    spacing: Sequence[float],
    sizes: Sequence[int],
    volume_size: Sequence[int],
    field_of_view: Sequence[float],
) -> None:
    """Warn of a size or a spacing that `RandomViews` does not draw, at which nobody knows what a network makes.

    Args:
        size: voxels that are asked for, axial first.
        spacing: their lengths in mm, axial first.
        sizes: voxels that a box had along an axis in training.
        volume_size: voxels of the volumes that boxes were taken from, axial first.
        field_of_view: their mean extent in mm, axial first.
    """
    unseen = []
    if any(not min(sizes) <= n <= max(sizes) for n in size):
        unseen.append(f"{list(size)} voxels, and was trained on {min(sizes)} to {max(sizes)} along an axis")
    finest = [mm / n for mm, n in zip(field_of_view, volume_size, strict=True)]
    coarsest = [mm / min(sizes) for mm in field_of_view]
    if any(not 0.9 * a <= mm <= 1.1 * b for a, mm, b in zip(finest, spacing, coarsest, strict=True)):
        unseen.append(f"a spacing of {_mm(spacing)} mm, and was trained on {_mm(finest)} to {_mm(coarsest)}")
    if unseen:
        logger.warning("the network is asked for %s (slices, rows, columns)", "; for ".join(unseen))


def _mm(lengths: Sequence[float]) -> str:
    return " x ".join(f"{mm:.3g}" for mm in lengths)


def between(finest: Tensor, coarsest: Tensor, share: Tensor) -> Tensor:
    """From the coarsest spacing (share 0) to the finest, evenly in the logarithm; the coarsest if it is finer."""
    finest = torch.minimum(finest, coarsest)
    return coarsest * (finest / coarsest) ** share


class RandomMirror:
    """Some of a batch's samples mirrored left for right (the last axis), images and label maps alike.

    Args:
        share: share of the samples that are.

    Raises:
        ValueError: a share outside [0, 1].
    """

    def __init__(self, share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, expected a number in [0, 1]")
        self.share = share

    def __call__(self, batch: dict, draws: Draws) -> dict:
        """
        Args:
            batch: "image" [B, images, (D,) H, W], and perhaps "label" [B, 1, (D,) H, W].
            draws: the iteration's source of random numbers.

        Returns:
            The batch, with these mirrored.
        """
        if self.share == 0:
            return batch
        turned = draws.uniform(len(batch["image"])) < self.share
        return batch | {
            key: torch.where(turned.view(-1, *[1] * (batch[key].ndim - 1)), batch[key].flip(-1), batch[key])
            for key in ("image", "label")
            if key in batch
        }


class RandomChanges:
    """Ordinary augmentation of a batch's samples: `tools.transforms.augmentation.RandomSamples` by the iteration's
    random numbers, without its mirror images and its noise.

    A generator that sees few patients for long learns them by heart; what it makes then varies less than patients do.
    Turned and scaled a little, shifted and in another contrast, its data are more, and its samples are of these.

    Args:
        share: share of the samples that are moved, and of those in another contrast, each by itself.
        options: arguments of `RandomSamples`: ``degrees``, ``scaling``, ``shift`` and ``gamma``.

    Raises:
        ValueError: a share outside [0, 1].
    """

    def __init__(self, share: float = 0.5, **options: Any) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, expected a number in [0, 1]")
        self.share = share
        self.options = options

    def __call__(self, batch: dict, draws: Draws) -> dict:
        """
        Args:
            batch: "image" [B, images, (D,) H, W], and perhaps "label" [B, 1, (D,) H, W].
            draws: the iteration's source of random numbers.

        Returns:
            The batch, with these changed.
        """
        if self.share == 0:
            return batch
        keys = [key for key in ("image", "label") if key in batch]
        change = RandomSamples(batch["image"].shape[2:], mirror=False, noise=0, prob=self.share, **self.options)
        seeds = (draws.choices(len(batch["image"])).double() * 2**31).long().tolist()
        rows = [change.set_random_state(seed)({key: batch[key][row] for key in keys}) for row, seed in enumerate(seeds)]
        return batch | {key: torch.stack([row[key] for row in rows]) for key in keys}
