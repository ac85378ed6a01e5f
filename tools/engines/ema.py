"""An exponential moving average of a network's weights, from which samples are drawn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class ExponentialMovingAverage(AveragedModel):
    """Average of ``network`` over the iterations that train it; the averaged copy is ``module``.

    The papers of CRF-GAN and HA-GAN sample the last weights; the average is what later GANs made customary (Karras et
    al. 2018, Yazici et al. 2019). Its memory is said in one of two ways:

    - ``decay`` per iteration, warmed up: min(decay, (1 + n) / (10 + n)) after n iterations, so that a short run's
      average is not dominated by its first weights. ``decay`` 0 takes the last weights.
    - ``half_life`` in images, 0.5 ** (images / min(half_life, ramp_up * seen)) for an iteration of so many images, of
      all processes together, after so many were seen (Karras et al. 2020 and 2021). So the average means the same with
      another batch size, or number of processes.

    The first time, the average becomes the network as it is then. Buffers are always the network's.

    Args:
        network: the network that is trained.
        decay: decay of the average per iteration, in [0, 1); None with a ``half_life``, and else 0.999.
        half_life: images after which a weight counts half; None for a ``decay``.
        ramp_up: share of the images seen so far to which the half-life is limited, 0.05 in StyleGAN2 and 3; None for a
            half-life that is the same from the beginning, as for a network that is fine-tuned.
    """

    def __init__(
        self,
        network: nn.Module,
        decay: float | None = None,
        half_life: float | None = None,
        ramp_up: float | None = 0.05,
    ) -> None:
        if decay is not None and half_life is not None:
            raise ValueError(f"decay {decay} and half_life {half_life}: an average has one of them. Leave one away.")
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}, expected a number in [0, 1).")
        for name, value in (("half_life", half_life), ("ramp_up", ramp_up)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}, expected a number above 0, or None.")
        self.decay = 0.999 if decay is None and half_life is None else decay
        self.half_life = half_life
        self.ramp_up = ramp_up
        self._kept = 0.0  # share of the average that the present update keeps
        super().__init__(network, multi_avg_fn=self._average)
        self.source = [network]  # in a list, so that it is not registered as a part of the average
        self.module.requires_grad_(False)

    def update(self, images: int = 1, seen: int = 0) -> None:
        """Move the average towards the network as it is now.

        Args:
            images: number of images that the iteration has trained on, in all processes together.
            seen: number of images of all iterations before.
        """
        self._kept = self.keeps(images, seen)
        self.update_parameters(self.source[0])

    def keeps(self, images: int, seen: int) -> float:
        """Return the share of the average that an update keeps; arguments as of ``update``."""
        if self.half_life is None:
            n = int(self.n_averaged)
            return min(self.decay, (1 + n) / (10 + n))
        limit = self.half_life if self.ramp_up is None else min(self.half_life, self.ramp_up * seen)
        return 0.5 ** (images / limit) if limit > 0 else 0.0

    @torch.no_grad()
    def change(self, change: Callable[[nn.Module], object]) -> None:
        """Change the network and its average in the same way, for instance by a layer more.

        What the average then has more begins as it is in the network.

        Args:
            change: function that is called with the network, and then with its averaged copy.
        """
        before = {name: tensor.shape for name, tensor in self.module.state_dict().items()}
        for network in (self.source[0], self.module):
            change(network)
        network = self.source[0].state_dict()
        for name, tensor in self.module.state_dict().items():
            if before.get(name) != tensor.shape:
                tensor.copy_(network[name])
        self.module.requires_grad_(False)

    def _average(self, averages: list[Tensor], parameters: list[Tensor], _: Tensor) -> None:
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1 - self._kept)
