"""Each loss of FastGAN against its formula, written out from the networks' outputs."""

import itertools
import math

import pytest
import torch

from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.losses.differentiable_augmentation import DifferentiableAugmentation
from tools.losses.fastgan import FastGANObjective
from tools.networks.fastgan import Discriminator, Generator
from tools.transforms.channels import Channels

SIZE, LATENT, ROWS = 32, 8, 3
CHANNELS = Channels({"ct": [0, 80]}, {"bleeding": 1})


def make_objective(num_classes=0, kinds=("color", "translation"), **options):
    torch.manual_seed(0)
    return FastGANObjective(
        Generator(SIZE, 2, LATENT, width=4, num_classes=num_classes).eval(),
        Discriminator(SIZE, 2, width=4, num_classes=num_classes).eval(),
        CHANNELS,
        DifferentiableAugmentation(kinds, CHANNELS.is_label),
        latent_dim=LATENT,
        **options,
    )


def batch():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(ROWS, 1, SIZE, SIZE, generator=generator) * 2 - 1
    label = torch.randint(0, 2, (ROWS, 1, SIZE, SIZE), generator=generator).to(torch.uint8)
    return {"image": image, "label": label, "class": torch.tensor([0, 1, 1])}


def drawn_by(objective, iteration=5):
    return objective.draw(batch(), Draws(seed=0, iteration=iteration))


def mean_of_blocks(image, factor):
    """Each pixel the mean of factor x factor."""
    rows, channels, height, width = image.shape
    return image.reshape(rows, channels, height // factor, factor, width // factor, factor).mean((3, 5))


def ssim(a, b):
    """1 image of one channel each, in [0, 2]: the mean over windows of 11 x 11 with a Gaussian of 1.5 pixels."""
    taps = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    taps = torch.tensor(taps, dtype=torch.float64) / sum(taps)
    weight = taps[:, None] * taps[None]
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    found = []
    for top, left in itertools.product(range(a.shape[0] - 10), range(a.shape[1] - 10)):
        x, y = (one[top : top + 11, left : left + 11].double() for one in (a, b))
        mean_x, mean_y = (weight * x).sum(), (weight * y).sum()
        variance_x, variance_y = (weight * (x - mean_x) ** 2).sum(), (weight * (y - mean_y) ** 2).sum()
        covariance = (weight * (x - mean_x) * (y - mean_y)).sum()
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        found.append(luminance * (2 * covariance + c2) / (variance_x + variance_y + c2))
    return sum(found) / len(found)


@torch.no_grad()
def test_discriminators_hinges_have_a_random_margin():
    objective = make_objective(reconstruction_weight=0)
    drawn = drawn_by(objective)
    terms = all_terms(objective.discriminator_loss(drawn))
    assert set(terms) == {"real", "fake"}
    real = objective.discriminator(drawn["real"], mean_of_blocks(drawn["real"], 2))
    noises = [drawn["noise0"], drawn["noise1"]]
    fakes = objective.generator.images(drawn["latent"], None, noises)
    fake = objective.discriminator(*(objective.augmentation(one, drawn["augment_fake"]) for one in fakes))
    for name, sign, logits in (("real", -1, real), ("fake", 1, fake)):
        margin = drawn[f"margin_{name}"]
        assert margin.shape == logits.shape == (ROWS, 50)
        assert 0.8 <= margin.min() < 0.83 < 0.97 < margin.max() <= 1
        pairs = zip(margin.flatten().tolist(), logits.flatten().tolist(), strict=True)
        expected = sum(max(0.0, u + sign * logit) for u, logit in pairs) / (ROWS * 50)
        assert terms[name].item() == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_decoders_are_held_against_what_d_saw():
    """L1 and SSIM of the augmented image, of the same by its small version, and of the quarter that was drawn."""
    objective = make_objective(reconstruction_weight=2.0)
    for iteration in itertools.count():
        drawn = drawn_by(objective, iteration)
        if drawn["quarter"] == 2:
            break
    real = drawn["real"]
    seen = objective.discriminator.see(real, mean_of_blocks(real, 2))
    made = [
        objective.discriminator.decode_last(seen.last),
        objective.discriminator.decode_small(seen.small),
        objective.discriminator.decode_quarter(seen.middle[:, :, 8:, :8]),  # lower left
    ]
    total = 0
    for one, of in zip(made, (real, real, real[:, :, 16:, :16]), strict=True):
        assert one.shape == of.shape
        total += (one - of).abs().mean().item()
        per_image = [ssim(one[i, c] + 1, of[i, c] + 1).item() for i in range(ROWS) for c in range(2)]
        total += 1 - sum(per_image) / len(per_image)
    found = all_terms(objective.discriminator_loss(drawn))["reconstruction"].item()
    assert found == pytest.approx(2 * total, rel=1e-4)


@torch.no_grad()
def test_a_perceptual_distance_takes_the_place_of_l1_and_ssim():
    objective = make_objective(perceptual=lambda a, b: (a - b).pow(2).flatten(1).mean(1), reconstruction_weight=1.0)
    drawn = drawn_by(objective)
    real = drawn["real"]
    seen = objective.discriminator.see(real, mean_of_blocks(real, 2))
    made = objective.discriminator.draw_again(seen, drawn["quarter"])
    row, column = divmod(drawn["quarter"], 2)
    quarter = real[:, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
    expected = sum((a - b).pow(2).mean().item() for a, b in zip(made, (real, real, quarter), strict=True))
    found = all_terms(objective.discriminator_loss(drawn))["reconstruction"].item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_generator_loss_is_the_mean_logit_and_its_images_serve_both_updates():
    objective = make_objective()
    drawn = drawn_by(objective)
    fakes = objective.generator.images(drawn["latent"], None, [drawn["noise0"], drawn["noise1"]])
    logits = objective.discriminator(*(objective.augmentation(one, drawn["augment_fake"]) for one in fakes))
    loss = objective.generator_loss(drawn)["adversarial"]
    assert loss.item() == pytest.approx(-sum(logits.flatten().tolist()) / logits.numel(), rel=1e-5)
    loss.backward()
    assert all(p.grad is not None for name, p in objective.generator.named_parameters())

    calls = []
    objective.generator.images = lambda *given: calls.append(given)
    all_terms(objective.discriminator_loss(drawn))
    assert calls == []


def test_reals_are_augmented_and_labels_only_moved():
    objective = make_objective(kinds=("color",))
    drawn = drawn_by(objective)
    joined = CHANNELS.join(batch()["image"], batch()["label"])
    assert torch.equal(drawn["real"][:, 1], joined[:, 1])
    assert not torch.allclose(drawn["real"][:, 0], joined[:, 0], atol=0.05)
    assert torch.equal(drawn_by(make_objective(kinds=()))["real"], joined)


def test_classes_are_those_of_the_real_images():
    objective = make_objective(num_classes=2)
    drawn = drawn_by(objective)
    assert drawn["class"].tolist() == [0, 1, 1]
    with torch.no_grad():
        first = objective.generator_loss(drawn)["adversarial"]
        assert not torch.equal(
            first, objective.generator_loss(drawn | {"class": torch.tensor([0, 0, 0])})["adversarial"]
        )
    without = {key: value for key, value in batch().items() if key != "class"}
    with pytest.raises(ValueError, match="no 'class', expected a class index in"):
        objective.draw(without, Draws(seed=0, iteration=0))
    with pytest.raises(ValueError, match="the generator has 2 classes, and the discriminator 0"):
        FastGANObjective(objective.generator, make_objective().discriminator)


def test_training_moves_both_networks_and_accumulates():
    """Two rows at a time through both updates: the parts of a batch find their own images again."""
    objective = make_objective()
    networks = {"generator": objective.generator, "discriminator": objective.discriminator}
    updates = [
        Update(
            name,
            {name: one},
            torch.optim.Adam(one.parameters(), 2e-4, (0.5, 0.999)),
            getattr(objective, f"{name}_loss"),
        )
        for name, one in networks.items()
    ]
    before = {name: [p.clone() for p in one.parameters()] for name, one in networks.items()}
    trainer = AlternatingTrainer("cpu", 1, [batch()], updates, objective.draw, accumulation=2)
    trainer.run()
    losses = trainer.state.output[0]["loss"]
    assert losses["discriminator"] == pytest.approx(
        losses["discriminator/real"] + losses["discriminator/fake"] + losses["discriminator/reconstruction"]
    )
    for name, one in networks.items():
        moved = [not torch.equal(a, b) for a, b in zip(one.parameters(), before[name], strict=True)]
        assert sum(moved) > 0.9 * len(moved), name
