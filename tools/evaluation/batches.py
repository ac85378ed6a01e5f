"""What a metric of an evaluator asks of the images that it is given."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from monai.utils import convert_to_tensor, evenly_divisible_all_gather

from tools.transforms.flat import as_volume


def plain_volumes(name: str, volumes: Iterable[torch.Tensor] | None, channels: int | None = 1) -> list[torch.Tensor]:
    """A batch as plain tensors [channels, D, H, W].

    Args:
        name: word for messages, "real" or "synthetic".
        volumes: volumes [B, channels, D, H, W] or 2D images [B, channels, H, W], or a list of these without B.
        channels: number that they must have; None takes any.

    Raises:
        ValueError: no images, another shape, or NaN or infinite values.
    """
    if volumes is None:
        raise ValueError(f"expected {name} images, got None: real ones are given as y, synthetic ones as y_pred")
    plain = [as_volume(convert_to_tensor(v, track_meta=False).detach(), f"a {name} image") for v in volumes]
    if not plain:
        raise ValueError(f"a batch has no {name} images; leave out empty batches")
    for volume in plain:
        if channels is not None and len(volume) != channels:
            expected = "one channel" if channels == 1 else f"{channels} channels"
            raise ValueError(f"a {name} image must have {expected}, got shape {tuple(volume.shape)}")
        if not torch.isfinite(volume).all():
            bad = int((~torch.isfinite(volume)).sum())
            raise ValueError(f"a {name} image has {bad} of {volume.numel()} voxels that are NaN or infinite")
    return plain


def check_counts(**counts: int) -> None:
    """An error on all processes if one lacks images: gathering would wait for it for ever.

    Args:
        counts: number that this process has of each kind; the name of a kind goes into the message, with spaces for
            underscores.

    Raises:
        ValueError: nothing in any process, or none of a kind in one process or several.
    """
    of_all = evenly_divisible_all_gather(torch.tensor([list(counts.values())]))
    if not of_all.any():
        raise ValueError("no images to compare: the evaluation was empty")
    for kind, of_ranks in zip(counts, of_all.unbind(dim=1), strict=True):
        lacking = [rank for rank, given in enumerate(of_ranks.tolist()) if given == 0]
        if lacking:
            raise ValueError(
                f"process(es) {lacking} were given no {kind.replace('_', ' ')}; use fewer processes or more images"
            )
