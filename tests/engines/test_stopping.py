"""SIGTERM and Ctrl-C end a run between two iterations, and it goes on in the middle of the epoch, bit for bit."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.data import DataLoader
from monai.transforms import RandomizableTransform
from torch.utils.data import Dataset, RandomSampler

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, weights
from tests.processes import in_another_process, in_two_processes
from tools.engines.checkpoint import TrainingCheckpoint, checkpoints
from tools.engines.ema import ExponentialMovingAverage


class Noise(RandomizableTransform):
    """MONAI's way to be random, and the two ways of the global generators."""

    def __call__(self, image):
        return image + float(self.R.normal()) + float(np.random.normal()) + torch.randn(4)  # noqa: NPY002


class Noisy(Dataset):
    """Twelve images, each of which is another one every time it is read."""

    def __init__(self):
        self.noise = Noise()
        self.images = torch.cat([batch["image"] for batch in make_data()])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return {"image": self.noise(self.images[index])}


def train(directory, workers=0, signal_at=None, number=signal.SIGTERM, resume=None, max_epochs=3):
    """Weights, losses of each iteration, and the code with which the run ended; six iterations an epoch."""
    game = make_game()
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    dataset = Noisy()
    dataset.noise.set_random_state(0)
    loader = DataLoader(dataset, batch_size=2, sampler=RandomSampler(dataset), num_workers=workers)
    ema = ExponentialMovingAverage(game.generator, decay=0.9)
    checkpoint = TrainingCheckpoint(directory, {"model": ema.module}, {}, resume=resume)
    trainer = make_trainer(game, data=loader, max_epochs=max_epochs, ema=ema, train_handlers=[checkpoint])
    losses = {}

    @trainer.on(Events.ITERATION_COMPLETED)
    def look(engine):
        losses[engine.state.iteration] = {**engine.state.output[0]["loss"], "global": torch.rand(()).item()}

    if signal_at is not None:
        trainer.add_event_handler(Events.ITERATION_STARTED(once=signal_at), lambda _: os.kill(os.getpid(), number))

    code = 0
    try:
        trainer.run()
    except SystemExit as end:
        code = end.code
    return weights(game.critic, game.generator, ema.module), losses, code


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("signal_at", [4, 12, 17], ids=["first epoch", "last of an epoch", "last but one"])
def test_a_stopped_run_goes_on_in_the_middle_of_the_epoch(tmp_path, workers, signal_at):
    whole, expected, code = train(tmp_path / "whole", workers)
    assert code == 0
    _, before, code = train(tmp_path / "parts", workers, signal_at)
    assert code == 143
    assert list(before) == list(range(1, signal_at + 1))
    resumed, after, code = train(tmp_path / "parts", workers, resume="auto")
    assert code == 0
    assert before | after == expected
    assert list(after) == list(range(signal_at + 1, 19))
    assert torch.equal(resumed, whole)


def test_stopped_twice_in_one_epoch(tmp_path):
    whole, expected, _ = train(tmp_path / "whole")
    train(tmp_path / "parts", signal_at=8)
    _, middle, code = train(tmp_path / "parts", signal_at=10, resume="auto")
    assert code == 143
    assert list(middle) == [9, 10]
    resumed, after, _ = train(tmp_path / "parts", resume="auto")
    assert middle | after == {i: expected[i] for i in range(9, 19)}
    assert torch.equal(resumed, whole)


def test_ctrl_c_says_how_to_go_on(tmp_path, caplog):
    _, losses, code = train(tmp_path, signal_at=8, number=signal.SIGINT)
    assert code == 130
    assert max(losses) == 8
    (line,) = [record.message for record in caplog.records if "Stopped by" in record.message]
    assert "SIGINT after iteration 8" in line
    assert "--resume auto" in line
    assert (tmp_path / "checkpoint_epoch=1_iteration=8.pt").is_file()
    assert (tmp_path / "model_last.pt").is_file()


def test_signals_mean_what_they_meant_before_and_after(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    train(tmp_path, max_epochs=1)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_second_ctrl_c_interrupts_at_once(tmp_path):
    game = make_game()
    trainer = make_trainer(game, train_handlers=[TrainingCheckpoint(tmp_path, {}, {})])

    @trainer.on(Events.ITERATION_STARTED)
    def interrupt(engine):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert checkpoints(tmp_path) == []


def test_a_signal_before_the_first_iteration_claims_nothing(tmp_path, caplog):
    class Early:
        def attach(self, engine):
            engine.add_event_handler(Events.STARTED, lambda _: os.kill(os.getpid(), signal.SIGTERM))

    trainer = make_trainer(make_game(), train_handlers=[TrainingCheckpoint(tmp_path, {}, {}), Early()])
    with pytest.raises(SystemExit) as end:
        trainer.run()
    assert end.value.code == 143
    assert checkpoints(tmp_path) == []
    assert "Stopped by SIGTERM before the first iteration" in caplog.text


def _signal_to_all(folder):
    """Name of a signal -> the code with which a run ended, all of whose processes got it."""
    os.setsid()  # a group of their own
    codes = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        loader = DataLoader(Noisy(), batch_size=2, num_workers=2)
        checkpoint = TrainingCheckpoint(f"{folder}/{number.name}", {}, {})
        trainer = make_trainer(make_game(), data=loader, train_handlers=[checkpoint])
        signalled = Events.ITERATION_STARTED(once=3)
        trainer.add_event_handler(signalled, lambda _, number=number: os.killpg(0, number))
        try:
            trainer.run()
        except SystemExit as end:
            codes[number.name] = end.code
    return codes


def test_a_signal_to_all_processes_does_not_break_an_iteration(tmp_path):
    """Terminals and schedulers signal a whole group: a loader's worker that died would end the run with an error."""
    assert in_another_process(_signal_to_all, str(tmp_path)) == {"SIGTERM": 143, "SIGINT": 130}
    for name in ("SIGTERM", "SIGINT"):
        assert [path.name for _, path in checkpoints(tmp_path / name)] == ["checkpoint_epoch=0_iteration=3.pt"]


def _process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    game = make_game()
    data = [{"image": batch["image"][rank::2]} for batch in make_data()]
    checkpoint = TrainingCheckpoint(folder, {"model": game.generator}, {}, resume="auto")
    trainer = make_trainer(game, make_updates(game), data, max_epochs=3, train_handlers=[checkpoint])
    if rank == 1 and not checkpoints(Path(folder)):
        trainer.add_event_handler(Events.ITERATION_STARTED(once=5), lambda _: os.kill(os.getpid(), signal.SIGTERM))
    code = 0
    try:
        trainer.run()
    except SystemExit as end:
        code = end.code
    result = [weights(game.critic, game.generator), trainer.state.iteration, code]
    dist.barrier()
    torch.save(result, f"{folder}/rank{rank}_{code}.pth")
    dist.destroy_process_group()


def test_all_processes_stop_after_the_same_iteration(tmp_path):
    """Also if only one of them gets the signal, and not the one that saves."""
    in_two_processes(_process, str(tmp_path))
    stopped = [torch.load(tmp_path / f"rank{rank}_143.pth") for rank in range(2)]
    assert [iteration for _, iteration, _ in stopped] == [5, 5]
    in_two_processes(_process, str(tmp_path))
    resumed = torch.load(tmp_path / "rank0_0.pth")

    game = make_game()
    trainer = make_trainer(game, max_epochs=3)
    trainer.run()
    assert resumed[1] == 9
    torch.testing.assert_close(resumed[0], weights(game.critic, game.generator), rtol=1e-4, atol=1e-5)
