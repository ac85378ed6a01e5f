"""Saving a training run so that it can go on as if it had never stopped."""

from __future__ import annotations

import logging
import math
import re
import signal
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ignite.engine import Engine, Events
from torch import nn

from tools.engines.hyperparameters import differences
from tools.engines.lock import hold
from tools.engines.private_training import check_resumed
from tools.engines.processes import decided_by_first, rank_and_world_size
from tools.engines.state import is_within, progress, restore, state_of, upgraded
from tools.engines.trainer import AlternatingTrainer
from tools.engines.weights import model_settings, save_model
from tools.files import remove_partial
from tools.torch_files import is_checkpoint, read_torch_file, write_torch_file

if TYPE_CHECKING:
    from torch.distributed.checkpoint.stateful import Stateful

logger = logging.getLogger(__name__)


class TrainingCheckpoint:
    """Handler of an ``AlternatingTrainer`` that saves its whole state and resumes from it.

    Every ``save_interval`` epochs, at the end, before and after every validation, and when the run is stopped, process
    0 writes ``checkpoint_epoch=N.pt`` and the networks that inference needs as ``<name>_last.pt``; in the middle of an
    epoch ``checkpoint_epoch=N_iteration=M.pt``, where N counts complete epochs. Files appear under their names only
    when they are complete. A checkpoint holds all parts of the training that have a state (``tools.engines.state``),
    epoch and iteration, versions and settings.

    The states are put back by ignite's ``Checkpoint.load_objects``. What ignite's ``Checkpoint`` and ``DiskSaver`` and
    MONAI's ``CheckpointSaver`` do not do, and is done here: they look at no folder, so that ``n_saved`` counts the
    files of one process (or of one checkpoint, that has the saver's own state); they remove a file before they write
    the one that replaces it, and do not wait for the disk; they keep neither random states nor the middle of an epoch;
    and MONAI's ``CheckpointLoader`` takes one path, does not look for the newest file that is whole, and loads rates
    and betas over those of the config.

    The folder holds one line of checkpoints, and one run at a time writes into it. A run that does not resume moves the
    files of an earlier run into a folder beside them, and one that goes back to an earlier checkpoint those of the line
    that it leaves. Rates, betas and schedules are those of the config, also in a resumed run.

    Attach it before the ``Validation``, so that a validation that fails costs no epoch.

    Args:
        directory: folder for the files.
        models: the networks that inference needs, by name.
        settings: values needed to rebuild the models and to tell where they came from; primitives only.
        evaluator: the validation engine, whose best metric is kept over a resume.
        save_interval: epochs between two checkpoints.
        n_saved: number of checkpoints that are kept.
        resume: None, "auto" (the newest whole checkpoint in ``directory``, a new run if there is none) or a path.
        also: further parts of the state, by name: whatever has ``state_dict`` and ``load_state_dict``, for instance
            pools of past images.
        save_seconds: seconds after which another checkpoint is written, within an epoch too; None for none but those
            of epochs.
    """

    def __init__(
        self,
        directory: str,
        models: dict[str, nn.Module],
        settings: dict,
        evaluator: Engine | None = None,
        save_interval: int = 1,
        n_saved: int = 2,
        resume: str | None = None,
        also: Mapping[str, Stateful] | None = None,
        save_seconds: float | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.models = models
        self.settings = settings
        self.evaluator = evaluator
        self.save_interval = save_interval
        self.n_saved = n_saved
        self.resume = resume
        self.also = dict(also or {})
        self.save_seconds = save_seconds
        self._saved_at = time.monotonic()
        self._saved: int | None = None  # the iteration after which the newest checkpoint was written
        self._read: dict = {}  # the checkpoint to resume from, in process 0

    def attach(self, engine: AlternatingTrainer) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        engine.add_event_handler(Events.TERMINATE, self.terminated)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.STARTED, self._around_validation, engine)
            self.evaluator.add_event_handler(Events.COMPLETED, self._around_validation, engine, again=True)

    def start(self, engine: AlternatingTrainer) -> None:
        """Resume, or make room for a new run."""
        if self.save_seconds is not None and not engine.has_event_handler(self._save_in_time):
            # now that all others are attached: it runs after what they do at the end of an iteration
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._save_in_time)
        if engine.state.iteration > 0:  # goes on after an earlier run of the same trainer, as in federated rounds
            lock_folders(self.directory)
            return
        path = decided_by_first(self._begin)
        if path is None:
            return
        state = self._read if rank_and_world_size()[0] == 0 else read_checkpoint(path)
        self._read = {}
        try:
            state = upgraded(state)
        except ValueError as error:
            raise ValueError(f"{path} cannot be resumed from: {error}.") from error
        self._load(engine, path, state)
        if rank_and_world_size()[0] == 0:
            self._continue_line(path, state)
        self._saved = engine.state.iteration

    def epoch_completed(self, engine: AlternatingTrainer) -> None:
        epoch = engine.state.epoch
        if epoch % self.save_interval == 0 or epoch == engine.state.max_epochs:
            self.save(engine)

    def _save_in_time(self, engine: AlternatingTrainer) -> None:
        at_end_of_epoch = progress(engine)[1] == 0  # which is not complete yet
        if time.monotonic() - self._saved_at >= self.save_seconds and not at_end_of_epoch:
            self.save(engine)

    def terminated(self, engine: AlternatingTrainer) -> None:
        """Save, and say how to go on."""
        self.save(engine)
        if engine.stopping and rank_and_world_size()[0] == 0:
            iteration, name = engine.state.iteration, signal.Signals(engine.stopping).name
            if iteration == 0:
                logger.warning(f"Stopped by {name} before the first iteration.")
            else:
                logger.warning(
                    f"Stopped by {name} after iteration {iteration}, which is saved in {self.directory}. "
                    "Go on with the same command and --resume auto."
                )

    def _around_validation(self, _: Engine, engine: AlternatingTrainer, again: bool = False) -> None:
        if engine.last_event_name in (Events.STARTED, Events.EPOCH_COMPLETED):  # not one apart from the training
            self.save(engine, again)

    def save(self, engine: AlternatingTrainer, again: bool = False) -> None:
        """Write a checkpoint, unless there is one of this iteration, or ``again``."""
        iteration = engine.state.iteration
        if rank_and_world_size()[0] > 0 or iteration == 0 or (iteration == self._saved and not again):
            return
        epoch, within = progress(engine)
        if iteration != self._saved:
            for name, network in self.models.items():
                save_model(self.directory / f"{name}_last.pt", network, self.settings | {"epoch": epoch}, name)
        path = self._path(epoch, within, iteration)
        write_torch_file(path, state_of(engine, self.evaluator, self.also) | {"settings": self.settings})
        self._saved, self._saved_at = iteration, time.monotonic()
        for _, old in checkpoints(self.directory)[self.n_saved :]:
            old.unlink()
        logger.info(f"Saved {path}.")

    def _path(self, epoch: int, within: int | bool, iteration: int) -> Path:
        middle = f"_iteration={iteration}" if within else ""
        return self.directory / f"checkpoint_epoch={epoch}{middle}.pt"

    def _begin(self) -> Path | None:
        """Lock the folder, and choose the checkpoint to resume from."""
        hold(self.directory)
        remove_partial(self.directory)
        if self.resume is None:
            set_aside(self.directory, run_files(self.directory))
            return None
        if self.resume != "auto":
            path = Path(self.resume)
            if not path.is_file():
                raise FileNotFoundError(f"--resume {self.resume}: no such file. Give a checkpoint, or 'auto'.")
            self._read = read_checkpoint(path)
            return path
        found = newest_whole_checkpoint(self.directory)
        if found is None:
            logger.info(f"--resume auto: no whole checkpoint in {self.directory}, starting a new run.")
            set_aside(self.directory, [file for _, file in checkpoints(self.directory)])
            return None
        path, self._read = found
        return path

    def _load(self, engine: AlternatingTrainer, path: Path, state: dict) -> None:
        then = state.get("settings", {})
        check_resumed(then, self.settings)
        try:
            changed = restore(engine, self.evaluator, state, self.also)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            differing = {
                key: f"{then.get(key)} then, {value} now"
                for key, value in self.settings.items()
                if then.get(key) != value
            }
            raise ValueError(
                f"{path} does not fit the networks and optimizers of this run. Settings that differ: {differing}. "
                f"Resume with the settings of the checkpoint. First mismatch: {str(error)[:500]}"
            ) from error
        logger.info(f"Resumed from {path}: epoch {engine.state.epoch}, iteration {engine.state.iteration}.")
        if rank_and_world_size()[0] == 0:
            for line in [*differences(then, self.settings), *changed]:
                logger.warning(f"This run has {line}.")
        if engine.state.epoch >= engine.state.max_epochs:
            logger.warning(
                f"The checkpoint already has {engine.state.epoch} epochs, nothing is left to train. "
                "Ask for more with --max_epochs."
            )

    def _continue_line(self, path: Path, state: dict) -> None:
        """Leave in the folder what the checkpoint at ``path`` came from, and move the rest out of the way."""
        known = [file for _, file in checkpoints(self.directory)]
        here = next((i for i, file in enumerate(known) if file.samefile(path)), len(known))
        if self.resume == "auto":
            set_aside(self.directory, known[:here])  # damaged ones
            return
        keep = known[here:]
        best_is_here = self._has_best(state)
        if best_is_here:
            keep += [self.directory / f"{name}{ending}" for name in self.models for ending in (".pt", ".json")]
        set_aside(self.directory, [file for file in run_files(self.directory) if file not in keep])
        if self.evaluator is not None and state["validation"]["best"] is not None and not best_is_here:
            logger.info("The best model of that time is not here any more: the next validation chooses one anew.")
            state["validation"]["best"] = [-1, -1]
            self.evaluator.state.best_metric, self.evaluator.state.best_metric_epoch = -1, -1
        # "auto" goes on from here even if this run ends before its own first checkpoint
        write_torch_file(self._path(state["epoch"], is_within(state), state["iteration"]), state)

    def _has_best(self, state: dict) -> bool:
        """Return whether the best model that a checkpoint knows of is the one in the folder."""
        if self.evaluator is None or state["validation"]["best"] is None:
            return False
        metric, epoch = state["validation"]["best"]
        metric = None if math.isnan(metric) else metric  # as JSON has it
        for name in self.models:
            try:
                found = model_settings(self.directory / f"{name}.pt")
            except ValueError as error:
                logger.warning(f"{error} It is not taken for the best model.")
                return False
            if (found.get("epoch"), found.get(self.evaluator.state.key_metric_name)) != (epoch, metric):
                return False
        return True


def lock_folders(*folders: str) -> None:
    """Lock the folders that a training writes into, all its processes together, until it ends.

    Raises:
        FolderInUse: another training writes into one of them.
    """
    decided_by_first(lambda: hold(*folders))


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """(complete epochs, path) of all checkpoints in a directory, newest first."""
    found = [
        (re.fullmatch(r"checkpoint_epoch=(\d+)(?:_iteration=(\d+))?\.pt", p.name), p) for p in directory.glob("*.pt")
    ]
    ordered = sorted(((int(match[1]), int(match[2] or 0), path) for match, path in found if match), reverse=True)
    return [(epoch, path) for epoch, _, path in ordered]


def newest_whole_checkpoint(directory: Path) -> tuple[Path, dict] | None:
    """The newest checkpoint that can be read to its end, and its content."""
    for _, path in checkpoints(directory):
        try:
            return path, read_checkpoint(path)
        except Exception as error:  # damaged bytes can raise anything
            logger.warning(f"{path} cannot be read ({str(error)[:200]}), trying the one before.")
    return None


def read_checkpoint(path: Path) -> dict:
    """The content of a checkpoint, whose bytes are those that were written.

    Raises:
        ValueError: the file is damaged, or no checkpoint.
    """
    state = read_torch_file(path)
    if not is_checkpoint(state):
        raise ValueError(f"{path} is no checkpoint of a training: weights alone cannot be resumed from.")
    return state


def run_files(directory: Path) -> list[Path]:
    """Return what a run has written: checkpoints, models and their settings."""
    return [*directory.glob("*.pt"), *directory.glob("*.json")]


def set_aside(directory: Path, files: Iterable[Path]) -> None:
    """Move files of an earlier run into a folder beside them, so that a new one neither mixes with nor erases them."""
    files = list(files)
    if not files:
        return
    aside = directory / f"earlier_{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    aside.mkdir()
    for path in files:
        path.rename(aside / path.name)
    logger.info(f"Moved {len(files)} files of an earlier run from {directory} to {aside}.")
