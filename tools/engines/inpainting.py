"""A part of a volume made anew by a model of whole volumes, while the rest stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.networks.schedulers import PNDMScheduler, RFlowScheduler
from monai.networks.schedulers.scheduler import Scheduler
from torch import Tensor

from tools.engines.sampling import DiffusionSampler


class InpaintingSampler(DiffusionSampler):
    """RePaint (Lugmayr et al. 2022, Algorithm 1): what is known is put into the sample after each step, with the noise
    of that step's time, and steps are repeated so that both parts come to fit each other.

    With x0 what is known, a step from time t to s gives, where the mask is 0, x_s = a_s x0 + b_s n with fresh noise n,
    and what the network makes elsewhere; before a step is repeated the whole sample goes back to t,

        x_t = (a_t / a_s) x_s + sqrt(b_t^2 - (a_t / a_s)^2 b_s^2) n

    which is Lugmayr et al.'s for any share a of signal and b of noise, of rectified flow (a = 1 - t/T, b = t/T) too.
    The network needs no other training. PNDM, whose steps look back at several, does not do.

    Args:
        repeats: times that each step is made; 10 in the paper, 1 only replaces.
        arguments: arguments of ``DiffusionSampler``.
        options: arguments of ``DiffusionSampler``, by name.

    Raises:
        ValueError: fewer repeats than one, PNDM, or what ``DiffusionSampler`` refuses.

    Example::

        sampler = InpaintingSampler(RFlowScheduler(1000, use_discrete_timesteps=False), steps=30, repeats=4)
        made = sampler(noise, network, known=volume, mask=mask)  # equals volume where mask is 0
    """

    def __init__(self, *arguments: Any, repeats: int = 1, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
            raise ValueError(f"repeats is {repeats!r}, expected a whole number, 1 or more")
        if isinstance(self.scheduler, PNDMScheduler):
            raise ValueError("PNDMScheduler looks back at several steps, and inpainting changes samples between them")
        self.repeats = repeats

    def __call__(
        self,
        inputs: Tensor,
        network: Callable[..., Tensor],
        label: Tensor | None = None,
        *args: Any,
        known: Tensor,
        mask: Tensor,
        **kwargs: Any,
    ) -> Tensor:
        """
        Args:
            inputs: standard normal noise [B, channels, (D,) H, W].
            network: denoiser, as of ``DiffusionSampler``.
            label: class indices [B].
            args: further arguments of the network.
            known: samples of which a part is to stay, of the noise's shape.
            mask: above 0 where a sample is made anew, [B, 1 or channels, (D,) H, W]: a channel of labels may be given
                while the image is made to fit it.
            kwargs: further arguments of the network, by name.

        Returns:
            Samples [B, channels, (D,) H, W], which equal what is known where the mask is 0.

        Raises:
            ValueError: another shape of what is known, or of the mask.
        """
        if known.shape != inputs.shape or mask.shape[2:] != inputs.shape[2:] or len(mask) != len(inputs):
            raise ValueError(
                f"known has shape {tuple(known.shape)} and mask {tuple(mask.shape)}, expected that of the noise, "
                f"{tuple(inputs.shape)}; a mask may have one channel"
            )
        return super().__call__(inputs, network, label, *args, known=known.to(inputs), mask=mask > 0, **kwargs)

    def _sample(
        self,
        noise: Tensor,
        network: Callable[..., Tensor],
        label: Tensor | None,
        *args: Any,
        known: Tensor,
        mask: Tensor,
        **kwargs: Any,
    ) -> Tensor:
        times, generator = self.times(noise), self.generator(noise)

        def fresh() -> Tensor:
            return torch.randn(noise.shape, generator=generator, device=noise.device, dtype=noise.dtype)

        sample = noise
        for number, time in enumerate(times):
            is_last = number == len(times) - 1
            after = 0 if is_last else times[number + 1]
            signal, spread = (1.0, 0.0) if is_last else shares(self.scheduler, after)
            for repeat in range(self.repeats):
                asked = torch.full((len(sample),), time, device=sample.device)
                predicted = self._predict(sample, asked, network, label, *args, **kwargs)
                made = self._step(predicted, time, after, sample, generator)
                kept = known if is_last else signal * known + spread * fresh()
                sample = torch.where(mask, made, kept)
                if is_last:
                    break
                if repeat < self.repeats - 1:
                    before, noisier = shares(self.scheduler, time)
                    ratio = before / signal
                    sample = ratio * sample + max(noisier**2 - (ratio * spread) ** 2, 0.0) ** 0.5 * fresh()
        return sample


def shares(scheduler: Scheduler, time: float) -> tuple[float, float]:
    """The shares of signal and noise in a sample of a time, of any of MONAI's schedulers."""
    if isinstance(scheduler, RFlowScheduler):
        noise = time / scheduler.num_train_timesteps
        return 1 - noise, noise
    signal = float(scheduler.alphas_cumprod[int(time)])
    return signal**0.5, (1 - signal) ** 0.5
