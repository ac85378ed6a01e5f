"""RePaint on a Gaussian pair, of which one number is known and the other's distribution follows by regression."""

import pytest
import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler, RFlowScheduler

from tools.engines.inpainting import InpaintingSampler, shares
from tools.engines.sampling import DiffusionSampler

MEAN = torch.tensor([0.2, -0.1], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.25, 0.2], [0.2, 0.25]], dtype=torch.float64)
GIVEN = 0.7
SAMPLES = 20_000
FLOW = {"num_train_timesteps": 1000, "use_discrete_timesteps": False}
BETAS = {"schedule": "scaled_linear_beta", "beta_start": 0.0015, "beta_end": 0.0195, "clip_sample": False}


def denoised(x, signal, noise):
    """E[x0 | x] of x = signal * x0 + noise * n, both numbers of the pair at once; x [B, 1, 2]."""
    gain = signal * COVARIANCE @ torch.linalg.inv(signal**2 * COVARIANCE + noise**2 * torch.eye(2, dtype=x.dtype))
    return MEAN + (x - signal * MEAN) @ gain.T


def flow(x, timesteps):
    t = timesteps[0].item() / 1000
    x0 = denoised(x, 1 - t, t)
    return x0 - (x - (1 - t) * x0) / t


def epsilon(x, timesteps):
    signal, noise = shares(DDPMScheduler(1000, **BETAS), timesteps[0].item())
    return (x - signal * denoised(x, signal, noise)) / noise


def inpainted(scheduler, network, steps, repeats):
    noise = torch.randn(SAMPLES, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known = torch.tensor([GIVEN, 99.0], dtype=torch.float64).expand(SAMPLES, 1, 2)  # 99 is behind the mask
    mask = torch.tensor([False, True]).expand(SAMPLES, 1, 2)
    sampler = InpaintingSampler(scheduler, steps, repeats=repeats, batch_size=SAMPLES)
    return sampler(noise, network, known=known, mask=mask)


@pytest.mark.parametrize(
    ("scheduler", "network"), [(RFlowScheduler(**FLOW), flow), (DDIMScheduler(1000, **BETAS), epsilon)]
)
def test_what_is_made_follows_from_what_is_known(scheduler, network):
    """The conditional mean and deviation by regression: replacing alone misses them, repeats come near."""
    slope = (COVARIANCE[1, 0] / COVARIANCE[0, 0]).item()
    mean = MEAN[1].item() + slope * (GIVEN - MEAN[0].item())
    deviation = (COVARIANCE[1, 1] - slope * COVARIANCE[0, 1]).sqrt().item()
    once, often = (inpainted(scheduler, network, 25, repeats) for repeats in (1, 10))
    for made in (once, often):
        assert (made[..., 0] == GIVEN).all()
    far, near = (abs(made[..., 1].mean().item() - mean) for made in (once, often))
    assert near < 0.11  # of 25 steps, and 10 repeats of each
    assert near < far / 2
    assert often[..., 1].std().item() == pytest.approx(deviation, abs=0.06)


def test_shares_are_those_of_the_schedulers_own_noise():
    x, n = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 5.0)
    for scheduler in (RFlowScheduler(**FLOW), DDIMScheduler(1000, **BETAS)):
        for time in (0, 3, 500, 999):
            signal, noise = shares(scheduler, time)
            added = scheduler.add_noise(x, n, torch.tensor([time]))
            assert added.flatten()[0].item() == pytest.approx(3 * signal + 5 * noise, rel=1e-4)


def test_with_all_unknown_it_is_the_ordinary_sampler():
    noise = torch.randn(3, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scheduler = RFlowScheduler(**FLOW)
    mask = torch.ones(3, 1, 2)
    made = InpaintingSampler(scheduler, 5)(noise, flow, known=torch.zeros_like(noise), mask=mask)
    assert torch.equal(made, DiffusionSampler(scheduler, 5)(noise, flow))


def test_a_region_is_made_in_half_precision_and_what_is_known_stays():
    layer = torch.nn.Linear(4, 4)
    noise, known = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0))[:, None]
    mask = torch.zeros(1, 1, 3, 4)
    mask[..., 2:] = 1
    full, half = (
        InpaintingSampler(RFlowScheduler(**FLOW), 5, repeats=2, precision=precision)(
            noise, lambda x, timesteps: layer(x), known=known, mask=mask
        )
        for precision in ("fp32", "bf16")
    )
    assert torch.equal(half[..., :2], known[..., :2])
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0, atol=0.03)


def test_a_seed_gives_one_result_and_rows_do_not_mix():
    noise = torch.randn(3, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known = torch.tensor([[[1.0, 0]], [[0.5, 0]], [[0.0, 0]]], dtype=torch.float64)
    mask = torch.tensor([[[False, True]]]).expand(3, 1, 2)
    sampler = InpaintingSampler(RFlowScheduler(**FLOW), 5, repeats=3)
    together = sampler(noise, flow, known=known, mask=mask)
    alone = sampler(noise[1:2], flow, known=known[1:2], mask=mask[1:2])
    assert torch.equal(together[1:2], alone)
    assert torch.equal(together[..., 0], known[..., 0])


def test_what_will_not_do():
    with pytest.raises(ValueError, match="repeats is 0, expected a whole number, 1 or more"):
        InpaintingSampler(RFlowScheduler(**FLOW), 5, repeats=0)
    with pytest.raises(ValueError, match="PNDMScheduler looks back at several steps"):
        InpaintingSampler(PNDMScheduler(1000, skip_prk_steps=True), 50)
    sampler, noise = InpaintingSampler(RFlowScheduler(**FLOW), 5), torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"known has shape \(1, 1, 4, 2\) and mask \(1, 1, 4, 4\), expected that of"):
        sampler(noise, flow, known=noise[..., :2], mask=noise)
