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
    with pytest.raises(ValueError, match="uniform_side is 8, but only a flow's times are moved"):
        noise_scheduler("v", uniform_side=8)


class Brightness:
    """The velocity of volumes that are of one brightness each, normal with deviation 0.5, and noise of 0.1 on it."""

    def __call__(self, x, timesteps):
        t = timesteps.view(-1, 1, 1, 1, 1).double() / 1000
        common = x.mean((2, 3, 4), keepdim=True)
        voxels = x[0, 0].numel()
        own = self.of(x - common, t, 0.1**2, 1)
        return own + self.of(common, t, 0.5**2 + 0.1**2 / voxels, 1 / voxels)

    @staticmethod
    def of(x, t, signal, noise):
        """E[sample - noise | x] of independent normal numbers with these variances."""
        return ((1 - t) * signal - t * noise) / ((1 - t) ** 2 * signal + t**2 * noise) * x


def test_moved_times_keep_what_a_whole_volume_has_in_common():
    """In few steps at uniform times volumes are nearly all of one brightness, whose deviation should be 0.5."""
    noise = torch.randn(300, 1, 16, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise -= noise.mean((2, 3, 4), keepdim=True)
    common = torch.randn(300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise += ((common - common.mean()) / common.std() / 64).view(-1, 1, 1, 1, 1)
    found = {}
    for side in (None, 8, 2):
        made = DiffusionSampler(noise_scheduler("flow", uniform_side=side), 12, batch_size=300)(noise, Brightness())
        found[side] = made.mean((1, 2, 3, 4)).std().item()
    assert found[None] < 0.2
    assert found[None] < found[8] < found[2]
    assert found[2] == pytest.approx(0.5, rel=0.2)


def test_times_are_moved_by_the_side_of_a_volume():
    """Esser et al. 2024, "resolution-dependent shifting", with k the side over the one whose times are uniform."""
    times = DiffusionSampler(noise_scheduler("flow", uniform_side=8), 5).times(torch.zeros(1, 1, 12, 32, 36))
    k = (12 * 32 * 36 / 8**3) ** (1 / 3)
    assert times == pytest.approx([1000 * k * s / (1 + (k - 1) * s) for s in (1, 0.8, 0.6, 0.4, 0.2)], abs=0.5)


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
