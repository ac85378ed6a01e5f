"""What is compiled is what losses call; by a backend that counts, so that no C++ compiler is needed."""

import copy

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, weights
from tools.engines.compiled import CompiledPass, compile_networks
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update
from tools.layers.crf import MeanFieldCRF
from tools.losses.crf_gan import CRFGANObjective
from tools.losses.ha_gan import HAGANObjective
from tools.networks.hierarchical_gan import (
    Generator,
    HalfEncoder,
    HierarchicalDiscriminator,
    HierarchicalGenerator,
    SubEncoder,
    SubVolumeDiscriminator,
)

SIZE, LATENT = 32, 8
CONVOLUTIONS = ("conv3d", "conv_transpose3d")


class Backend:
    """Of torch.compile: computes as without it, and counts operations of these names in what it was given."""

    def __init__(self, *names):
        self.names, self.operations, self.graphs = names, 0, 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        number = sum(getattr(node.target, "__name__", "") in self.names for node in graph.graph.nodes)

        def call(*args):
            self.operations += number
            return graph.forward(*args)

        return call


class Eager(TorchFunctionMode):
    """Counts operations of these names where nothing is compiled."""

    def __init__(self, *names):
        super().__init__()
        self.names, self.operations = names, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.operations += function.__name__ in self.names
        return function(*args, **(kwargs or {}))


def crf_gan():
    networks = {
        "generator": Generator(SIZE, LATENT, base_channels=8),
        "discriminator": SubVolumeDiscriminator(SIZE, channels=32),
        "encoder": HalfEncoder(8),
        "crf": MeanFieldCRF(SIZE // 4, iterations=2),
    }
    return CRFGANObjective(**networks, latent_dim=LATENT), networks


def ha_gan():
    networks = {
        "generator": HierarchicalGenerator(SIZE, LATENT, base_channels=16),
        "discriminator": HierarchicalDiscriminator(SIZE, channels=32),
        "encoder": HalfEncoder(16),
        "sub_encoder": SubEncoder(SIZE, LATENT, base_channels=16, channels=32),
    }
    return HAGANObjective(**networks, latent_dim=LATENT), networks


def trainer_of(objective, networks, compile=False):
    updates = [
        Update(
            name,
            {name: network},
            torch.optim.SGD(network.parameters(), lr=0.01),
            getattr(objective, f"{name}_loss"),
        )
        for name, network in networks.items()
    ]
    volumes = torch.rand(2, 1, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return AlternatingTrainer("cpu", 1, [{"image": volumes}], updates, objective.draw, compile=compile)


def test_every_convolution_of_a_training_step_is_compiled():
    """As many as without, and they compute the same; the slab's position, which changes, compiles nothing anew."""
    torch.manual_seed(0)
    objective, networks = crf_gan()
    before = copy.deepcopy(networks)
    backend, eager = Backend(*CONVOLUTIONS), Eager(*CONVOLUTIONS)
    trainer = trainer_of(objective, networks, backend)
    trainer.run()
    graphs = backend.graphs
    trainer.state.max_epochs = 3
    trainer.run()
    assert backend.graphs == graphs

    objective, plain = crf_gan()
    for name, network in plain.items():
        network.load_state_dict(before[name].state_dict())
    again = trainer_of(objective, plain)
    again.state.max_epochs = 3
    with eager:
        again.run()
    assert backend.operations == eager.operations > 0
    torch.testing.assert_close(weights(*networks.values()), weights(*plain.values()))


@pytest.mark.parametrize("family", [crf_gan, ha_gan])
def test_losses_call_no_convolution_but_through_what_is_compiled(family, monkeypatch):
    """torch.compile stands aside here: this is about who calls what."""
    objective, networks = family()
    eager, inside = Eager(*CONVOLUTIONS), []

    def compile(function, **_):
        def call(*args, **kwargs):
            before = eager.operations
            found = function(*args, **kwargs)
            inside.append(eager.operations - before)
            return found

        return call

    monkeypatch.setattr(torch, "compile", compile)
    with eager:
        trainer_of(objective, networks, True).run()
    assert sum(inside) == eager.operations > 0


def test_a_networks_own_pass_is_compiled_and_validation_is_not():
    game, backend = make_game(), Backend("linear")
    trainer = make_trainer(game, data=make_data(batches=2), compile=backend)
    trainer.run()
    assert backend.operations == 2 * ((2 + 2 + 2) + (2 + 2))  # critic: real and generated; generator
    before = backend.operations
    with torch.compiler.set_stance("force_eager"):
        game.generator(torch.zeros(7, 3))
    assert backend.operations == before


class Halves(nn.Module):
    """A network of which losses call a submodule and a method."""

    called_parts = ("first", "second")

    def __init__(self, network):
        super().__init__()
        self.first, self.rest = network[:2], network[2]

    def second(self, hidden):
        return self.rest(hidden)

    def forward(self, latent):
        raise AssertionError("no loss calls it")


def half_by_half(game):
    halves = game.generator = Halves(game.generator)
    updates = make_updates(game)
    game.generator = lambda latent: halves.second(halves.first(latent))
    return halves, updates


def test_submodules_and_methods_are_compiled():
    game, backend = make_game(), Backend("linear")
    halves, updates = half_by_half(game)
    passes = compile_networks({"generator": halves}, backend)
    make_trainer(game, updates, make_data(batches=1)).run()
    assert [(one.part, one.calls) for one in passes] == [("first", 2), ("second", 2)]
    assert backend.operations == 4


def test_a_network_that_no_loss_calls_as_it_is_compiled_is_named():
    game = make_game()
    halves, updates = half_by_half(game)
    halves.called_parts = ("forward",)
    with pytest.raises(ValueError, match=r"of the network 'generator' this is compiled: forward; and no loss calls it"):
        make_trainer(game, updates, compile=Backend()).run()
    halves.called_parts = ("third",)
    with pytest.raises(ValueError, match="'generator', a Halves, names 'third' in its called_parts"):
        make_trainer(game, updates, compile=Backend())


def test_a_copy_is_not_compiled_and_what_is_compiled_anew_is_so_once():
    network = nn.Sequential(nn.Linear(2, 2))
    for _ in range(2):
        compile_networks({"network": network}, Backend())
    assert isinstance(network.forward, CompiledPass)
    assert not isinstance(network.forward.eager, CompiledPass)
    copied = copy.deepcopy(network)
    nn.init.zeros_(network[0].weight)
    assert not isinstance(copied.forward, CompiledPass)
    assert copied(torch.ones(1, 2)).tolist() == copied[0](torch.ones(1, 2)).tolist()
    assert list(network.state_dict()) == ["0.weight", "0.bias"]
