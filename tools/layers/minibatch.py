"""The standard deviation of a minibatch as a feature (Karras et al. 2018, "Progressive growing of GANs", section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MinibatchDeviation(nn.Module):
    """Append a channel that says how much the samples of a group differ, so that a lack of variety can be seen.

    Samples n and m of N are of one group if n = m modulo N / G, G the size of a group. The channel is, everywhere in
    all samples of the group, the mean over channels and pixels, or voxels, of sqrt(variance over the group + 1e-8); the
    variance is the biased one.

    Args:
        group_size: G; a smaller batch is one group.
    """

    def __init__(self, group_size: int = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C + 1, H, W]; volumes [B, C, D, H, W] alike.

        Raises:
            ValueError: B is no multiple of the group.
        """
        size = min(self.group_size, len(x))
        if len(x) % size:
            raise ValueError(
                f"a batch of {len(x)} cannot be divided into groups of {size} for the minibatch's deviation. Take a "
                f"batch size that is a multiple of {size}, and leave the rest of the data out (drop_last)."
            )
        groups = x.unflatten(0, (size, -1)).float()  # squares of half precision overflow
        deviation = (groups.var(dim=0, correction=0) + 1e-8).sqrt().flatten(1).mean(dim=1)
        channel = deviation.to(x.dtype).repeat(size).view(-1, *[1] * (x.ndim - 1)).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, channel], dim=1)
