"""AlternatingTrainer: its updates in order, each alone, the average, and what stops it."""

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, sgd, weights
from tools.engines.draws import Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.update import Update


def test_one_iteration_is_the_updates_in_order_written_out():
    """The same two steps by hand: the critic first, then the generator against the new critic."""
    game, by_hand = make_game(), make_game()
    data = make_data(batches=1)
    trainer = make_trainer(game, make_updates(game, sgd), data, seed=5)
    trainer.run()

    batch = by_hand.draw(data[0], Draws(seed=5, iteration=0))
    for loss, network in ((by_hand.critic_loss, by_hand.critic), (by_hand.generator_loss, by_hand.generator)):
        gradients = torch.autograd.grad(sum(loss(batch).values()), list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    torch.testing.assert_close(weights(game.critic, game.generator), weights(by_hand.critic, by_hand.generator))


def test_an_update_moves_its_own_networks_and_gives_no_gradient_to_others():
    game = make_game()
    critic, generator = make_updates(game)
    generator.every = 2
    before = weights(game.generator), weights(game.critic)
    frozen = []
    loss = critic.loss
    critic.loss = lambda batch: frozen.extend(p.requires_grad for p in game.generator.parameters()) or loss(batch)
    trainer = make_trainer(game, [critic, generator], make_data(batches=1))
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "iteration", 2))
    trainer.run()
    assert frozen == [False] * 4
    assert all(p.grad is None for p in game.generator.parameters())
    assert torch.equal(weights(game.generator), before[0])
    assert not torch.equal(weights(game.critic), before[1])


def test_gradients_do_not_leak_into_a_later_update():
    """Through the critic the generator's loss reaches the critic's weights; no gradient may be kept there."""
    game = make_game()
    trainer = make_trainer(game)
    left = {}

    @trainer.on(Events.ITERATION_COMPLETED)
    def look(engine):
        left["critic"] = [p.requires_grad for p in game.critic.parameters()]

    trainer.run()
    assert left["critic"] == [False] * 4


def test_every_skips_iterations():
    game = make_game()
    calls = []
    updates = make_updates(game, every=2)
    critic_loss = updates[0].loss
    updates[0].loss = lambda batch: calls.append(1) or critic_loss(batch)
    trainer = make_trainer(game, updates, make_data(batches=5))
    outputs = []
    look = lambda engine: outputs.append(set(engine.state.output[0]["loss"]))  # noqa: E731
    trainer.add_event_handler(Events.ITERATION_COMPLETED, look)
    trainer.run()
    assert len(calls) == 3
    assert ["critic" in output for output in outputs] == [True, False, True, False, True]
    assert all("generator/fool" in output for output in outputs)


def test_clipping_bounds_the_step():
    game = make_game()
    updates = make_updates(game, sgd, max_grad_norm=1e-3)
    before = weights(game.critic)
    make_trainer(game, updates, make_data(batches=1)).run()
    assert torch.linalg.vector_norm(weights(game.critic) - before).item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_average_follows_the_formula():
    """a <- a + (1 - d) (w - a) with d = min(decay, (1 + n) / (10 + n)), starting from the first weights."""
    game = make_game()
    ema = ExponentialMovingAverage(game.generator, decay=0.3)
    trainer = make_trainer(game, data=make_data(batches=6), ema=ema)
    history = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: history.append(weights(game.generator)))
    trainer.run()
    average = history[0]
    for n, current in enumerate(history[1:], start=1):
        decay = min(0.3, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * current
    torch.testing.assert_close(weights(ema.module), average)
    assert not any(p.requires_grad for p in ema.module.parameters())


def test_average_without_decay_is_the_network():
    game = make_game()
    ema = ExponentialMovingAverage(game.generator, decay=0)
    make_trainer(game, ema=ema).run()
    assert torch.equal(weights(ema.module), weights(game.generator))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_step(bad):
    game = make_game()
    data = make_data(batches=3)
    data[1]["image"][0, 0] = bad
    trainer = make_trainer(game, data=data)
    kept = {}

    @trainer.on(Events.ITERATION_STARTED)
    def keep(engine):
        kept["weights"] = weights(game.critic, game.generator)

    game.critic[1] = nn.Identity()  # tanh would hide an infinity
    with pytest.raises(
        FloatingPointError, match=r"update 'critic' has a loss of (nan|inf) at iteration 2, epoch 1"
    ) as error:
        trainer.run()
    assert "--precision fp32" in str(error.value)
    assert "--resume auto" in str(error.value)
    assert torch.equal(weights(game.critic, game.generator), kept["weights"])


def test_a_gradient_that_is_not_finite_stops_too():
    game = make_game()
    updates = make_updates(game)
    updates[0].loss = lambda batch: {"root": torch.sqrt(game.critic[0].weight.sum() * 0)}  # 0, with slope infinity
    before = weights(game.critic)
    with pytest.raises(FloatingPointError, match="update 'critic' has a gradient of nan"):
        make_trainer(game, updates).run()
    assert torch.equal(weights(game.critic), before)


def test_bad_arguments_are_named():
    game = make_game()
    with pytest.raises(ValueError, match="precision is 'int8'"):
        make_trainer(game, precision="int8")
    with pytest.raises(ValueError, match="accumulation is 0"):
        make_trainer(game, accumulation=0)
    with pytest.raises(ValueError, match="different names"):
        make_trainer(game, make_updates(game) * 2)
    with pytest.raises(ValueError, match="update 'critic': 4 of its optimizer's 4 parameters belong to none"):
        Update("critic", {"critic": game.critic}, sgd(game.generator.parameters()), game.critic_loss)
    with pytest.raises(ValueError, match="every is 0"):
        Update("critic", {"critic": game.critic}, sgd(game.critic.parameters()), game.critic_loss, every=0)
    with pytest.raises(ValueError, match="start is -1"):
        Update("critic", {"critic": game.critic}, sgd(game.critic.parameters()), game.critic_loss, start=-1)
    late = Update("critic", {"critic": game.critic}, sgd(game.critic.parameters()), game.critic_loss, every=3, start=4)
    assert [n for n in range(12) if late.is_due(n)] == [4, 7, 10]
    with pytest.raises(ValueError, match="decay is 1"):
        ExponentialMovingAverage(game.generator, decay=1)


def test_an_objective_knows_how_long_the_run_is():
    game, seen = make_game(), []
    draw = game.draw
    game.draw = lambda batch, draws: seen.append((draws.iteration, draws.iterations)) or draw(batch, draws)
    make_trainer(game, max_epochs=2).run()
    assert seen == [(i, 6) for i in range(6)]


def test_an_update_waits_for_its_device_once(monkeypatch):
    """Every read of a number waits until a GPU has computed it."""
    game, reads = make_game(), []
    for name in ("tolist", "item", "__float__", "__bool__"):
        plain = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda *args, p=plain, n=name: reads.append(n) or p(*args))
    make_trainer(game, make_updates(game, sgd, max_grad_norm=1.0)).run()
    assert reads == ["tolist"] * 6


def test_a_federated_client_finds_the_network_of_inference():
    game = make_game()
    assert isinstance(make_trainer(game), SupervisedTrainer)
    assert make_trainer(game).network is game.critic
    assert make_trainer(game, ema=ExponentialMovingAverage(game.generator)).network is game.generator
    assert make_trainer(game, network=game.generator).network is game.generator
