"""Each loss of Jung et al. against its formula, written out from the networks' outputs, and the invariants."""

import pytest
import torch

from tools.engines.draws import Draws
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.losses.slice_gan import (
    SliceGANObjective,
    identity_loss,
    one_by_one,
    saturated,
    stack_share,
    total_variation,
    with_condition,
)
from tools.networks.slice_gan import AttentionGenerator, SliceDiscriminator, StackDiscriminator

SIZE, ROWS, SLICES = 16, 2, 3


@pytest.fixture(scope="module")
def objective():
    torch.manual_seed(0)
    networks = AttentionGenerator(4, num_res_blocks=1), SliceDiscriminator(SIZE, 4), StackDiscriminator(SIZE, 4)
    for network in networks:
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.3)  # so that terms are no rounding
    return SliceGANObjective(*networks)


def batch():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(ROWS, SLICES, SIZE, SIZE, generator=generator) * 2 - 1
    return {"image": image, "condition": torch.tensor([0.2, 0.9])}


def drawn_by(objective, iteration=5):
    return objective.draw(batch(), Draws(seed=0, iteration=iteration))


def by_hand(objective, drawn):
    """Slices, translated slices and attention, one slice at a time."""
    real, made, attention = [], [], []
    for row in range(ROWS):
        for number in range(SLICES):
            x = drawn["real"][row, number][None, None]
            given = torch.cat([x, torch.full_like(x, float(drawn["target"][row]))], 1)
            image, a = objective.generator.drawn(given)
            a = (0.55 * torch.tanh(3 * (a - 0.5)) + 0.5).clamp(0, 1)
            real.append(x)
            attention.append(a)
            made.append(a * x + (1 - a) * image)
    return torch.cat(real), torch.cat(made), torch.cat(attention)


def test_the_generators_loss_is_the_papers(objective):
    drawn = drawn_by(objective)
    with torch.no_grad():
        terms = objective.generator_loss(drawn)
        real, made, attention = by_hand(objective, drawn)
        scores, conditions = objective.slice_discriminator(made)
        stacks = objective.stack_discriminator(made.reshape(ROWS, 1, SLICES, SIZE, SIZE))
    wanted = [float(drawn["target"][row]) for row in range(ROWS) for _ in range(SLICES)]
    errors = [(float(c) - w) ** 2 for c, w in zip(conditions, wanted, strict=True)]
    steps = sum(
        abs(float(a[0, y, x] - a[0, y - dy, x - dx]))
        for a in attention
        for y in range(SIZE)
        for x in range(SIZE)
        for dy, dx in ((1, 0), (0, 1))
        if y >= dy and x >= dx
    )
    expected = {
        "slices": -0.5 * float(scores.mean()),
        "stacks": -0.5 * float(stacks.mean()),
        "condition": 30 * sum(errors) / len(errors),
        "identity": 10 * float(((made - real).abs() * (1 - attention)).mean()),
        "attention": 0.1 * float(attention.mean()),
        "smoothness": 1e-5 * 24 * steps / (ROWS * SLICES),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize("which", ["slice", "stack"])
def test_the_discriminators_losses_are_those_of_a_wasserstein_gan(objective, which):
    drawn = drawn_by(objective)
    loss = objective.slice_discriminator_loss if which == "slice" else objective.stack_discriminator_loss
    terms = {name: float(term.detach()) for name, term in all_terms(loss(drawn)).items()}
    with torch.no_grad():
        real, made, _ = by_hand(objective, drawn)
    if which == "slice":

        def judge(x):
            return objective.slice_discriminator(x)[0]

        shares = drawn["slice_shares"].flatten()
        read = objective.slice_discriminator(real)[1].tolist()
        errors = [(c - w) ** 2 for c, w in zip(read, [0.2] * SLICES + [0.9] * SLICES, strict=True)]
        assert terms.pop("condition") == pytest.approx(30 * sum(errors) / len(errors), rel=1e-4)
    else:
        judge, shares = objective.stack_discriminator, drawn["stack_shares"]
        real, made = (x.reshape(ROWS, 1, SLICES, SIZE, SIZE) for x in (real, made))
    lengths = []
    for x, z, share in zip(real, made, shares, strict=True):
        mixed = ((1 - share) * x + share * z)[None].requires_grad_()
        (gradient,) = torch.autograd.grad(judge(mixed).sum(), mixed)
        lengths.append(float(gradient.norm()))
    assert terms.keys() == {"real", "fake", "penalty"}
    assert terms["real"] == pytest.approx(-float(judge(real).detach().mean()), rel=1e-4)
    assert terms["fake"] == pytest.approx(float(judge(made).detach().mean()), rel=1e-4)
    assert terms["penalty"] == pytest.approx(10 * sum((n - 1) ** 2 for n in lengths) / len(lengths), rel=1e-4)


@torch.no_grad()
def test_the_order_of_slices_changes_what_the_stacks_judge_says_and_not_that_of_slices(objective):
    stack = batch()["image"]
    turned = stack[:, [1, 2, 0]]
    alone, moved = (objective.slice_discriminator(one_by_one(x))[0].mean() for x in (stack, turned))
    assert alone == pytest.approx(float(moved), abs=1e-6)
    together, mixed = (objective.stack_discriminator(x[:, None]) for x in (stack, turned))
    assert (together - mixed).abs().max() > 1e-3


def test_nothing_is_asked_of_what_stays():
    given = torch.rand(2, 1, 4, 4)
    made, attention = given + 0.5, torch.rand(2, 1, 4, 4)
    assert identity_loss(made, given, torch.ones_like(given)) == 0
    assert identity_loss(given, given, attention) == 0
    assert identity_loss(made, given, torch.zeros_like(given)) == pytest.approx(0.5)


def test_saturated_attention_is_further_from_the_middle():
    values = saturated(torch.linspace(0, 1, 101))
    middle = values - 0.5
    assert (middle[:50].abs() > 0.5 - torch.linspace(0, 1, 101)[:50] - 0.0025).all()
    assert values[0] == pytest.approx(0.0022, abs=1e-4)
    assert values[50] == pytest.approx(0.5)
    assert values[-1] == pytest.approx(0.9978, abs=1e-4)


def test_small_things():
    assert [stack_share(n) for n in (2, 3, 5)] == [0.5, 0.5, 0.25]
    assert total_variation(torch.ones(3, 1, 4, 4)) == 0
    slices = with_condition(torch.zeros(2, 1, 4, 4), torch.tensor([0.25, 1.0]))
    assert slices.shape == (2, 2, 4, 4)
    assert slices[:, 1].flatten(1).unique(dim=1).flatten().tolist() == [0.25, 1.0]


def test_an_iteration_trains_all_three(objective):
    updates = [
        Update(name, {name: network}, torch.optim.Adam(network.parameters(), 1e-3), loss)
        for name, network, loss in (
            ("slice_discriminator", objective.slice_discriminator, objective.slice_discriminator_loss),
            ("stack_discriminator", objective.stack_discriminator, objective.stack_discriminator_loss),
            ("generator", objective.generator, objective.generator_loss),
        )
    ]
    trainer = AlternatingTrainer("cpu", 1, [batch()], updates, objective.draw, accumulation=2)
    before = {name: [p.clone() for p in network.parameters()] for name, network in trainer.networks.items()}
    trainer.run()
    for name, network in trainer.networks.items():
        assert all(not torch.equal(p, q) for p, q in zip(network.parameters(), before[name], strict=True)), name
