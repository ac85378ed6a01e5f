"""StyleGAN3's objective: what it adds to that of StyleGAN2, and a small training with all of it."""

import pytest
import scipy.ndimage
import torch

from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, lazy_adam
from tools.losses.stylegan3 import StyleGAN3Objective, blurred
from tools.networks.stylegan2 import StyleGAN2Discriminator
from tools.networks.stylegan3 import StyleGAN3Generator

SMALL = {"channel_base": 256, "channel_max": 8}


def make_objective(**options):
    torch.manual_seed(0)
    generator = StyleGAN3Generator(32, 1, latent_dim=8, style_dim=8, num_layers=4, **SMALL)
    return StyleGAN3Objective(generator, StyleGAN2Discriminator(32, 1, group_size=1, **SMALL), **options)


def images(rows=4):
    return {"image": torch.rand(rows, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1}


def test_the_blur_is_a_gaussian_in_powers_of_two():
    """2^-(r / sigma)^2 is a Gaussian whose deviation is sigma / sqrt(2 ln 2)."""
    image = images(1)["image"]
    deviation = 2.0 / (2 * torch.log(torch.tensor(2.0))).sqrt().item()
    expected = scipy.ndimage.gaussian_filter(image[0, 0].numpy(), deviation, mode="constant", radius=6)
    torch.testing.assert_close(blurred(image, 2.0)[0, 0], torch.from_numpy(expected), rtol=1e-4, atol=1e-5)
    assert blurred(image, 0.3) is image


def test_the_blur_falls_with_the_images_and_magnitudes_keep_their_share():
    objective = make_objective(blur=10.0, blur_images=80)
    drawn = [objective.draw(images(), Draws(seed=0, iteration=n)) for n in (0, 5, 20, 30)]
    assert [one["blur"] for one in drawn] == pytest.approx([10, 7.5, 0, 0])
    assert drawn[0]["decay"] == pytest.approx(0.5 ** (4 / 20_000))
    assert make_objective().draw(images(), Draws(seed=0, iteration=0))["blur"] == 0
    with pytest.raises(ValueError, match="blur is -1"):
        make_objective(blur=-1)


def test_averages_move_in_the_discriminators_update_alone():
    objective = make_objective()
    averages = [objective.generator.mapping.average, objective.generator.synthesis.layers[1].magnitude]
    drawn = objective.draw(images(), Draws(seed=0, iteration=0))
    before = [average.clone() for average in averages]
    objective.generator_loss(drawn)
    assert all(torch.equal(a, b) for a, b in zip(averages, before, strict=True))
    objective.fake_loss(drawn)
    assert not any(torch.equal(a, b) for a, b in zip(averages, before, strict=True))


def test_d_sees_what_is_blurred_and_r1_is_of_what_is_not():
    objective = make_objective(blur=2.0, gamma=3.0)
    drawn = objective.draw(images(), Draws(seed=0, iteration=0))
    x = drawn["real"].clone().requires_grad_()
    verdict = objective.discriminator(blurred(x, 2.0))
    (slope,) = torch.autograd.grad(verdict.sum(), x)
    expected = 3.0 / 2 * slope.square().flatten(1).sum(1).mean().item()
    assert objective.r1_loss(drawn)["r1"].item() == pytest.approx(expected, rel=1e-4)
    expected = torch.nn.functional.softplus(-verdict).mean().item()
    assert objective.real_loss(drawn)["real"].item() == pytest.approx(expected, rel=1e-5)


def test_training_moves_both_networks():
    objective = make_objective(blur=1.0, blur_images=12)
    networks = {"generator": objective.generator, "discriminator": objective.discriminator}
    adam = {
        "generator": torch.optim.Adam(objective.generator.parameters(), 2.5e-3, (0.0, 0.99)),
        "discriminator": lazy_adam(objective.discriminator.parameters(), 2e-3, (0.0, 0.99), every=16),
    }
    updates = [
        Update(name, {of: networks[of]}, adam[of], getattr(objective, f"{name}_loss"), every)
        for name, of, every in (
            ("generator", "generator", 1),
            ("discriminator",) * 2 + (1,),
            ("r1", "discriminator", 16),
        )
    ]
    before = {name: [p.clone() for p in network.parameters()] for name, network in networks.items()}
    AlternatingTrainer("cpu", 1, [images()] * 4, updates, objective.draw).run()
    for name, network in networks.items():
        moved = [not torch.equal(a, b) for a, b in zip(network.parameters(), before[name], strict=True)]
        assert sum(moved) > 0.8 * len(moved), name
        assert all(p.isfinite().all() for p in network.parameters())
