"""Samplers on Gaussian data, whose best denoiser is known: the right ones give its mean and deviation.

The data have mean 0.3 and standard deviation 0.5. In 20,000 samples the mean has a standard error of 0.0035 and the
deviation one of 0.0025.
"""

import itertools
import math

import pytest
import torch
from monai.inferers import DiffusionInferer
from monai.networks.nets import DiffusionModelUNet
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler, PNDMScheduler, RFlowScheduler

from tools.engines.sampling import DiffusionSampler, check_steps, nearest_steps
from tools.networks.denoisers import PatchUNetMaisi

MEAN, DEVIATION, STEPS, SAMPLES = 0.3, 0.5, 1000, 20_000
BETAS = {"schedule": "scaled_linear_beta", "beta_start": 0.0015, "beta_end": 0.0195}
ABAR = list(
    itertools.accumulate(
        (1 - (math.sqrt(0.0015) + (math.sqrt(0.0195) - math.sqrt(0.0015)) * t / 999) ** 2 for t in range(STEPS)),
        lambda product, alpha: product * alpha,
    )
)


def posterior(x, signal, noise):
    """E[x0 | x] and E[n | x] of x = signal * x0 + noise * n."""
    variance = signal**2 * DEVIATION**2 + noise**2
    beyond = x - signal * MEAN
    return MEAN + signal * DEVIATION**2 / variance * beyond, noise / variance * beyond


def epsilon(x, timesteps):
    abar = ABAR[int(timesteps[0])]
    return posterior(x, math.sqrt(abar), math.sqrt(1 - abar))[1]


def velocity(x, timesteps):
    abar = ABAR[int(timesteps[0])]
    signal, noise = math.sqrt(abar), math.sqrt(1 - abar)
    data, normal = posterior(x, signal, noise)
    return signal * normal - noise * data


def flow(x, timesteps):
    share = timesteps[0].item() / STEPS
    data, normal = posterior(x, 1 - share, share)
    return data - normal


def ddim(**options):
    return DDIMScheduler(STEPS, **{"clip_sample": False, **BETAS, **options})


def pndm(**options):
    return PNDMScheduler(STEPS, **{"skip_prk_steps": True, **BETAS, **options})


def standard_normal(seed=0):
    noise = torch.randn(SAMPLES, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (noise - noise.mean()) / noise.std()


def moments(samples):
    return samples.mean().item(), samples.std().item()


def near(expected, tolerance=0.012):
    return tuple(pytest.approx(value, abs=tolerance) for value in expected)


@pytest.mark.parametrize(
    ("scheduler", "network", "steps", "eta", "expected"),
    [
        (DDPMScheduler(STEPS, clip_sample=False, **BETAS), epsilon, 1000, 0, (0.297, 0.494)),
        (ddim(), epsilon, 1000, 0, (0.298, 0.497)),
        (ddim(), epsilon, 250, 0, (0.299, 0.493)),
        (ddim(), epsilon, 50, 0, (0.302, 0.471)),
        (ddim(prediction_type="v_prediction"), velocity, 250, 0, (0.299, 0.493)),
        (ddim(prediction_type="v_prediction"), velocity, 50, 0, (0.302, 0.471)),
        (ddim(), epsilon, 250, 1, (0.305, 0.477)),
        (ddim(), epsilon, 50, 1, (0.296, 0.442)),
        (pndm(), epsilon, 250, 0, (0.299, 0.502)),
        (pndm(), epsilon, 50, 0, (0.299, 0.494)),
        (pndm(prediction_type="v_prediction"), velocity, 250, 0, (0.298, 0.498)),
        (RFlowScheduler(STEPS), flow, 1000, 0, (0.301, 0.499)),
        (RFlowScheduler(STEPS), flow, 50, 0, (0.302, 0.482)),
        (RFlowScheduler(STEPS), flow, 30, 0, (0.298, 0.475)),
        (RFlowScheduler(STEPS, use_discrete_timesteps=False), flow, 30, 0, (0.298, 0.475)),
    ],
)
def test_samples_have_the_moments_of_the_data(scheduler, network, steps, eta, expected):
    sampler = DiffusionSampler(scheduler, steps, eta=eta, batch_size=SAMPLES)
    found = moments(sampler(standard_normal(), network))
    assert found == near(expected)
    if eta == 0:
        assert found == (pytest.approx(MEAN, abs=0.02), pytest.approx(DEVIATION, abs=0.03))


def by_monai(scheduler, network, steps, **options):
    """The same by MONAI's own inferer, without what is refused here."""
    scheduler.set_timesteps(steps, **options)
    torch.manual_seed(1)
    return moments(
        DiffusionInferer(scheduler).sample(
            standard_normal(), lambda x, timesteps, context=None: network(x, timesteps), scheduler, verbose=False
        )
    )


@pytest.mark.parametrize(
    ("scheduler", "steps", "wrong", "message"),
    [
        (DDPMScheduler(STEPS, clip_sample=False, **BETAS), 250, (0.155, 0.747), "is asked for 250 steps and trained"),
        (DDPMScheduler(STEPS, clip_sample=False, **BETAS), 50, (0.033, 0.942), "Take all 1000, or DDIMScheduler"),
        (ddim(), 501, (0.178, 0.710), "501 steps of 1000, but believes each to be of 1 times.* the nearest is 500"),
        (ddim(), 400, (0.257, 0.576), "the nearest is"),
        (pndm(), 501, (0.243, 0.530), "PNDMScheduler is asked for 501 steps.* the nearest is 500"),
        (pndm(skip_prk_steps=False), 50, (0.258, 0.584), "skip_prk_steps false"),
    ],
)
def test_steps_that_leave_noise_are_refused(scheduler, steps, wrong, message):
    found = by_monai(scheduler, epsilon, steps)
    assert found == near(wrong)
    assert abs(found[0] - MEAN) > 0.02 or abs(found[1] - DEVIATION) > 0.03
    with pytest.raises(ValueError, match=message):
        DiffusionSampler(scheduler, steps)


def test_the_number_of_steps_that_is_proposed_is_taken():
    for make in (ddim, pndm):
        for steps in (2, 7, 149, 300, 400, 700):
            with pytest.raises(ValueError, match="the nearest is") as refused:
                check_steps(make(), steps)
            check_steps(make(), int(str(refused.value).rsplit(" ", 1)[1]))


def test_latents_are_not_clipped():
    clipped = ddim(clip_sample=True)
    assert by_monai(clipped, epsilon, 50) == near((0.278, 0.443))
    with pytest.raises(ValueError, match="DDIMScheduler has clip_sample true, which squeezes latents"):
        DiffusionSampler(clipped, 50, latents=True)
    assert DiffusionSampler(clipped, 50)(standard_normal()[:1], epsilon).abs().item() <= 1  # images are in [-1, 1]


def test_times_of_a_flow_beyond_half_precision_are_refused():
    scheduler = RFlowScheduler(5000)
    scheduler.set_timesteps(7)
    assert scheduler.timesteps[1:4].tolist() != [4286, 3571, 2857]
    with pytest.raises(ValueError, match=r"num_train_timesteps 5000, .* half precision"):
        DiffusionSampler(scheduler, 7)
    exact = DiffusionSampler(RFlowScheduler(2048), 7).times(torch.zeros(1, 1, 4, 4))
    assert exact == [round(2048 * (1 - step / 7)) for step in range(7)]


def test_a_flow_does_not_walk_too_far_where_its_times_are_not_whole():
    """With a velocity of 1 the way from T to 0 is 1; MONAI's own steps cut the time after to its whole part."""
    scheduler = RFlowScheduler(STEPS, use_discrete_timesteps=False, use_timestep_transform=True, base_img_size_numel=8)
    noise = torch.zeros(1, 1, 4, 4, 4)
    way = DiffusionSampler(scheduler, 30)(noise, lambda x, timesteps: torch.ones_like(x))
    assert way.unique().tolist() == pytest.approx([1], abs=1e-5)
    monais = noise
    for time, after in itertools.pairwise([*scheduler.timesteps, torch.tensor(0)]):
        monais = scheduler.step(torch.ones_like(noise), time, monais, after)[0]
    cut = sum(time.item() % 1 for time in scheduler.timesteps[1:])
    assert cut > 5
    assert monais.max().item() == pytest.approx(1 + cut / STEPS, abs=1e-4)


def test_a_flow_moves_its_times_by_the_size_of_the_sample():
    scheduler = RFlowScheduler(STEPS, use_timestep_transform=True, base_img_size_numel=8)
    with pytest.raises(TypeError):
        scheduler.set_timesteps(4)
    ratio = (64 / 8) ** (1 / 3)
    expected = [1000 * ratio * s / (1 + (ratio - 1) * s) for s in (1, 0.75, 0.5, 0.25)]
    assert DiffusionSampler(scheduler, 4).times(torch.zeros(1, 1, 4, 4, 4)) == pytest.approx(expected, abs=1.5)
    with pytest.raises(ValueError, match="spatial_dim is 3, and samples have 2 axes"):
        DiffusionSampler(scheduler, 4).times(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("scheduler", [ddim(), pndm(), RFlowScheduler(STEPS)])
def test_times_stay_on_the_cpu(scheduler):
    with torch.device("meta"):
        DiffusionSampler(scheduler, 50).times(torch.zeros(1, 1, 4, 4))
    assert scheduler.timesteps.device.type == "cpu"


def test_a_sample_follows_from_its_noise_alone():
    noise = standard_normal()[:6].reshape(3, 1, 2, 1).float()
    sampler = DiffusionSampler(ddim(), 20, eta=1)
    whole = sampler(noise, epsilon)
    torch.manual_seed(5)
    assert torch.equal(sampler(noise[1:2], epsilon), whole[1:2])
    assert not torch.equal(DiffusionSampler(ddim(), 20)(noise, epsilon), whole)


def test_pndm_forgets_the_sample_before():
    sampler, noise = DiffusionSampler(pndm(), 20), standard_normal()[:2]
    assert torch.equal(sampler(noise, epsilon), sampler(noise, epsilon))


class OfClass:
    """A velocity that is 10 for class 0, 20 for class 1, and 1 for none."""

    num_class_embeds = 3

    def __call__(self, x, timesteps, class_labels):
        return torch.tensor([10.0, 20.0, 1.0])[class_labels].view(-1, 1, 1, 1).expand_as(x)


@pytest.mark.parametrize(
    ("guidance", "label", "expected"),
    [(1, [0, 1], [10, 20]), (0, [0, 1], [1, 1]), (3, [0, 1], [1 + 3 * 9, 1 + 3 * 19]), (3, None, [1, 1])],
)
def test_guidance(guidance, label, expected):
    sampler = DiffusionSampler(RFlowScheduler(STEPS), 4, guidance=guidance)
    made = sampler(torch.zeros(2, 1, 1, 1), OfClass(), label=None if label is None else torch.tensor(label))
    assert made.flatten().tolist() == pytest.approx(expected)


def test_a_class_that_the_network_does_not_know():
    with pytest.raises(ValueError, match="a class is asked for, and the network has none"):
        DiffusionSampler(RFlowScheduler(STEPS), 4)(torch.zeros(1, 1, 1, 1), flow, label=torch.tensor([0]))


def test_flash_attention_of_monais_network_is_the_same_on_a_cpu():
    answers = []
    for flash in (False, True):
        torch.manual_seed(0)
        network = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            channels=(8, 16),
            attention_levels=(False, True),
            num_res_blocks=1,
            norm_num_groups=4,
            num_head_channels=8,
            use_flash_attention=flash,
        )
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        sampler = DiffusionSampler(RFlowScheduler(STEPS), 2)
        answers.append(sampler(torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)), network))
    assert answers[0].std() > 0.1
    torch.testing.assert_close(answers[0], answers[1])


def patch_unet():
    """The network of rflow_luna16, small, with weights that make something of what they get."""
    torch.manual_seed(0)
    network = PatchUNetMaisi(
        spatial_dims=3,
        in_channels=1,
        out_channels=1,
        patch=2,
        num_channels=(16, 32),
        num_res_blocks=1,
        attention_levels=(False, False),
        norm_num_groups=8,
        num_head_channels=32,
    )
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return network.eval()


def noise_of(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_in_full_precision_nothing_is_rounded():
    network, noise = patch_unet(), noise_of(1, 1, 8, 8, 8)
    made = DiffusionSampler(RFlowScheduler(STEPS), 4)(noise, network)
    for time in (1000.0, 750.0, 500.0, 250.0):
        noise = noise + network(noise, torch.tensor([time])) * (250 / STEPS)
    assert torch.equal(made, noise)


@pytest.mark.parametrize(("precision", "bound"), [("bf16", 0.02), ("fp16", 0.002)])
def test_half_precision_stays_close(precision, bound):
    """By the samples' deviation; the difference is rounding and not nothing."""
    network, noise = patch_unet(), noise_of(1, 1, 16, 16, 16)
    full, half = (DiffusionSampler(RFlowScheduler(STEPS), 10, precision=p)(noise, network) for p in ("fp32", precision))
    assert half.dtype == full.dtype == torch.float32
    assert (full - noise).std() > 0.3
    assert 0 < (half - full).std() / full.std() < bound


class Layer(torch.nn.Linear):
    """A network that notes what it gets, and the format in which it computes."""

    def __init__(self):
        super().__init__(4, 4)
        self.got, self.formats = [], []

    def forward(self, x, timesteps):
        answer = super().forward(x)
        self.got.append(x)
        self.formats.append(answer.dtype)
        return answer


SCHEDULERS = [DDPMScheduler(20, clip_sample=False), ddim(), pndm(), RFlowScheduler(STEPS)]


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda scheduler: type(scheduler).__name__)
def test_in_half_precision_the_steps_are_in_full(scheduler, monkeypatch):
    network, stepped = Layer(), []
    own = DiffusionSampler._step

    def step(self, predicted, time, after, sample, generator):
        stepped.append((predicted.dtype, sample.dtype, torch.is_autocast_enabled("cpu")))
        return own(self, predicted, time, after, sample, generator)

    monkeypatch.setattr(DiffusionSampler, "_step", step)
    DiffusionSampler(scheduler, 20, precision="bf16")(noise_of(1, 1, 3, 4), network)
    assert {*network.formats} == {torch.bfloat16}
    assert {x.dtype for x in network.got} == {torch.float32}
    assert {*stepped} == {(torch.float32, torch.float32, False)}
    # a sample that had been rounded would be among the numbers of bfloat16
    assert not any(torch.equal(x, x.bfloat16().float()) for x in network.got)


def test_full_precision_leaves_an_autocast_around_it():
    """Published models have one on a GPU, of MONAI's evaluator."""
    network, noise = Layer(), noise_of(1, 1, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        DiffusionSampler(RFlowScheduler(STEPS), 2)(noise, network)
    DiffusionSampler(RFlowScheduler(STEPS), 2)(noise, network)
    assert network.formats == [torch.bfloat16] * 2 + [torch.float32] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number from 1 to num_train_timesteps, 1000"),
        ({"steps": 1001}, "steps is 1001"),
        ({"steps": 30.0}, "steps is 30.0"),
        ({"eta": 2}, "eta is 2"),
        ({"eta": 1}, "eta is 1, which DDIMScheduler alone has; RFlowScheduler takes 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"precision": "fp8"}, "precision is 'fp8', expected one of fp32, bf16, fp16"),
        ({"scheduler": RFlowScheduler(STEPS, steps_offset=1)}, "steps_offset 1, which moves its first time beyond"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DiffusionSampler(**{"scheduler": RFlowScheduler(STEPS), "steps": 10, **options})


def test_the_nearest_number_of_steps_is_one_that_samples_what_was_learned():
    assert nearest_steps(RFlowScheduler(1000), 10) == 10
    assert nearest_steps(DDPMScheduler(1000), 10) == 1000
    for scheduler in (DDIMScheduler(1000, clip_sample=False), PNDMScheduler(1000, skip_prk_steps=True)):
        assert nearest_steps(scheduler, 100) == 100
        for asked in (10, 300, 700):
            found = nearest_steps(scheduler, asked)
            check_steps(scheduler, found)
            for nearer in range(asked - abs(found - asked) + 1, asked + abs(found - asked)):
                with pytest.raises(ValueError, match=f"asked for {nearer} steps"):
                    check_steps(scheduler, nearer)
