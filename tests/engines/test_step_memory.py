"""What a discriminator's step holds for its backward pass, where each term of its loss has its own."""

import weakref

import pytest
import torch

from tests.engines.test_compile import crf_gan, ha_gan, trainer_of
from tools.engines.update import all_terms


class Held:
    """Counts the bytes that autograd keeps, now and at most."""

    def __init__(self):
        self.now = self.most = 0
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.keep, lambda kept: kept.tensor)

    def keep(self, tensor):
        kept = type("Kept", (), {})()
        kept.tensor = tensor.detach()
        self.change(tensor.nbytes)
        weakref.finalize(kept, self.change, -tensor.nbytes)
        return kept

    def change(self, number):
        self.now += number
        self.most = max(self.most, self.now)


def most_held(family, together):
    objective, networks = family()
    if together:
        plain = objective.discriminator_loss
        objective.discriminator_loss = lambda batch: all_terms(plain(batch))
    trainer = trainer_of(objective, networks)
    for name, network in networks.items():  # as the trainer does, which here has one update
        network.requires_grad_(name == "discriminator")
    trainer.set_updates([update for update in trainer.updates if update.name == "discriminator"])
    held = Held()
    with held.hooks:
        trainer.run()
    assert held.now == 0
    return held.most


@pytest.mark.parametrize("family", [crf_gan, ha_gan])
def test_a_discriminators_step_holds_one_graph_and_not_two(family):
    assert 0 < most_held(family, together=False) < 0.6 * most_held(family, together=True)
