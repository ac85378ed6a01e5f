"""Several processes train as one on the joined batch, and stop together."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, sgd, weights
from tests.processes import in_two_processes
from tools.engines.processes import average_over_processes


def _process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    game = make_game(seed=rank)  # different weights: the trainer must share those of process 0
    data = [{"image": batch["image"][rank::2]} for batch in make_data()]
    calls = []
    all_reduce = dist.all_reduce
    dist.all_reduce = lambda *args, **kwargs: calls.append(1) or all_reduce(*args, **kwargs)
    trainer = make_trainer(game, make_updates(game, sgd), data)
    trainer.run()
    torch.save([weights(game.critic, game.generator), trainer.state.output, len(calls)], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one_on_the_joined_batch(tmp_path):
    in_two_processes(_process, str(tmp_path))
    (first, output, calls), (second, _, _) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert torch.equal(first, second)
    assert calls == 3 * 2  # one all-reduce per update: three iterations of two

    game = make_game(seed=0)
    trainer = make_trainer(game, make_updates(game, sgd))
    trainer.run()
    torch.testing.assert_close(first, weights(game.critic, game.generator), rtol=1e-5, atol=1e-6)
    assert output[0]["loss"] == pytest.approx(trainer.state.output[0]["loss"], abs=1e-6)


def _bad_process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    game = make_game()
    data = make_data(batches=1)
    if rank == 1:
        data[0]["image"][0, 0] = float("nan")
    try:
        make_trainer(game, data=data).run()
    except FloatingPointError as error:
        torch.save(str(error), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_a_bad_batch_in_one_process_stops_both(tmp_path):
    """Otherwise the other would wait for ever."""
    in_two_processes(_bad_process, str(tmp_path))
    for rank in range(2):
        assert "update 'critic' has a loss of nan" in torch.load(tmp_path / f"{rank}.pt")


def test_averaging_without_processes_changes_nothing():
    network = nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    before = copy.deepcopy(network.weight.grad)
    average_over_processes(list(network.parameters()), {})
    assert torch.equal(network.weight.grad, before)
