"""A private training: its step by hand, who is drawn, what other updates see of real images, and what is refused."""

from functools import cache

import numpy as np
import pytest
import torch

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, sgd
from tools.engines import private_training
from tools.engines.draws import Draws
from tools.engines.private import epsilon_of, noise_for
from tools.engines.private_training import PoissonBatches, PrivateTraining, check_resumed
from tools.engines.update import Update, all_terms
from tools.losses.volume_gan import WassersteinObjective
from tools.networks.volume_gan import VolumeDiscriminator, VolumeGenerator

SIZE = [8, 8, 8]


@pytest.fixture(autouse=True)
def noise_is_found_once(monkeypatch):
    monkeypatch.setattr(private_training, "noise_for", NOISE_FOR)


NOISE_FOR = cache(noise_for)


def private(**options):
    """The privacy of 20 people, but for what is given, without noise unless an epsilon is."""
    given = {
        "epsilon": 50.0,
        "delta": 1e-5,
        "max_norm": 1.0,
        "people": 20,
        "subjects": 20,
        "batch_size": 4,
        "epochs": 2,
        "rows": 4,
    }
    made = PrivateTraining(**given | options)
    made.noise_multiplier = made.noise_multiplier if "epsilon" in options else 0.0
    return made


def players(norm="layer", size=SIZE):
    torch.manual_seed(0)
    return VolumeGenerator(size, 6, 1, 4), VolumeDiscriminator(size, 1, 4, norm=norm)


def test_a_step_is_that_of_gradients_that_are_clipped_one_by_one():
    """Of three people, a padding row that is nobody's, and an expected number of four."""
    generator, discriminator = players()
    objective = WassersteinObjective(generator, discriminator, rows=2)
    batch = {"image": torch.rand(4, 1, *SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1}
    drawn = objective.draw(batch, Draws(0, 0))
    each = []
    for row in range(3):
        discriminator.zero_grad()
        part = {key: value[row : row + 1] for key, value in drawn.items() if key in ("real", "made", "share")}
        sum(all_terms(objective.discriminator_loss(part)).values()).backward()
        each.append(torch.cat([p.grad.flatten() for p in discriminator.parameters() if p.grad is not None]))
    norms = [float(gradient.norm()) for gradient in each]
    limit = sum(norms) / 3  # some are clipped, some are not
    expected = sum(gradient * min(1, limit / norm) for gradient, norm in zip(each, norms, strict=True)) / 4
    assert min(norms) < limit < max(norms)

    def flat():
        return torch.cat([p.detach().flatten() for p in discriminator.parameters()]).clone()

    before = flat()
    how = {"private": private(max_norm=limit), "gain": 1}
    networks = {"discriminator": discriminator}
    update = Update("discriminator", networks, sgd(discriminator.parameters()), objective.discriminator_loss, **how)
    make_trainer(objective, [update], [batch]).run()
    torch.testing.assert_close(before - flat(), 0.1 * expected, rtol=1e-4, atol=1e-6)


def test_nothing_but_the_gradient_tells_who_or_how_many_were_drawn():
    """Samples, latents and the number of images seen are the same of any batch."""
    objective = WassersteinObjective(*players(), rows=4)
    few, many = (objective.draw({"image": torch.rand(n, 1, *SIZE)}, Draws(0, 0)) for n in (2, 7))
    assert torch.equal(few["generator_latent"], many["generator_latent"])
    assert torch.equal(few["made"], many["made"][:2])
    assert torch.equal(many["made"][:3], many["made"][4:])  # four samples are compared in turn
    game = make_game()
    trainer = make_trainer(game, make_updates(game, private=private()), make_data(2, 7))
    trainer.run()
    assert trainer.images == 2 * 4


def test_no_other_update_sees_real_images():
    game = make_game()
    updates = make_updates(game, private=private())
    updates[1].loss = lambda batch: {"distance": (game.generator(batch["generator_latent"]) - batch["image"]).mean()}
    with pytest.raises(ValueError, match="'generator' asks for 'image' of a batch, but where 'critic' is private no"):
        make_trainer(game, updates).run()


def test_everybody_is_drawn_by_himself():
    batches = PoissonBatches(20, 4)
    assert len(batches) == len([*batches]) == 5
    drawn = np.zeros((4000, 20))
    for row in range(0, 4000, 5):
        for number, indices in enumerate(batches):
            assert indices.pop() == 0  # nobody's
            drawn[row + number, indices] = 1
    assert drawn.mean(0) == pytest.approx(0.2, abs=5 * (0.16 / 4000) ** 0.5)
    assert drawn.sum(1).var() == pytest.approx(20 * 0.16, rel=0.15)  # a shuffled set would have none
    assert (drawn.sum(1) == 0).any()


def test_noise_is_as_little_as_epsilon_allows():
    noise = noise_for(8.0, 0.05, 1000, 1e-5)
    assert epsilon_of(0.05, noise, 1000, 1e-5) <= 8 < epsilon_of(0.05, 0.99 * noise, 1000, 1e-5)
    with pytest.raises(ValueError, match="epsilon is 0, which 10 steps"):
        noise_for(0, 0.05, 10, 1e-5)
    stated = private(epsilon=8.0).statement
    assert stated["steps"] == 10
    assert stated["epsilon"] == epsilon_of(0.2, stated["noise_multiplier"], 10, 1e-5) <= 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 19}, "the 20 images are of 19 persons"),
        ({"delta": 0.1}, "a probability far below 1 / 20 people"),
        ({"max_norm": 0}, "got --max_norm 0"),
        ({"rows": None}, "as many samples as people are in the batch, and tell who is; expected a fixed number.* 4"),
        ({"epsilon": 1e-9}, "cannot keep; expected a number above 0"),
    ],
)
def test_what_states_nothing_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        private(**options)


def test_what_breaks_the_guarantee_is_refused(monkeypatch):
    game = make_game()
    with pytest.raises(ValueError, match=r"--accumulation is 2; .*; --precision is fp16"):
        make_trainer(game, make_updates(game, private=private()), accumulation=2, precision="fp16")
    with pytest.raises(ValueError, match="it rests by what real images of a batch show"):
        make_trainer(game, make_updates(game, private=private(), rests=lambda batch: False))
    updates = make_updates(game, private=private())
    updates[1].private = private()
    with pytest.raises(ValueError, match="'generator' is too, and what both cost adds up"):
        make_trainer(game, updates)
    generator, discriminator = players("batch", [16, 16, 16])
    objective = WassersteinObjective(generator, discriminator, lipschitz="clipping")
    networks, steps = {"discriminator": discriminator}, sgd(discriminator.parameters())
    update = Update("discriminator", networks, steps, objective.discriminator_loss, private=private())
    with pytest.raises(
        ValueError, match=r"discriminator has batch normalisation, by which .* --discriminator_def#norm"
    ):
        make_trainer(objective, [update])
    monkeypatch.setattr(private_training, "rank_and_world_size", lambda: (0, 2))
    with pytest.raises(ValueError, match="--epsilon is for a training by one process"):
        private()


def test_a_training_goes_on_with_the_privacy_that_it_had():
    stated = private().statement
    check_resumed({"privacy": stated}, {"privacy": private().statement})
    check_resumed({}, {"privacy": None})
    for then, now in (({}, stated), (stated, None), (stated, private(epochs=3).statement)):
        with pytest.raises(ValueError, match="what either states would not hold for both together"):
            check_resumed({"privacy": then}, {"privacy": now})
