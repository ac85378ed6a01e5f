"""Networks, their optimizers and the data that change on the way, as in progressive growing."""

import contextlib
import copy

import pytest
import torch
from ignite.engine import Events
from torch import nn

from tests.engines.toys import make_game, make_trainer, make_updates, weights
from tools.engines.checkpoint import TrainingCheckpoint
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.update import Update

STARTS = (0, 20, 38)
"""Images after which each level begins: in the second and fourth epoch of three iterations."""


class Growing(nn.Module):
    """A network with a layer more at every level."""

    def __init__(self, first, last):
        super().__init__()
        self.first, self.last, self.layers = first, last, nn.ModuleList()

    def forward(self, x):
        x = torch.tanh(self.first(x))
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return self.last(x)

    def grow(self):
        self.layers.append(nn.Linear(8, 8))


class Stages:
    """What a family that grows has: the networks, and the data of each level."""

    def __init__(self, game):
        self.game = game
        game.generator, game.critic = (Growing(n[0], n[2]) for n in (game.generator, game.critic))
        self.average = ExponentialMovingAverage(game.generator, half_life=10)
        self.loader = self.data(0)

    @staticmethod
    def data(level):
        """Batches of 4, 3 and 2 rows, in passes of three, two and five batches."""
        rows = torch.randn(20, 4, generator=torch.Generator().manual_seed(level))
        number, size = ((3, 4), (2, 3), (5, 2))[level]
        dataset = [{"image": row} for row in rows[: number * size]]
        return torch.utils.data.DataLoader(dataset, batch_size=size, shuffle=True)

    def prepare(self, trainer, images):
        level = sum(start <= images for start in STARTS) - 1
        critic, generator = trainer.updates
        while len(self.game.critic.layers) < level:
            self.game.critic.grow()
            self.average.change(Growing.grow)
            critic.optimizer.add_param_group({"params": [*self.game.critic.layers[-1].parameters()]})
            # anew, without its moments
            adam = torch.optim.Adam(self.game.generator.parameters(), lr=0.01)
            generator = Update("generator", {"generator": self.game.generator}, adam, self.game.generator_loss)
            trainer.set_updates([critic, generator])
            trainer.set_loader(self.data(len(self.game.critic.layers)))


def run(folder, resume=None, stop_at=None, max_epochs=5, **options):
    torch.manual_seed(3)
    game = make_game()
    stages = Stages(game)
    checkpoint = TrainingCheckpoint(folder, {"model": stages.average.module}, {}, resume=resume, n_saved=9)
    trainer = make_trainer(
        game,
        make_updates(game),
        stages.loader,
        max_epochs,
        ema=stages.average,
        prepare=stages.prepare,
        train_handlers=[checkpoint],
        **options,
    )
    sizes = []

    @trainer.on(Events.ITERATION_STARTED)
    def note(engine):
        sizes.append(len(engine.state.batch["image"]))
        if engine.state.iteration == stop_at:
            trainer.signals.received = 15

    with contextlib.suppress(SystemExit):
        trainer.run()
    return weights(game.critic, game.generator, stages.average.module), sizes, trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


def test_each_level_has_its_networks_and_data(whole):
    found, sizes, trainer = whole
    assert sizes == [4] * 5 + [3] * 6 + [2] * 4
    assert trainer.images == sum(sizes)
    assert [len(network.layers) for network in trainer.networks.values()] == [2, 2]
    assert found.isfinite().all()
    state = trainer.updates[0].optimizer.state_dict()["state"]
    assert [int(one["step"]) for one in state.values()] == [15] * 4 + [10] * 2 + [4] * 2
    assert {int(one["step"]) for one in trainer.updates[1].optimizer.state_dict()["state"].values()} == {4}


@pytest.mark.parametrize(
    "stop_at", [4, 5, 6, 8, 11, 12, 13], ids=lambda n: f"{n // 3} epochs" + f" and {n % 3}" * bool(n % 3)
)
def test_it_is_resumed_from_any_moment_bit_for_bit(whole, tmp_path, stop_at):
    """Also where the networks changed in between, and after a part of a pass over the data."""
    run(tmp_path, stop_at=stop_at)
    found, sizes, trainer = run(tmp_path, resume="auto")
    assert trainer.state.iteration == 15
    assert torch.equal(found, whole[0])
    assert sizes == whole[1][stop_at:]


def test_what_the_average_has_more_begins_as_in_the_network():
    network = Growing(nn.Linear(3, 8), nn.Linear(8, 2))
    average = ExponentialMovingAverage(network, decay=0.9)
    average.update()
    kept = copy.deepcopy(average.module)
    nn.init.zeros_(network.first.weight)
    average.change(Growing.grow)
    assert torch.equal(average.module.first.weight, kept.first.weight)
    assert torch.equal(average.module.layers[0].weight, network.layers[0].weight)
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    average.update()
    assert torch.equal(average.module.layers[0].weight, network.layers[0].weight)


def test_a_checkpoint_of_networks_that_do_not_grow_so_is_refused(whole, tmp_path):
    run(tmp_path)
    game = make_game()
    stages = Stages(game)
    checkpoint = TrainingCheckpoint(tmp_path, {}, {}, resume="auto")
    trainer = make_trainer(game, make_updates(game), stages.loader, ema=stages.average, train_handlers=[checkpoint])
    with pytest.raises(ValueError, match=r"(?s)does not fit.*layers\.0\.weight"):
        trainer.run()
