"""The networks of the GANs of whole volumes: parameter counts, ranges, shapes, sizes that are no cubes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tools.layers.implementation import set_implementation
from tools.networks.volume_gan import (
    CodeDiscriminator,
    VariationalEncoder,
    VolumeAutoEncoder,
    VolumeDiscriminator,
    VolumeGenerator,
    doublings_of,
    grid_of,
)

SIZE = [16, 24, 16]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "arguments", "parameters"),
    [
        # Kwon et al., 64^3: WGAN and VAE-GAN; alpha-GAN, alpha-WGAN-GP and CCE-GAN
        (VolumeGenerator, {"first": "linear"}, 37_449_280),
        (VolumeGenerator, {}, 37_416_512),
        (VolumeDiscriminator, {}, 11_049_665),
        (VolumeDiscriminator, {"norm": "layer"}, 11_049_665),
        (VolumeDiscriminator, {"score_map": True}, 11_049_665),
        (VolumeDiscriminator, {"outputs": 1000}, 43_785_896),
        (VariationalEncoder, {}, 149_344_912),
        (CodeDiscriminator, {}, 20_901_889),
        (CodeDiscriminator, {"norm": "layer"}, 20_901_889),
        # Wu et al., 64^3, with the convolutions' biases and without
        (VolumeGenerator, {"latent_dim": 200, "upsampling": "transposed", "bias": True}, 17_570_625),
        (VolumeGenerator, {"latent_dim": 200, "upsampling": "transposed"}, 17_569_664),
        (VolumeDiscriminator, {"bias": False}, 11_048_704),
        # the generators of HA-GAN's baselines, 128^3: WGAN and alpha-GAN
        (VolumeGenerator, {"volume_size": [128] * 3, "latent_dim": 1024}, 85_915_200),
        (VolumeGenerator, {"volume_size": [128] * 3}, 84_342_336),
    ],
)
def test_parameters(network, arguments, parameters):
    with torch.device("meta"):
        assert count(network(**arguments)) == parameters


@pytest.mark.parametrize(
    ("size", "doublings", "grid"),
    [
        ([32] * 3, 3, [4, 4, 4]),
        ([64] * 3, 4, [4, 4, 4]),
        ([128] * 3, 5, [4, 4, 4]),
        ([48, 64, 48], 4, [3, 4, 3]),
        ([24, 32, 24], 3, [3, 4, 3]),
        ([80, 96, 112], 4, [5, 6, 7]),
    ],
)
def test_grids(size, doublings, grid):
    assert doublings_of(size) == doublings
    assert grid_of(size) == grid


@pytest.mark.parametrize(
    ("size", "says"), [([50, 64, 48], r"Take \[48, 64, 48\]"), ([4, 4, 4], "8 or more"), ([64, 64], "slices, rows")]
)
def test_sizes_that_will_not_do(size, says):
    with pytest.raises(ValueError, match=says):
        VolumeGenerator(size)


@pytest.mark.parametrize(
    ("network", "argument"),
    [
        (VolumeGenerator, {"first": "dense"}),
        (VolumeGenerator, {"upsampling": "cubic"}),
        (VolumeGenerator, {"output": "relu"}),
        (VolumeDiscriminator, {"norm": "instance"}),
        (CodeDiscriminator, {"norm": "none"}),
    ],
)
def test_words_that_are_no_choice(network, argument):
    ((name, value),) = argument.items()
    with pytest.raises(ValueError, match=f"{name} is '{value}', expected one of"):
        network(**argument)


@pytest.mark.parametrize(
    "options", [{}, {"first": "linear"}, {"upsampling": "transposed", "bias": True, "output": "sigmoid"}]
)
def test_volumes_have_their_shape_and_range(options):
    generator = VolumeGenerator(SIZE, 8, 3, 4, **options)
    volume = generator(3 * torch.randn(2, 8))
    assert volume.shape == (2, 3, *SIZE)
    assert -1 < volume.min() < volume.max() < 1


def test_a_generator_is_its_layers_written_out():
    """Kwon et al.'s: a transposed convolution of a single voxel is a matrix product; then doubling and convolving."""
    generator = VolumeGenerator([8, 8, 8], 5, 2, 3).double()
    z = torch.randn(4, 5).double()
    _, first = generator.first
    x = torch.einsum("bl,locij->bocij", z, first.weight)
    norm, _, conv = generator.stages
    mean, variance = (x.mean((0, 2, 3, 4), keepdim=True), x.var((0, 2, 3, 4), keepdim=True, unbiased=False))
    x = ((x - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
    x = x.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    torch.testing.assert_close(generator(z), F.conv3d(x, conv.weight, padding=1).tanh())
    assert norm.num_features == 3


def test_sigmoid_is_stretched():
    """Wu et al.'s (0, 1) is shown as (-1, 1), and the discriminator sees it in (0, 1) again."""
    generator = VolumeGenerator([8, 8, 8], 5, upsampling="transposed", base_channels=2, output="sigmoid").eval()
    z = torch.randn(1, 5)
    volume = generator(z)
    torch.testing.assert_close((volume + 1) / 2, generator.stages(generator.first(z)).sigmoid())
    unit, plain = VolumeDiscriminator([8, 8, 8], base_channels=2, unit=True), VolumeDiscriminator([8, 8, 8], 1, 2)
    plain.load_state_dict(unit.state_dict())
    torch.testing.assert_close(unit(volume), plain((volume + 1) / 2))


def test_verdicts_and_codes():
    volume = torch.randn(2, 3, *SIZE)
    assert VolumeDiscriminator(SIZE, 3, 4)(volume).shape == (2, 1)
    assert VolumeDiscriminator(SIZE, 3, 4, outputs=7)(volume).shape == (2, 7)
    mean, log_variance = VariationalEncoder(SIZE, 7, 3, 4, hidden_channels=5)(volume)
    assert mean.shape == log_variance.shape == (2, 7)
    assert CodeDiscriminator(7, 5)(torch.randn(2, 7)).shape == (2, 1)


def test_a_score_map_is_averaged():
    """The last convolution of Kwon et al.'s WGAN gives 2^3 scores of a grid of 4^3."""
    discriminator = VolumeDiscriminator([32, 32, 32], 1, 2, score_map=True)
    volume = torch.randn(2, 1, 32, 32, 32)
    scores = discriminator.last(discriminator.features(volume))
    assert scores.shape == (2, 1, 2, 2, 2)
    torch.testing.assert_close(discriminator(volume), scores.mean((2, 3, 4)))


def test_layer_norm_judges_each_volume_by_itself():
    a, b = torch.randn(1, 1, 16, 16, 16), torch.randn(1, 1, 16, 16, 16)
    by_layer, by_batch = (VolumeDiscriminator([16] * 3, 1, 4, norm=norm) for norm in ("layer", "batch"))
    torch.testing.assert_close(by_layer(torch.cat([a, b]))[:1], by_layer(a))
    assert not torch.allclose(by_batch(torch.cat([a, b]))[:1], by_batch(a))


def test_an_autoencoder_generates_what_the_encoder_says():
    """By the mean, where the encoder gives mean and variance."""
    volume = torch.randn(2, 1, *SIZE)
    generator = VolumeGenerator(SIZE, 7, 1, 4).eval()
    code, variational = VolumeDiscriminator(SIZE, 1, 4, outputs=7), VariationalEncoder(SIZE, 7, 1, 4, 5)
    for encoder, expected in (
        (code.eval(), lambda: code(volume)),
        (variational.eval(), lambda: variational(volume)[0]),
    ):
        torch.testing.assert_close(VolumeAutoEncoder(generator, encoder)(volume), generator(expected()))


def test_implementations_are_one_function():
    generator = VolumeGenerator([32, 32, 32], 8, 1, 4).eval()
    z = torch.randn(1, 8)
    expected = set_implementation(generator, "reference")(z)
    fast = VolumeGenerator([32, 32, 32], 8, 1, 4).eval()
    fast.load_state_dict(generator.state_dict())
    torch.testing.assert_close(set_implementation(fast, "optimised")(z), expected, rtol=1e-4, atol=1e-5)
    assert any(isinstance(layer, nn.ReLU) and layer.inplace for layer in fast.modules())


def test_weights_of_another_size_are_refused():
    state = VolumeGenerator([16, 16, 16], 8, 1, 4).state_dict()
    with pytest.raises(ValueError, match=r"volume_size \[16, 16, 16\]"):
        VolumeGenerator([16, 24, 16], 8, 1, 4).load_state_dict(state, strict=False)


def test_a_generator_goes_into_torchscript():
    generator = VolumeGenerator(SIZE, 8, 1, 4).eval()
    z = torch.randn(1, 8)
    torch.testing.assert_close(torch.jit.script(generator)(z), generator(z))
