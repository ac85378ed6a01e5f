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

WIDTHS = {"channel_base": 64, "channel_max": 4}


def schedule(stay=8, fade=8, batch_size=2, largest_batch=4, **options):
    return GrowthSchedule(3, stay, fade, batch_size, largest_batch, **options)


def test_levels_are_those_of_the_paper():
    """600 thousand images at 4x4, then 600 to fade in and 600 to stay for each level."""
    found = GrowthSchedule(4, 600_000, 600_000, 16)
    assert found.starts == {0: 0, 1: 600_000, 2: 1_800_000, 3: 3_000_000, 4: 4_200_000}
    for images, level, alpha in (
        (0, 0, None),
        (599_999, 0, None),
        (600_000, 1, 0.0),
        (900_000, 1, 0.5),
        (1_200_000, 1, None),
        (1_799_999, 1, None),
        (1_800_000, 2, 0.0),
        (4_350_000, 4, 0.25),
        (4_800_000, 4, None),
        (12_000_000, 4, None),
    ):
        assert found.at(images) == (level, alpha)


@pytest.mark.parametrize(("stay", "fade", "first"), [(5, 3, 0), (1, 0, 1), (4, 9, 2)])
def test_levels_are_those_of_a_list_of_phases(stay, fade, first):
    """Image by image against phases that are written out."""
    found = schedule(stay, fade, first_level=first)
    expected = [(first, None)] * stay
    for level in range(first + 1, 4):
        expected += [(level, n / fade) for n in range(fade)] + [(level, None)] * stay
    expected += [(3, None)] * 50
    assert [found.at(images) for images in range(len(expected))] == expected


def test_batches_are_those_of_the_released_code():
    """For one GPU: 128 up to 16 pixels, then 64, 32, 16, 8 and 4 at 512."""
    found = GrowthSchedule(7, 1, 1, 4, 128)
    assert [found.batch_of(level) for level in range(8)] == [128, 128, 128, 64, 32, 16, 8, 4]
    assert GrowthSchedule(3, 1, 1, 4).batch_of(0) == 4


@pytest.mark.parametrize("images", [1, 8, 9, 40, 41, 200])
def test_epochs_are_as_many_as_the_images_need(images):
    found = schedule()
    seen = iterations = 0
    while seen < images:
        seen += found.batch_of(found.level(seen))
        iterations += 1
    assert found.epochs(images, 3) == math.ceil(iterations / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_level": 4}, "first_level is 4, expected 0 to 3"),
        ({"stay": 0}, "stay is 0 and fade is 8"),
        ({"fade": -1}, "fade is -1"),
        ({"batch_size": 0}, "batch_size is 0, expected 1 or more"),
    ],
)
def test_schedules_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        schedule(**options)


def test_real_images_are_as_blurred_as_what_fades_in():
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    assert torch.equal(at_level(x, 0, None), x)
    halved = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
    torch.testing.assert_close(at_level(x, 1, None), halved)
    blurred = halved.repeat_interleave(2, 2).repeat_interleave(2, 3)
    alpha = torch.tensor(0.25, dtype=torch.float64)
    torch.testing.assert_close(at_level(x, 0, alpha), 0.75 * blurred + 0.25 * x)
    volume = x.unsqueeze(2).repeat_interleave(4, 2)  # the same in each of four layers
    reduced = at_level(volume, 1, alpha)
    assert reduced.shape == (2, 1, 2, 8, 8)
    torch.testing.assert_close(reduced[:, :, 1], at_level(x, 1, alpha))


def pggan(num_classes=0, **options):
    torch.manual_seed(0)
    generator = PGGANGenerator(32, 1, num_classes, latent_dim=8, **WIDTHS)
    discriminator = ProgressiveDiscriminator(32, 1, num_classes, **WIDTHS)
    return PGGANObjective(generator, discriminator, schedule(), None, num_classes, **options)


def stylegan(num_classes=0, **options):
    torch.manual_seed(0)
    generator = StyleGANGenerator(32, 1, num_classes, latent_dim=8, style_dim=8, mapping_layers=2, **WIDTHS)
    discriminator = ProgressiveDiscriminator(32, 1, num_classes, auxiliary=False, blur=True, **WIDTHS)
    return StyleGANObjective(generator, discriminator, schedule(), None, num_classes, **options)


def images(rows=4, classes=False):
    image = torch.rand(rows, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return {"image": image} | ({"class": torch.arange(rows) % 2} if classes else {})


def test_pggans_losses():
    objective = pggan(2, penalty=7.0, drift=0.5, class_weight=3.0)
    batch = objective.draw(images(classes=True), Draws(0, 7, images=10))
    assert batch["level"] == 1
    assert batch["alpha"] == 0.25
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
    batch = objective.draw(images(classes=True), Draws(0, 7, images=10))
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


def train(folder, make, resume=None, stop_at=None, max_epochs=8):
    objective = make()
    growing = Growing(objective.schedule, loader, {3: 3.0})
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
        max_epochs,
        loader(2),
        updates,
        objective.draw,
        ema=average,
        prepare=growing,
        epoch_length=3,
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
    """In the middle of epochs, which have three iterations: 8 images, 16 and 16 in batches of 4, then batches of 2."""
    _, average, trainer, seen = whole[1]
    assert seen == [4] * 6 + [4] * 4 + [2] * 14
    assert average.growth.reached() == (3, None)
    adam = trainer.updates[0].optimizer
    assert adam.param_groups[0]["lr"] == 0.003
    steps = {int(state["step"]) for state in adam.state.values()}
    assert max(steps) == 14  # since the last level began
    images = [average(torch.randn(1, 8, generator=torch.Generator().manual_seed(n))) for n in range(2)]
    assert images[0].shape == (1, 1, 32, 32)
    assert not torch.equal(*images)


@pytest.mark.parametrize("stop_at", [1, 2, 5, 6, 9, 10, 11, 12])
def test_it_is_resumed_from_anywhere_bit_for_bit(whole, tmp_path, stop_at):
    """At the last step of a level, at the first of the next, within an epoch and between two."""
    make, (objective, average, _, seen) = whole
    train(tmp_path, make, stop_at=stop_at)
    resumed, other, _, rest = train(tmp_path, make, resume="auto")
    assert rest == seen[stop_at:]
    assert_equal((objective.generator, resumed.generator), (average, other))


def test_a_run_is_prolonged_without_another_schedule(whole, tmp_path):
    """A run of three epochs that goes on for five more is one of eight."""
    make, (objective, average, _, _) = whole
    train(tmp_path, make, max_epochs=3)
    resumed, other, _, _ = train(tmp_path, make, resume="auto")
    assert_equal((objective.generator, resumed.generator), (average, other))


def assert_equal(*pairs):
    for one, two in pairs:
        assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_batches_larger_than_the_data_are_refused(tmp_path):
    growing = Growing(
        schedule(largest_batch=16), lambda batch_size: torch.utils.data.DataLoader([1], batch_size, drop_last=True)
    )
    with pytest.raises(ValueError, match=r"batches of level 0 have 16 images, more than.*--largest_batch"):
        growing(None, 0)
