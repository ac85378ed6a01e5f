"""StyleGAN3: parameters, the design of its layers, and whether images move and turn as a whole."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from tools.engines.transfer import begun_with
from tools.networks.stylegan3 import AliasFreeLayer, Signal, StyleGAN3Generator, signals

COUNTS = {
    (64, 16384, 1, 14): (32_300_041, 21_075_914),
    (64, 16384, 5, 14): (32_301_069, 21_077_966),
    (64, 32768, 1, 14): (37_767_173, 24_151_045),
    (64, 32768, 5, 14): (37_769_225, 24_155_145),
    (128, 16384, 1, 14): (27_034_427, 18_019_426),
    (128, 16384, 5, 14): (27_034_943, 18_020_454),
    (128, 32768, 1, 14): (32_833_009, 21_365_675),
    (128, 32768, 5, 14): (32_834_037, 21_367_727),
    (256, 16384, 1, 14): (23_320_313, 15_779_307),
    (256, 16384, 5, 14): (23_320_573, 15_779_823),
    (256, 32768, 1, 14): (28_471_875, 18_815_873),
    (256, 32768, 5, 14): (28_472_391, 18_816_901),
    (512, 16384, 1, 14): (20_418_089, 14_008_417),
    (512, 16384, 5, 14): (20_418_221, 14_008_677),
    (512, 32768, 1, 14): (24_873_389, 16_665_336),
    (512, 32768, 5, 14): (24_873_649, 16_665_852),
    (1024, 32768, 3, 14): (22_313_167, 15_093_151),
    (64, 16384, 1, 6): (13_574_917, 9_714_181),
    (64, 16384, 1, 8): (18_032_689, 12_431_455),
    (64, 16384, 1, 10): (22_950_873, 15_398_829),
}
"""(pixels, channel base, channels, layers) -> parameters of T and R."""


@pytest.mark.parametrize("case", COUNTS)
def test_parameters(case):
    size, base, channels, layers = case
    found = []
    for rotation in (False, True):
        with torch.device("meta"):
            network = StyleGAN3Generator(size, channels, rotation=rotation, num_layers=layers, channel_base=base)
        found.append(sum(parameter.numel() for parameter in network.parameters()))
    assert tuple(found) == COUNTS[case]


LAYERS = {
    64: "16/36/2/6 16/36/2.52/5.48 16/36/3.175/4.825 16/36/4/4 32/52/5.04/10.96 32/52/6.35/9.65 32/52/8/8 "
    "32/52/10.08/5.921 64/84/12.7/19.3 64/84/16/16 64/84/20.16/11.84 64/84/25.4/7.35 64/84/32/7.397 "
    "64/64/32/7.397 64/64/32/7.397",
    128: "16/36/2/6 16/36/2.67/5.33 16/36/3.564/4.436 32/52/4.757/11.24 32/52/6.35/9.65 32/52/8.476/7.524 "
    "64/84/11.31/20.69 64/84/15.1/16.9 64/84/20.16/11.84 128/148/26.91/37.09 128/148/35.92/28.08 "
    "128/148/47.95/16.05 128/148/64/14.79 128/128/64/14.79 128/128/64/14.79",
    256: "16/36/2/6 16/36/2.828/5.172 16/36/4/4 32/52/5.657/10.34 32/52/8/8 64/84/11.31/20.69 64/84/16/16 "
    "128/148/22.63/41.37 128/148/32/32 128/148/45.25/18.75 256/276/64/64 256/276/90.51/37.49 "
    "256/276/128/29.59 256/256/128/29.59 256/256/128/29.59",
    512: "16/36/2/6 16/36/2.997/5.003 32/52/4.49/11.51 32/52/6.727/9.273 64/84/10.08/21.92 64/84/15.1/16.9 "
    "128/148/22.63/41.37 128/148/33.9/30.1 256/276/50.8/77.2 256/276/76.11/51.89 512/532/114/142 "
    "512/532/170.9/85.14 512/532/256/59.17 512/512/256/59.17 512/512/256/59.17",
}
"""Rate / size / cutoff / half-width of each layer."""

WIDTHS = {
    64: [512] * 10 + [406, 323, 256, 256],
    128: [512] * 8 + [406, 304, 228, 171, 128, 128],
    256: [512] * 7 + [362, 256, 181, 128, 91, 64, 64],
    512: [512] * 6 + [362, 242, 161, 108, 72, 48, 32, 32],
}


@pytest.mark.parametrize("size", LAYERS)
def test_layers_are_designed_as_published(size):
    planned = signals(size, 1)
    for signal, expected in zip(planned, LAYERS[size].split(), strict=True):
        rate, side, cutoff, half_width = map(float, expected.split("/"))
        assert (signal.rate, signal.size) == (rate, side)
        assert signal.cutoff == pytest.approx(cutoff, rel=6e-4)
        assert signal.half_width == pytest.approx(half_width, rel=6e-4)
    assert [signal.channels for signal in planned] == [*WIDTHS[size], 1]
    assert [signal.critical for signal in planned] == [False] * 12 + [True] * 3


@pytest.mark.parametrize(
    ("rotation", "paddings"),
    [(False, {(9, 8), (-6, -9), (-11, -12)}), (True, {(11, 10), (-2, -5), (-9, -10)})],
)
def test_paddings_are_those_published(rotation, paddings):
    with torch.device("meta"):
        layers = StyleGAN3Generator(64, rotation=rotation).synthesis.layers
    assert {layer.activation.padding for layer in layers} == paddings
    assert layers[-1].activation.padding == min(paddings, key=lambda padding: padding[0])
    radial = [layer.activation.radial for layer in layers]
    assert radial == ([True] * 12 + [False] * 2 if rotation else [False] * 14)


def tiny(rotation=False, seed=0, **options):
    torch.manual_seed(seed)
    small = {"latent_dim": 32, "style_dim": 32, "num_layers": 6, "channel_max": 64, "channel_base": 4096}
    return StyleGAN3Generator(64, 1, rotation=rotation, **small | options).eval()


def decibels(made, expected):
    """Error relative to the variance of what is expected."""
    return 10 * math.log10(np.var(expected) / np.mean((made - expected) ** 2))


def moved(network, motion, latents=1):
    """Images of a network [n, S, S] as they are, and as its input is moved."""
    z = torch.randn(latents, 32, generator=torch.Generator().manual_seed(3))
    images = []
    with torch.no_grad():
        for transform in (torch.eye(3), torch.tensor(motion, dtype=torch.float32)):
            network.synthesis.features.transform.copy_(transform)
            images.append(network(z)[:, 0].double().numpy())
    return images


@pytest.mark.parametrize("rotation", [False, True])
@pytest.mark.parametrize("pixels", [(8, -5), (3.4, 6.7)])
def test_images_move_as_a_whole(rotation, pixels):
    """To the right and down; by parts of a pixel against SciPy's splines, after a Gaussian has taken what is finest."""
    right, down = pixels
    shift = [[1, 0, -right / 64], [0, 1, -down / 64], [0, 0, 1]]
    still, shifted = moved(tiny(rotation), shift)
    if isinstance(right, float):
        still, shifted = (scipy.ndimage.gaussian_filter(one, (0, 1, 1)) for one in (still, shifted))
        expected = scipy.ndimage.shift(still, (0, down, right), order=5)
    else:
        expected = np.roll(still, (down, right), (1, 2))
    inner = (slice(None), slice(16, 48), slice(16, 48))
    assert decibels(shifted[inner], expected[inner]) > 40


def turned_decibels(rotation, degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    still, turned = moved(tiny(rotation), [[c, -s, 0], [s, c, 0], [0, 0, 1]])
    still, turned = (scipy.ndimage.gaussian_filter(one[0], 1) for one in (still, turned))
    # rows come first, and the middle of the image stays
    matrix = np.array([[c, s], [-s, c]])
    expected = scipy.ndimage.affine_transform(still, matrix, 31.5 - matrix @ [31.5, 31.5], order=5)
    y, x = np.mgrid[:64, :64] - 31.5
    inside = np.hypot(x, y) < 24
    return decibels(turned[inside], expected[inside])


@pytest.mark.parametrize("degrees", [30, 90])
def test_images_of_r_turn_as_a_whole_and_those_of_t_do_not(degrees):
    assert turned_decibels(rotation=True, degrees=degrees) > 40
    assert turned_decibels(rotation=False, degrees=degrees) < 10


def test_magnitudes_follow_the_input_only_when_they_are_told_to():
    network = tiny()
    with torch.no_grad():
        w = network.styles(network.mapping(torch.randn(2, 32)))
        assert w.shape == (2, 8, 32)
        first = network.synthesis.layers[0]
        x = network.synthesis.features(w[:, 0])
        before = network.synthesis(w)
        assert first.magnitude == 1
        network.synthesis(w, decay=0.25)
        assert first.magnitude.item() == pytest.approx(0.25 + 0.75 * x.square().mean().item(), rel=1e-5)
        assert not torch.allclose(before, network.synthesis(w))
        for _ in range(10):
            first(x, w[:, 0], decay=0.25)
    assert first.magnitude.item() == pytest.approx(x.square().mean().item(), rel=1e-4)


def small_signal(channels, size=20, cutoff=4.0):
    return Signal(channels, size, 16, cutoff, 4.0, False)


def test_a_layer_is_its_formula_and_styles_have_no_length():
    """Weights of each sample written out: w / rms, times s / rms, of unit length, times the gain of the input."""
    torch.manual_seed(0)
    layer = AliasFreeLayer(small_signal(3), small_signal(2), 3, False, 5).double()
    layer.magnitude.fill_(4.0)
    layer.bias.data.normal_()
    x, w = torch.randn(2, 3, 20, 20, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    styles = layer.style(w)
    expected = []
    for image, style in zip(x, styles, strict=True):
        style = style / style.pow(2).mean().sqrt()
        kernels = []
        for kernel in layer.weight:
            kernel = kernel / kernel.pow(2).mean().sqrt() * style[:, None, None]
            kernels.append(kernel / (kernel.pow(2).sum() + 1e-8).sqrt())
        y = torch.nn.functional.conv2d(image[None] / 2, torch.stack(kernels), layer.bias, padding=2)
        expected.append(layer.activation(y))
    made = layer(x, w)
    torch.testing.assert_close(made, torch.cat(expected), rtol=1e-5, atol=1e-6)  # filters are in single precision
    with torch.no_grad():
        layer.style.weight *= 10
        layer.style.bias *= 10
    torch.testing.assert_close(layer(x, w), made, rtol=1e-6, atol=1e-6)


def test_features_are_waves():
    """sum over channels of weights times sin(2 pi (f p + phase)), each faded beyond the cutoff, turned by the style."""
    network = tiny()
    features = network.synthesis.features
    assert features.frequencies.norm(dim=1).max() <= 2
    assert features.phases.abs().max() <= 0.5
    features.affine.bias.data.copy_(torch.tensor([0.6, 0.8, 0.1, -0.2]))
    features.frequencies[0] = torch.tensor([3.0, 4.0])  # beyond 2, within 8
    made = features(torch.zeros(1, 32))[0]
    assert made.shape == (64, 36, 36)
    for row, column in ((0, 0), (20, 31)):
        x, y = (column + 0.5) / 16 - 36 / 32 - 0.1, (row + 0.5) / 16 - 36 / 32 + 0.2
        x, y = 0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y
        waves = [
            math.sin(2 * math.pi * (fx * x + fy * y + phase)) * min(1, max(0, 1 - (math.hypot(fx, fy) - 2) / 6))
            for (fx, fy), phase in zip(features.frequencies.tolist(), features.phases.tolist(), strict=True)
        ]
        expected = features.weight.detach().double() @ torch.tensor(waves, dtype=torch.float64) / 8
        torch.testing.assert_close(made[:, row, column].double(), expected, rtol=1e-4, atol=1e-4)


def test_classes_truncation_and_what_is_refused():
    network = tiny(num_classes=2)
    z = torch.randn(2, 32)
    zero, one = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    assert not torch.allclose(network(z, zero), network(z, one))
    same = network(z, zero, truncation=0.0)
    torch.testing.assert_close(same[0], same[1])
    with pytest.raises(ValueError, match="conditional"):
        network(z)
    with pytest.raises(ValueError, match="got 3 styles, expected 8"):
        network.synthesis(torch.zeros(1, 3, 32))
    with pytest.raises(ValueError, match="num_layers is 2, expected more than 2"):
        StyleGAN3Generator(64, num_layers=2)


def test_weights_of_three_channels_begin_one_of_their_mean(tmp_path):
    torch.manual_seed(0)
    small = {"latent_dim": 8, "style_dim": 8, "num_layers": 4, "channel_max": 8, "channel_base": 256}
    three, one = (StyleGAN3Generator(32, channels, **small).eval() for channels in (3, 1))
    torch.nn.init.normal_(three.synthesis.to_image.bias)
    torch.save(three.state_dict(), tmp_path / "model.pt")
    begun_with(one, tmp_path / "model.pt", 1)
    z = torch.randn(2, 8)
    torch.testing.assert_close(one(z), three(z).mean(1, keepdim=True), rtol=0, atol=1e-6)


def test_gradients_reach_every_parameter():
    network = tiny(rotation=True)
    network(torch.randn(2, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
