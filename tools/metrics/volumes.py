"""What every metric of an evaluator asks of the volumes that it is given."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from monai.utils import convert_to_tensor, evenly_divisible_all_gather


def plain_volumes(name: str, volumes: Iterable[torch.Tensor] | None) -> list[torch.Tensor]:
    """A batch as plain tensors [1, D, H, W].

    Args:
        name: "real" or "synthetic", for messages.
        volumes: [B, 1, D, H, W], or a list of [1, D, H, W].

    Raises:
        ValueError: no volumes, another shape, or NaN or infinite values.
    """
    if volumes is None:
        raise ValueError(f"expected {name} volumes, got None: real ones are given as y, synthetic ones as y_pred")
    plain = [convert_to_tensor(volume, track_meta=False).detach() for volume in volumes]
    if not plain:
        raise ValueError(f"a batch has no {name} volumes; leave out empty batches")
    for volume in plain:
        if volume.ndim != 4 or volume.shape[0] != 1:
            raise ValueError(
                f"{name} volumes must be [batch, 1, depth, height, width] or a list of [1, depth, height, width], "
                f"got a volume of shape {tuple(volume.shape)}"
            )
        if not torch.isfinite(volume).all():
            bad = int((~torch.isfinite(volume)).sum())
            raise ValueError(f"a {name} volume has {bad} of {volume.numel()} voxels that are NaN or infinite")
    return plain


def check_counts(**counts: int) -> None:
    """An error on all processes if one lacks volumes: gathering would wait for it for ever.

    Args:
        counts: number of volumes that this process has, by their kind, whose name goes into the message, with spaces
            for underscores.

    Raises:
        ValueError: nothing in any process, or none of a kind in one process or several.
    """
    of_all = evenly_divisible_all_gather(torch.tensor([list(counts.values())]))
    if not of_all.any():
        raise ValueError("no volumes to compare: the evaluation was empty")
    for kind, of_ranks in zip(counts, of_all.unbind(dim=1), strict=True):
        lacking = [rank for rank, given in enumerate(of_ranks.tolist()) if given == 0]
        if lacking:
            raise ValueError(
                f"process(es) {lacking} were given no {kind.replace('_', ' ')}; use fewer processes or more volumes"
            )
