"""StyleGAN2: parameter counts of the released networks, and what its definition implies."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F

from tools.layers.equalised import set_fused
from tools.layers.residual import FilteredHalving
from tools.layers.styled import StyledConv
from tools.networks.style_mapping import mixed
from tools.networks.stylegan2 import ARCHITECTURES, StyleGAN2Discriminator, StyleGAN2Generator

COUNTS = """
64 16384 1 21713678 23406849
64 16384 5 21722914 23407873
64 32768 1 24926222 26487809
64 32768 5 24936482 26489857
128 16384 1 22419089 23882113
128 16384 5 22428841 23882625
128 32768 1 27221777 28388609
128 32768 5 27233065 28389633
256 16384 1 22661204 24000961
256 16384 3 22666210 24001089
256 16384 5 22671216 24001217
256 32768 1 27927188 28863873
256 32768 5 27938992 28864385
512 16384 1 22754615 24030689
512 16384 5 22764759 24030817
512 32768 1 28169303 28982721
512 32768 3 28175335 28982849
512 32768 5 28181367 28982977
"""
"""Side, channel base, channels, and parameters of synthesis and discriminator."""

DISCRIMINATORS = """
64 1 22489345 22493441
64 5 22490369 22502657
128 1 22931841 22936449
128 5 22932353 22946177
256 1 23042497 23047361
256 5 23042753 23057345
512 1 23070177 23075169
512 5 23070305 23085281
1024 3 23077137 23087249
"""
"""Side, channels, and parameters of "orig" and "skip" with a channel base of 16384: Progressive GAN's, with the last
from_image alone and with all."""

MAPPING = {2: 525_312, 8: 2_101_248}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def tiny(**options):
    torch.manual_seed(0)
    sizes = {"image_size": 32, "channel_base": 256, "channel_max": 16, "latent_dim": 8, "style_dim": 8}
    return StyleGAN2Generator(**(sizes | options))


@pytest.mark.parametrize("line", COUNTS.split("\n")[1:-1])
def test_parameters(line):
    side, base, channels, synthesis, discriminator = map(int, line.split())
    with torch.device("meta"):
        for layers, mapping in MAPPING.items():
            generator = StyleGAN2Generator(side, channels, mapping_layers=layers, channel_base=base)
            assert count(generator.mapping) == mapping
            assert count(generator) == mapping + synthesis
        assert count(StyleGAN2Discriminator(side, channels, channel_base=base)) == discriminator


@pytest.mark.parametrize("line", DISCRIMINATORS.split("\n")[1:-1])
def test_parameters_of_other_architectures(line):
    side, channels, *expected = map(int, line.split())
    with torch.device("meta"):
        for architecture, number in zip(("orig", "skip"), expected, strict=True):
            assert count(StyleGAN2Discriminator(side, channels, architecture=architecture)) == number
        generators = {name: StyleGAN2Generator(side, channels, architecture=name) for name in ARCHITECTURES}
    widths = [min(16384 // 2**power, 512) for power in range(2, side.bit_length())]
    images = sum(513 * width + channels * (width + 1) for width in widths[:-1])
    seconds = sum(before * after for before, after in pairwise(widths))
    counts = {name: count(generator) for name, generator in generators.items()}
    assert counts["orig"] == counts["skip"] - images
    assert counts["resnet"] == counts["orig"] + seconds
    if (side, channels) == (64, 1):  # of the released networks
        assert counts == {"orig": 21_186_314, "skip": 22_238_990, "resnet": 22_103_818}


@pytest.mark.parametrize(
    ("classes", "generator", "discriminator"),
    [(2, 23_450_196, 26_365_888), (5, 23_451_732, 26_367_424), (6, 23_452_244, 26_367_936)],
)
def test_parameters_with_classes(classes, generator, discriminator):
    with torch.device("meta"):
        assert count(StyleGAN2Generator(256, 1, classes)) == generator
        assert count(StyleGAN2Discriminator(256, 1, classes)) == discriminator


@pytest.mark.parametrize(
    ("side", "channels", "base", "most", "generator", "discriminator"),
    [
        (32, 1, 2048, 64, 383_627, 337_153),
        (64, 1, 2048, 64, 427_886, 366_881),
        (64, 5, 2048, 64, 429_058, 367_009),
        (64, 1, 4096, 128, 1_394_126, 1_464_897),
        (64, 5, 4096, 128, 1_396_450, 1_465_153),
    ],
)
def test_parameters_of_small_networks(side, channels, base, most, generator, discriminator):
    widths = {"channel_base": base, "channel_max": most}
    with torch.device("meta"):
        assert count(StyleGAN2Generator(side, channels, latent_dim=128, style_dim=128, **widths)) == generator
        assert count(StyleGAN2Discriminator(side, channels, **widths)) == discriminator


@pytest.mark.parametrize(
    ("side", "base", "trainable"),
    [
        (512, 32768, {4: 28_863_617, 10: 26_486_785, 13: 21_505_025}),
        (256, 16384, {4: 23_881_857, 10: 21_505_025, 13: 16_523_265}),
        (64, 16384, {4: 21_505_025, 10: 11_541_505, 13: 6_559_745}),
    ],
)
def test_frozen_layers(side, base, trainable):
    with torch.device("meta"):
        whole = StyleGAN2Discriminator(side, 1, channel_base=base).state_dict()
        for frozen, expected in trainable.items():
            network = StyleGAN2Discriminator(side, 1, channel_base=base, frozen=frozen)
            assert count(network) == expected
            assert network.state_dict().keys() == whole.keys()


def test_each_block_that_sees_the_image_has_a_layer_more_to_freeze():
    network = StyleGAN2Discriminator(32, 2, architecture="skip", channel_max=4, frozen=5)
    learning = [name for name, parameter in network.blocks.named_parameters() if name.endswith("weight")]
    assert learning == ["1.conv1.weight", "2.from_image.weight", "2.conv0.weight", "2.conv1.weight"]


def test_more_frozen_layers_than_there_are_is_refused():
    with torch.device("meta"), pytest.raises(ValueError, match="11 layers are to be frozen, expected 0 to 10"):
        StyleGAN2Discriminator(32, 1, channel_max=8, frozen=11)


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512, 1024])
def test_shapes_at_every_size(side):
    with torch.device("meta"):
        generator = StyleGAN2Generator(side, 5, num_classes=3, channel_max=16)
        discriminator = StyleGAN2Discriminator(side, 5, num_classes=3, channel_max=16)
        noise = [torch.empty(4, 1, *shape) for shape in generator.synthesis.noise_shapes]
        image = generator.synthesis(torch.empty(4, generator.synthesis.num_ws, 512), noise)
        assert image.shape == (4, 5, side, side)
        assert generator.synthesis.num_ws == 2 * side.bit_length() - 4
        assert discriminator.blocks(image).shape == (4, 16, 4, 4)


@pytest.mark.parametrize("side", [0, 16, 48, 2048])
def test_other_sizes_are_refused(side):
    with pytest.raises(ValueError, match=f"image_size is {side}, expected a power of two"):
        StyleGAN2Generator(side)


def test_images_of_another_shape_are_refused():
    network = StyleGAN2Discriminator(32, 2, channel_max=4)
    with pytest.raises(ValueError, match=r"expected images \[B, 2, 32, 32\], got \(4, 1, 32, 32\)"):
        network(torch.zeros(4, 1, 32, 32))
    with pytest.raises(ValueError, match="got 3 styles and noise for None layers, expected 8 and 7"):
        tiny().synthesis(torch.zeros(1, 3, 8))


@pytest.mark.parametrize("architectures", [("skip", "resnet"), ("resnet", "skip")])
def test_both_ways_to_compute_are_one_function_and_have_one_gradient(architectures):
    """Of images, and of what path length regularisation needs: the gradient of a gradient."""
    generator = tiny(image_channels=2, architecture=architectures[0]).double()
    for layer in generator.modules():
        if isinstance(layer, StyledConv):
            torch.nn.init.constant_(layer.noise_strength, 0.3)
            torch.nn.init.normal_(layer.bias)
    sizes = {"channel_base": 256, "channel_max": 16, "architecture": architectures[1]}
    discriminator = StyleGAN2Discriminator(32, 2, **sizes).double()
    latent = torch.randn(4, 8, dtype=torch.float64)

    def computed(fused):
        networks = [set_fused(copy.deepcopy(network), fused) for network in (generator, discriminator)]
        ws = networks[0].styles(networks[0].mapping(latent))
        image = networks[0].synthesis(ws)
        (slope,) = torch.autograd.grad((image * image.detach().cos()).sum(), ws, create_graph=True)
        (slope_of_d,) = torch.autograd.grad(networks[1](image).sum(), image, create_graph=True)
        (slope.square().sum() + slope_of_d.square().sum() + networks[1](image).mean()).backward()
        return [image, slope, slope_of_d, *(p.grad for n in networks for p in n.parameters() if p.grad is not None)]

    fused, plain = computed(True), computed(False)
    assert len(fused) == len(plain) > 40
    for one, other in zip(fused, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_a_doubling_convolution_by_scipy():
    """Zeros between the pixels, pad (3, 2), true convolution with [1, 3, 3, 1] / 64 * 4 and with 3x3 (appendix B)."""
    torch.manual_seed(0)
    layer = StyledConv(2, 3, 4, (12, 12), up=2).double()
    x, style = torch.randn(1, 2, 6, 6, dtype=torch.float64), torch.randn(1, 2, dtype=torch.float64)
    binomial = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64 * 4
    weight = (layer.weight * style[0][:, None, None]).detach()
    weight = (weight / torch.linalg.vector_norm(weight.flatten(1), dim=1)[:, None, None, None]).numpy()
    found = layer.convolved(x, style).detach().numpy()
    for o in range(3):
        expected = 0
        for i in range(2):
            spread = np.zeros((12, 12))
            spread[::2, ::2] = x[0, i].numpy()
            blurred = scipy.signal.convolve(np.pad(spread, (3, 2)), binomial, mode="valid")
            expected = expected + scipy.signal.convolve(blurred, weight[o, i], mode="valid")
        np.testing.assert_allclose(found[0, o], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kernel_size", [3, 1])
def test_a_halving_convolution_by_scipy(kernel_size):
    """Padded, blurred with [1, 3, 3, 1] / 8, correlated, every second pixel."""
    torch.manual_seed(0)
    layer = FilteredHalving(2, 3, kernel_size, bias=False).double()
    x = torch.randn(1, 2, 12, 12, dtype=torch.float64)
    binomial = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    weight = layer.scaled()[0].detach().numpy()
    found = layer(x).detach().numpy()
    for o in range(3):
        expected = 0
        for i in range(2):
            padded = np.pad(x[0, i].numpy(), 2 if kernel_size == 3 else 1)
            blurred = scipy.signal.convolve(padded, binomial, mode="valid")
            expected = expected + scipy.signal.correlate(blurred, weight[o, i], mode="valid")[::2, ::2]
        np.testing.assert_allclose(found[0, o], expected, rtol=0, atol=1e-12)


def by_filter(x, up):
    """Images doubled or halved through [1, 3, 3, 1], each channel by itself."""
    taps = torch.tensor([1.0, 3, 3, 1], dtype=x.dtype)
    kernel = (torch.outer(taps, taps) / (16 if up else 64)).expand(x.shape[1], 1, 4, 4)
    function = F.conv_transpose2d if up else F.conv2d
    return function(x, kernel, stride=2, padding=1, groups=x.shape[1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_generator_is_its_blocks_written_out(architecture):
    """Karras et al. 2020, Fig. 7: what lies between a block's convolutions, and what becomes the image."""
    generator = tiny(image_channels=2, architecture=architecture).double()
    latent = torch.randn(3, 8, dtype=torch.float64)
    w = generator.mapping(latent)
    x, image = generator.synthesis.blocks[0].constant.expand(3, -1, -1, -1), None
    for block in generator.synthesis.blocks:
        before = x
        for layer in block.layers:
            layer.gain = 2**0.5
            x = layer(x, w)
        if architecture == "resnet" and before.shape != x.shape:
            second = by_filter(F.conv2d(before, block.skip.weight / before.shape[1] ** 0.5), up=True)
            x = (x + second) / 2**0.5
        if architecture == "skip" and image is not None:
            image = by_filter(image, up=True) + block.to_image(x, w)
        elif architecture == "skip" or block is generator.synthesis.blocks[-1]:
            image = block.to_image(x, w)
    torch.testing.assert_close(tiny(image_channels=2, architecture=architecture).double()(latent), image)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_discriminator_is_its_blocks_written_out(architecture):
    torch.manual_seed(0)
    sizes = {"channel_base": 256, "channel_max": 16, "architecture": architecture}
    network = StyleGAN2Discriminator(32, 2, **sizes).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)

    def convolved(layer, x, down=False):
        kernel = layer.weight.shape[-1]
        weight = layer.weight / layer.weight[0].numel() ** 0.5
        if down:
            taps = torch.tensor([1.0, 3, 3, 1], dtype=x.dtype) / 8
            x = F.conv2d(F.pad(x, [2] * 4), torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4), groups=x.shape[1])
        padding = 0 if down else kernel // 2
        return F.leaky_relu(F.conv2d(x, weight, layer.bias, 1 + down, padding), 0.2) * 2**0.5

    image = torch.randn(4, 2, 32, 32, dtype=torch.float64)
    x, seen = None, image
    for block in network.blocks:
        if x is None:
            x = convolved(block.from_image, seen)
        elif architecture == "skip":
            x = x + convolved(block.from_image, seen)
        second = x
        x = convolved(block.conv1, convolved(block.conv0, x), down=True)
        if architecture == "resnet":
            x = (x + by_filter(F.conv2d(second, block.skip.weight / second.shape[1] ** 0.5), up=False)) / 2**0.5
        seen = by_filter(seen, up=False)
    if architecture == "skip":
        x = x + convolved(network.from_image, seen)
    torch.testing.assert_close(network.features(image), x)
    assert network(image).shape == (4, 1)


def test_an_architecture_that_there_is_not():
    with (
        torch.device("meta"),
        pytest.raises(ValueError, match="generator_architecture is 'unet', expected one of orig"),
    ):
        StyleGAN2Generator(32, architecture="unet")
    with torch.device("meta"), pytest.raises(ValueError, match="discriminator_architecture is 'unet', expected one of"):
        StyleGAN2Discriminator(32, architecture="unet")


def test_untrained_images_and_styles_are_of_the_expected_size():
    torch.manual_seed(0)
    generator = StyleGAN2Generator(32, 1, latent_dim=128, style_dim=128, channel_base=2048, channel_max=64)
    latent = torch.randn(64, 128)
    w = generator.mapping(latent)
    assert 0.8 < w.std() < 1.1
    assert 0.5 < generator(latent).std() < 3


def test_noise_begins_without_effect_and_styles_with_one():
    generator = tiny()
    latent = torch.randn(3, 8)
    noise = [torch.randn(3, 1, *shape) for shape in generator.synthesis.noise_shapes]
    image = generator(latent)
    assert torch.equal(generator(latent, noise=noise), image)
    assert not torch.equal(image[0], image[1])
    for layer in generator.modules():
        if isinstance(layer, StyledConv):
            torch.nn.init.constant_(layer.noise_strength, 0.5)
    assert not torch.equal(generator(latent, noise=noise), generator(latent))
    # what belongs to one sample changes that sample alone
    other = [one.clone() for one in noise]
    other[0][1] += 1
    first, second = generator(latent, noise=noise), generator(latent, noise=other)
    torch.testing.assert_close(first[::2], second[::2])
    assert not torch.equal(first[1], second[1])


def test_truncation():
    generator = tiny()
    latent = torch.randn(4, 8)
    generator.mapping.average.copy_(torch.randn(8))
    image = generator(latent, truncation=0)
    torch.testing.assert_close(image, image[:1].expand_as(image), rtol=0, atol=3e-6)
    w, average = generator.mapping(latent), generator.mapping.average
    ws = generator.styles(w, 0.7, cutoff=3)
    assert ws.shape == (4, 8, 8)
    torch.testing.assert_close(ws[:, :3], (average + 0.7 * (w - average))[:, None].expand(-1, 3, -1))
    assert torch.equal(ws[:, 3:], w[:, None].expand(-1, 5, -1))
    assert torch.equal(generator.styles(w), w[:, None].expand(-1, 8, -1))


def test_the_average_of_styles_moves():
    mapping = tiny(average_decay=0.9).mapping
    w = mapping(torch.randn(5, 8))
    mapping.track(w.mean(0))
    mapping.track(w.mean(0))
    torch.testing.assert_close(mapping.average, (1 - 0.9**2) * w.mean(0).detach())


def test_mixed_styles():
    first, second = torch.zeros(3, 2), torch.ones(3, 2)
    found = mixed(first, second, torch.tensor([0, 2, 4]), 4)
    assert found[:, :, 0].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_classes_change_images_and_verdicts():
    generator = tiny(num_classes=2)
    discriminator = StyleGAN2Discriminator(32, 1, 2, channel_base=256, channel_max=16)
    latent = torch.randn(1, 8)
    zero, one = torch.tensor([0]), torch.tensor([1])
    image = generator(latent, zero)
    assert not torch.equal(image, generator(latent, one))
    assert discriminator(image, zero).shape == (1, 1)
    assert not torch.equal(discriminator(image, zero), discriminator(image, one))
    with pytest.raises(ValueError, match="class index"):
        generator(latent)


def test_weights_of_another_size_are_refused():
    with pytest.raises(ValueError, match="image_size"):
        tiny(image_size=64).load_state_dict(tiny().state_dict(), strict=False)
    with pytest.raises(ValueError, match="in a config with --generator_architecture skip"):
        tiny(architecture="orig").load_state_dict(tiny().state_dict(), strict=False)
