"""WGAN, WGAN-GP and 3D-GAN: each loss against its formula, penalties in closed form, clipping, and resting."""

import math

import pytest
import torch
from torch import nn

from tests.engines.toys import make_trainer
from tools.engines.draws import Draws
from tools.engines.update import Update, all_terms
from tools.losses.adversarial import wasserstein, wasserstein_penalty
from tools.losses.kl_divergence import kl_divergence
from tools.losses.volume_gan import GAN3DObjective, WassersteinObjective, clip_weights
from tools.networks.volume_gan import VolumeDiscriminator, VolumeGenerator
from tools.transforms.channels import Channels

SIZE = [8, 12, 8]
CHANNELS = Channels({"mr": 99.5}, {"front": 1, "back": 2})


class Linear(nn.Module):
    """D(x) = <w, x>, whose gradient is w everywhere."""

    def __init__(self, *shape):
        super().__init__()
        self.w = nn.Parameter(torch.randn(shape, dtype=torch.float64))

    def forward(self, x):
        return (x * self.w).flatten(1).sum(1, keepdim=True)


def batch_of(rows=3, channels=1):
    generator = torch.Generator().manual_seed(1)
    return {"image": torch.rand(rows, channels, *SIZE, generator=generator) * 2 - 1}


def players(channels=1, norm="batch", **options):
    return VolumeGenerator(SIZE, 6, channels, 4, **options), VolumeDiscriminator(SIZE, channels, 4, norm=norm)


@pytest.mark.parametrize("shape", [(1, 4, 5, 6), (2, 3, 3, 3), (7,)])
def test_penalty_of_a_linear_critic(shape):
    """Of volumes and of codes: 10 (|w| - 1)^2, whatever lies between what."""
    critic = Linear(*shape)
    real, fake = torch.randn(2, 3, *shape, dtype=torch.float64)
    penalty = 10 * wasserstein_penalty(critic, real, fake, torch.rand(3).double())
    assert penalty.item() == pytest.approx(10 * (critic.w.norm().item() - 1) ** 2, rel=1e-12)


def test_penalty_per_voxel_of_a_linear_critic():
    """The mean over voxels of (|w_v| - 1)^2, each over its channels."""
    critic = Linear(2, 3, 4, 5)
    real, fake = torch.randn(2, 3, 2, 3, 4, 5, dtype=torch.float64)
    penalty = wasserstein_penalty(critic, real, fake, torch.rand(3).double(), per_voxel=True)
    lengths = [math.hypot(*critic.w[:, i, j, k].tolist()) for i in range(3) for j in range(4) for k in range(5)]
    assert penalty.item() == pytest.approx(sum((n - 1) ** 2 for n in lengths) / len(lengths), rel=1e-9)


def test_a_critic_of_gradient_zero_has_a_finite_penalty():
    critic = Linear(4)
    with torch.no_grad():
        critic.w.zero_()
    wasserstein_penalty(
        critic, torch.randn(2, 4).double(), torch.randn(2, 4).double(), torch.rand(2).double()
    ).backward()
    assert torch.isfinite(critic.w.grad).all()


def test_wasserstein_losses_are_means_of_verdicts():
    generator, discriminator = players(norm="layer")
    objective = WassersteinObjective(generator, discriminator)
    drawn = objective.draw(batch_of(), Draws(0, 0))
    terms = all_terms(objective.discriminator_loss(drawn))
    assert [*terms] == ["fake", "penalty", "real"]
    made = generator(drawn["discriminator_latent"])
    verdicts = [discriminator(volume[None]).item() for volume in drawn["real"]]
    assert terms["real"].item() == pytest.approx(-sum(verdicts) / 3, abs=1e-5)
    assert terms["fake"].item() == pytest.approx(sum(discriminator(v[None]).item() for v in made) / 3, abs=1e-5)
    assert objective.generator_loss(drawn)["adversarial"].item() == pytest.approx(
        -discriminator(generator(drawn["generator_latent"])).mean().item(), abs=1e-5
    )


def test_the_penalty_is_taken_where_real_and_generated_volumes_meet():
    """With a share of 0 at the real volumes: by finite differences along the gradient there."""
    generator, discriminator = (network.double() for network in players(norm="layer"))
    objective = WassersteinObjective(generator, discriminator, penalty=10.0)
    drawn = {key: value.double() if torch.is_tensor(value) else value for key, value in _drawn(objective).items()}
    drawn["share"] = torch.zeros(3).double()
    found = all_terms(objective.discriminator_loss(drawn))["penalty"].item()
    lengths = []
    for volume in drawn["real"]:
        x = volume[None].requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(x).sum(), x)
        direction = gradient / gradient.norm()
        step = 1e-5
        with torch.no_grad():
            slope = (discriminator(x + step * direction) - discriminator(x - step * direction)).item() / (2 * step)
        lengths.append(slope)
    assert found == pytest.approx(10 * sum((n - 1) ** 2 for n in lengths) / 3, rel=1e-5)


def _drawn(objective, **batch):
    return objective.draw(batch or batch_of(), Draws(0, 0))


def test_clipped_weights_are_within_the_limit():
    _, discriminator = players()
    assert max(p.abs().max().item() for p in discriminator.parameters()) > 0.01
    clip_weights(discriminator, 0.01)
    assert max(p.abs().max().item() for p in discriminator.parameters()) <= 0.01


def test_clipping_comes_before_the_loss_and_needs_no_penalty():
    objective = WassersteinObjective(*players(), lipschitz="clipping", clip=0.01)
    terms = all_terms(objective.discriminator_loss(_drawn(objective)))
    assert [*terms] == ["fake", "real"]
    assert max(p.abs().max().item() for p in objective.discriminator.parameters()) <= 0.01


def test_a_choice_that_there_is_not():
    with pytest.raises(ValueError, match="lipschitz is 'spectral', expected one of penalty, clipping"):
        WassersteinObjective(*players(), lipschitz="spectral")


class Decided(nn.Module):
    """A discriminator whose verdict is the first voxel: what it gets right is in the data."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, volume):
        return volume.flatten(1)[:, :1] * self.scale


class Given(nn.Module):
    """A generator of volumes whose first voxel is the latent's sign."""

    latent_dim = 1

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, latent):
        return (latent + self.shift).view(-1, 1, 1, 1, 1).expand(-1, 1, 2, 2, 2)


def game_of(correct, rows=10):
    """A game in which D gets so many of the real volumes right, and no generated one: latents are above 0."""
    objective = GAN3DObjective(Given(), Decided())
    signs = torch.tensor([1.0] * correct + [-1.0] * (rows - correct))
    return objective, {"image": signs.view(-1, 1, 1, 1, 1).expand(-1, 1, 2, 2, 2).clone()}


@pytest.mark.parametrize(("threshold", "rests"), [(0.39, True), (0.4, False), (0.8, False)])
def test_accuracy_counts_real_and_generated(threshold, rests):
    """Eight of ten real ones right and none of ten generated: 0.4."""
    objective, batch = game_of(8)
    objective.resting_accuracy = threshold
    assert objective.discriminator_rests(objective.draw(batch, Draws(0, 0))) is rests


@pytest.mark.parametrize("rests", [True, False])
def test_a_resting_discriminator_keeps_its_weights_to_the_last_bit(rests):
    """Also against Adam's momentum, which a step with a gradient of zero would follow; G learns on."""
    generator, discriminator = players()
    objective = GAN3DObjective(generator, discriminator, resting_accuracy=-1.0 if rests else 1.0)
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-2) for network in (discriminator, generator)]
    updates = [
        Update(
            "discriminator",
            {"discriminator": discriminator},
            optimizers[0],
            objective.discriminator_loss,
            rests=objective.discriminator_rests,
        ),
        Update("generator", {"generator": generator}, optimizers[1], objective.generator_loss),
    ]
    before = [[p.clone() for p in network.parameters()] for network in (discriminator, generator)]
    trainer = make_trainer(objective, updates, [batch_of()] * 2)
    losses = trainer.run() or trainer.state.output[0]["loss"]
    assert losses["discriminator/rests"] == float(rests)
    assert ("discriminator" in losses) is not rests
    for network, was, moves in zip((discriminator, generator), before, (not rests, True), strict=True):
        equal = [torch.equal(p, old) for p, old in zip(network.parameters(), was, strict=True)]
        assert not any(equal) if moves else all(equal)


def test_latents_of_3d_gan_are_uniform():
    objective = GAN3DObjective(VolumeGenerator(SIZE, 400, 1, 4), Decided())
    latent = _drawn(objective)["generator_latent"]
    assert latent.shape == (3, 400)
    assert 0 <= latent.min() < 0.02
    assert 0.98 < latent.max() < 1
    assert latent.mean().item() == pytest.approx(0.5, abs=0.03)


def test_cross_entropies_of_3d_gan():
    objective, batch = game_of(3)
    drawn = objective.draw(batch, Draws(0, 0))
    terms = all_terms(objective.discriminator_loss(drawn))
    real = [1 / (1 + math.exp(-x)) for x in batch["image"][:, 0, 0, 0, 0].tolist()]
    fake = [1 / (1 + math.exp(-x)) for x in drawn["discriminator_latent"][:, 0].tolist()]
    assert terms["real"].item() == pytest.approx(-sum(map(math.log, real)) / 10, rel=1e-5)
    assert terms["fake"].item() == pytest.approx(-sum(math.log(1 - p) for p in fake) / 10, rel=1e-5)


def test_labels_are_channels_and_count_where_they_are_known():
    """The distance of images, and that of labels over voxels that are not unknown (255)."""
    objective = WassersteinObjective(*players(channels=3), channels=CHANNELS)
    label = torch.zeros(3, 1, *SIZE, dtype=torch.uint8)
    label[:, :, :2], label[:, :, 2:4] = 1, 255
    drawn = _drawn(objective, **batch_of(), label=label)
    assert drawn["real"].shape == (3, 3, *SIZE)
    made = drawn["real"].clone()
    made[:, 0] += 0.5
    made[:, 1] += 0.25
    made[:, :, 2:4] += 100 * torch.tensor([0.0, 1, 1]).view(1, 3, 1, 1, 1)  # labels that nobody knows
    terms = objective.distance(made, drawn, nn.functional.l1_loss, 10.0, 2.0)
    assert terms["reconstruction"].item() == pytest.approx(5, rel=1e-5)
    assert terms["labels"].item() == pytest.approx(10 * 2 * 0.125, rel=1e-5)


def test_divergence_of_codes():
    zero = torch.zeros(2, 5)
    assert kl_divergence(zero, zero).item() == 0
    mean, log_variance = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, math.log(4)]])
    expected = (0.5 * 4 + 0.5 * (4 - math.log(4) - 1)) / 2
    assert kl_divergence(mean, log_variance).item() == pytest.approx(expected, rel=1e-6)


def test_what_is_to_be_real_is_to_be_judged_high():
    assert wasserstein(torch.tensor([1.0, 3.0]), real=True).item() == -2
    assert wasserstein(torch.tensor([1.0, 3.0]), real=False).item() == 2
