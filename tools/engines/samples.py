"""Samples of a batch, images and labels as channels, as a network gets them and should give them back."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines.utils import PrepareBatch
from torch import Tensor

from tools.transforms.channels import Channels

KEYS = ("image", "label", "known")
"""What a sample is made of."""


def as_samples(batch: dict, channels: Channels | None) -> Tensor:
    """A batch's samples [B, channels, D, H, W]: "image", with "label" where there are channels for it."""
    image = batch["image"].float()
    return image if channels is None else channels.join(image, batch.get("label"), batch.get("known"))


def item_as_samples(item: dict, channels: Channels | None) -> Tensor:
    """The sample [1, channels, D, H, W] of a dataset's item."""
    return as_samples(item_as_batch(item), channels)


def item_as_batch(item: dict) -> dict:
    """What makes the sample of a dataset's item, as a batch of one."""
    return {key: torch.as_tensor(item[key])[None] for key in KEYS if key in item}


class PrepareSamples(PrepareBatch):
    """Hand a ``SupervisedEvaluator`` samples as input, and as what their reconstruction should be.

    Args:
        channels: channels of a sample; None takes the image as it is.
    """

    def __init__(self, channels: Channels | None = None) -> None:
        self.channels = channels

    def __call__(
        self, batchdata: dict, device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        given = {key: batchdata[key].to(device=device, non_blocking=non_blocking) for key in KEYS if key in batchdata}
        sample = as_samples(given, self.channels)
        return sample, sample
