"""Samples from noise, by a denoiser and one of MONAI's schedulers, inside MONAI's evaluators.

MONAI 1.6 takes some settings without a word and then samples another distribution than was learned. All that were
found are refused here, or cannot be reached; `tests/engines/test_sampling.py` has the numbers of each.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from monai.inferers import Inferer
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler, RFlowScheduler
from monai.networks.schedulers.scheduler import Scheduler
from torch import Tensor

from tools.engines.trainer import PRECISIONS

HALF_PRECISION_STEPS = 2048
"""The largest whole number up to which float16 has all others, through which MONAI's flow passes its times."""

TOLERANCE = 0.1
"""Relative difference that is allowed between the steps that a scheduler makes and those that it believes to make."""


class DiffusionSampler(Inferer):
    """Denoise noise step by step; called with noise and the network, like any of MONAI's inferers.

    | scheduler | sampler | steps |
    |---|---|---|
    | ``DDPMScheduler`` | ancestral (Ho et al. 2020, Algorithm 2) | all |
    | ``DDIMScheduler`` | Song et al. 2021, Eq. 12; with ``eta`` 1 stochastic in few steps | 12 or more of 1000 |
    | ``PNDMScheduler`` | Liu et al. 2022, the linear multi-step method | 10 or more of 1000 |
    | ``RFlowScheduler`` | Euler's method from t = T to 0 (Liu et al. 2023) | any |

    With classes the network's last one means none, as ``DiffusionObjective`` trains it. Classifier-free guidance (Ho
    and Salimans 2022, Eq. 6, whose w is ``guidance`` - 1) then takes what is predicted without a class, and
    ``guidance`` times the difference that the class makes.

    A sample follows from its noise alone: the noise of stochastic steps is seeded by it, and of the device's own kind.

    Args:
        scheduler: MONAI's scheduler, with the schedule that the network was trained with.
        steps: number of steps from noise to sample.
        eta: share of fresh noise in every step of DDIM, in [0, 1].
        guidance: weight of the class; 1 for none beyond the network's own, 0 ignores the class.
        latents: True where samples are latents, which need not lie in [-1, 1] as images do.
        batch_size: samples that go through the network together; 1 makes a sample independent of its neighbours to the
            last bit.
        precision: number format of the network's convolutions and products, a key of ``PRECISIONS``; its answers
            become the noise's format again, and schedule and samples stay in it. With "fp32" an autocast around the
            sampler holds, as published models have one.

    Raises:
        ValueError: settings with which MONAI would sample something else than was learned.

    Example::

        sample = DiffusionSampler(RFlowScheduler(1000), steps=30)(torch.randn(1, 3, 48, 64, 48), network)
    """

    def __init__(
        self,
        scheduler: Scheduler,
        steps: int,
        eta: float = 0.0,
        guidance: float = 1.0,
        latents: bool = False,
        batch_size: int = 1,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        if not 0 <= eta <= 1:
            raise ValueError(f"eta is {eta}, expected a number in [0, 1]")
        if eta > 0 and not isinstance(scheduler, DDIMScheduler):
            raise ValueError(f"eta is {eta}, which DDIMScheduler alone has; {type(scheduler).__name__} takes 0")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
        if latents and getattr(scheduler, "clip_sample", False):
            raise ValueError(
                f"{type(scheduler).__name__} has clip_sample true, which squeezes latents into [-1, 1]; "
                "give it clip_sample false"
            )
        check_steps(scheduler, steps)
        self.scheduler = scheduler
        self.steps = steps
        self.eta = eta
        self.guidance = guidance
        self.batch_size = batch_size
        self.precision = precision

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor], label: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """
        Args:
            inputs: standard normal noise [B, channels, (D,) H, W].
            network: denoiser, called with a noisy sample, ``timesteps`` [B] and with classes ``class_labels`` [B].
            label: class indices [B]; None samples without a class.
            args: further arguments of the network.
            kwargs: further arguments of the network, by name; a tensor of as many rows as the noise has one for each.

        Returns:
            Samples [B, channels, (D,) H, W], of float32 where the noise is.
        """
        rows = [slice(first, first + self.batch_size) for first in range(0, len(inputs), self.batch_size)]
        made = [
            self._sample(
                inputs[part],
                network,
                None if label is None else label[part],
                *args,
                **{name: _rows_of(value, part, len(inputs)) for name, value in kwargs.items()},
            )
            for part in rows
        ]
        return made[0] if len(made) == 1 else torch.cat(made)

    def times(self, sample: Tensor) -> list[float]:
        """The times at which the network is asked, from the noisiest on, for samples [B, channels, (D,) H, W]."""
        # on the CPU whatever the default device is: MONAI mixes them with times that it makes there
        if isinstance(self.scheduler, RFlowScheduler):
            if self.scheduler.use_timestep_transform and self.scheduler.spatial_dim != sample.ndim - 2:
                raise ValueError(
                    f"the scheduler's spatial_dim is {self.scheduler.spatial_dim}, and samples have {sample.ndim - 2} "
                    "axes: training moves times by the samples' own. Give the scheduler the same number"
                )
            self.scheduler.set_timesteps(self.steps, device="cpu", input_img_size_numel=sample[0, 0].numel())
        else:
            self.scheduler.set_timesteps(self.steps, device="cpu")
        return self.scheduler.timesteps.tolist()

    def generator(self, noise: Tensor) -> torch.Generator:
        """A source of further noise that follows from the first, on its device."""
        generator = torch.Generator(noise.device)
        return generator.manual_seed(zlib.crc32(noise.detach().cpu().contiguous().numpy().tobytes()))

    def _sample(self, noise: Tensor, network: Callable[..., Tensor], label: Tensor | None, *args: Any, **kwargs: Any):
        sample, times, generator = noise, self.times(noise), self.generator(noise)
        for time, after in zip(times, [*times[1:], 0], strict=True):
            asked = torch.full((len(sample),), time, device=sample.device)
            predicted = self._predict(sample, asked, network, label, *args, **kwargs)
            sample = self._step(predicted, time, after, sample, generator)
        return sample

    def _predict(
        self, sample: Tensor, time: Tensor, network: Callable[..., Tensor], label: Tensor | None, *args: Any, **kwargs
    ) -> Tensor:
        classes = getattr(network, "num_class_embeds", None)
        if not classes:
            if label is not None:
                raise ValueError("a class is asked for, and the network has none (num_class_embeds)")
            return self._answer(network, sample, time, *args, **kwargs)
        none = torch.full_like(time, classes - 1, dtype=torch.long)

        def given(label: Tensor) -> Tensor:
            return self._answer(network, sample, time, *args, class_labels=label, **kwargs)

        if label is None or self.guidance == 0:
            return given(none)
        if self.guidance == 1:
            return given(label.long())
        without = given(none)
        return without + self.guidance * (given(label.long()) - without)

    def _answer(self, network: Callable[..., Tensor], sample: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # not the amp of MONAI's evaluator, which is a GPU's alone, and is left open for all that follows, decoders too
        with self._autocast(sample.device):
            return network(sample, *args, **kwargs).to(sample.dtype)

    def _autocast(self, device: torch.device) -> AbstractContextManager:
        if self.precision == "fp32":
            return nullcontext()  # an autocast that is not enabled would switch off one around
        return torch.autocast(device.type, PRECISIONS[self.precision])

    def _step(self, predicted: Tensor, time: float, after: float, sample: Tensor, generator: torch.Generator) -> Tensor:
        scheduler = self.scheduler
        if isinstance(scheduler, RFlowScheduler):
            # not scheduler.step, which cuts the time after to a whole number and so walks too far
            return sample + predicted * ((time - after) / scheduler.num_train_timesteps)
        if isinstance(scheduler, DDPMScheduler):
            return scheduler.step(predicted, time, sample, generator=generator)[0]
        if isinstance(scheduler, DDIMScheduler):
            return scheduler.step(predicted, time, sample, eta=self.eta, generator=generator)[0]
        return scheduler.step(predicted, time, sample)[0]


def _rows_of(value: Any, part: slice, rows: int) -> Any:
    return value[part] if isinstance(value, Tensor) and value.ndim > 0 and len(value) == rows else value


def check_steps(scheduler: Scheduler, steps: int) -> None:
    """Refuse a number of steps, or a setting of one of MONAI's schedulers, that does not sample what was learned.

    Raises:
        ValueError: DDPM with fewer steps than it was trained with; DDIM or PNDM with a number of steps that leaves a
            part of the noise; PNDM with Runge-Kutta steps; a flow of more times than half precision has, or whose times
            go beyond its last.
    """
    total = scheduler.num_train_timesteps
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= total:
        raise ValueError(f"steps is {steps!r}, expected a whole number from 1 to num_train_timesteps, {total}")
    if isinstance(scheduler, RFlowScheduler):
        if total > HALF_PRECISION_STEPS:
            raise ValueError(
                f"RFlowScheduler has num_train_timesteps {total}, and MONAI rounds its times to half precision, which "
                f"has no whole numbers beyond {HALF_PRECISION_STEPS}; take that or fewer"
            )
        if scheduler.steps_offset:
            raise ValueError(
                f"RFlowScheduler has steps_offset {scheduler.steps_offset}, which moves its first time beyond the "
                "last that it is trained with; leave it at 0"
            )
    elif isinstance(scheduler, DDPMScheduler):
        if steps != total:
            raise ValueError(
                f"DDPMScheduler is asked for {steps} steps and trained with {total}: its steps lead from t to t - 1 "
                f"alone, so fewer leave noise. Take all {total}, or DDIMScheduler, with eta 1 for fresh noise"
            )
    elif isinstance(scheduler, DDIMScheduler | PNDMScheduler):
        if not getattr(scheduler, "skip_prk_steps", True):
            raise ValueError(
                "PNDMScheduler has skip_prk_steps false: MONAI's Runge-Kutta steps are too short and leave noise. "
                "Give it skip_prk_steps true"
            )
        if not _is_even(scheduler, steps):
            near = nearest_steps(scheduler, steps)
            raise ValueError(
                f"{type(scheduler).__name__} is asked for {steps} steps of {total}, but believes each to be of "
                f"{total // steps} times, the whole part of {total}/{steps}, and so leaves noise. Take a number that "
                f"divides {total} better; the nearest is {near}"
            )
    else:
        raise ValueError(
            f"the scheduler is a {type(scheduler).__name__}, expected MONAI's DDPMScheduler, DDIMScheduler, "
            "PNDMScheduler or RFlowScheduler"
        )


def nearest_steps(scheduler: Scheduler, steps: int) -> int:
    """The number of steps nearest to one that is asked for by which a scheduler samples what was learned.

    Args:
        scheduler: one of MONAI's schedulers; DDPM takes all of its steps alone.
        steps: number of steps, 1 or more.
    """
    total = scheduler.num_train_timesteps
    if isinstance(scheduler, RFlowScheduler):
        return min(steps, total)
    if isinstance(scheduler, DDPMScheduler):
        return total
    return min((n for n in range(1, total + 1) if _is_even(scheduler, n)), key=lambda n: abs(n - steps))


def _is_even(scheduler: DDIMScheduler | PNDMScheduler, steps: int) -> bool:
    """Return whether the times of so many steps agree with the step that DDIM and PNDM assume: T // steps."""
    total = scheduler.num_train_timesteps
    assumed = total // steps
    if isinstance(scheduler, PNDMScheduler):  # ends at 0 by steps of that length, so must begin near T
        return (steps - 1) * assumed >= (1 - TOLERANCE) * total
    # divides T - 1 evenly, whatever length it assumes
    return steps == 1 or (total - 1) / (steps - 1) <= (1 + TOLERANCE) * assumed
