"""StyleGAN2's objective against its equations, one number at a time, and a small training with all of it."""

import math

import pytest
import torch
from torch import nn

from tools.engines.checkpoint import TrainingCheckpoint
from tools.engines.draws import Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms, lazy_adam
from tools.losses.adaptive_augmentation import AdaptiveAugmentation
from tools.losses.adversarial import r1_penalty, wasserstein_penalty
from tools.losses.stylegan2 import PathLength, StyleGAN2Objective
from tools.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from tools.transforms.channels import Channels

CHANNELS = Channels({"t1": 99.5}, {"tumour": 1})


class Linear(nn.Module):
    """D(x) = a x, of images of 2 x 2 pixels."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64))

    def forward(self, x):
        return (x.flatten(1) * self.a).sum(1, keepdim=True)


def images(rows=3, seed=0):
    return torch.randn(rows, 1, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_r1_of_a_linear_discriminator_is_half_the_square_of_its_slope():
    network, x = Linear(), images().requires_grad_()
    squared = 0.25 + 1 + 4 + 0.0625
    penalty = r1_penalty(network(x), x)
    assert penalty.item() == pytest.approx(squared / 2, rel=1e-12)
    penalty.backward()
    torch.testing.assert_close(network.a.grad, network.a.detach(), rtol=1e-12, atol=0)


def test_the_wasserstein_penalty_of_a_linear_discriminator():
    network = Linear()
    share = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    for target in (1.0, 2.0):
        found = wasserstein_penalty(network, images(), images(seed=1), share, target)
        assert found.item() == pytest.approx((math.sqrt(5.3125) / target - 1) ** 2, rel=1e-12)


def test_the_wasserstein_penalty_is_taken_between_real_and_generated():
    """D(x) = |x|^2 / 2 has the slope x."""
    real, fake, share = images(), images(seed=1), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    found = wasserstein_penalty(lambda x: (x**2).flatten(1).sum(1, keepdim=True) / 2, real, fake, share)
    expected = 0.0
    for n in range(3):
        mixed = [(1 - share[n]) * r + share[n] * f for r, f in zip(real[n].flatten(), fake[n].flatten(), strict=True)]
        expected += (math.sqrt(sum(value**2 for value in mixed)) - 1) ** 2 / 3
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_of_r1_is_that_of_its_differences():
    torch.manual_seed(0)
    network = StyleGAN2Discriminator(32, 1, channel_base=64, channel_max=4, group_size=1).double()
    x = torch.randn(2, 1, 32, 32, dtype=torch.float64)

    def penalty():
        image = x.clone().requires_grad_()
        return r1_penalty(network(image), image)

    weight = network.blocks[0].conv1.weight
    (gradient,) = torch.autograd.grad(penalty(), weight)
    step = 1e-6
    for place in ((0, 0, 1, 1), (3, 1, 0, 2)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * step
            values.append(penalty().item())
            with torch.no_grad():
                weight[place] -= sign * step
        assert gradient[place].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_path_lengths_of_a_linear_generator():
    """G(w) = A w: |J^T y| = |A^T y|, whose square has the mean |A|_F^2 / pixels."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(16, 5, generator=generator, dtype=torch.float64)
    rows = 4000
    ws = torch.randn(rows, 1, 5, generator=generator, dtype=torch.float64).requires_grad_()
    noise = torch.randn(rows, 1, 4, 4, generator=generator, dtype=torch.float64)
    image = (ws[:, 0] @ matrix.T).view(-1, 1, 4, 4)
    path_length = PathLength(weight=2.0, decay=0.01).double()
    path_length.average.fill_(1.5)
    found = path_length(image, ws, noise)

    lengths = torch.linalg.vector_norm(noise.flatten(1) @ matrix, dim=1) / 4
    average = 1.5 + 0.01 * (lengths.mean() - 1.5)
    assert path_length.average.item() == pytest.approx(average.item(), rel=1e-6)
    assert found.item() == pytest.approx(2 * ((lengths - average) ** 2).mean().item(), rel=1e-5)
    assert lengths.square().mean().item() == pytest.approx((matrix**2).sum().item() / 16, rel=0.05)


def test_path_lengths_are_a_mean_over_layers():
    ws = torch.zeros(1, 3, 2, dtype=torch.float64, requires_grad=True)
    slopes = torch.tensor([[1.0, 2.0], [0.0, 3.0], [4.0, 0.0]], dtype=torch.float64)
    path_length = PathLength(weight=1.0, decay=0.0).double()
    found = path_length((ws * slopes).sum().view(1, 1, 1, 1), ws, torch.ones(1, 1, 1, 1, dtype=torch.float64))
    assert found.item() == pytest.approx((5 + 9 + 16) / 3, rel=1e-12)


def tiny(num_classes=0, seed=0, **options):
    torch.manual_seed(seed)
    widths = {"channel_base": 128, "channel_max": 8}
    generator = StyleGAN2Generator(32, 2, num_classes, latent_dim=8, style_dim=8, **widths)
    discriminator = StyleGAN2Discriminator(32, 2, num_classes, **widths)
    return StyleGAN2Objective(generator, discriminator, CHANNELS, num_classes, **options)


def batch_of(rows=4, classes=False):
    generator = torch.Generator().manual_seed(1)
    batch = {
        "image": torch.rand(rows, 1, 32, 32, generator=generator) * 2 - 1,
        "label": torch.randint(0, 2, (rows, 1, 32, 32), generator=generator, dtype=torch.uint8),
    }
    return batch | ({"class": torch.arange(rows) % 2} if classes else {})


def test_the_losses_are_logistic():
    objective = tiny(path_length=PathLength(), gamma=0.5)
    batch = objective.draw(batch_of(), Draws(0, 0))
    assert batch["real"].shape == (4, 2, 32, 32)
    assert set(batch["real"][:, 1].unique().tolist()) == {-1.0, 1.0}
    real = objective.discriminator(batch["real"])[:, 0].tolist()
    fakes = []
    for update in ("generator", "discriminator"):
        ws = objective.styles(batch, update)[1]
        fakes.append(objective.discriminator(objective.synthesise(ws, batch, update))[:, 0].tolist())
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    terms = all_terms(objective.discriminator_loss(batch))
    assert terms["real"].item() == pytest.approx(-sum(math.log(sigmoid(x)) for x in real) / 4, rel=1e-4)
    assert terms["fake"].item() == pytest.approx(-sum(math.log(1 - sigmoid(x)) for x in fakes[1]) / 4, rel=1e-4)
    loss = objective.generator_loss(batch)["adversarial"].item()
    assert loss == pytest.approx(-sum(math.log(sigmoid(x)) for x in fakes[0]) / 4, rel=1e-4)
    x = batch["real"].clone().requires_grad_()
    slopes = torch.autograd.grad(objective.discriminator(x).sum(), x)[0].square().sum((1, 2, 3))
    assert objective.r1_loss(batch)["r1"].item() == pytest.approx(0.25 * slopes.mean().item(), rel=1e-4)


def test_styles_are_mixed_as_often_as_asked():
    objective = tiny(style_mixing=0.9)
    drawn = objective.styles_drawn(3000, Draws(0, 0))
    number = objective.num_ws()
    counts = torch.bincount(drawn["cut"], minlength=number + 1)
    assert counts[0] == 0
    assert counts[number].item() / 3000 == pytest.approx(0.1, abs=0.02)
    expected = 0.9 * 3000 / (number - 1)
    assert ((counts[1:number] - expected) ** 2 / expected).sum() < 24  # chi-squared, 6 degrees: 0.9995
    assert (tiny(style_mixing=0).styles_drawn(100, Draws(0, 0))["cut"] == number).all()


def test_draws_depend_on_row_and_iteration_alone():
    objective = tiny(2, path_length=PathLength(), augmentation=AdaptiveAugmentation(1, 1, start=0.5))
    whole = objective.draw(batch_of(4, classes=True), Draws(0, 4, iterations=9))
    batch = {key: value[1::2] for key, value in batch_of(4, classes=True).items()}
    second = objective.draw(batch, Draws(0, 4, rank=1, world_size=2, iterations=9))
    assert whole.keys() == second.keys()
    for key, value in whole.items():
        assert torch.equal(value[1::2], second[key]), key


def train(folder, max_epochs, resume=None, classes=False, **options):
    augmentation, path_length = AdaptiveAugmentation(1, 1, interval=1, speed=40), PathLength()
    objective = tiny(2 * classes, path_length=path_length, path_every=2, augmentation=augmentation)
    networks = {"generator": objective.generator}, {"discriminator": objective.discriminator}
    rates = {"lr": 0.002, "betas": (0.0, 0.99)}
    g_adam = lazy_adam(objective.generator.parameters(), every=2, **rates)
    d_adam = lazy_adam(objective.discriminator.parameters(), every=4, **rates)
    updates = [
        Update("generator", networks[0], g_adam, objective.generator_loss),
        Update("path_length", networks[0], g_adam, objective.path_length_loss, every=2),
        Update("discriminator", networks[1], d_adam, objective.discriminator_loss),
        Update("r1", networks[1], d_adam, objective.r1_loss, every=4),
    ]
    average = ExponentialMovingAverage(objective.generator, half_life=10)
    also = {"augmentation": augmentation, "path_length": path_length}
    checkpoint = TrainingCheckpoint(folder, {"model": average.module}, {}, also=also, resume=resume)
    trainer = AlternatingTrainer(
        "cpu",
        max_epochs,
        [batch_of(4, classes)] * 3,
        updates,
        objective.draw,
        ema=average,
        train_handlers=[checkpoint],
        **options,
    )
    trainer.run()
    return objective, average.module, trainer.state.output[0]["loss"]


def test_a_training_with_everything_is_resumed_bit_for_bit(tmp_path):
    whole, average, losses = train(tmp_path / "whole", 2)
    assert {"generator", "discriminator", "discriminator/fake", "discriminator/real"} <= set(losses)
    assert 0 < whole.augmentation.probability <= 0.8
    assert whole.path_length.average > 0
    assert whole.generator.mapping.average.abs().sum() > 0
    train(tmp_path / "parts", 1)
    parts, resumed, _ = train(tmp_path / "parts", 2, resume="auto")
    for one, other in ((whole.generator, parts.generator), (whole.discriminator, parts.discriminator)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), resumed.parameters(), strict=True))
    assert torch.equal(whole.augmentation.probability, parts.augmentation.probability)
    assert torch.equal(whole.path_length.average, parts.path_length.average)


def test_a_training_with_classes_in_parts_and_half_precision(tmp_path):
    _, _, losses = train(tmp_path, 1, classes=True, accumulation=2, precision="bf16")
    assert all(math.isfinite(value) for value in losses.values())


def test_frozen_layers_stay_and_the_others_learn():
    objective = tiny()
    frozen = StyleGAN2Discriminator(32, 2, channel_base=128, channel_max=8, frozen=4)
    frozen.load_state_dict(objective.discriminator.state_dict())
    objective.discriminator = frozen
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    adam = torch.optim.Adam(frozen.parameters(), lr=0.01)
    trained = [
        Update("discriminator", {"discriminator": frozen}, adam, objective.discriminator_loss),
        Update("r1", {"discriminator": frozen}, adam, objective.r1_loss),
    ]
    AlternatingTrainer("cpu", 1, [batch_of()], trained, objective.draw).run()
    still = {name for name, tensor in frozen.state_dict().items() if torch.equal(tensor, before[name])}
    layers = ("from_image", "conv0", "conv1", "skip")
    assert still == {name for name in before if name.startswith(tuple(f"blocks.0.{layer}." for layer in layers))}


@pytest.mark.parametrize(
    ("options", "message"), [({"style_mixing": 1.5}, "style_mixing is 1.5"), ({"gamma": -1}, "gamma is -1")]
)
def test_settings_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_classes_are_checked():
    objective = tiny(2)
    with pytest.raises(ValueError, match="a batch has no 'class'"):
        objective.draw(batch_of(), Draws(0, 0))
    with pytest.raises(ValueError, match=r"expected indices in \[0, 2\)"):
        objective.draw(batch_of() | {"class": torch.tensor([0, 1, 2, 0])}, Draws(0, 0))
