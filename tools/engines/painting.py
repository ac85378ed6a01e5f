"""Painting crops of scans, of which one has several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor


class CropsInferer(Inferer):
    """Run a network over crops, alone or several of each scan, one after the other: each is what it is without the
    others."""

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """
        Args:
            inputs: crops [B, C, S, S, S], or [B, n, C, S, S, S].
            network: [1, C, S, S, S] to [1, out, S, S, S].
            args: further arguments of the network.
            kwargs: further arguments of the network, by name.

        Returns:
            [B, out, S, S, S], or [B, n, out, S, S, S].
        """
        crops = inputs if inputs.ndim == 5 else inputs.flatten(0, 1)
        made = torch.cat([network(crop[None], *args, **kwargs).float() for crop in crops])
        return made if inputs.ndim == 5 else made.unflatten(0, inputs.shape[:2])
