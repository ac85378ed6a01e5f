"""A run that stops and resumes is the run that never stopped; what is written is whole."""

import contextlib
import json
import os

import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import LrScheduleHandler

from tests.engines.toys import make_data, make_game, make_old, make_trainer, make_updates, weights
from tools.engines.checkpoint import TrainingCheckpoint, checkpoints, newest_whole_checkpoint
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.weights import BestModel, ModelLoader, model_settings


def run(directory, max_epochs, resume=None, seed=0, stop_at=None, game=None, **options):
    """Train the toy game with checkpoints in ``directory``; ``stop_at`` raises in that iteration."""
    game = game or make_game(seed)
    ema = ExponentialMovingAverage(game.generator, decay=0.9)
    checkpoint = TrainingCheckpoint(directory, {"model": ema.module}, {"image_size": 4}, resume=resume, **options)
    trainer = make_trainer(game, make_updates(game), max_epochs=max_epochs, ema=ema, train_handlers=[checkpoint])
    numbers = []

    @trainer.on(Events.ITERATION_COMPLETED)
    def use_global_randomness(engine):
        numbers.append(torch.rand(()).item())
        if engine.state.iteration == stop_at:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        trainer.run()
    return weights(game.critic, game.generator, ema.module), numbers, trainer


@pytest.mark.parametrize("stop_at", [None, 7], ids=["between epochs", "within an epoch"])
def test_resumed_run_equals_uninterrupted_run_bit_for_bit(tmp_path, stop_at):
    whole, numbers, _ = run(tmp_path / "whole", max_epochs=4)
    run(tmp_path / "parts", max_epochs=2 if stop_at is None else 4, stop_at=stop_at)
    resumed, later, trainer = run(tmp_path / "parts", max_epochs=4, resume="auto", seed=99)
    assert trainer.state.iteration == 12
    assert torch.equal(resumed, whole)
    assert later == numbers[6:]


@pytest.mark.parametrize("stop_at", [None, 7], ids=["between epochs", "within an epoch"])
def test_a_run_of_an_earlier_version_goes_on_bit_for_bit(tmp_path, stop_at):
    whole, numbers, _ = run(tmp_path / "whole", max_epochs=4)
    run(tmp_path / "parts", max_epochs=2 if stop_at is None else 4, stop_at=stop_at)
    make_old(newest_whole_checkpoint(tmp_path / "parts")[0])
    resumed, later, trainer = run(tmp_path / "parts", max_epochs=4, resume="auto", seed=99)
    assert torch.equal(resumed, whole)
    assert later == numbers[6:]
    assert trainer.images == 48  # which it did not say


@pytest.mark.parametrize("epoch_length", [2, 5], ids=["a part of a pass", "more than a pass"])
@pytest.mark.parametrize("stop_at", [4, 5, 6, 7])
def test_epochs_that_are_no_passes(tmp_path, epoch_length, stop_at):
    """The loader has three batches, in another order in each pass."""

    def go(folder, stop_at=None):
        game = make_game()
        dataset = [{"image": row} for row in torch.cat([batch["image"] for batch in make_data()])]
        loader = torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True)
        checkpoint = TrainingCheckpoint(folder, {}, {}, resume="auto")
        options = {"max_epochs": 10 // epoch_length, "epoch_length": epoch_length, "train_handlers": [checkpoint]}
        trainer = make_trainer(game, make_updates(game), loader, **options)
        trainer.add_event_handler(
            Events.ITERATION_STARTED,
            lambda engine: setattr(trainer.signals, "received", 15 * (engine.state.iteration == stop_at)),
        )
        with contextlib.suppress(SystemExit):
            trainer.run()
        return weights(game.critic, game.generator)

    torch.manual_seed(1)
    whole = go(tmp_path / "whole")
    torch.manual_seed(1)
    go(tmp_path / "parts", stop_at)
    assert torch.equal(go(tmp_path / "parts"), whole)


def test_a_second_run_of_a_trainer_goes_on_as_federated_rounds_do(tmp_path):
    """It sets nothing aside, and is the run that never stopped."""
    whole, _, _ = run(tmp_path / "whole", max_epochs=3)
    game = make_game()
    _, _, trainer = run(tmp_path / "rounds", max_epochs=1, game=game)
    for _ in range(2):
        trainer.state.max_epochs = trainer.state.epoch + 1
        trainer.run()
    assert torch.equal(weights(game.critic, game.generator, trainer.averages[0].module), whole)
    assert not list((tmp_path / "rounds").glob("earlier_*"))
    assert [path.name for _, path in checkpoints(tmp_path / "rounds")] == [f"checkpoint_epoch={n}.pt" for n in (3, 2)]


def test_checkpoint_holds_what_design_lists(tmp_path):
    run(tmp_path, max_epochs=1)
    state = torch.load(tmp_path / "checkpoint_epoch=1.pt", weights_only=True)
    assert set(state["networks"]) == set(state["optimizers"]) == set(state["scalers"]) == {"critic", "generator"}
    assert state["epoch"] == 1
    assert state["iteration"] == 3
    assert set(state["random"]) == {"python", "numpy", "torch", "cuda"}
    assert state["versions"]["torch"] == str(torch.__version__)
    assert state["settings"] == {"image_size": 4}
    assert state["averages"][0]["n_averaged"] == 3


def test_what_else_has_a_state_comes_back(tmp_path):
    """A schedule of the learning rate that a resumed run goes on with, as PyTorch computes it."""

    def scheduled(directory, max_epochs, resume=None):
        game = make_game()
        updates = make_updates(game)
        schedule = torch.optim.lr_scheduler.LambdaLR(updates[0].optimizer, lambda epoch: 1 / (1 + epoch))
        handlers = [
            LrScheduleHandler(schedule, print_lr=False),
            TrainingCheckpoint(directory, {}, {}, resume=resume, also={"schedule": schedule}),
        ]
        make_trainer(game, updates, max_epochs=max_epochs, train_handlers=handlers).run()
        return weights(game.critic, game.generator), schedule.get_last_lr()

    whole = scheduled(tmp_path / "whole", 4)
    scheduled(tmp_path / "parts", 2)
    resumed = scheduled(tmp_path / "parts", 4, resume="auto")
    assert resumed[1] == whole[1] == [pytest.approx(0.01 / 5)]
    assert torch.equal(resumed[0], whole[0])


def test_auto_skips_a_truncated_checkpoint(tmp_path):
    whole, _, _ = run(tmp_path / "whole", max_epochs=3)
    run(tmp_path / "parts", max_epochs=2)
    newest = tmp_path / "parts" / "checkpoint_epoch=2.pt"
    newest.write_bytes(newest.read_bytes()[:2000])
    assert newest_whole_checkpoint(tmp_path / "parts")[0].name == "checkpoint_epoch=1.pt"
    resumed, _, _ = run(tmp_path / "parts", max_epochs=3, resume="auto")
    assert torch.equal(resumed, whole)


def test_auto_without_checkpoints_starts(tmp_path):
    _, _, trainer = run(tmp_path, max_epochs=1, resume="auto")
    assert trainer.state.epoch == 1


def test_resume_from_a_path(tmp_path):
    run(tmp_path / "a", max_epochs=2)
    whole, _, _ = run(tmp_path / "whole", max_epochs=3)
    resumed, _, _ = run(tmp_path / "b", max_epochs=3, resume=str(tmp_path / "a" / "checkpoint_epoch=2.pt"))
    assert torch.equal(resumed, whole)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt: no such file"):
        run(tmp_path / "c", max_epochs=1, resume=str(tmp_path / "nowhere.pt"))


def test_resuming_a_finished_run_trains_no_more(tmp_path):
    done, _, _ = run(tmp_path, max_epochs=2)
    again, _, trainer = run(tmp_path, max_epochs=2, resume="auto")
    assert trainer.state.iteration == 6
    assert torch.equal(again, done)


def test_checkpoint_of_other_networks_is_refused(tmp_path):
    run(tmp_path, max_epochs=1)
    game = make_game()
    game.critic[0] = torch.nn.Linear(4, 16)
    checkpoint = TrainingCheckpoint(tmp_path, {"model": game.generator}, {"image_size": 8}, resume="auto")
    trainer = make_trainer(game, make_updates(game), train_handlers=[checkpoint])
    with pytest.raises(ValueError, match=r"does not fit .*'image_size': '4 then, 8 now'"):
        trainer.run()


def test_only_the_newest_are_kept_and_a_new_run_sets_the_old_one_aside(tmp_path):
    run(tmp_path, max_epochs=4)
    assert [epoch for epoch, _ in checkpoints(tmp_path)] == [4, 3]
    run(tmp_path, max_epochs=1)
    assert [epoch for epoch, _ in checkpoints(tmp_path)] == [1]
    (earlier,) = tmp_path.glob("earlier_*")
    assert [epoch for epoch, _ in checkpoints(earlier)] == [4, 3]
    assert (earlier / "model_last.pt").is_file()


def test_interval_and_last_epoch(tmp_path):
    run(tmp_path, max_epochs=5, save_interval=2, n_saved=9)
    assert [epoch for epoch, _ in checkpoints(tmp_path)] == [5, 4, 2]


def test_other_epoch_length_goes_on_at_the_next_epoch(tmp_path):
    run(tmp_path, max_epochs=2)
    game = make_game()
    ema = ExponentialMovingAverage(game.generator, decay=0.9)
    checkpoint = TrainingCheckpoint(tmp_path, {"model": ema.module}, {}, resume="auto")
    trainer = make_trainer(game, data=make_data(batches=5), max_epochs=3, ema=ema, train_handlers=[checkpoint])
    trainer.run()
    assert (trainer.state.epoch, trainer.state.iteration) == (3, 15)


def test_non_finite_loss_leaves_the_last_good_checkpoint(tmp_path):
    game = make_game()
    data = make_data()
    checkpoint = TrainingCheckpoint(tmp_path, {"model": game.generator}, {})
    trainer = make_trainer(game, make_updates(game), data, max_epochs=3, train_handlers=[checkpoint])

    @trainer.on(Events.EPOCH_STARTED(once=3))
    def spoil(engine):
        data[1]["image"][:] = float("nan")

    with pytest.raises(FloatingPointError, match="iteration 8, epoch 3"):
        trainer.run()
    path, state = newest_whole_checkpoint(tmp_path)
    assert path.name == "checkpoint_epoch=2.pt"
    assert all(tensor.isfinite().all() for tensor in state["networks"]["generator"].values())


def test_best_model_is_kept_by_the_key_metric(tmp_path):
    """Of the metric values 3, 1, 2 (smaller is better) the second is kept, also over a resume."""
    network = torch.nn.Linear(1, 1)
    values = iter([3.0, 1.0, 2.0])
    evaluator = Engine(lambda engine, batch: None)
    evaluator.state.best_metric, evaluator.state.best_metric_epoch = -1, -1
    evaluator.state.key_metric_name = "fid"
    BestModel(tmp_path, {"model": network}, {"image_size": 4}).attach(evaluator)

    for epoch in (1, 2, 3):
        torch.nn.init.constant_(network.weight, epoch)
        evaluator.state.epoch, value = epoch, next(values)
        if evaluator.state.best_metric_epoch == -1 or value < evaluator.state.best_metric:
            evaluator.state.best_metric, evaluator.state.best_metric_epoch = value, epoch
        evaluator.fire_event(Events.COMPLETED)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 2
    assert model_settings(tmp_path / "model.pt") == {"image_size": 4, "epoch": 2, "fid": 1.0}


def test_best_metric_survives_a_resume(tmp_path):
    evaluator = Engine(lambda engine, batch: None)
    evaluator.state.best_metric, evaluator.state.best_metric_epoch = 0.25, 1
    run(tmp_path, max_epochs=1, evaluator=evaluator)
    fresh = Engine(lambda engine, batch: None)
    run(tmp_path, max_epochs=2, resume="auto", evaluator=fresh)
    assert (fresh.state.best_metric, fresh.state.best_metric_epoch) == (0.25, 1)


def test_loading_a_model(tmp_path):
    network, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    engine = Engine(lambda engine, batch: None)
    ModelLoader(tmp_path / "model.pt", other).attach(engine)
    engine.run([0])
    assert torch.equal(other.weight, network.weight)
    with pytest.raises(FileNotFoundError, match=r"no weights at .*other\.pt\. Train the bundle first"):
        ModelLoader(tmp_path / "other.pt", other).load()
    with pytest.raises(ValueError, match="do not fit the network"):
        ModelLoader(tmp_path / "model.pt", torch.nn.Linear(5, 3)).load()
    (tmp_path / "model.json").write_text(json.dumps({"image_size": 64}))
    assert model_settings(tmp_path / "model.pt", {"image_size": 256, "x": 1}) == {"image_size": 64, "x": 1}
    assert model_settings(tmp_path / "none.pt", {"image_size": 256}) == {"image_size": 256}


def test_pickled_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"weight": Trap()}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds more than tensors"):
        ModelLoader(tmp_path / "model.pt", torch.nn.Linear(2, 2)).load()
    torch.save({"networks": Trap()}, tmp_path / "checkpoint_epoch=1.pt")
    assert newest_whole_checkpoint(tmp_path) is None
    assert not (tmp_path / "sprung").exists()
