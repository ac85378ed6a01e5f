"""bf16 and fp16: what is computed in them, and what happens when they overflow."""

import pytest
import torch

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, sgd, weights


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_computes_in_it_and_stays_close(precision):
    exact, low = make_game(), make_game()
    seen = set()
    low.critic[0].register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    make_trainer(exact, make_updates(exact, sgd)).run()
    trainer = make_trainer(low, make_updates(low, sgd), precision=precision)
    if precision == "fp16":  # a first scale that does not overflow, which would skip the step
        trainer.scalers = {name: torch.amp.GradScaler("cpu", init_scale=256.0) for name in trainer.scalers}
    trainer.run()
    assert seen == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert {p.dtype for p in low.critic.parameters()} == {torch.float32}
    difference = weights(exact.critic, exact.generator) - weights(low.critic, low.generator)
    assert 0 < difference.abs().max() < 0.01


def test_fp16_skips_a_step_that_overflows():
    game = make_game()
    trainer = make_trainer(game, make_updates(game, sgd), make_data(batches=1), precision="fp16")
    trainer.scalers["critic"] = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = weights(game.critic)
    trainer.run()
    assert torch.equal(weights(game.critic), before)
    assert trainer.scalers["critic"].get_scale() == 2.0**126


def test_fp16_finds_its_scale_within_20_steps():
    """A steep loss, whose gradient times 65536 overflows: its scale falls by half with every step that is skipped."""
    game = make_game()
    updates = make_updates(game, lambda parameters: torch.optim.SGD(parameters, lr=1e-9))
    plain = updates[0].loss
    updates[0].loss = lambda batch: {name: 3000 * term for name, term in plain(batch).items()}
    trainer = make_trainer(game, updates, make_data(batches=25), precision="fp16")
    before = weights(game.critic)
    trainer.run()
    assert trainer.state.iteration == 25
    assert trainer.scalers["critic"].get_scale() <= 2.0**10
    assert not torch.equal(weights(game.critic), before)


def test_fp16_that_overflows_for_20_steps_in_a_row_stops_by_name():
    game = make_game()
    updates = make_updates(game)
    iteration, fine = iter(range(1, 100)), updates[1].loss
    updates[1].loss = lambda batch: spoiled(batch) if next(iteration) > 5 else fine(batch)

    def spoiled(batch):
        """A finite loss whose gradient is infinite, whatever its scale."""
        term = sum(fine(batch).values())
        return {"root": (term - term.detach()).abs().sqrt()}

    trainer = make_trainer(game, updates, make_data(batches=40), precision="fp16")
    trainer.scalers["critic"] = torch.amp.GradScaler("cpu", init_scale=256.0)
    message = (
        r"update 'generator' .* overflows fp16 for 20 steps in a row, until iteration 25, epoch 1.*--precision bf16"
    )
    with pytest.raises(FloatingPointError, match=message):
        trainer.run()
    assert torch.isfinite(weights(game.critic, game.generator)).all()
