"""Each loss of HA-GAN against its formula, written out from the networks' outputs."""

import pytest
import torch

from tests.losses.by_hand import BATCH, LATENT, SIZE, cross_entropy, generated, log_sigmoid, mean, slab_of
from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.losses.ha_gan import HAGANObjective, low_resolution
from tools.networks.hierarchical_gan import HalfEncoder, HierarchicalDiscriminator, HierarchicalGenerator, SubEncoder


def make_objective(num_classes=0):
    torch.manual_seed(0)
    objective = HAGANObjective(
        generator=HierarchicalGenerator(SIZE, LATENT, base_channels=16, num_classes=num_classes),
        discriminator=HierarchicalDiscriminator(SIZE, channels=64, num_classes=num_classes),
        encoder=HalfEncoder(16),
        sub_encoder=SubEncoder(SIZE, LATENT, base_channels=16, channels=32),
        latent_dim=LATENT,
    )
    for network in (objective.generator, objective.discriminator, objective.encoder, objective.sub_encoder):
        network.eval()  # spectral normalisation stands still, so that calls can be compared
    return objective


@pytest.fixture
def drawn():
    return make_objective().draw({"image": torch.rand(BATCH, 1, SIZE, SIZE, SIZE) * 2 - 1}, Draws(seed=0, iteration=5))


def every_fourth_voxel(volume):
    return volume[:, :, ::4, ::4, ::4]


def test_low_resolution(drawn):
    assert torch.equal(low_resolution(drawn["image"]), every_fourth_voxel(drawn["image"]))


@torch.no_grad()
def test_discriminator_loss(drawn):
    objective, start = make_objective(), drawn["start"]
    real, _ = objective.discriminator(slab_of(drawn["image"], start), every_fourth_voxel(drawn["image"]), start)
    embedding, slab = generated(objective, drawn["discriminator_latent"], start)
    fake, _ = objective.discriminator(slab, objective.generator.decode_low(embedding), start)
    terms = all_terms(objective.discriminator_loss(drawn))
    assert terms["real"].item() == pytest.approx(mean(-log_sigmoid(x.item()) for x in real), rel=1e-5)
    assert terms["fake"].item() == pytest.approx(mean(-log_sigmoid(-x.item()) for x in fake), rel=1e-5)


@torch.no_grad()
def test_generator_loss(drawn):
    objective, start = make_objective(), drawn["start"]
    embedding, slab = generated(objective, drawn["generator_latent"], start)
    logit, _ = objective.discriminator(slab, objective.generator.decode_low(embedding), start)
    terms = objective.generator_loss(drawn)
    assert terms["adversarial"].item() == pytest.approx(mean(-log_sigmoid(x.item()) for x in logit), rel=1e-5)
    assert set(terms) == {"adversarial"}


@torch.no_grad()
def test_encoder_and_sub_encoder_losses(drawn):
    objective, start = make_objective(), drawn["start"]
    slab = slab_of(drawn["image"], start)
    expected = (objective.generator.decode(objective.encoder(slab)) - slab).abs().mean()
    assert objective.encoder_loss(drawn)["reconstruction"].item() == pytest.approx(expected.item(), rel=1e-5)

    length = SIZE // 8
    pieces = [objective.encoder(slab_of(drawn["image"], i)) for i in range(0, SIZE, length)]
    latent = objective.sub_encoder(torch.cat(pieces, dim=2))
    assert latent.shape == (BATCH, LATENT)
    embedding, again = generated(objective, latent, start)
    low = objective.generator.decode_low(embedding)
    high_error = (again - slab).abs().mean().item()
    low_error = (low - every_fourth_voxel(drawn["image"])).abs().mean().item()
    terms = objective.sub_encoder_loss(drawn)
    assert sum(terms.values()).item() == pytest.approx((high_error + low_error) / 2, rel=1e-5)


def test_the_lean_way_has_the_same_loss_and_gradient(drawn):
    results = []
    for checkpointing in (False, True):
        objective = make_objective()
        objective.checkpointing = checkpointing
        loss = objective.generator_loss(drawn)["adversarial"]
        results.append([loss.detach(), *torch.autograd.grad(loss, list(objective.generator.parameters()))])
    assert len(results[0]) > 10
    torch.testing.assert_close(results[1], results[0])


@torch.no_grad()
def test_classes(drawn):
    objective, start = make_objective(num_classes=2), drawn["start"]
    label = torch.tensor([0, 1, 1])
    _, classes = objective.discriminator(slab_of(drawn["image"], start), every_fourth_voxel(drawn["image"]), start)
    terms = all_terms(objective.discriminator_loss(drawn | {"label": label}))
    assert terms["class"].item() == pytest.approx(cross_entropy(classes, label), rel=1e-5)
    before = objective.generator_loss(drawn | {"label": label})["class"].item()
    objective.generator_class_weight, objective.discriminator_class_weight = 0.3, 0.5
    assert objective.generator_loss(drawn | {"label": label})["class"].item() == pytest.approx(3 * before, rel=1e-5)
    terms = all_terms(objective.discriminator_loss(drawn | {"label": label}))
    assert terms["class"].item() == pytest.approx(0.5 * cross_entropy(classes, label), rel=1e-5)


def test_every_update_trains_its_own_networks_alone():
    objective = make_objective()
    networks = {name: getattr(objective, name) for name in ("discriminator", "generator", "encoder", "sub_encoder")}
    updates = [
        Update(name, {name: network}, torch.optim.SGD(network.parameters(), lr=0.0), getattr(objective, f"{name}_loss"))
        for name, network in networks.items()
    ]
    reached = {}
    for update in updates:

        def look(optimizer, args, kwargs, name=update.name):
            reached[name] = {
                other for other, network in networks.items() if any(p.grad is not None for p in network.parameters())
            }
            for network in networks.values():
                network.zero_grad(set_to_none=True)

        update.optimizer.register_step_post_hook(look)
    AlternatingTrainer("cpu", 1, [{"image": torch.rand(BATCH, 1, SIZE, SIZE, SIZE)}], updates, objective.draw).run()
    assert reached == {name: {name} for name in networks}
