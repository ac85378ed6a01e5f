"""Weights for images of other channels: the function stays what it is."""

import pytest
import torch

from tools.engines.transfer import begun_with, for_channels
from tools.networks.pggan import PGGANGenerator, ProgressiveDiscriminator
from tools.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

SIZES = {"channel_base": 128, "channel_max": 8}


def generator(channels, **options):
    return StyleGAN2Generator(32, channels, latent_dim=8, style_dim=8, **(SIZES | options))


@pytest.mark.parametrize(("before", "after"), [(3, 1), (3, 5), (5, 1), (1, 5)])
def test_what_is_made_and_seen_stays(before, after, tmp_path):
    torch.manual_seed(0)
    made, seen = generator(before), StyleGAN2Discriminator(32, before, **SIZES)
    for block in made.synthesis.blocks:
        torch.nn.init.normal_(block.to_image.bias)
    torch.save(made.state_dict(), tmp_path / "model.pt")
    torch.save(seen.state_dict(), tmp_path / "discriminator.pt")
    path = tmp_path / "model.pt"
    other = begun_with(generator(after), path, after)
    judge = begun_with(StyleGAN2Discriminator(32, after, **SIZES), path, after, "discriminator.pt")
    latent, grey = torch.randn(4, 8), torch.randn(4, 1, 32, 32)
    with torch.no_grad():
        mean = made(latent).mean(1, keepdim=True)
        torch.testing.assert_close(other(latent), mean.expand(-1, after, -1, -1), rtol=0, atol=1e-6)
        expected = seen(grey.expand(-1, before, -1, -1))
        torch.testing.assert_close(judge(grey.expand(-1, after, -1, -1)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 5)])
def test_what_networks_that_grow_make_and_see_stays_at_every_level(before, after, tmp_path):
    torch.manual_seed(0)
    made, seen = PGGANGenerator(32, before, latent_dim=8, **SIZES), ProgressiveDiscriminator(32, before, **SIZES)
    torch.save(made.state_dict(), tmp_path / "model.pt")
    torch.save(seen.state_dict(), tmp_path / "discriminator.pt")
    path = tmp_path / "model.pt"
    other = begun_with(PGGANGenerator(32, after, latent_dim=8, **SIZES), path, after)
    judge = begun_with(ProgressiveDiscriminator(32, after, **SIZES), path, after, "discriminator.pt")
    latent = torch.randn(4, 8)
    for level in range(4):
        grey = torch.randn(4, 1, 4 * 2**level, 4 * 2**level)
        with torch.no_grad():
            mean = made.generate(latent, level).mean(1, keepdim=True)
            torch.testing.assert_close(other.generate(latent, level), mean.expand(-1, after, -1, -1), rtol=0, atol=1e-6)
            expected, _ = seen(grey.expand(-1, before, -1, -1), level)
            found, _ = judge(grey.expand(-1, after, -1, -1), level)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_weights_of_the_same_channels_stay_bit_for_bit():
    state = generator(3).state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in for_channels(state, 3).items())


def test_what_does_not_fit_is_said(tmp_path):
    network = generator(1)
    assert begun_with(network, None, 1) is network
    with pytest.raises(FileNotFoundError, match=r"no weights at .*model\.pt"):
        begun_with(network, tmp_path / "model.pt", 1)
    torch.save(generator(3, channel_max=4).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="does not fit the network"):
        begun_with(network, tmp_path / "model.pt", 1)
    torch.save(generator(3, mapping_layers=8).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"of another network: .*mapping\.layers\.2"):
        begun_with(network, tmp_path / "model.pt", 1)
