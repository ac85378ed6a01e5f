"""Averages of weights: by decay or by half-life, of several networks, saved and restored."""

import pytest
import torch
import torch.distributed as dist
from ignite.engine import Events
from torch import nn

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, weights
from tests.processes import in_two_processes
from tools.engines.checkpoint import TrainingCheckpoint
from tools.engines.ema import ExponentialMovingAverage


def test_a_half_life_follows_the_formula():
    """b = 0.5 ** (n / min(half-life, 0.05 seen)), the first time 0; StyleGAN2's b is 0.99778439."""
    game = make_game()
    average = ExponentialMovingAverage(game.generator, half_life=0.7)
    history = []
    trainer = make_trainer(game, data=make_data(batches=6), ema=average)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: history.append(weights(game.generator)))
    trainer.run()
    expected = history[0]
    for n, current in enumerate(history[1:], start=1):
        kept = 0.5 ** (4 / min(0.7, 0.05 * 4 * n))
        expected = kept * expected + (1 - kept) * current
    torch.testing.assert_close(weights(average.module), expected)
    assert trainer.images == 24
    assert ExponentialMovingAverage(game.generator, half_life=10_000).keeps(32, 10**7) == pytest.approx(0.99778439)
    assert ExponentialMovingAverage(game.generator, half_life=10_000).keeps(32, 2000) == pytest.approx(0.5**0.32)


def test_a_half_life_means_what_it_says():
    """A weight of before counts half after so many images, whatever the batches; and all, before there were any."""
    network = nn.Linear(1, 1, bias=False)
    for batches in ([100], [25] * 4, [1] * 100, [60, 39, 1]):
        average = ExponentialMovingAverage(network, half_life=100, ramp_up=None)
        nn.init.zeros_(network.weight)
        average.update(7, 0)
        nn.init.ones_(network.weight)
        for images in batches:
            average.update(images, 0)
        assert average.module.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_buffers_are_the_networks():
    network = nn.BatchNorm1d(2)
    average = ExponentialMovingAverage(network, half_life=10.0)
    for seen in range(3):
        network(torch.rand(4, 2))
        average.update(4, 4 * seen)
    assert torch.equal(average.module.running_mean, network.running_mean)
    assert average.module.num_batches_tracked == 3


def run(folder, max_epochs, resume=None, half_lives=(2.0, 20.0)):
    """Averages of both networks, and two of the generator."""
    game = make_game()
    averages = [ExponentialMovingAverage(game.generator, half_life=h) for h in half_lives]
    averages += [ExponentialMovingAverage(game.critic, decay=0.5)]
    handlers = [TrainingCheckpoint(folder, {}, {}, resume=resume)]
    trainer = make_trainer(game, max_epochs=max_epochs, ema=averages, train_handlers=handlers)
    trainer.run()
    return [weights(average.module) for average in averages], trainer


def test_several_averages_are_moved_saved_and_restored(tmp_path):
    whole, _ = run(tmp_path / "whole", 4)
    run(tmp_path / "parts", 2)
    resumed, trainer = run(tmp_path / "parts", 4, resume="auto")
    assert all(map(torch.equal, resumed, whole))
    assert trainer.images == 48
    assert not torch.equal(whole[0], whole[1])
    with pytest.raises(ValueError, match="it has 3 averages of weights, and this run has 2"):
        run(tmp_path / "parts", 5, resume="auto", half_lives=(2.0,))


def test_an_average_stands_still_with_its_network():
    game = make_game()
    average = ExponentialMovingAverage(game.critic, decay=0.5)
    trainer = make_trainer(game, make_updates(game, every=3), make_data(batches=6), ema=[average])
    trainer.run()
    assert average.n_averaged == 2


def test_bad_arguments_are_named():
    game = make_game()
    with pytest.raises(ValueError, match=r"decay 0.9 and half_life 10: an average has one of them"):
        ExponentialMovingAverage(game.generator, decay=0.9, half_life=10)
    for option in ("half_life", "ramp_up"):
        with pytest.raises(ValueError, match=f"{option} is 0, expected a number above 0"):
            ExponentialMovingAverage(game.generator, **{"half_life": 1, option: 0})
    with pytest.raises(ValueError, match=r"ema averages a Linear that no update trains.*\['critic', 'generator'\]"):
        make_trainer(game, ema=ExponentialMovingAverage(nn.Linear(2, 2)))


def _process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    game = make_game()
    data = [{"image": batch["image"][rank::2]} for batch in make_data(batches=6)]
    average = ExponentialMovingAverage(game.generator, half_life=5.0)
    trainer = make_trainer(game, data=data, ema=average)
    trainer.run()
    torch.save([weights(average.module), trainer.images], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_average_of_one(tmp_path):
    in_two_processes(_process, str(tmp_path))
    game = make_game()
    average = ExponentialMovingAverage(game.generator, half_life=5.0)
    make_trainer(game, data=make_data(batches=6), ema=average).run()
    for rank in range(2):
        found, images = torch.load(tmp_path / f"{rank}.pt")
        assert images == 24
        torch.testing.assert_close(found, weights(average.module), rtol=1e-4, atol=1e-5)
