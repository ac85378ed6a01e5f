"""A flow's network that says what mean and covariance of the data leave open."""

import numpy as np
import pytest
import scipy
import torch
from monai.networks.schedulers import DDPMScheduler, RFlowScheduler

from tools.engines.preconditioning import MeasureSamples
from tools.engines.sampling import DiffusionSampler
from tools.engines.schedules import noise_scheduler
from tools.layers.cosines import cosines
from tools.losses.diffusion import DiffusionObjective
from tools.networks.control import ControlledUNet
from tools.networks.denoisers import PatchUNet, PatchUNetMaisi
from tools.networks.preconditioning import Box, FlowPreconditioning, PrincipalPreconditioning
from tools.transforms.channels import Channels
from tools.transforms.views import view

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

    def test_what_is_changed_in_training_is_measured_so(self):
        data = [{"image": np.full((1, 4, 4, 4), float(n))} for n in range(3)]
        own = FlowPreconditioning(1)
        MeasureSamples(
            own, data, prepare=lambda batch, draws: {"image": 2 * batch["image"] + draws.iteration}
        ).measure()
        np.testing.assert_allclose(own.mean, [3.0])  # of 0, 3 and 6

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


def filled(own, seed=0):
    """Any numbers as what was measured: a mean, components that are not orthogonal, and a rest."""
    generator = torch.Generator().manual_seed(seed)
    own.mean.copy_(torch.randn(own.mean.shape, generator=generator))
    own.components.copy_(torch.randn(own.components.shape, generator=generator) * 0.6)
    own.spectrum.copy_(torch.rand(own.spectrum.shape, generator=generator) + 0.05)
    own.is_measured.fill_(True)
    return own.double()


def covariance(spectrum, size, coarser=(1.0, 1.0, 1.0), box=False):
    """That of a rest of this spectrum, [voxels, voxels]: SciPy's cosines, each with the variance of its frequency."""
    variances = np.empty(size)
    for k in np.ndindex(*size):
        frequency = np.sqrt(sum((k[i] / (2 * size[i] * coarser[i])) ** 2 for i in range(3)))
        octaves = np.log2(frequency / 2) if frequency > 0 else -np.inf  # the last band is at 2, 3 are an octave
        variances[k] = np.exp(np.interp(3 * octaves, np.arange(-24, 1), np.log(spectrum))) / np.prod(coarser)
        if box:  # a triangle of two voxels is a mean of one twice, which passes sin(x) / x of an amplitude each time
            angles = [np.pi * k[i] / (2 * size[i]) for i in range(3)]
            variances[k] *= np.prod([(np.sin(angle) / angle) ** 4 if angle else 1 for angle in angles])
    cosine = np.stack([scipy.fft.idctn(one.reshape(size), norm="ortho").ravel() for one in np.eye(variances.size)])
    return cosine.T @ np.diag(variances.ravel()) @ cosine


def regression(mean, components, rest, z, t):
    """E[x - n | z] of normal data, from the covariances of z with itself and with the velocity, and its deviations."""
    w = components.reshape(len(components), -1)
    data = w.T @ w + rest
    noisy = (1 - t) ** 2 * data + t**2 * np.eye(len(data))
    with_velocity = (1 - t) * data - t * np.eye(len(data))
    guess = mean.ravel() + with_velocity @ np.linalg.solve(noisy, z.ravel() - (1 - t) * mean.ravel())
    left = data + np.eye(len(data)) - with_velocity @ np.linalg.solve(noisy, with_velocity.T)
    return guess.reshape(z.shape), np.sqrt(np.diag(left).reshape(z.shape))


@pytest.mark.parametrize("t", [0.0, 0.05, 0.5, 0.9, 1.0])
def test_guess_by_components_is_the_regression_of_normal_data(t):
    own = filled(PrincipalPreconditioning(2, (2, 3, 4), components=3))
    z = torch.randn(2, 2, 2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    seen, guess, left = own(z, torch.full((2,), 1000 * t, dtype=torch.float64))
    rest = scipy.linalg.block_diag(*(covariance(one, (2, 3, 4)) for one in own.spectrum.numpy()))
    for row in range(2):
        expected, errors = regression(own.mean.numpy(), own.components.numpy(), rest, z[row].numpy(), t)
        np.testing.assert_allclose(guess[row], expected, rtol=1e-6, atol=1e-6)
        # the unit of the network's answer need not be exact
        found = left[row].flatten().numpy()
        np.testing.assert_allclose(found, np.sqrt((errors**2).mean((1, 2, 3))), rtol=0.3)
    # what the network sees is the noisy sample about the centre, in units of its deviation, and the guess of the sample
    means = own.mean.mean((1, 2, 3)).view(2, 1, 1, 1)
    variance = own.components.square().sum(0).mean((1, 2, 3)) + torch.tensor(np.diag(rest).reshape(2, 24).mean(1))
    sample = means + variance.sqrt().view(2, 1, 1, 1) * seen[:, 2:]
    torch.testing.assert_close(t * guess, sample - z, rtol=1e-5, atol=1e-5)  # x - n = (x - z) / t
    own.spectrum.fill_(0.25)
    centre = z - own(z, torch.full((2,), 1000 * t, dtype=torch.float64))[0][:, :2] * (0.25 * (1 - t) ** 2 + t**2) ** 0.5
    free = np.concatenate([one.reshape(3, -1) for one in own.components.numpy().transpose(1, 0, 2, 3, 4)], 1)
    about = (centre.numpy() - (1 - t) * own.mean.numpy()).reshape(2, -1)
    left = about - about @ np.linalg.pinv(free) @ free
    np.testing.assert_allclose(left, 0, atol=1e-6)  # mean and components alone


@pytest.mark.parametrize("t", [0.1, 0.9])
def test_a_box_is_guessed_from_a_box_of_the_components(t):
    """Half of two axes at twice as many voxels, and all of the third."""
    own = filled(PrincipalPreconditioning(1, (4, 4, 6), components=2))
    first, last = torch.tensor([[0.5, 0.0, 0.0]]).double(), torch.tensor([[1.0, 0.5, 1.0]]).double()

    def box(volumes, outside):
        field = torch.ones(1, 3)
        return view(volumes[None], field, (4, 4, 6), (last - first) / torch.tensor([4, 4, 6]), first, outside)[0]

    mean, components = (box(one, outside) for one, outside in ((own.mean, -1.0), (own.components[:, 0], 0.0)))
    z = torch.randn(1, 1, 4, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    guess = own(z, torch.tensor([1000 * t]).double(), first, last)[1]
    rest = covariance(own.spectrum[0].numpy(), (4, 4, 6), (0.5, 0.5, 1), box=True)
    expected = regression(mean.numpy(), components.numpy(), rest, z[0].numpy(), t)[0]
    np.testing.assert_allclose(guess[0], expected, rtol=1e-4, atol=1e-4)


def test_coefficients_of_boxes_are_scipys():
    """Boxes with fewer and with more voxels than are kept, of which as many are taken at most."""
    box = Box((4, 5, 6), (7, 3, 6), torch.tensor([[0.1, 0.0, 0.4]]), torch.tensor([[0.9, 0.5, 1.0]]))
    kept = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    found = box.coefficients(kept, cosines((7, 3, 6), kept))
    boxes = np.stack([box.of(one[None])[0].numpy() for one in kept])
    expected = scipy.fft.dctn(boxes, axes=(2, 3, 4), norm="ortho")[:, :, :4]
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_untrained_network_samples_the_normal_distribution_of_the_components():
    """Mean sample and deviations of whole samples, of which single voxels know little, by the guess alone."""
    torch.manual_seed(0)
    sizes = {"components": 1, "sample_size": (8, 8, 8)}
    network = PatchUNet(3, 1, 1, channels=[8, 16], patch=2, preconditioned=True, **sizes, **SMALL)
    own = network.preconditioning
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(1, 8, 8, 8, generator=generator)
    own.measure([shape + 0.5 * torch.randn(1, generator=generator) + 0.1 * torch.randn(1, 8, 8, 8) for _ in range(400)])
    sampler = DiffusionSampler(noise_scheduler("flow", uniform_side=1), steps=60, batch_size=100)
    made = sampler(torch.randn(300, 1, 8, 8, 8, generator=generator), network)
    assert (made.mean(0) - shape).square().mean().sqrt() < 0.06
    assert (made - shape).mean((1, 2, 3, 4)).std().item() == pytest.approx(0.5, rel=0.15)


class TestComponents:
    def test_are_those_of_numpys_svd(self):
        rng = np.random.default_rng(0)
        data = rng.normal(size=(12, 2, 3, 4, 5)).astype(np.float32) * np.linspace(0.1, 2, 5)
        own = PrincipalPreconditioning(2, (3, 4, 5), components=4)
        own.measure(torch.tensor(one).float() for one in data)
        np.testing.assert_allclose(own.mean, data.mean(0), atol=1e-6)
        about = (data - data.mean(0)).reshape(12, -1)
        _, sizes, directions = np.linalg.svd(about, full_matrices=False)
        for k in range(4):
            found, expected = own.components[k].flatten().numpy(), sizes[k] / np.sqrt(11) * directions[k]
            np.testing.assert_allclose(found * np.sign(found @ expected), expected, atol=1e-3)
        rest = (about - about @ directions[:4].T @ directions[:4]).reshape(data.shape)
        squares = scipy.fft.dctn(rest, axes=(2, 3, 4), norm="ortho") ** 2
        frequencies = np.sqrt(sum((k / (2 * n)) ** 2 for k, n in zip(np.indices((3, 4, 5)), (3, 4, 5), strict=True)))
        bands = np.rint(np.maximum(24 + 3 * np.log2(np.maximum(frequencies, 1e-9) / 2), 0))
        for band in np.unique(bands).astype(int):
            expected = squares[:, :, bands == band].sum((0, 2)) / (7 * (bands == band).sum())  # of 12 samples a mean
            np.testing.assert_allclose(own.spectrum[:, band], expected, rtol=1e-4)  # and 4 components are known

    def test_of_few_samples_there_are_half_as_many_and_the_rest_is_not_nothing(self):
        """Of n samples with n - 1 components nothing would be left, and what was held out would be impossible."""
        own = PrincipalPreconditioning(1, (8, 8, 8), components=16)
        generator = torch.Generator().manual_seed(0)
        own.measure([torch.randn(1, 8, 8, 8, generator=generator) for _ in range(9)])
        sizes = own.components.square().flatten(1).sum(1)
        assert (sizes[:4] > 0.1).all()
        assert (sizes[4:] == 0).all()
        assert own._variances((8, 8, 8), None).mean().item() == pytest.approx(1, abs=0.2)

    def test_of_finer_samples_are_kept_on_fewer_voxels(self):
        """What details are lost by it counts to the rest."""
        generator = torch.Generator().manual_seed(0)
        own = PrincipalPreconditioning(1, (4, 4, 4), components=1)
        fine = [torch.randn(1, 1, 1, 1, generator=generator) + 0.2 * torch.randn(1, 16, 16, 16) for _ in range(50)]
        own.measure(fine)
        # of 64 voxels for one, each that is kept would have a deviation 8 times less
        np.testing.assert_allclose(own.spectrum[0, 20:].sqrt(), 0.2 / 8, rtol=0.1)
        assert own.components[0].square().mean().sqrt().item() == pytest.approx(1, abs=0.25)

    def test_other_sizes_are_refused(self):
        own = PrincipalPreconditioning(1, (4, 4, 4), components=1)
        with pytest.raises(
            ValueError, match=r"samples are \(1, 4, 4, 8\), and the network knows the mean of \(1, 4, 4, 4\)"
        ):
            own(torch.zeros(1, 1, 4, 4, 8), torch.zeros(1))
        with pytest.raises(ValueError, match="no samples"):
            own.measure([])

    def test_of_chests_need_the_place_along_all_axes(self):
        sizes = {"components": 2, "sample_size": (4, 4, 4), "preconditioned": True}
        with pytest.raises(ValueError, match="region_numbers is 4, and the guess by components needs 12"):
            PatchUNetMaisi(3, 1, 1, num_channels=[8, 16], **sizes, **SMALL)


def test_another_prediction_and_other_times_are_refused():
    network = PatchUNet(3, 1, 1, channels=[8, 16], preconditioned=True, **SMALL)
    with pytest.raises(ValueError, match="preconditioned for a flow, and the scheduler's is a prediction of epsilon"):
        DiffusionObjective(network, DDPMScheduler(1000))
    with pytest.raises(ValueError, match="preconditioned for times up to 1000"):
        DiffusionObjective(network, RFlowScheduler(500))
