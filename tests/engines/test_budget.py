"""Trainings that end when a budget is spent, and go on with what is left of it."""

import json

import pytest
import torch
from ignite.engine import Events

from tests.engines.toys import make_data, make_game, make_trainer, weights
from tools.engines.budget import Budget
from tools.engines.checkpoint import TrainingCheckpoint, checkpoints
from tools.engines.weights import settings_in
from tools.torch_files import read_state_dict


class Clock:
    """A clock that a test sets: of a second for each look."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def train(folder, seen=None, stop_after=None, earlier=None, save_seconds=None, lengths=None, **options):
    """The budget of a run of three iterations an epoch and four images an iteration, and iteration after iteration."""
    game = make_game()
    models = {"model": game.generator}
    budget = Budget(folder / "moments", models, {"a": 1}, earlier=earlier, **options)
    budget.clock = Clock()
    also = {"budget": budget}
    checkpoint = TrainingCheckpoint(
        folder, models, {}, resume="auto", save_interval=1000, also=also, save_seconds=save_seconds
    )
    if lengths is not None:  # of the run, as each iteration is told
        draw = game.draw
        game.draw = lambda batch, draws: lengths.append(draws.iterations) or draw(batch, draws)
    trainer = make_trainer(game, data=make_data(), max_epochs=1000, train_handlers=[checkpoint, budget])
    if seen is not None:
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.iteration))
    if stop_after is not None:

        @trainer.on(Events.ITERATION_STARTED)
        def die(engine):
            if engine.state.iteration == stop_after + 1:
                raise KeyboardInterrupt

    trainer.run()
    budget.weights = weights(game.critic, game.generator)
    return budget


def moment(folder, name):
    return json.loads((folder / "moments" / f"{name}.json").read_text())["moment"]


@pytest.mark.parametrize("images", [4, 12, 20, 24])  # of an iteration, of an epoch, of the middle of one, of two
def test_images_are_exactly_those_of_the_budget(tmp_path, images):
    seen = []
    budget = train(tmp_path, seen, images=images, moments={"0": 0, "half": 0.5, "1": 1})
    assert seen == list(range(1, images // 4 + 1))
    assert (budget.seen, budget.share) == (images, 1)
    assert [moment(tmp_path, name)["images"] for name in ("0", "1")] == [0, images]
    assert moment(tmp_path, "half")["images"] == -(-images // 8) * 4
    assert settings_in(read_state_dict(tmp_path / "moments/1.pt"))["a"] == 1


@pytest.mark.parametrize(("budget", "iterations"), [({"images": 18}, 5), ({"seconds": 7.0}, 7)])
def test_what_follows_from_the_length_of_a_run_is_told_the_budgets(tmp_path, budget, iterations):
    """Adaptive augmentation would stand still in a run of a thousand epochs; before the first step nobody knows."""
    lengths = []
    first = train(tmp_path / "first", lengths=lengths, **budget)
    assert lengths == [3000] + [iterations] * (iterations - 1)
    lengths = []
    whole = {name: 2 * value for name, value in budget.items()}
    train(tmp_path / "second", lengths=lengths, earlier=first, **whole)
    own = -(-(whole["images"] - 20) // 4) if "images" in budget else 7
    assert lengths == [3000] + [own] * (own - 1)


def test_seconds_are_those_of_batches_and_iterations(tmp_path):
    """A second from the wish for a batch to the end of its iteration, by a clock that nothing else looks at."""
    seen = []
    budget = train(tmp_path, seen, seconds=7.0, moments={"0.5": 0.5})
    assert seen == list(range(1, 8))
    assert budget.elapsed == 7
    assert moment(tmp_path, "0.5") == {"iteration": 4, "images": 16, "seconds": 4.0}


def test_a_killed_training_spends_what_is_left_and_is_not_charged_for_what_is_lost(tmp_path):
    seen = []
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, seen, stop_after=5, seconds=9.0, moments={"0.5": 0.5})
    assert checkpoints(tmp_path) == []  # nothing was saved: it begins anew
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, seen, stop_after=5, save_seconds=0.0, seconds=9.0, moments={"0.5": 0.5})
    ((_, last),) = checkpoints(tmp_path)[:1]
    assert last.name == "checkpoint_epoch=1_iteration=5.pt"
    seen.clear()
    budget = train(tmp_path, seen, save_seconds=0.0, seconds=9.0, moments={"0.5": 0.5, "1": 1})
    assert seen == [6, 7, 8, 9]
    assert budget.elapsed == 9
    assert torch.equal(budget.weights, train(tmp_path / "whole", seconds=9.0).weights)
    assert moment(tmp_path, "0.5")["iteration"] == 5  # of before
    seen.clear()
    train(tmp_path, seen, seconds=9.0)
    assert seen == []  # nothing is left
    train(tmp_path, seen, seconds=12.0)
    assert seen == [10, 11, 12]  # an extended budget


def test_two_stages_spend_one_budget(tmp_path):
    first = train(tmp_path / "first", images=8, moments={"0": 0})
    seen = []
    second = train(tmp_path / "second", seen, earlier=first, images=20, moments={"0.5": 0.5, "1": 1})
    assert len(seen) == 3
    assert (second.seen, second.share) == (20, 1)
    assert [moment(tmp_path / "second", name)["images"] for name in ("0.5", "1")] == [12, 20]
    assert moment(tmp_path / "second", "1")["iteration"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of them, above 0"),
        ({"seconds": 1.0, "images": 1}, "expected one of them, above 0"),
        ({"images": 0}, "expected one of them, above 0"),
        ({"seconds": 1.0, "clock": "sun"}, "clock is 'sun', expected one of wall, cpu"),
        ({"seconds": 1.0, "moments": {"2": 2}}, "expected shares of the budget from 0 to 1"),
    ],
)
def test_what_is_no_budget_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        Budget(tmp_path, {}, {}, **options)
