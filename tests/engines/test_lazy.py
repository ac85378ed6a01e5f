"""Lazy regularisation: a second update of the same network, in every n-th iteration, with the same optimizer."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, weights
from tests.processes import in_two_processes
from tools.engines.checkpoint import TrainingCheckpoint
from tools.engines.draws import Draws
from tools.engines.update import Update, lazy_adam

RATE, BETAS = 0.02, (0.0, 0.99)


def penalty(game):
    """A gradient penalty, as R1: half the squared norm of the critic's gradient at the real images."""

    def loss(batch):
        image = batch["image"].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(game.critic(image).sum(), image, create_graph=True)
        return {"penalty": gradient.square().sum(1).mean() / 2}

    return loss


def make_lazy(game, every=2, optimizer=None, **options):
    """The critic's loss in each iteration and its penalty in every n-th, then the generator's; ``options`` of those."""
    optimizer = optimizer or lazy_adam(game.critic.parameters(), RATE, BETAS, every=every)
    main = Update("critic", {"critic": game.critic}, optimizer, game.critic_loss)
    lazy = Update("penalty", {"critic": game.critic}, optimizer, penalty(game), every=every, **options)
    return [main, lazy, make_updates(game)[1]]


@pytest.mark.parametrize(
    ("every", "rate", "beta", "corrected_rate", "corrected_beta"),
    [(4, 0.002, 0.99, 0.0016, 0.99199197), (16, 0.0025, 0.99, 0.00235294, 0.99058546), (1, 0.002, 0.81, 0.001, 0.9)],
)
def test_the_corrected_adam_has_the_papers_numbers(every, rate, beta, corrected_rate, corrected_beta):
    (group,) = lazy_adam([nn.Parameter(torch.zeros(1))], rate, [0.0, beta], every=every, eps=1e-8).param_groups
    assert group["lr"] == pytest.approx(corrected_rate, abs=5e-9)
    assert group["betas"] == (0.0, pytest.approx(corrected_beta, abs=5e-9))


def test_main_and_lazy_update_written_out():
    """Both in the first iteration; the penalty times the interval; each a step of one and the same Adam."""
    game, by_hand = make_game(), make_game()
    data = make_data(batches=3)
    make_trainer(game, make_lazy(game)[:2], data, seed=5).run()

    share = 2 / 3
    adam = torch.optim.Adam(by_hand.critic.parameters(), lr=RATE * share, betas=(0.0, 0.99**share))
    for iteration, step in ((0, "main"), (0, "lazy"), (1, "main"), (2, "main"), (2, "lazy")):
        batch = by_hand.draw(data[iteration], Draws(seed=5, iteration=iteration))
        if step == "main":
            loss = sum(by_hand.critic_loss(batch).values())
        else:
            loss = 2 * penalty(by_hand)(batch)["penalty"]
        adam.zero_grad()
        loss.backward()
        adam.step()
    torch.testing.assert_close(weights(game.critic), weights(by_hand.critic), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("gain", "factor"), [(None, 4.0), (1, 1.0), (0.5, 0.5)])
def test_a_gain_is_a_factor_of_the_step_and_not_of_what_is_logged(gain, factor):
    game = make_game()
    before, loss = weights(game.critic), penalty(game)
    batch = game.draw(make_data(batches=1)[0], Draws(seed=0, iteration=0))
    value = loss(batch)["penalty"]
    gradients = torch.autograd.grad(value, list(game.critic.parameters()), allow_unused=True, materialize_grads=True)
    sgd = torch.optim.SGD(game.critic.parameters(), lr=0.1)
    trainer = make_trainer(game, make_lazy(game, 4, sgd, gain=gain)[1:2], make_data(batches=1))
    trainer.run()
    expected = before - 0.1 * factor * torch.cat([gradient.flatten() for gradient in gradients])
    torch.testing.assert_close(weights(game.critic), expected)
    assert trainer.state.output[0]["loss"]["penalty"] == pytest.approx(value.item())


def test_clipping_is_of_the_gradient_with_its_gain():
    game = make_game()
    before = weights(game.critic)
    sgd = torch.optim.SGD(game.critic.parameters(), lr=0.1)
    updates = make_lazy(game, 4, sgd, gain=1e6, max_grad_norm=1e-3)
    make_trainer(game, updates[1:2], make_data(batches=1)).run()
    assert torch.linalg.vector_norm(weights(game.critic) - before).item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_in_fp16_each_update_has_its_scale():
    """The lazy one overflows and is skipped; the step of the main one, with the same optimizer, is taken."""
    game = make_game()
    updates = make_lazy(game)[:2]
    trainer = make_trainer(game, updates, make_data(batches=1), precision="fp16")
    trainer.scalers["critic"] = torch.amp.GradScaler("cpu", init_scale=256.0)
    trainer.scalers["penalty"] = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    trainer.run()
    scales = {name: scaler.get_scale() for name, scaler in trainer.scalers.items()}
    assert scales == {"critic": 256.0, "penalty": 2.0**126}
    state = updates[0].optimizer.state_dict()["state"]
    assert {int(one["step"]) for one in state.values()} == {1}


def test_a_shared_optimizer_is_saved_once_and_resumed(tmp_path):
    def train(folder, max_epochs, resume=None):
        game = make_game()
        handlers = [TrainingCheckpoint(folder, {}, {}, resume=resume)]
        make_trainer(game, make_lazy(game), max_epochs=max_epochs, train_handlers=handlers).run()
        return weights(game.critic, game.generator)

    whole = train(tmp_path / "whole", 4)
    train(tmp_path / "parts", 3)
    assert torch.equal(train(tmp_path / "parts", 4, resume="auto"), whole)
    state = torch.load(tmp_path / "parts" / "checkpoint_epoch=4.pt", weights_only=True)
    assert set(state["optimizers"]) == {"critic", "generator"}
    assert set(state["scalers"]) == {"critic", "penalty", "generator"}
    assert int(state["optimizers"]["critic"]["state"][0]["step"]) == 12 + 6


def test_what_cannot_be_shared_is_named():
    game = make_game()
    constant = lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer)  # noqa: E731
    updates = make_lazy(game, schedule=constant)
    make_trainer(game, updates)
    updates[0].schedule = updates[1].schedule
    with pytest.raises(ValueError, match="'critic' and 'penalty' share an optimizer, and each has a schedule"):
        make_trainer(game, updates)
    with pytest.raises(ValueError, match="update 'penalty': gain is 0"):
        make_lazy(game, gain=0)
    with pytest.raises(ValueError, match="every is 0"):
        lazy_adam(game.critic.parameters(), RATE, BETAS, every=0)
    for networks in ({"judge": game.critic}, {"critic": game.generator}):
        updates = make_lazy(game)
        updates[1].networks = networks
        with pytest.raises(ValueError, match=r"update 'penalty': its network '(judge|critic)' has another name"):
            make_trainer(game, updates)


def without_last_bias(game):
    """The critic's penalty, which does not depend on its last bias, with an Adam that decays what has a gradient."""
    optimizer = torch.optim.Adam(game.critic.parameters(), lr=0.1, weight_decay=0.1)
    return [Update("penalty", {"critic": game.critic}, optimizer, penalty(game))]


def _process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    game = make_game()
    data = [{"image": batch["image"][rank::2]} for batch in make_data()]
    make_trainer(game, without_last_bias(game), data).run()
    torch.save(weights(game.critic), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_what_no_process_uses_is_left_alone_as_by_one(tmp_path):
    in_two_processes(_process, str(tmp_path))
    game = make_game()
    bias = game.critic[-1].bias.item()
    make_trainer(game, without_last_bias(game)).run()
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert torch.equal(first, second)
    assert first[-1].item() == bias == game.critic[-1].bias.item()
    torch.testing.assert_close(first, weights(game.critic), rtol=1e-4, atol=1e-5)
