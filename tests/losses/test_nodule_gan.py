"""Each loss of the nodule's painter against its formula, written out from the networks' outputs."""

import pytest
import torch
from monai.networks.nets import PatchDiscriminator

from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.losses.nodule_gan import NoduleGANObjective
from tools.networks.nodule_gan import NoduleGenerator

SIZE, ROWS, SPACING = 32, 2, 1.0


@pytest.fixture(scope="module")
def objective():
    torch.manual_seed(0)
    judge = PatchDiscriminator(3, channels=4, in_channels=3, num_layers_d=1, norm="INSTANCE")
    return NoduleGANObjective(NoduleGenerator(8), judge, SPACING, margin=(1.0, 4.0))


def batch():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(ROWS, 1, SIZE, SIZE, SIZE, generator=generator) * 2 - 1
    return {"image": image, "diameter": torch.tensor([6.0, 14.0])}


def drawn_by(objective, iteration=3):
    return objective.draw(batch(), Draws(seed=0, iteration=iteration))


def test_holes_have_the_nodule_and_a_margin_in_them(objective):
    margins = []
    for iteration in range(4):
        drawn = drawn_by(objective, iteration)
        index = torch.arange(SIZE) - (SIZE - 1) / 2
        z, y, x = torch.meshgrid(index, index, index, indexing="ij")
        distance = SPACING * (z**2 + y**2 + x**2).sqrt()
        for row, diameter in enumerate((6.0, 14.0)):
            hole = drawn["given"][row, 1] > 0
            reach = float(distance[hole].max())
            assert hole[distance <= reach].all()  # a whole ball, and nothing else
            assert diameter / 2 + 1 - SPACING < reach <= diameter / 2 + 4
            margins.append(reach - diameter / 2)
            share = drawn["given"][row, 2].unique().tolist()
            assert share == pytest.approx([diameter / (SIZE * SPACING)])
    assert max(margins) - min(margins) > 1.5


def test_crops_are_turned_and_nothing_else(objective):
    drawn = drawn_by(objective)
    turned = 0
    for real, crop in zip(drawn["real"], batch()["image"], strict=True):
        ways = [crop.flip([axis + 1 for axis in range(3) if number >> axis & 1]) for number in range(8)]
        matches = [number for number, way in enumerate(ways) if torch.equal(real, way)]
        assert len(matches) == 1
        turned += matches[0] > 0
    assert turned
    assert torch.equal(drawn["given"][:, :1], drawn["real"])


@torch.no_grad()
def test_the_losses_are_the_least_squares_gans_with_l1_over_the_hole(objective):
    drawn = drawn_by(objective)
    terms = objective.generator_loss(drawn)
    made = objective.generator(drawn["given"])

    def judged(crops):
        return objective.discriminator(torch.cat([crops, drawn["given"][:, 1:3]], 1))[-1]

    hole = drawn["given"][:, 1:2] > 0
    l1 = [(made[row][hole[row]] - drawn["real"][row][hole[row]]).abs().mean() for row in range(ROWS)]
    assert float(terms["l1"]) == pytest.approx(10 * float(torch.stack(l1).mean()), rel=1e-4)
    assert float(terms["adversarial"]) == pytest.approx(float((judged(made) - 1).square().mean()), rel=1e-4)
    found = all_terms(objective.discriminator_loss(drawn))
    assert float(found["real"]) == pytest.approx(float((judged(drawn["real"]) - 1).square().mean()) / 2, rel=1e-4)
    assert float(found["fake"]) == pytest.approx(float(judged(made).square().mean()) / 2, rel=1e-4)


def test_an_iteration_trains_both(objective):
    updates = [
        Update(name, {name: network}, torch.optim.Adam(network.parameters(), 1e-3), loss)
        for name, network, loss in (
            ("generator", objective.generator, objective.generator_loss),
            ("discriminator", objective.discriminator, objective.discriminator_loss),
        )
    ]
    trainer = AlternatingTrainer("cpu", 1, [batch()], updates, objective.draw, accumulation=2)
    before = {name: [p.clone() for p in network.parameters()] for name, network in trainer.networks.items()}
    trainer.run()
    for name, network in trainer.networks.items():
        changed = [not torch.equal(p, q) for p, q in zip(network.parameters(), before[name], strict=True)]
        assert sum(changed) > 0.9 * len(changed), name


def test_margins_in_order():
    with pytest.raises(ValueError, match=r"margin is \[3, 1\], expected two lengths"):
        NoduleGANObjective(None, None, 1.0, margin=[3, 1])
