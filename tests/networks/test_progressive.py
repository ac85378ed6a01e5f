"""Progressive GAN and StyleGAN: parameter counts, how they grow, and the layers of each by hand."""

import pytest
import torch
import torch.nn.functional as F

from tools.networks.pggan import PGGANGenerator, ProgressiveDiscriminator
from tools.networks.stylegan import StyledLayer, StyleGANGenerator

COUNTS = """
64 1 22485765 22483713 22493441 22489345 23032069
64 5 22495001 22484741 22502657 22490369 23041305
128 1 22928518 22926209 22936449 22931841 23737734
128 5 22938270 22926725 22946177 22932353 23747486
256 1 23039303 23036865 23047361 23042497 23979975
256 5 23049315 23037125 23057345 23042753 23989987
512 1 23067048 23064545 23075169 23070177 24073448
512 5 23077192 23064677 23085281 23070305 24083592
1024 3 23079115 23071507 23087249 23077137 24118379
"""
"""Side, channels, PGGAN's generator with all layers that make images and with the last alone, the discriminator
likewise, and StyleGAN's synthesis. Those at 1024 are the papers' 23.1 M, 23.1 M and (with the mapping) 26.2 M."""

TINY = {"image_size": 32, "latent_dim": 8, "channel_base": 256, "channel_max": 16}


def count(*networks):
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def tiny(kind, **options):
    torch.manual_seed(0)
    sizes = TINY | ({"style_dim": 8, "mapping_layers": 2} if kind is StyleGANGenerator else {})
    return kind(**(sizes | options)).double()


def tiny_discriminator(**options):
    torch.manual_seed(0)
    return ProgressiveDiscriminator(32, 2, channel_base=256, channel_max=16, **options).double()


def generate(generator, latent, level, alpha=None):
    if isinstance(generator, PGGANGenerator):
        return generator.generate(latent, level, alpha)
    return generator.synthesis(generator.styles(generator.mapping(latent)), level, alpha)


def enlarged(image, times=1):
    return image.repeat_interleave(2**times, 2).repeat_interleave(2**times, 3)


def reduced(image):
    return (image[:, :, ::2, ::2] + image[:, :, 1::2, ::2] + image[:, :, ::2, 1::2] + image[:, :, 1::2, 1::2]) / 4


@pytest.mark.parametrize("line", COUNTS.split("\n")[1:-1])
def test_parameters(line):
    side, channels, g_all, g_one, d_all, d_one, synthesis = map(int, line.split())
    with torch.device("meta"):
        generator, discriminator = PGGANGenerator(side, channels), ProgressiveDiscriminator(side, channels)
        assert count(generator) == g_all
        assert count(generator) - count(*generator.to_images[:-1]) == g_one
        assert count(discriminator) == d_all
        assert count(discriminator) - count(*discriminator.from_images[:-1]) == d_one
        style_based = StyleGANGenerator(side, channels)
        assert count(style_based.mapping) == 2_101_248
        assert count(style_based) == 2_101_248 + synthesis
        assert count(ProgressiveDiscriminator(side, channels, blur=True)) == d_all


@pytest.mark.parametrize("side", [32, 1024])
def test_shapes_at_every_level(side):
    top = side.bit_length() - 3
    with torch.device("meta"):
        generator = PGGANGenerator(side, 5, num_classes=3, channel_max=16)
        style_based = StyleGANGenerator(side, 5, num_classes=3, channel_max=16)
        discriminator = ProgressiveDiscriminator(side, 5, num_classes=3, channel_max=16)
        ws = torch.empty(4, style_based.synthesis.num_ws, 512)
        assert style_based.synthesis.num_ws == 2 * top + 2
        for level in range(top + 1):
            image = style_based.synthesis(ws, level)
            assert image.shape == (4, 5, 4 * 2**level, 4 * 2**level)
            logit, classes = discriminator(image, level)
            assert (logit.shape, classes.shape) == ((4, 1), (4, 3))
            x = generator.first(torch.empty(4, 515))
            for block in generator.blocks[:level]:
                x = block(x)
            assert generator.to_images[level](x).shape == image.shape


@pytest.mark.parametrize("kind", [PGGANGenerator, StyleGANGenerator])
def test_a_level_fades_in(kind):
    """At the beginning it is the level before, enlarged by nearest neighbour; at its end itself."""
    generator = tiny(kind)
    latent = torch.randn(2, 8, dtype=torch.float64)
    for level in (1, 3):
        before, new = enlarged(generate(generator, latent, level - 1)), generate(generator, latent, level)
        assert new.shape == (2, 1, 4 * 2**level, 4 * 2**level)
        for alpha in (0.0, 0.25, 1.0):
            found = generate(generator, latent, level, alpha)
            torch.testing.assert_close(found, (1 - alpha) * before + alpha * new, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [PGGANGenerator, StyleGANGenerator])
def test_a_generator_knows_how_far_it_has_grown(kind):
    generator, other = tiny(kind), tiny(kind)
    latent = torch.randn(2, 8, dtype=torch.float64)
    whole = generator(latent)
    torch.testing.assert_close(whole, generate(generator, latent, 3))
    generator.growth.reach(1, 0.5)
    other.load_state_dict(generator.state_dict())
    expected = enlarged(generate(generator, latent, 1, 0.5), times=2)
    torch.testing.assert_close(other(latent), expected)
    generator.growth.reach(3, None)
    torch.testing.assert_close(generator(latent), whole)


def test_the_discriminator_fades_in():
    discriminator = tiny_discriminator()
    image = torch.randn(4, 2, 16, 16, dtype=torch.float64)
    seen = []
    discriminator.deviation.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))

    def seen_of(image, level, alpha=None):
        seen.clear()
        discriminator(image, level, alpha)
        return seen[0]

    level = discriminator.blocks[1:2]  # between 16 and 8 pixels, and the one below
    below = lambda features: discriminator.blocks[0](features)  # noqa: E731
    new = level[0](F.leaky_relu(discriminator.from_images[2](image), 0.2))
    before = F.leaky_relu(discriminator.from_images[1](reduced(image)), 0.2)
    for alpha in (0.0, 0.25, 1.0):
        expected = below((1 - alpha) * before + alpha * new)
        torch.testing.assert_close(seen_of(image, 2, alpha), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(seen_of(image, 2), seen_of(image, 2, 1.0), rtol=0, atol=1e-12)
    torch.testing.assert_close(seen_of(image, 2, 0.0), seen_of(reduced(image), 1), rtol=0, atol=1e-12)


def test_images_of_another_level_are_refused():
    with pytest.raises(ValueError, match=r"expected images \[B, 2, 16, 16\], got \(4, 2, 32, 32\)"):
        tiny_discriminator()(torch.zeros(4, 2, 32, 32), level=2)


def test_the_first_block_by_hand():
    torch.manual_seed(0)
    first = tiny(PGGANGenerator).first
    torch.nn.init.normal_(first.bias)
    latent = torch.randn(2, 8, dtype=torch.float64)
    normalised = lambda x: x / ((x**2).mean(1, keepdim=True) + 1e-8).sqrt()  # noqa: E731
    x = (latent @ first.dense.weight.T) * (2**0.5 / 4 / 8**0.5)
    x = normalised(F.leaky_relu(x.view(2, 16, 4, 4) + first.bias[:, None, None], 0.2))
    weight = first.conv.weight * (2 / (16 * 9)) ** 0.5
    x = normalised(F.leaky_relu(F.conv2d(x, weight, first.conv.bias, padding=1), 0.2))
    torch.testing.assert_close(first(latent), x, rtol=0, atol=1e-12)


def test_a_styled_layer_by_hand():
    """Noise, bias, leaky ReLU, instance norm, style: x (y_s + 1) + y_b."""
    torch.manual_seed(0)
    layer = StyledLayer(None, 3, 5, 4).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x, w = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    noise = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    found = layer(x, w, noise)
    style = w @ layer.style.weight.T / 5**0.5 + layer.style.bias
    for n in range(2):
        for c in range(3):
            y = x[n, c] + noise[n, 0] * layer.noise_strength[c] + layer.bias[c]
            y = torch.where(y > 0, y, 0.2 * y)
            y = (y - y.mean()) / (y.var(correction=0) + 1e-8).sqrt()
            torch.testing.assert_close(found[n, c], y * (style[n, c] + 1) + style[n, 3 + c], rtol=0, atol=1e-12)


def test_styles_and_noise_begin_as_in_the_paper():
    generator = tiny(StyleGANGenerator)
    latent = torch.randn(3, 8, dtype=torch.float64)
    noise = [torch.randn(3, 1, *shape, dtype=torch.float64) for shape in generator.synthesis.noise_shapes]
    assert torch.equal(generator(latent, noise=noise), generator(latent))
    assert (generator.synthesis.constant == 1).all()
    generator.mapping.average.copy_(torch.randn(8))
    image = generator(latent, truncation=0)
    torch.testing.assert_close(image, image[:1].expand_as(image), rtol=0, atol=1e-9)
    assert not torch.equal(generator(latent, truncation=0, cutoff=4), generator(latent, truncation=0))


def test_the_mapping_normalises_latent_and_class_together():
    mapping = tiny(StyleGANGenerator, num_classes=3).mapping
    latent, label = torch.randn(2, 8, dtype=torch.float64), torch.tensor([2, 0])
    together = torch.cat([latent, mapping.embedding.weight.T[label]], dim=1)
    expected = together / ((together**2).mean(1, keepdim=True) + 1e-8).sqrt()
    torch.testing.assert_close(mapping.normalised(latent, label), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [PGGANGenerator, StyleGANGenerator])
def test_classes_change_images(kind):
    generator = tiny(kind, num_classes=2)
    latent = torch.randn(1, 8, dtype=torch.float64)
    assert not torch.equal(generator(latent, torch.tensor([0])), generator(latent, torch.tensor([1])))
    with pytest.raises(ValueError, match="class index"):
        generator(latent)


def test_what_classes_mean_to_the_discriminator():
    image = torch.randn(4, 2, 32, 32, dtype=torch.float64)
    logit, classes = tiny_discriminator(num_classes=3)(image)
    assert (logit.shape, classes.shape) == ((4, 1), (4, 3))
    discriminator = tiny_discriminator(num_classes=3, auxiliary=False)
    label = torch.tensor([0, 2, 1, 1])
    verdicts = []
    discriminator.out.register_forward_hook(lambda module, inputs, output: verdicts.append(output))
    logit, classes = discriminator(image, label=label)
    assert classes is None
    assert torch.equal(logit[:, 0], verdicts[0][torch.arange(4), label])
