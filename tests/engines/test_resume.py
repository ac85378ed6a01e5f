"""What a resumed run takes from its checkpoint and what from its config; going back; damaged files."""

import re
import zipfile

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.handlers import LrScheduleHandler

from tests.engines.toys import make_game, make_old, make_trainer, make_updates, weights
from tools.engines.checkpoint import TrainingCheckpoint, checkpoints, newest_whole_checkpoint
from tools.engines.weights import save_model
from tools.files import PARTIAL, whole_file
from tools.torch_files import write_torch_file


def adam(lr=0.01, betas=(0.9, 0.999), weight_decay=0.0):
    return lambda parameters: torch.optim.Adam(parameters, lr=lr, betas=betas, weight_decay=weight_decay)


def train(directory, max_epochs, optimizer=None, schedule=None, resume="auto", settings=None, **options):
    """The trainer after a run, with a schedule of both rates if one is given."""
    game = make_game()
    updates = make_updates(game, optimizer or adam(), schedule=schedule)
    handlers = [TrainingCheckpoint(directory, {}, settings or {}, resume=resume, **options)]
    trainer = make_trainer(game, updates, max_epochs=max_epochs, train_handlers=handlers)
    trainer.run()
    return trainer


def train_with_handlers(directory, max_epochs, optimizer, schedule):
    """The same, with schedules that are no update's, as checkpoints of before had them."""
    game = make_game()
    updates = make_updates(game, optimizer)
    schedules = {f"{update.name}_schedule": schedule(update.optimizer) for update in updates}
    handlers = [LrScheduleHandler(one, print_lr=False) for one in schedules.values()]
    handlers += [TrainingCheckpoint(directory, {}, {}, resume="auto", also=schedules)]
    trainer = make_trainer(game, updates, max_epochs=max_epochs, train_handlers=handlers)
    trainer.run()
    return trainer


def group(trainer):
    return trainer.updates[0].optimizer.param_groups[0]


def said(caplog):
    return [record.message for record in caplog.records if "in the checkpoint" in record.message]


def falling(slope):
    return lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - slope * epoch)


def stepwise(size):
    return lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, size, gamma=0.5)


def test_hyperparameters_of_the_config_hold(tmp_path, caplog):
    train(tmp_path, 1)
    trainer = train(tmp_path, 2, adam(1e-6, (0.0, 0.9), 0.1))
    assert (group(trainer)["lr"], group(trainer)["betas"], group(trainer)["weight_decay"]) == (1e-6, (0.0, 0.9), 0.1)
    state = torch.load(tmp_path / "checkpoint_epoch=2.pt", weights_only=True)
    assert state["optimizers"]["generator"]["param_groups"][0]["lr"] == 1e-6
    assert said(caplog)[:3] == [
        "This run has critic.lr: 1e-06, 0.01 in the checkpoint.",
        "This run has critic.betas: [0.0, 0.9], [0.9, 0.999] in the checkpoint.",
        "This run has critic.weight_decay: 0.1, 0.0 in the checkpoint.",
    ]
    assert len(said(caplog)) == 6  # of the other optimizer as well


def test_a_rate_that_is_given_is_used_from_the_first_step(tmp_path):
    """A rate of 0 leaves the weights as they are, whatever Adam remembers."""
    before = train(tmp_path, 1)
    after = train(tmp_path, 2, adam(lr=0.0))
    assert torch.equal(*(weights(trainer.networks["critic"]) for trainer in (before, after)))
    assert group(after)["lr"] == 0.0


def test_unchanged_settings_say_nothing(tmp_path, caplog):
    train(tmp_path, 1, schedule=falling(0.1), settings={"window": (0, 1), "data": {"path": "a"}})
    train(tmp_path, 2, schedule=falling(0.1), settings={"window": (0, 1), "data": {"path": "a"}})
    assert said(caplog) == []


def test_settings_that_differ_are_named(tmp_path, caplog):
    train(tmp_path, 1, settings={"seed": 0, "precision": "fp32", "data": {"path": "a", "volumes": 3}})
    train(tmp_path, 2, settings={"seed": 0, "precision": "bf16", "data": {"path": "b", "volumes": 3}})
    assert said(caplog) == [
        "This run has precision: bf16, fp32 in the checkpoint.",
        "This run has data.path: b, a in the checkpoint.",
    ]


@pytest.mark.parametrize("schedule", [falling(0.1), stepwise(2)], ids=["LambdaLR", "StepLR"])
def test_a_base_rate_that_is_given_holds_under_a_schedule(tmp_path, schedule, caplog):
    """As if the schedule had been of that rate from the beginning."""
    expected = train(tmp_path / "whole", 5, adam(0.004), schedule)
    train(tmp_path / "parts", 3, adam(0.01), schedule)
    trainer = train(tmp_path / "parts", 5, adam(0.004), schedule)
    assert group(trainer)["lr"] == pytest.approx(group(expected)["lr"], rel=1e-12)
    assert group(trainer)["initial_lr"] == 0.004
    assert any("critic.lr" in line for line in said(caplog))


def test_a_schedule_that_is_given_holds(tmp_path):
    """Another slope, from the first resumed epoch on; another length of steps."""
    train(tmp_path / "lambda", 3, schedule=falling(0.1))
    trainer = train(tmp_path / "lambda", 3, schedule=falling(0.2))
    assert group(trainer)["lr"] == 0.01 * (1 - 0.2 * 3)
    train(tmp_path / "steps", 1, schedule=stepwise(2))
    trainer = train(tmp_path / "steps", 6, schedule=stepwise(3))
    assert group(trainer)["lr"] == pytest.approx(0.01 / 4)
    assert trainer.state.epoch == 6


@pytest.mark.parametrize("schedule", [falling(0.1), stepwise(2)], ids=["LambdaLR", "StepLR"])
def test_an_updates_schedule_is_stepped_and_saved_as_one_of_a_handler(tmp_path, schedule):
    """The same weights and rates, also of a run that began with handlers and goes on without."""
    expected = train_with_handlers(tmp_path / "handlers", 5, adam(), schedule)
    whole = train(tmp_path / "whole", 5, schedule=schedule)
    train_with_handlers(tmp_path / "parts", 3, adam(), schedule)
    make_old(tmp_path / "parts" / "checkpoint_epoch=3.pt")
    resumed = train(tmp_path / "parts", 5, schedule=schedule)
    for trainer in (whole, resumed):
        assert group(trainer)["lr"] == group(expected)["lr"] != 0.01
        assert torch.equal(weights(*trainer.networks.values()), weights(*expected.networks.values()))
    saved = torch.load(tmp_path / "whole" / "checkpoint_epoch=5.pt", weights_only=True)
    assert {name: one["last_epoch"] for name, one in saved["schedules"].items()} == {"critic": 5, "generator": 5}


def test_a_schedule_that_the_checkpoint_has_not_is_named(tmp_path):
    train(tmp_path, 1)
    with pytest.raises(
        ValueError, match="it has no state of schedules#critic, schedules#generator, which this run has"
    ):
        train(tmp_path, 2, schedule=falling(0.1))


def change_checkpoint(path, **entries):
    write_torch_file(path, torch.load(path, weights_only=True) | entries)


def test_a_checkpoint_with_other_random_numbers_is_named(tmp_path, caplog):
    train(tmp_path, 1)
    make_old(tmp_path / "checkpoint_epoch=1.pt")
    assert train(tmp_path, 2).state.iteration == 6
    (line,) = said(caplog)
    assert line.startswith("This run has random numbers of version 2, 1 in the checkpoint: it goes on, though not")
    caplog.clear()
    train(tmp_path, 3)
    assert said(caplog) == []
    change_checkpoint(tmp_path / "checkpoint_epoch=3.pt", draws=3)
    with pytest.raises(ValueError, match="random numbers are of version 3, and those here of 2: update tools"):
        train(tmp_path, 4)


def test_another_precision_holds(tmp_path):
    """fp16 has a scale for its losses, of which fp32 saves nothing."""
    train(tmp_path, 1)
    game = make_game()
    checkpoint = TrainingCheckpoint(tmp_path, {}, {}, resume="auto")
    trainer = make_trainer(game, make_updates(game), max_epochs=1, precision="fp16", train_handlers=[checkpoint])
    trainer.run()
    assert trainer.scalers["critic"].is_enabled()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


@pytest.mark.parametrize("outside", [False, True], ids=["file of the folder", "copy elsewhere"])
def test_going_back_starts_a_line_of_its_own(tmp_path, outside):
    folder = tmp_path / "models"
    train(folder, 6, resume=None, n_saved=6)
    older = folder / "checkpoint_epoch=2.pt"
    if outside:
        older = older.rename(tmp_path / "kept.pt")
    for name in ("model.pt", "model.json"):
        (folder / name).write_text("{}")
    trainer = train(folder, 4, adam(0.001), resume=str(older))
    assert trainer.state.epoch == 4
    assert names(folder) == ["checkpoint_epoch=3.pt", "checkpoint_epoch=4.pt"]
    (earlier,) = folder.glob("earlier_*")
    abandoned = [f"checkpoint_epoch={epoch}.pt" for epoch in ([1] if outside else []) + [3, 4, 5, 6]]
    assert names(earlier) == [*abandoned, "model.json", "model.pt"]
    for epoch, rate in ((4, 0.001), (6, 0.01)):
        path = (folder if epoch == 4 else earlier) / f"checkpoint_epoch={epoch}.pt"
        assert torch.load(path, weights_only=True)["optimizers"]["critic"]["param_groups"][0]["lr"] == rate
    assert train(folder, 5).state.iteration == 15
    assert names(folder) == ["checkpoint_epoch=4.pt", "checkpoint_epoch=5.pt"]


def test_auto_follows_a_line_that_has_only_begun(tmp_path, monkeypatch):
    """Killed before its first checkpoint, it still does not go back to the beginning or to the line that was left."""
    folder = tmp_path / "models"
    train(folder, 3, resume=None)
    older = (folder / "checkpoint_epoch=2.pt").rename(tmp_path / "kept.pt")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingCheckpoint, "save", lambda *_, **__: None)
        train(folder, 3, resume=str(older))
    assert newest_whole_checkpoint(folder)[0].name == "checkpoint_epoch=2.pt"


def test_a_file_that_does_not_fit_moves_nothing(tmp_path):
    train(tmp_path, 3, resume=None, n_saved=3)
    game = make_game()
    game.critic[0] = torch.nn.Linear(4, 16)
    before = names(tmp_path)
    older = str(tmp_path / "checkpoint_epoch=1.pt")
    trainer = make_trainer(game, train_handlers=[TrainingCheckpoint(tmp_path, {}, {}, resume=older)])
    with pytest.raises(ValueError, match="does not fit"):
        trainer.run()
    assert names(tmp_path) == before
    assert not list(tmp_path.glob("earlier_*"))


def evaluator(metric, epoch):
    engine = Engine(lambda engine, batch: None)
    engine.state.best_metric, engine.state.best_metric_epoch, engine.state.key_metric_name = metric, epoch, "fid"
    return engine


@pytest.mark.parametrize(("kept_epoch", "kept_metric"), [(1, 0.5), (4, 0.25)], ids=["still there", "overwritten"])
def test_going_back_keeps_the_best_model_of_that_time_only(tmp_path, kept_epoch, kept_metric):
    """One of a later time must not stay as the best; then the next validation has to write one."""
    game = make_game()

    def go(max_epochs, resume, engine):
        models = {"model": game.generator}
        checkpoint = TrainingCheckpoint(tmp_path, models, {}, engine, resume=resume, n_saved=9)
        make_trainer(game, make_updates(game), max_epochs=max_epochs, train_handlers=[checkpoint]).run()

    go(4, None, evaluator(0.5, 1))
    save_model(tmp_path / "model.pt", game.generator, {"epoch": kept_epoch, "fid": kept_metric})
    resumed = evaluator(-1, -1)
    go(3, str(tmp_path / "checkpoint_epoch=2.pt"), resumed)
    kept = kept_epoch == 1
    assert (tmp_path / "model.pt").is_file() == kept
    assert (resumed.state.best_metric, resumed.state.best_metric_epoch) == ((0.5, 1) if kept else (-1, -1))


def flip(path, rng):
    """Change one bit in the content of one of the archive's tensors."""
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if "/data/" in info.filename and info.file_size]
    member = members[rng.integers(len(members))]
    data = bytearray(path.read_bytes())
    name, extra = np.frombuffer(data, "<u2", 2, member.header_offset + 26)
    place = member.header_offset + 30 + int(name) + int(extra) + rng.integers(member.file_size)
    data[place] ^= 1 << rng.integers(8)
    path.write_bytes(data)


def zero_block(path, rng):
    data = bytearray(path.read_bytes())
    start = rng.integers(1000, len(data) // 2)
    data[start : start + 512] = bytes(512)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [flip, zero_block])
@pytest.mark.parametrize("seed", range(5))
def test_auto_goes_on_before_a_checkpoint_whose_bytes_changed(tmp_path, damage, seed, caplog):
    train(tmp_path, 2, resume=None)
    newest = tmp_path / "checkpoint_epoch=2.pt"
    damage(newest, np.random.default_rng(seed))
    damaged = newest.read_bytes()
    path, _ = newest_whole_checkpoint(tmp_path)
    assert path.name == "checkpoint_epoch=1.pt"
    assert f"{newest} cannot be read" in caplog.text
    with pytest.raises(ValueError, match=r"damaged|cut off"):
        train(tmp_path, 3, resume=str(newest))
    train(tmp_path, 3, n_saved=1)
    assert names(tmp_path) == ["checkpoint_epoch=3.pt"]
    (earlier,) = tmp_path.glob("earlier_*")
    assert (earlier / newest.name).read_bytes() == damaged


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04", bytes(5000)], ids=["empty", "html", "zip", "zeros"])
def test_auto_survives_any_file(tmp_path, content):
    train(tmp_path, 1, resume=None)
    (tmp_path / "checkpoint_epoch=9.pt").write_bytes(content)
    assert train(tmp_path, 2).state.iteration == 6


def test_weights_are_no_checkpoint(tmp_path):
    torch.save(make_game().generator.state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="no checkpoint of a training"):
        train(tmp_path, 1, resume=str(tmp_path / "model.pt"))
    assert (tmp_path / "model.pt").is_file()


def test_what_a_dead_run_left_half_written_is_removed(tmp_path):
    with whole_file(tmp_path / "checkpoint_epoch=1.pt") as left:
        left.write_bytes(b"whole")
    (tmp_path / "checkpoint_epoch=1.pt").unlink()
    left.write_bytes(b"half")  # a killed process leaves it
    assert left.match(PARTIAL)
    train(tmp_path, 1)
    assert names(tmp_path) == ["checkpoint_epoch=1.pt"]


def test_checkpoints_in_order(tmp_path):
    for name in ("epoch=2", "epoch=10", "epoch=2_iteration=7", "epoch=1_iteration=30", "epoch=2_iteration=12"):
        (tmp_path / f"checkpoint_{name}.pt").touch()
    found = [re.fullmatch(r"checkpoint_(.*)\.pt", path.name)[1] for _, path in checkpoints(tmp_path)]
    assert found == ["epoch=10", "epoch=2_iteration=12", "epoch=2_iteration=7", "epoch=2", "epoch=1_iteration=30"]
