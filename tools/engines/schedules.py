"""MONAI's schedulers, by what a network predicts and how samples are made: one choice for training and sampling."""

from __future__ import annotations

from typing import Any

from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler, RFlowScheduler
from monai.networks.schedulers.scheduler import Scheduler

PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}
"""What networks of diffusion predict -> the name that MONAI has for it."""


def noise_scheduler(
    prediction: str = "epsilon",
    sampler: str | None = None,
    num_train_timesteps: int = 1000,
    schedule: str = "linear_beta",
    clip: bool = True,
    uniform_side: float | None = None,
    **schedule_args: Any,
) -> Scheduler:
    """The schedule of a training, which also makes its samples, see `tools.engines.sampling.DiffusionSampler`.

    Args:
        prediction: name of what the network predicts of a noisy sample: "epsilon", its noise (Ho et al. 2020); "v"
            (Salimans and Ho 2022); or "flow", the velocity of rectified flow (Liu et al. 2023), in continuous time.
        sampler: name of the way back, "ddim", "ddpm" or "pndm"; None takes DDIM. A flow takes None: Euler's steps.
        num_train_timesteps: steps of the schedule, T.
        schedule: schedule of the noise, one of MONAI's: "linear_beta" (Ho et al.: from 1e-4 to 0.02), "cosine" (Nichol
            and Dhariwal 2021), "scaled_linear_beta" or "sigmoid_beta". A flow has none.
        clip: True keeps what DDIM and DDPM take for the denoised sample in [-1, 1], for images and not for latents.
        uniform_side: side in voxels of a volume whose times are uniform, for a flow: of a larger one more times are
            near noise, in sampling, and in a training that is given this scheduler. With k the cube root of its voxels
            over this side, a time t/T becomes k t / (T + (k - 1) t): the "resolution-dependent shifting" of Esser et
            al. 2024, as MAISI has it for volumes (MONAI's ``timestep_transform``). What a whole volume has in common,
            its size, its place, its brightness, shows through the more noise, the more voxels there are, and at uniform
            times all of it is decided within the first few steps. None moves none.
        schedule_args: arguments of the schedule, such as beta_start and beta_end.

    Raises:
        ValueError: another prediction or sampler, a sampler for a flow, or a ``uniform_side`` for another prediction.

    Example::

        noise_scheduler("v", "ddim", schedule="cosine")
    """
    if prediction == "flow":
        if sampler is not None:
            raise ValueError(f"sampler is {sampler!r}, but a flow has one way to make samples: leave it None")
        moved = {} if uniform_side is None else {"use_timestep_transform": True, "base_img_size_numel": uniform_side**3}
        return RFlowScheduler(num_train_timesteps=num_train_timesteps, use_discrete_timesteps=False, **moved)
    if uniform_side is not None:
        raise ValueError(f"uniform_side is {uniform_side!r}, but only a flow's times are moved: leave it None")
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction is {prediction!r}, expected one of {', '.join(PREDICTIONS)} or flow")
    options = {"num_train_timesteps": num_train_timesteps, "schedule": schedule, **schedule_args}
    options["prediction_type"] = PREDICTIONS[prediction]
    if sampler in (None, "ddim"):
        return DDIMScheduler(clip_sample=clip, **options)
    if sampler == "ddpm":
        return DDPMScheduler(clip_sample=clip, **options)
    if sampler == "pndm":
        return PNDMScheduler(skip_prk_steps=True, **options)
    raise ValueError(f"sampler is {sampler!r}, expected one of ddim, ddpm, pndm, or None")
