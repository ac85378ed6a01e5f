"""Progressive GAN of volumes: Eklund's parameter counts, and what its definition implies."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from tools.engines.draws import Draws
from tools.layers.equalised import EqualisedConv, set_fused
from tools.losses.growth_schedule import GrowthSchedule
from tools.losses.progressive import PGGANObjective
from tools.networks.pggan import PGGANGenerator, ProgressiveDiscriminator

COUNTS = """
16 1 3261571 3262081 3265537
32 1 4146692 4147329 4150785
64 1 5031813 5032577 5036033
128 1 5916934 5917825 5921281
64 2 5032458 5033217 0
128 2 5917708 5918593 0
"""
"""Side, channels, parameters of the generator, and of the discriminator without and with the minibatch's deviation."""

PUBLISHED = {"channel_max": 128, "spatial_dims": 3}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    widths = {"channel_base": 64, "channel_max": 6, "spatial_dims": 3}
    generator = PGGANGenerator(16, 2, latent_dim=5, **widths).double()
    return generator, ProgressiveDiscriminator(16, 2, group_size=0, **widths).double()


@pytest.mark.parametrize("line", COUNTS.split("\n")[1:-1])
def test_parameters(line):
    side, channels, generator, plain, deviating = map(int, line.split())
    with torch.device("meta"):
        assert count(PGGANGenerator(side, channels, latent_dim=128, **PUBLISHED)) == generator
        assert count(ProgressiveDiscriminator(side, channels, group_size=0, **PUBLISHED)) == plain
        if deviating:
            assert count(ProgressiveDiscriminator(side, channels, group_size=4, **PUBLISHED)) == deviating


def test_a_new_level_begins_as_the_one_before_and_ends_without_it(networks):
    generator, discriminator = networks
    latent = torch.randn(2, 5, dtype=torch.float64)
    before = generator.generate(latent, 1)
    assert before.shape == (2, 2, 8, 8, 8)
    doubled = before.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    torch.testing.assert_close(generator.generate(latent, 2, 0.0), doubled, rtol=0, atol=1e-12)
    torch.testing.assert_close(generator.generate(latent, 2, 1.0), generator.generate(latent, 2), rtol=0, atol=1e-12)
    # a discriminator likewise: of a volume, what the level before says of its mean over blocks
    means = F.avg_pool3d(doubled, 2)
    torch.testing.assert_close(discriminator(doubled, 2, 0.0)[0], discriminator(means, 1)[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(discriminator(doubled, 2, 1.0)[0], discriminator(doubled, 2)[0], rtol=0, atol=1e-12)


def test_one_operation_computes_what_two_do(networks):
    latent = torch.randn(2, 5, dtype=torch.float64)

    def computed(fused, layout):
        generator, discriminator = (deepcopy(network).to(memory_format=layout) for network in networks)
        verdict = set_fused(discriminator, fused)(set_fused(generator, fused).generate(latent, 2))[0]
        verdict.sum().backward()
        return [verdict, *(p.grad for n in (generator, discriminator) for p in n.parameters() if p.grad is not None)]

    for layout in (torch.contiguous_format, torch.channels_last_3d):
        for one, two in zip(computed(True, layout), computed(False, torch.contiguous_format), strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_maps_of_the_fast_way_stay_channels_last(networks):
    layout = torch.channels_last_3d
    generator, discriminator = (deepcopy(network).float().to(memory_format=layout) for network in networks)
    maps = []
    for layer in (*generator.modules(), *discriminator.modules()):
        if isinstance(layer, EqualisedConv):
            layer.register_forward_hook(lambda layer, x, y: maps.append(y))
    discriminator(generator.generate(torch.randn(2, 5), 2))
    assert len(maps) == 12
    assert all(y.is_contiguous(memory_format=layout) for y in maps)


def test_other_shapes_are_refused(networks):
    with pytest.raises(ValueError, match=r"expected volumes \[B, 2, 8, 8, 8\], got \(2, 2, 16, 16, 16\)"):
        networks[1](torch.zeros(2, 2, 16, 16, 16), 1)
    with pytest.raises(ValueError, match="image_size is 48, expected a power of two from 8 to 256"):
        PGGANGenerator(48, spatial_dims=3)


def test_the_objective_takes_volumes(networks):
    """All updates at a level that fades in; the penalty by hand, from the slope of D between real and generated."""
    generator, discriminator = networks
    schedule = GrowthSchedule(last_level=2, stay=10, fade=10, batch_size=2)
    objective = PGGANObjective(generator, discriminator, schedule)
    image = torch.randn(2, 2, 16, 16, 16)
    batch = objective.draw({"image": image}, Draws(0, 3, images=15))
    assert batch["level"] == 1
    assert float(batch["alpha"]) == pytest.approx(0.5)
    small = F.avg_pool3d(image, 2)
    coarse = F.interpolate(F.avg_pool3d(small, 2), scale_factor=2)
    torch.testing.assert_close(batch["real"], (coarse + small) / 2)
    batch = {key: value.double() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
    terms = {name: value for part in objective.discriminator_loss(batch) for name, value in part.items()}
    fake = objective.generate(batch, "discriminator").detach()
    share = batch["share"].view(2, 1, 1, 1, 1)
    between = (batch["real"] * (1 - share) + fake * share).requires_grad_()
    (slope,) = torch.autograd.grad(objective.discriminate(between, batch)[0].sum(), between)
    expected = 10 * ((slope.square().sum(dim=(1, 2, 3, 4)).sqrt() - 1) ** 2).mean()
    assert terms["penalty"].item() == pytest.approx(expected.item(), rel=1e-9)
    verdicts = objective.discriminate(batch["real"], batch)[0]
    assert terms["drift"].item() == pytest.approx(0.001 * verdicts.square().mean().item(), rel=1e-9)
    assert objective.generator_loss(batch)["adversarial"].isfinite()
    generator.growth.reach(2, None)
