"""The scheduler that is asked for, and the noise that it adds against the schedules' formulas."""

import math

import pytest
import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler, RFlowScheduler

from tools.engines.sampling import DiffusionSampler
from tools.engines.schedules import noise_scheduler
from tools.losses.diffusion import prediction_of


@pytest.mark.parametrize(
    ("sampler", "kind"),
    [(None, DDIMScheduler), ("ddim", DDIMScheduler), ("ddpm", DDPMScheduler), ("pndm", PNDMScheduler)],
)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_every_sampler_takes_every_prediction(sampler, kind, prediction):
    scheduler = noise_scheduler(prediction, sampler, num_train_timesteps=20)
    assert type(scheduler) is kind
    assert prediction_of(scheduler) == prediction
    made = DiffusionSampler(scheduler, 20)(torch.randn(1, 2, 4, 4), lambda x, timesteps: torch.zeros_like(x))
    assert torch.isfinite(made).all()


def test_a_flow_has_times_of_its_own():
    scheduler = noise_scheduler("flow")
    assert isinstance(scheduler, RFlowScheduler)
    assert not scheduler.use_discrete_timesteps
    with pytest.raises(ValueError, match="a flow has one way to make samples"):
        noise_scheduler("flow", "ddim")


def test_noise_of_the_schedules():
    """Ho et al., section 4: beta from 1e-4 to 0.02; Nichol and Dhariwal, Eq. 17: a squared cosine with s = 0.008."""
    linear = noise_scheduler().alphas_cumprod
    product = 1.0
    for t in range(1000):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999)
        if t in (0, 99, 499, 999):
            assert linear[t].item() == pytest.approx(product, rel=1e-4)
    cosine = noise_scheduler(schedule="cosine").alphas_cumprod

    def squared(t):
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    for t in (0, 99, 499, 899):
        assert cosine[t].item() == pytest.approx(squared(t + 1) / squared(0), rel=0.01)


def test_clipping_is_for_images():
    bright = {clip: noise_scheduler(clip=clip, num_train_timesteps=20) for clip in (True, False)}
    # what is taken for the sample is five times its noise
    made = {
        clip: DiffusionSampler(s, 20)(torch.ones(1, 1, 1, 1) * 5, lambda x, timesteps: 0 * x)
        for clip, s in bright.items()
    }
    assert made[True].item() <= 1 < made[False].item()


@pytest.mark.parametrize("options", [{"prediction": "x0"}, {"sampler": "euler"}])
def test_others_are_refused(options):
    with pytest.raises(ValueError, match="expected one of"):
        noise_scheduler(**options)
