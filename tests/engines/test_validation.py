"""No training ends without a validation, and no validation costs an epoch."""

import os
import signal

import pytest
import torch
import torch.distributed as dist
from ignite.engine import Events
from ignite.metrics import Average
from monai.engines import Evaluator
from torch.utils.data import DataLoader

from tests.engines.toys import make_game, make_trainer, make_updates, weights
from tests.processes import in_two_processes
from tools.engines.checkpoint import TrainingCheckpoint, checkpoints
from tools.engines.validation import Validation, is_smaller
from tools.engines.weights import BestModel


class Run:
    """A training whose validation measures the weights of the critic, and draws random numbers."""

    def __init__(self, directory, max_epochs, interval=1, resume="auto", volumes=2, save_interval=1, values=None):
        self.validated = []
        self.game = make_game()
        self.epochs = []
        self.values = values
        loader = DataLoader(torch.arange(volumes), batch_size=1, shuffle=True)
        self.validator = Evaluator(
            device="cpu",
            val_data_loader=loader,
            iteration_update=self.measure,
            key_val_metric={"size": Average(output_transform=lambda output: output)},
            metric_cmp_fn=is_smaller,
            decollate=False,
            val_handlers=[BestModel(str(directory), {"model": self.game.generator}, {})],
        )
        checkpoint = TrainingCheckpoint(
            directory, {"model": self.game.generator}, {}, self.validator, save_interval, resume=resume
        )
        self.trainer = make_trainer(
            self.game,
            make_updates(self.game),
            max_epochs=max_epochs,
            train_handlers=[checkpoint, Validation(interval, self.validator)],
        )
        self.numbers = []
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: self.numbers.append(torch.rand(()).item()))

    def measure(self, engine, batch):
        if engine.state.iteration == 1:
            self.epochs.append(engine.state.epoch)
        torch.rand(3)
        size = weights(self.game.critic).abs().sum().item()
        return size if self.values is None else self.values[engine.state.epoch]

    def run(self):
        code = 0
        try:
            self.trainer.run()
        except SystemExit as end:
            code = end.code
        state = self.validator.state
        return code, weights(self.game.critic, self.game.generator), [state.best_metric, state.best_metric_epoch]


@pytest.mark.parametrize(
    ("interval", "max_epochs", "expected"), [(1, 3, [1, 2, 3]), (2, 5, [2, 4, 5]), (2, 4, [2, 4]), (9, 3, [3])]
)
def test_the_last_epoch_is_validated(tmp_path, interval, max_epochs, expected):
    run = Run(tmp_path, max_epochs, interval)
    run.run()
    assert run.epochs == expected
    assert (tmp_path / "model.pt").is_file()


def test_validation_takes_no_random_numbers_from_training(tmp_path):
    numbers, results = [], []
    for interval in (1, 9):
        run = Run(tmp_path / str(interval), 3, interval)
        results.append(run.run()[1])
        numbers.append(run.numbers)
    assert numbers[0] == numbers[1]
    assert torch.equal(*results)


@pytest.mark.parametrize("interval", [0, -1, 2.5, "5"])
def test_an_interval_that_is_none(tmp_path, interval):
    with pytest.raises(ValueError, match=f"val_interval is {interval!r}"):
        Run(tmp_path, 1, interval)


def test_a_validation_that_fails_costs_no_epoch(tmp_path, caplog):
    """Whatever save_interval is; and a resumed run gets past the place."""
    failing = Run(tmp_path, 4, 2, save_interval=9, values={})
    with pytest.raises(KeyError):
        failing.run()
    assert [epoch for epoch, _ in checkpoints(tmp_path)] == [2]
    again = Run(tmp_path, 4, 2, values={4: 1.0})
    assert again.run()[0] == 0
    assert "The validation of epoch 2 failed. Training goes on without it." in caplog.text
    assert again.epochs == [2, 4]
    assert again.trainer.state.epoch == 4
    assert (tmp_path / "model.pt").is_file()


def test_a_last_validation_that_fails_again_is_an_error(tmp_path):
    """There is nothing left to train, and without it the run would end without a model."""
    for _ in range(2):
        with pytest.raises(KeyError):
            Run(tmp_path, 1, values={}).run()
    assert Run(tmp_path, 1).run()[0] == 0
    assert (tmp_path / "model.pt").is_file()


def stop(run, epoch):
    """SIGTERM within the validation of an epoch."""

    def kill(validator):
        if validator.state.epoch == epoch and validator.state.iteration == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    run.validator.add_event_handler(Events.ITERATION_STARTED, kill)
    return run


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_validation_that_is_cut_short_is_made_up_for(tmp_path, epoch):
    expected = Run(tmp_path / "whole", 3).run()
    first = stop(Run(tmp_path / "parts", 3), epoch)
    assert first.run()[0] == 143
    assert first.epochs == list(range(1, epoch + 1))
    # and once more in the validation that makes up for it
    assert stop(Run(tmp_path / "parts", 3), epoch).run()[0] == 143
    last = Run(tmp_path / "parts", 3)
    code, trained, best = last.run()
    assert last.epochs == list(range(epoch, 4))
    assert (code, best) == (0, expected[2])
    assert torch.equal(trained, expected[1])


def test_a_validation_that_was_done_is_not_repeated(tmp_path):
    Run(tmp_path, 2).run()
    again = Run(tmp_path, 3)
    again.run()
    assert again.epochs == [3]


def test_the_checkpoint_knows_the_result_of_its_epoch(tmp_path):
    _, _, best = Run(tmp_path, 2, values={1: 3.0, 2: 1.0}).run()
    assert best == [1.0, 2]
    state = torch.load(tmp_path / "checkpoint_epoch=2.pt", weights_only=True)
    assert state["validation"] == {"best": [1.0, 2], "validated": 2}


def test_without_a_distance_the_last_model_is_kept(tmp_path, caplog):
    """One volume has no distance to another set: nan."""
    nan = float("nan")
    run = Run(tmp_path, 3, volumes=1, values={1: nan, 2: nan, 3: nan})
    _, _, best = run.run()
    assert best[1] == 3
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert torch.equal(saved["0.weight"], run.game.generator[0].weight)
    assert "Distances between sets (fid, mmd) need 2" in caplog.text
    assert is_smaller(1.0, 2.0)
    assert not is_smaller(2.0, 1.0)
    assert not is_smaller(nan, 1.0)


def _process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    with pytest.raises(ValueError, match=r"2 processes have 1 volume\(s\) to validate on"):
        Run(folder, 1, volumes=1).run()
    dist.destroy_process_group()


def test_fewer_volumes_than_processes_are_refused_before_the_first_step(tmp_path):
    in_two_processes(_process, str(tmp_path))
    assert checkpoints(tmp_path) == []
