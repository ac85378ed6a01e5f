"""A flow's network that says what the mean and deviation of the data leave open."""

import numpy as np
import pytest
import torch
from monai.networks.schedulers import DDPMScheduler, RFlowScheduler

from tools.engines.preconditioning import MeasureSamples
from tools.engines.sampling import DiffusionSampler
from tools.losses.diffusion import DiffusionObjective
from tools.networks.control import ControlledUNet
from tools.networks.denoisers import PatchUNet, PatchUNetMaisi
from tools.networks.preconditioning import FlowPreconditioning
from tools.transforms.channels import Channels

SMALL = {"num_res_blocks": 1, "attention_levels": [False, False], "norm_num_groups": 8, "num_head_channels": 16}
MEAN, DEVIATION = [-0.3, 0.9], [0.4, 0.05]


def measured(preconditioning, mean=MEAN, deviation=DEVIATION):
    preconditioning.mean.copy_(torch.tensor(mean))
    preconditioning.deviation.copy_(torch.tensor(deviation))
    preconditioning.is_measured.fill_(True)
    return preconditioning


@pytest.mark.parametrize("t", [0.02, 0.3, 0.5, 0.9, 1.0])
def test_guess_is_the_regression_of_velocities_on_noisy_samples(t):
    """NumPy's least squares with an intercept over draws, of data that are not normal; and what it leaves."""
    rng = np.random.default_rng(0)
    shape = rng.exponential(size=1_000_000) - 1  # of mean 0 and deviation 1
    for mean, deviation in zip(MEAN, DEVIATION, strict=True):
        x, n = mean + deviation * shape, rng.standard_normal(shape.size)
        z = (1 - t) * x + t * n
        design = np.stack([z, np.ones_like(z)], 1)
        solution, residual = np.linalg.lstsq(design, x - n)[:2]
        own = measured(FlowPreconditioning(1), [mean], [deviation])
        places = torch.tensor([-1.0, 0.0, 2.0])
        seen, guess, left = own(places.view(1, 1, 3, 1), torch.tensor([1000 * t]))
        expected = solution[0] * places.numpy() + solution[1]
        np.testing.assert_allclose(guess.flatten(), expected, rtol=0.02, atol=0.02)
        assert left.item() == pytest.approx(np.sqrt(residual[0] / z.size), rel=0.02)
        np.testing.assert_allclose(seen.flatten(), (places.numpy() - z.mean()) / z.std(), rtol=0.02, atol=0.02)


def test_untrained_network_samples_independent_normal_voxels():
    """Euler's steps with the guess alone end at the data's mean and deviation."""
    torch.manual_seed(0)
    network = PatchUNet(3, 2, 2, channels=[8, 16], patch=2, preconditioned=True, **SMALL)
    measured(network.preconditioning)
    sample = DiffusionSampler(RFlowScheduler(1000, use_discrete_timesteps=False), steps=200)(
        torch.randn(1, 2, 16, 16, 16), network
    )
    assert sample.mean((0, 2, 3, 4)).tolist() == pytest.approx(MEAN, abs=0.02)
    assert sample.std((0, 2, 3, 4)).tolist() == pytest.approx(DEVIATION, rel=0.05)


def test_answer_is_added_in_the_unit_of_what_the_guess_leaves():
    torch.manual_seed(0)
    network = PatchUNet(3, 2, 2, channels=[8, 16], preconditioned=True, **SMALL)
    plain = PatchUNet(3, 2, 2, channels=[8, 16], **SMALL)
    torch.nn.init.normal_(network.out[2].conv.weight)
    plain.load_state_dict({key: v for key, v in network.state_dict().items() if "preconditioning" not in key})
    measured(network.preconditioning)
    x, time = torch.randn(2, 2, 8, 8, 8), torch.tensor([100.0, 700.0])
    answered = network(x, time)
    for row, t in enumerate((0.1, 0.7)):
        for channel, (m, s) in enumerate(zip(MEAN, DEVIATION, strict=True)):
            v = (1 - t) ** 2 * s**2 + t**2
            centred = x[row, channel] - (1 - t) * m
            seen = torch.stack(
                [(x[row, k] - (1 - t) * MEAN[k]) / ((1 - t) ** 2 * DEVIATION[k] ** 2 + t**2) ** 0.5 for k in (0, 1)]
            )
            own = plain(seen[None], time[row : row + 1])[0, channel]
            expected = m + ((1 - t) * s**2 - t) / v * centred + s / v**0.5 * own
            torch.testing.assert_close(answered[row, channel], expected, rtol=1e-4, atol=1e-5)


def test_channels_behind_the_sample_go_to_the_network_as_they_are():
    torch.manual_seed(0)
    network = PatchUNet(3, 3, 1, channels=[8, 16], preconditioned=True, **SMALL)
    measured(network.preconditioning, [0.5], [0.1])
    seen = []
    network.conv_in.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    x = torch.randn(1, 3, 8, 8, 8)
    network(x, torch.tensor([1000.0]))
    assert torch.equal(seen[0][:, 1:], x[:, 1:])


def test_control_sees_what_the_denoiser_sees():
    network = PatchUNetMaisi(3, 1, 1, num_channels=[8, 16], preconditioned=True, **SMALL)
    measured(network.preconditioning, [0.5], [0.1])
    seen = []

    class Control(torch.nn.Module):
        def forward(self, x, timesteps, labels, class_labels=None):
            seen.append(x)
            raise StopIteration

    x = torch.randn(1, 1, 8, 8, 8)
    with pytest.raises(StopIteration):
        ControlledUNet(network, Control())(x, torch.tensor([400.0]), x)
    v = 0.6**2 * 0.1**2 + 0.4**2
    torch.testing.assert_close(seen[0], (x - 0.6 * 0.5) / v**0.5)


class TestMeasuring:
    def test_mean_and_deviation_of_all_voxels_once(self):
        channels = Channels({"mr": 99.5}, {"anterior": 1, "posterior": 2})
        rng = np.random.default_rng(0)
        data = [
            {"image": rng.normal(size=(1, 4, 5, 6)), "label": rng.integers(0, 3, (1, 4, 5, 6)).astype(np.uint8)}
            for _ in range(3)
        ]
        own = FlowPreconditioning(3)
        MeasureSamples(own, data, channels).measure()
        labels = np.stack([item["label"] for item in data])
        of = [np.stack([item["image"] for item in data]), *(np.where(labels == k, 1.0, -1.0) for k in (1, 2))]
        np.testing.assert_allclose(own.mean, [values.mean() for values in of], atol=1e-6)
        np.testing.assert_allclose(own.deviation, [values.std() for values in of], rtol=1e-6)
        before = own.mean.clone()
        MeasureSamples(own, [{"image": np.zeros((1, 2, 2, 2)), "label": np.zeros((1, 2, 2, 2))}], channels).measure()
        assert torch.equal(own.mean, before)

    def test_a_class_that_no_sample_has_is_guessed(self):
        own = FlowPreconditioning(2)
        own.measure([torch.stack([torch.arange(8.0), -torch.ones(8)]).view(2, 2, 2, 2)])
        x, n = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1, 1), torch.tensor([0.5, 1.5]).view(1, 2, 1, 1, 1)
        _, guess, left = own(0.4 * x + 0.6 * n, torch.tensor([600.0]))
        assert guess[0, 1].item() == pytest.approx(-2.5, abs=1e-4)
        assert left[0, 1].item() < 0.01

    def test_no_samples_are_refused(self):
        with pytest.raises(ValueError, match="no samples"):
            FlowPreconditioning(2).measure([])


def test_another_prediction_and_other_times_are_refused():
    network = PatchUNet(3, 1, 1, channels=[8, 16], preconditioned=True, **SMALL)
    with pytest.raises(ValueError, match="preconditioned for a flow, and the scheduler's is a prediction of epsilon"):
        DiffusionObjective(network, DDPMScheduler(1000))
    with pytest.raises(ValueError, match="preconditioned for times up to 1000"):
        DiffusionObjective(network, RFlowScheduler(500))
