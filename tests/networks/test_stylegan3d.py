"""3D-StyleGAN: parameter counts of the published networks, and what its definition implies."""

import copy

import numpy as np
import pytest
import scipy.signal
import torch

from tools.layers.equalised import set_fused
from tools.layers.residual import FilteredHalving
from tools.layers.styled import StyledConv
from tools.networks.style_mapping import mixed
from tools.networks.stylegan3d import TAPS, StyleGAN3DDiscriminator, StyleGAN3DGenerator

COUNTS = """
80x96x112 5x6x7 96 96 residual 74496 2353738 4215553
80x96x112 5x6x7 128 128 residual 132096 4174602 7492609
80x96x112 5x6x7 16 96 residual 74496 81258 117633
160x192x224 5x6x7 18 96 residual 74496 121188 166645
160x192x224 5x6x7 16 96 plain 74496 98220 130465
160x192x224 5x6x7 24 96 plain 74496 204348 293041
64x64x64 4x4x4 32 96 residual 74496 282250 319745
"""
"""Volume, base grid, channels, size of z and w, blocks of D, and parameters of mapping, synthesis and discriminator."""

SIZES = {"volume_size": (12, 16, 12), "base_grid": (3, 4, 3)}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return StyleGAN3DGenerator(**SIZES, image_channels=2, latent_dim=8, style_dim=8, mapping_layers=2, channels=8)


@pytest.mark.parametrize("line", COUNTS.split("\n")[1:-1])
def test_parameters(line):
    size, base, channels, style_dim, blocks, *expected = line.split()
    size, base = (tuple(map(int, text.split("x"))) for text in (size, base))
    channels, style_dim = int(channels), int(style_dim)
    with torch.device("meta"):
        generator = StyleGAN3DGenerator(size, base, latent_dim=style_dim, style_dim=style_dim, channels=channels)
        discriminator = StyleGAN3DDiscriminator(size, base, channels=channels, residual=blocks == "residual")
        found = [count(network) for network in (generator.mapping, generator.synthesis, discriminator)]
    assert found == [*map(int, expected)]
    assert generator.synthesis.num_ws == {80: 10, 160: 12, 64: 10}[size[0]]


@pytest.mark.parametrize("doublings", [1, 4])
def test_a_base_grid_is_doubled(doublings):
    size = tuple(n * 2**doublings for n in (5, 6, 7))
    with torch.device("meta"):
        generator = StyleGAN3DGenerator(size, (5, 6, 7), channels=2)
        discriminator = StyleGAN3DDiscriminator(size, (5, 6, 7), channels=2)
        noise = [torch.empty(4, 1, *shape) for shape in generator.synthesis.noise_shapes]
        volume = generator(torch.empty(4, 96), noise=noise)
        assert volume.shape == (4, 1, *size)
        assert discriminator.blocks(volume).shape == (4, 2, 5, 6, 7)
        assert discriminator(volume).shape == (4, 1)
    assert [tuple(one.shape[2:]) for one in noise[1::2]] == [
        tuple(n * 2**level for n in (5, 6, 7)) for level in range(1, doublings + 1)
    ]


@pytest.mark.parametrize("size", [(10, 12, 15), (5, 6, 7), (15, 18, 21), (20, 24, 14)])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=r"expected base_grid \[5, 6, 7\] doubled once or more"):
        StyleGAN3DGenerator(size, (5, 6, 7))


def test_what_is_no_grid_is_refused():
    with pytest.raises(ValueError, match="expected three lengths above 0 each"):
        StyleGAN3DGenerator((8, 8, 8), (0, 4, 4))
    with pytest.raises(ValueError, match=r"expected volumes \[B, 1, 8, 8, 8\], got \(4, 2, 8, 8, 8\)"):
        StyleGAN3DDiscriminator((8, 8, 8), (4, 4, 4), channels=2)(torch.zeros(4, 2, 8, 8, 8))


def test_both_ways_to_compute_are_one_function_and_have_one_gradient(generator):
    """Of volumes, and of what path length regularisation needs: the gradient of a gradient."""
    generator = generator.double()
    for layer in generator.synthesis.layers:
        torch.nn.init.constant_(layer.noise_strength, 0.3)
        torch.nn.init.normal_(layer.bias)
    discriminator = StyleGAN3DDiscriminator(**SIZES, image_channels=2, channels=8).double()
    latent = torch.randn(2, 8, dtype=torch.float64)

    def computed(fused):
        networks = [set_fused(copy.deepcopy(network), fused) for network in (generator, discriminator)]
        ws = networks[0].styles(networks[0].mapping(latent))
        volume = networks[0].synthesis(ws)
        (slope,) = torch.autograd.grad((volume * volume.detach().cos()).sum(), ws, create_graph=True)
        (slope_of_d,) = torch.autograd.grad(networks[1](volume).sum(), volume, create_graph=True)
        (slope.square().sum() + slope_of_d.square().sum() + networks[1](volume).mean()).backward()
        return [volume, slope, slope_of_d, *(p.grad for n in networks for p in n.parameters() if p.grad is not None)]

    fused, plain = computed(True), computed(False)
    assert len(fused) == len(plain) > 30
    for one, other in zip(fused, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def filtered(x, padding, gain=1.0):
    taps = np.array(TAPS) / sum(TAPS)
    cube = taps[:, None, None] * taps[:, None] * taps * gain
    return scipy.signal.convolve(np.pad(x, padding), cube, mode="valid", method="direct")


def test_a_doubling_convolution_by_scipy():
    """Zeros between the voxels, three at each end, true convolution with the filter and with 3^3."""
    torch.manual_seed(0)
    layer = StyledConv(2, 3, 4, (6, 8, 4), up=2, taps=TAPS).double()
    x, style = torch.randn(1, 2, 3, 4, 2, dtype=torch.float64), torch.randn(1, 2, dtype=torch.float64)
    weight = (layer.weight * style[0][:, None, None, None]).detach()
    weight = (weight / torch.linalg.vector_norm(weight.flatten(1), dim=1)[:, None, None, None, None]).numpy()
    found = layer.convolved(x, style).detach().numpy()
    for o in range(3):
        expected = 0
        for i in range(2):
            spread = np.zeros((6, 8, 4))
            spread[::2, ::2, ::2] = x[0, i].numpy()
            blurred = filtered(spread, 3, gain=8)
            expected = expected + scipy.signal.convolve(blurred, weight[o, i], mode="valid", method="direct")
        np.testing.assert_allclose(found[0, o], expected, rtol=0, atol=1e-6)  # the taps are of single precision


@pytest.mark.parametrize("kernel_size", [3, 1])
def test_a_halving_convolution_by_scipy(kernel_size):
    """Padded, blurred, correlated, every second voxel."""
    torch.manual_seed(0)
    layer = FilteredHalving(2, 3, kernel_size, bias=False, spatial_dims=3, taps=TAPS).double()
    x = torch.randn(1, 2, 4, 6, 8, dtype=torch.float64)
    weight = layer.scaled()[0].detach().numpy()
    for fused in (True, False):
        found = set_fused(layer, fused)(x).detach().numpy()
        for o in range(3):
            expected = 0
            for i in range(2):
                blurred = filtered(x[0, i].numpy(), (3, 2) if kernel_size == 3 else (2, 1))
                correlated = scipy.signal.correlate(blurred, weight[o, i], mode="valid", method="direct")
                expected = expected + correlated[::2, ::2, ::2]
            np.testing.assert_allclose(found[0, o], expected, rtol=0, atol=1e-6)


def test_untrained_styles_are_of_the_expected_size():
    torch.manual_seed(0)
    generator = StyleGAN3DGenerator(**SIZES, channels=16)
    assert 0.7 < generator.mapping(torch.randn(64, 96)).std() < 1.3


def test_noise_begins_without_effect_and_styles_with_one(generator):
    latent = torch.randn(2, 8)
    noise = [torch.randn(2, 1, *shape) for shape in generator.synthesis.noise_shapes]
    volume = generator(latent)
    assert torch.equal(generator(latent, noise=noise), volume)
    assert not torch.equal(volume[0], volume[1])
    for layer in generator.synthesis.layers:
        torch.nn.init.constant_(layer.noise_strength, 0.5)
    assert not torch.equal(generator(latent, noise=noise), generator(latent))


def test_truncation_to_the_average_gives_one_volume(generator):
    generator.mapping.average.copy_(torch.randn(8))
    volume = generator(torch.randn(3, 8), truncation=0)
    torch.testing.assert_close(volume, volume[:1].expand_as(volume), rtol=0, atol=3e-6)


@pytest.mark.parametrize("layer", [1, 3])
def test_styles_mixed_from_a_layer_on_leave_those_before_alone(generator, layer):
    made = []
    for one in generator.synthesis.layers:
        one.register_forward_hook(lambda module, given, output: made.append(output.detach()))
    first, second = generator.mapping(torch.randn(2, 8)).unsqueeze(1)
    number = generator.synthesis.num_ws
    assert number == 6
    generator.synthesis(mixed(first, second, torch.tensor([number]), number))
    generator.synthesis(mixed(first, second, torch.tensor([layer]), number))
    alike = [torch.equal(one, other) for one, other in zip(made[:5], made[5:], strict=True)]
    assert alike == [True] * layer + [False] * (5 - layer)


def test_another_number_of_styles_is_refused(generator):
    with pytest.raises(ValueError, match="got 3 styles and noise for None layers, expected 6 and 5"):
        generator.synthesis(torch.zeros(1, 3, 8))


def test_weights_of_another_grid_are_refused(generator):
    other = StyleGAN3DGenerator((24, 32, 24), (6, 8, 6), 2, 8, 8, 2, channels=8)
    with pytest.raises(ValueError, match="base_grid"):
        other.load_state_dict(generator.state_dict(), strict=False)
