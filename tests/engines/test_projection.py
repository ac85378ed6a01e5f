"""Projection into W: schedules and noise by hand, and a generated image that is found again."""

import json
import math

import pytest
import torch

from tools.engines.projection import Projector, distance_of_scales, noise_correlation, save_projections
from tools.layers.styled import StyledConv
from tools.networks.stylegan2 import StyleGAN2Generator
from tools.networks.stylegan3 import StyleGAN3Generator
from tools.transforms.channels import Channels


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    network = StyleGAN2Generator(32, 2, latent_dim=8, style_dim=8, channel_base=256, channel_max=16)
    for layer in network.modules():
        if isinstance(layer, StyledConv):
            torch.nn.init.constant_(layer.noise_strength, 0.05)
    return network


@pytest.fixture(scope="module")
def found(generator):
    with torch.no_grad():
        target = generator(torch.randn(1, 8, generator=torch.Generator().manual_seed(3)))[0]
    return target, Projector(generator, steps=40, samples=500)(target)


def test_a_generated_image_is_found_again(generator, found):
    """At less than a fifth of the distance of the mean style's image."""
    target, projection = found
    assert projection.distance < 0.2 * projection.mean_distance
    with torch.no_grad():
        ws = generator.styles(projection.w[None])
        image = generator.from_styles(ws, [one[None, None] for one in projection.noise])
    torch.testing.assert_close(image[0], projection.image, rtol=0, atol=1e-5)
    assert distance_of_scales(image, target[None]).item() == pytest.approx(projection.distance, rel=1e-3)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in generator.parameters())


def test_noise_stays_noise(found):
    for one in found[1].noise:
        assert one.mean().item() == pytest.approx(0, abs=1e-5)
        assert one.square().mean().item() == pytest.approx(1, abs=1e-4)


def test_a_seed_gives_the_same(generator, found):
    again, other = (Projector(generator, steps=2, samples=20, seed=seed)(found[0]).w for seed in (0, 1))
    assert torch.equal(again, Projector(generator, steps=2, samples=20)(found[0]).w)
    assert not torch.equal(again, other)


def test_the_correlation_of_noise_by_loops():
    noise = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    halved = [[float(noise[0, 0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum()) / 2 for x in range(8)] for y in range(8)]
    expected = 0.0
    for n in (noise[0, 0].tolist(), halved):
        side = len(n)
        across = sum(n[y][x] * n[y][x - 1] for y in range(side) for x in range(side)) / side**2
        down = sum(n[y][x] * n[y - 1][x] for y in range(side) for x in range(side)) / side**2
        expected += across**2 + down**2
    assert noise_correlation(noise).item() == pytest.approx(expected, rel=1e-12)
    assert noise_correlation(noise[:, :, :4, :4]).item() > 0  # smaller ones are not halved


def test_rates_and_noise_are_the_papers(generator):
    projector = Projector(generator)
    assert [projector.rate(step) for step in (0, 25, 50, 749)] == pytest.approx([0, 0.05, 0.1, 0.1])
    assert projector.rate(875) == pytest.approx(0.05)
    assert projector.rate(950) == pytest.approx(0.1 * (0.5 - 0.5 * math.cos(math.pi / 5)))
    assert [projector.spread(step) for step in (0, 375, 750, 999)] == pytest.approx([0.05, 0.05 / 4, 0, 0])


def test_the_statistics_of_styles(generator):
    mean, deviation = Projector(generator, samples=300).statistics()
    with torch.no_grad():
        w = generator.mapping(torch.randn(300, 8, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(mean[0], w.mean(0))
    assert deviation**2 == pytest.approx(w.var(0, correction=0).sum().item(), rel=1e-4)


def test_files(generator, found, tmp_path):
    label = torch.zeros(1, 32, 32, dtype=torch.uint8)
    targets = [{"image": found[0][:1], "label": label, "id": "patient_slice007"}]
    channels = Channels({"t1": 99.5}, {"tumour": 1})
    (picture,) = save_projections(Projector(generator, steps=2, samples=20), targets, tmp_path, channels)
    assert picture == tmp_path / "patient_slice007.png"
    assert picture.is_file()
    saved = torch.load(tmp_path / "patient_slice007.pt", weights_only=True)
    assert saved["w"].shape == (8,)
    assert [one.shape for one in saved["noise"]] == generator.synthesis.noise_shapes
    report = json.loads((tmp_path / "projections.json").read_text())
    assert report["patient_slice007"].keys() == {"distance", "of_mean_style"}


def test_what_cannot_be_projected(generator):
    with pytest.raises(ValueError, match=r"target has shape \(2, 16, 16\), expected .* \(2, 32, 32\)"):
        Projector(generator, steps=1, samples=2)(torch.zeros(2, 16, 16))
    with torch.device("meta"), pytest.raises(ValueError, match="StyleGAN3Generator has no noise maps"):
        Projector(StyleGAN3Generator(32, num_layers=4, channel_max=8))
    with pytest.raises(ValueError, match="steps is 0"):
        Projector(generator, steps=0)
