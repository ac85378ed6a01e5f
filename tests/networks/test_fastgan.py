"""FastGAN: the parameters of the released models, shapes at every size, and what its parts must not do."""

import pytest
import torch

from tools.networks.fastgan import (
    IMAGE_SIZES,
    Discriminator,
    Excitation,
    Generator,
    Noise,
    quarter_of,
    shrunk,
    small_size,
)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "channels", "parameters"),
    [
        (32, 1, None),  # nothing was released below 256
        (64, 5, None),
        (128, 2, None),
        (256, 1, (29_127_142, 11_523_120)),
        (256, 5, (29_128_550, 11_529_200)),
        (512, 1, (29_173_976, 11_523_232)),
        (512, 5, (29_174_808, 11_529_760)),
        (1024, 3, (29_176_512, 11_528_192)),
    ],
)
def test_parameters_of_the_released_models_and_shapes_at_every_size(size, channels, parameters):
    """Without numbers, on torch's meta device."""
    small = min(size // 2, 128)
    with torch.device("meta"):
        generator, discriminator = Generator(size, channels), Discriminator(size, channels)
        noises = [torch.empty(2, 2, side, side) for side in generator.noise_sizes]
        image, small_image = generator.images(torch.empty(2, 256), None, noises)
        seen = discriminator.see(image, small_image)
        again = discriminator.draw_again(seen, 3)
    if parameters is not None:
        assert (count(generator), count(discriminator)) == parameters
        decoders = [discriminator.decode_last, discriminator.decode_small, discriminator.decode_quarter]
        assert sum(map(count, decoders)) == {1: 3_137_760, 3: 3_139_488, 5: 3_141_216}[channels]
    assert image.shape == (2, channels, size, size)
    assert small_image.shape == (2, channels, small, small)
    assert seen.logits.shape == (2, 50)
    assert (seen.last.shape, seen.small.shape) == ((2, 512, 8, 8), (2, 256, 8, 8))
    assert seen.middle.shape == (2, 256, 16, 16)
    assert [made.shape[2:] for made in again] == [(min(size, 128),) * 2] * 2 + [(small,) * 2]
    assert all(made.shape[:2] == (2, channels) for made in again)


def tiny(**options):
    torch.manual_seed(0)
    return Generator(64, 2, latent_dim=16, width=4, **options), Discriminator(64, 2, width=4, **options)


def test_images_and_decoded_images_keep_to_their_range():
    generator, discriminator = tiny()
    images = generator.images(5 * torch.randn(4, 16))
    assert all(0 < image.abs().max() <= 1 for image in images)
    for again in discriminator.draw_again(discriminator.see(*images), 0):
        assert 0 < again.abs().max() <= 1


def test_an_excitation_weighs_channels_and_knows_no_place():
    torch.manual_seed(0)
    excite = Excitation(3, 4).eval()
    small, large = torch.randn(2, 3, 9, 9), torch.rand(2, 4, 16, 16) + 0.5
    gates = excite(small, large) / large
    assert ((gates > 0) & (gates < 1)).all()
    torch.testing.assert_close(gates, gates[:, :, :1, :1].expand_as(gates))
    moved = excite(small, large.roll((3, 5), (2, 3)))
    assert torch.equal(moved, excite(small, large).roll((3, 5), (2, 3)))
    assert not torch.allclose(excite(2 * small, large), excite(small, large))


def test_distant_maps_excite():
    """A map of 64 pixels is excited by that of 4, which nothing else than the next map sees."""
    generator, _ = tiny()
    generator.eval()
    given = []
    generator.stages[3].excitation.register_forward_hook(lambda module, inputs, output: given.append(inputs))
    generator(torch.randn(1, 16))
    ((distant, large),) = given
    assert (distant.shape[2], large.shape[2]) == (4, 64)
    assert [stage.excitation is not None for stage in Generator(64, width=4).stages] == [False, False, False, True]


def test_noise_begins_with_no_effect_and_is_constant_if_not_given():
    noise = Noise(8)
    x, other = torch.randn(2, 3, 8, 8), torch.randn(2, 1, 8, 8)
    assert torch.equal(noise(x, other), x)
    noise.weight.data.fill_(0.5)
    torch.testing.assert_close(noise(x, other), x + 0.5 * other)
    assert torch.equal(noise(x, None), Noise(8).constant * 0.5 + x)
    assert "constant" not in noise.state_dict()


def test_what_is_made_follows_from_the_latent_alone():
    generator, _ = tiny()
    for module in generator.modules():
        if isinstance(module, Noise):
            module.weight.data.fill_(1.0)
    generator.eval()
    latent = torch.randn(3, 16)
    torch.testing.assert_close(generator(latent)[1:2], generator(latent[1:2]), rtol=0, atol=1e-5)
    noises = [torch.randn(3, 2, side, side) for side in generator.noise_sizes]
    assert not torch.allclose(generator.images(latent, None, noises)[0], generator(latent), atol=1e-3)


def test_classes_change_images_and_logits():
    generator, discriminator = tiny(num_classes=2)
    for network in (generator, discriminator):
        network.eval()
    latent = torch.randn(1, 16)
    zero, one = torch.tensor([0]), torch.tensor([1])
    image, small = generator.images(latent, zero)
    assert not torch.allclose(image, generator(latent, one))
    assert not torch.allclose(discriminator(image, small, zero), discriminator(image, small, one))
    for network, given in ((generator, (latent,)), (discriminator, (image, small))):
        with pytest.raises(ValueError, match="conditional"):
            network(*given)


def test_class_logits_are_a_projection_on_the_features():
    """<e_y, f> with f the means of both maps of features is what a class adds to all logits."""
    _, discriminator = tiny(num_classes=2)
    discriminator.eval()
    image, label = torch.rand(2, 2, 64, 64) * 2 - 1, torch.tensor([1, 0])
    seen = discriminator.see(image, shrunk(image, 32), label)
    classes, discriminator.classes = discriminator.classes, None
    plain = discriminator(image, shrunk(image, 32))
    for row in range(2):
        features = [*seen.last[row].flatten(1).mean(1).tolist(), *seen.small[row].flatten(1).mean(1).tolist()]
        added = sum(a * b for a, b in zip(classes.weight[label[row]].tolist(), features, strict=True))
        torch.testing.assert_close(seen.logits[row] - plain[row], torch.full((50,), added), rtol=1e-4, atol=1e-6)


def test_torchscript():
    generator, _ = tiny()
    script = torch.jit.script(generator.eval())
    latent = torch.randn(2, 16)
    torch.testing.assert_close(script(latent), generator(latent), rtol=0, atol=1e-5)


def test_quarters_and_smaller_images():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert [quarter_of(image, number)[0, 0].tolist() for number in range(4)] == [
        [[0, 1], [4, 5]],
        [[2, 3], [6, 7]],
        [[8, 9], [12, 13]],
        [[10, 11], [14, 15]],
    ]
    assert shrunk(image, 2)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert shrunk(image, 4) is image
    assert [small_size(size) for size in IMAGE_SIZES] == [16, 32, 64, 128, 128, 128]


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_other_sizes_are_refused(network):
    with pytest.raises(ValueError, match="image_size is 96, expected a power of two from 32 to 1024"):
        network(96)
