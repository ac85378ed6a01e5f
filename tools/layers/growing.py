"""How far networks have grown (Karras et al. 2018, "Progressive growing of GANs", section 2).

Level 0 is 4x4 pixels, or 4^3 voxels, and each level doubles the side. While a level fades in, its image is blended with
that of the level before, by a weight alpha that goes from 0 to 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.ranks import MEAN_POOLING


def faded(before: Tensor, new: Tensor, alpha: Tensor | float) -> Tensor:
    """(1 - alpha) before + alpha new, of the same shape."""
    return before + alpha * (new - before)


def doubled(x: Tensor, times: int = 1) -> Tensor:
    """Images [B, C, H, W], or volumes [B, C, D, H, W], whose sides are doubled so many times, by nearest neighbour."""
    return F.interpolate(x, scale_factor=2**times, mode="nearest") if times else x


def halved(x: Tensor, times: int = 1) -> Tensor:
    """Images [B, C, H, W], or volumes [B, C, D, H, W], whose sides are halved so many times, by the mean of pixels."""
    return MEAN_POOLING[x.ndim - 2](x, 2**times) if times else x


class Growth(nn.Module):
    """The level that a network has reached, and how far that has faded in, as a part of its weights.

    Args:
        level: highest level of the network, which is where it begins: a whole network needs nothing to be said.

    Attributes:
        state: level and alpha, a buffer [2].
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self.register_buffer("state", torch.tensor([float(level), 1.0]))

    def reach(self, level: int, alpha: float | None) -> None:
        """Set the level and its alpha, None for a level that is there entirely."""
        self.state[0] = level
        self.state[1] = 1.0 if alpha is None else alpha

    def reached(self) -> tuple[int, float | None]:
        """The level and its alpha, None for a level that is there entirely."""
        level, alpha = self.state.tolist()
        return int(level), None if alpha >= 1 else alpha
