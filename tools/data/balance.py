"""Drawing slices so that groups of them, with a tumour or without, have given shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler


def balanced_weights(groups: Sequence[np.ndarray], shares: Sequence[float]) -> Tensor:
    """Weights with which slices are drawn so that groups of them have given shares, float64 [slices].

    A slice that is in several groups counts for the first; those in none share what is left, and are never drawn if
    nothing is. For `BalancedSampler`.

    Args:
        groups: bool [slices] each, such as ``store.pixels(["tumour"]) > 0`` or ``store.classes()[:, 2] == 1``.
        shares: shares of samples, at most 1 together.

    Raises:
        ValueError: a group in which there is no slice, or shares that are no shares.

    Example::

        weights = balanced_weights([store.pixels(["tumour"]) > 0], [0.5])  # every second sample shows a tumour
    """
    if len(groups) != len(shares) or not groups or min(shares) < 0 or sum(shares) > 1 + 1e-9:
        raise ValueError(f"got {len(groups)} groups and shares {list(shares)}, expected one each, at most 1 together")
    groups = [np.asarray(group, bool) for group in groups]
    free = np.ones(len(groups[0]), bool)
    weights = np.zeros(len(free))
    for number, (group, share) in enumerate(zip([*groups, free.copy()], [*shares, 1 - sum(shares)], strict=True)):
        members = group & free
        if members.any():
            weights[members] = share / members.sum()
        elif share > 1e-9 and number < len(groups):
            raise ValueError(f"group {number} has no slice, so {share:.0%} of the samples cannot be drawn from it")
        free &= ~group
    return torch.from_numpy(weights)


class BalancedSampler(DistributedSampler):
    """Indices drawn with given weights, with replacement; which ones follows from seed and epoch.

    Without weights each comes once an epoch, in random order, as torch's ``DistributedSampler`` has it.

    Several processes together draw what one would. MONAI's `DistributedWeightedRandomSampler` draws from a generator
    whose state no checkpoint holds, and every process from a part of the slices only.

    Args:
        dataset: dataset whose indices are drawn.
        weights: weights of all indices, see `balanced_weights`; None for none.
        num_replicas: processes; None asks torch.distributed.
        rank: number of this process; None asks torch.distributed.
        seed: random seed of the draws.
    """

    def __init__(
        self,
        dataset: Dataset,
        weights: Sequence[float] | Tensor | None,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=True, seed=seed)
        self.weights = None if weights is None else torch.as_tensor(weights, dtype=torch.float64)
        if self.weights is not None and len(self.weights) != len(dataset):
            raise ValueError(f"got {len(self.weights)} weights for {len(dataset)} slices, expected one each")

    def __iter__(self) -> Iterator[int]:
        if self.weights is None:
            return super().__iter__()
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        drawn = torch.multinomial(self.weights, self.total_size, replacement=True, generator=generator)
        return iter(drawn[self.rank : self.total_size : self.num_replicas].tolist())
