"""An exponential moving average of a network's weights, from which samples are drawn."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class ExponentialMovingAverage(AveragedModel):
    """Average of ``network`` over its updates; the averaged copy is ``module``.

    The decay is warmed up, min(decay, (1 + n) / (10 + n)) after n updates, so that a short run's average is not
    dominated by its first weights. The papers sample the last weights; the average is what later GANs made
    customary (Karras et al. 2018, Yazici et al. 2019). ``decay`` 0 follows the papers.

    Args:
        network: the network that is trained.
        decay: decay of the average per update, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}, expected a number in [0, 1).")
        self.decay = decay
        super().__init__(network, multi_avg_fn=self._average)
        self.source = [network]  # in a list, so that it is not registered as a part of the average
        self.module.requires_grad_(False)

    def update(self) -> None:
        """Move the average towards the network as it is now."""
        self.update_parameters(self.source[0])

    @torch.no_grad()
    def _average(self, averages: list[Tensor], parameters: list[Tensor], n_averaged: Tensor) -> None:
        n = int(n_averaged)
        torch._foreach_lerp_(averages, parameters, 1 - min(self.decay, (1 + n) / (10 + n)))
