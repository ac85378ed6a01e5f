"""Growing: the schedule, real images of a level, both objectives, and a training that is resumed at every level."""

import functools
import math

import pytest
import torch
from ignite.engine import Events

from tools.engines.checkpoint import TrainingCheckpoint
from tools.engines.draws import Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update, all_terms
from tools.losses.growth_schedule import Growing, GrowthSchedule
from tools.losses.progressive import PGGANObjective, StyleGANObjective, at_level
from tools.networks.pggan import PGGANGenerator, ProgressiveDiscriminator
from tools.networks.stylegan import StyleGANGenerator

SIZES = {4: 4, 8: 4, 16: 4, 32: 2}
WIDTHS = {"channel_base": 64, "channel_max": 4}


def schedule(max_epochs=40, phases=20.0, sizes=None, **options):
    return GrowthSchedule(max_epochs, 32, sizes or dict.fromkeys(SIZES, 4), phases=phases, **options)


def test_levels_have_the_papers_shares_of_a_run():
    """600 thousand images at 4x4, then 600 to fade in and 600 to stay for each level, of 12 million."""
    found = schedule(max_epochs=12_000)
    assert found.levels == [0, 1, 2, 3]
    assert found.starts == [0, 600, 1800, 3000]
    for iteration, expected in (
        (0, (0, None)),
        (599, (0, None)),
        (600, (1, 0.0)),
        (900, (1, 0.5)),
        (1200, (1, None)),
        (1800, (2, 0.0)),
        (3150, (3, 0.25)),
        (3600, (3, None)),
        (11_999, (3, None)),
    ):
        level, alpha = found.at(iteration, 12_000)
        assert (level, alpha) == (expected[0], None if expected[1] is None else pytest.approx(expected[1]))


def test_levels_of_larger_batches_have_fewer_iterations():
    found = GrowthSchedule(300, 16, {4: 8, 8: 8, 16: 4}, phases=6)
    # 1, 2 and 3 phases of images: 1/8, 2/8 and 3/4 of iterations
    assert found.starts == [0, round(300 / 9), 100]


def test_a_run_may_begin_at_another_level():
    found = schedule(40, first_side=8, phases=41.7)
    assert found.levels == [1, 2, 3]
    assert found.at(0, 40) == (1, None)


@pytest.mark.parametrize("max_epochs", [4, 5, 7])
def test_every_level_has_an_epoch_at_least(max_epochs):
    found = schedule(max_epochs)
    assert found.starts == sorted(set(found.starts))
    assert found.starts[-1] < max_epochs
    assert found.at(max_epochs * 10 - 1, max_epochs * 10)[0] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 3}, r"max_epochs is 3, expected 4 or more: one for each of the levels \[4, 8, 16, 32\]"),
        ({"phases": 6}, "phases is 6, expected 7 or more"),
        ({"sizes": {4: 8, 8: 8}}, r"batch_sizes has none for images of \[16, 32\]"),
        ({"first_side": 5}, "first_side is 5"),
    ],
)
def test_schedules_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        schedule(**options)


def test_real_images_are_as_blurred_as_what_fades_in():
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    assert torch.equal(at_level(x, 2, None), x)
    halved = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
    torch.testing.assert_close(at_level(x, 1, None), halved)
    blurred = halved.repeat_interleave(2, 2).repeat_interleave(2, 3)
    alpha = torch.tensor(0.25, dtype=torch.float64)
    torch.testing.assert_close(at_level(x, 2, alpha), 0.75 * blurred + 0.25 * x)


def pggan(num_classes=0, max_epochs=40, **options):
    torch.manual_seed(0)
    generator = PGGANGenerator(32, 1, num_classes, latent_dim=8, **WIDTHS)
    discriminator = ProgressiveDiscriminator(32, 1, num_classes, **WIDTHS)
    return PGGANObjective(generator, discriminator, schedule(max_epochs, sizes=SIZES), None, num_classes, **options)


def stylegan(num_classes=0, max_epochs=40, **options):
    torch.manual_seed(0)
    generator = StyleGANGenerator(32, 1, num_classes, latent_dim=8, style_dim=8, mapping_layers=2, **WIDTHS)
    discriminator = ProgressiveDiscriminator(32, 1, num_classes, auxiliary=False, blur=True, **WIDTHS)
    return StyleGANObjective(generator, discriminator, schedule(max_epochs, sizes=SIZES), None, num_classes, **options)


def images(rows=4, classes=False):
    image = torch.rand(rows, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return {"image": image} | ({"class": torch.arange(rows) % 2} if classes else {})


def test_pggans_losses():
    objective = pggan(2, penalty=7.0, drift=0.5, class_weight=3.0)
    batch = objective.draw(images(classes=True), Draws(0, 7, iterations=200))
    assert batch["level"] == 1
    assert batch["alpha"] == pytest.approx(objective.schedule.at(7, 200)[1])
    assert batch["real"].shape == (4, 1, 8, 8)
    judged = lambda image: objective.discriminator(image, batch["level"], batch["alpha"])  # noqa: E731
    fakes = [objective.generate(batch, update) for update in ("discriminator", "generator")]
    entropy = lambda logits: -torch.log_softmax(logits, 1)[torch.arange(4), batch["class"]].mean()  # noqa: E731
    terms = all_terms(objective.discriminator_loss(batch))
    (real, real_class), (fake, fake_class), (fooled, fooled_class) = map(judged, (batch["real"], *fakes))
    torch.testing.assert_close(terms["fake"], fake.mean())
    torch.testing.assert_close(terms["real"], -real.mean())
    torch.testing.assert_close(terms["drift"], 0.5 * (real**2).mean())
    torch.testing.assert_close(terms["class"], 3 * (entropy(real_class) + entropy(fake_class)))
    mixed = batch["real"] + batch["share"].view(-1, 1, 1, 1) * (fakes[0] - batch["real"])
    mixed = mixed.detach().requires_grad_()
    slope = torch.autograd.grad(judged(mixed)[0].sum(), mixed)[0]
    lengths = [math.sqrt((one**2).sum().item()) for one in slope]
    assert terms["penalty"].item() == pytest.approx(7 * sum((length - 1) ** 2 for length in lengths) / 4, rel=1e-4)
    terms = objective.generator_loss(batch)
    torch.testing.assert_close(terms["adversarial"], -fooled.mean())
    torch.testing.assert_close(terms["class"], 3 * entropy(fooled_class))


def test_stylegans_losses():
    objective = stylegan(2, gamma=3.0)
    batch = objective.draw(images(classes=True), Draws(0, 7, iterations=200))
    assert (batch["generator_cut"] <= 4).all()
    x = batch["real"].clone().requires_grad_()
    verdict = objective.discriminator(x, batch["level"], batch["alpha"], batch["class"])[0]
    slope = torch.autograd.grad(verdict.sum(), x)[0]
    terms = all_terms(objective.discriminator_loss(batch))
    torch.testing.assert_close(terms["real"], torch.log(1 + torch.exp(-verdict)).mean())
    torch.testing.assert_close(terms["r1"], 1.5 * (slope**2).sum((1, 2, 3)).mean())
    assert set(terms) == {"fake", "real", "r1"}
    assert set(objective.generator_loss(batch)) == {"adversarial"}


def loader(batch_size):
    rows = [{"image": image} for image in images(8)["image"]]
    return torch.utils.data.DataLoader(rows, batch_size, shuffle=True)


def train(folder, make, resume=None, stop_at=None):
    objective = make(max_epochs=6)
    growing = Growing(objective.schedule, loader, {32: 0.003})
    adam = functools.partial(torch.optim.Adam, lr=0.001, betas=(0.0, 0.99))
    updates = [
        Update(name, {name: network}, adam(network.parameters()), loss)
        for name, network, loss in (
            ("discriminator", objective.discriminator, objective.discriminator_loss),
            ("generator", objective.generator, objective.generator_loss),
        )
    ]
    average = ExponentialMovingAverage(objective.generator, half_life=10)
    checkpoint = TrainingCheckpoint(folder, {"model": average.module}, {}, resume=resume)
    trainer = AlternatingTrainer(
        "cpu",
        6,
        growing.first_loader(),
        updates,
        objective.draw,
        ema=average,
        prepare_epoch=growing,
        train_handlers=[checkpoint],
    )
    seen = []

    @trainer.on(Events.ITERATION_STARTED)
    def note(engine):
        seen.append(len(engine.state.batch["image"]))
        if engine.state.iteration == stop_at:
            trainer.signals.received = 15

    if stop_at is None:
        trainer.run()
    else:
        with pytest.raises(SystemExit):
            trainer.run()
    return objective, average.module, trainer, seen


@pytest.fixture(scope="module", params=[pggan, stylegan])
def whole(request, tmp_path_factory):
    return request.param, train(tmp_path_factory.mktemp("whole"), request.param)


def test_a_training_grows(whole):
    objective, average, trainer, seen = whole[1]
    starts = objective.schedule.starts
    assert starts == [0, 1, 2, 3]
    assert seen == [4] * 6 + [2] * 6
    assert average.growth.reached() == (3, None)
    adam = trainer.updates[0].optimizer
    assert adam.param_groups[0]["lr"] == 0.003
    steps = {int(state["step"]) for state in adam.state.values()}
    assert max(steps) == 6  # since the last level began
    images = [average(torch.randn(1, 8, generator=torch.Generator().manual_seed(n))) for n in range(2)]
    assert images[0].shape == (1, 1, 32, 32)
    assert not torch.equal(*images)


@pytest.mark.parametrize("stop_at", [3, 4, 9])
def test_it_is_resumed_from_any_level_bit_for_bit(whole, tmp_path, stop_at):
    make, (objective, average, _, seen) = whole
    train(tmp_path, make, stop_at=stop_at)
    resumed, other, _, rest = train(tmp_path, make, resume="auto")
    assert rest == seen[stop_at:]
    for one, two in ((objective.generator, resumed.generator), (average, other)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
