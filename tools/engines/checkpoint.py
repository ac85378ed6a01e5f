"""Saving a training run so that it can go on as if it had never stopped."""

from __future__ import annotations

import logging
import pickle
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import monai
import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.distributed.checkpoint.stateful import Stateful

from tools.engines.trainer import AlternatingTrainer, rank_and_world_size
from tools.engines.weights import save_model
from tools.files import whole_file

logger = logging.getLogger(__name__)


class TrainingCheckpoint:
    """Handler of an ``AlternatingTrainer`` that saves its whole state and resumes from it.

    Every ``save_interval`` epochs and at the end, process 0 writes ``checkpoint_epoch=N.pt`` (networks, average,
    optimizers, scalers, epoch and iteration, random states, best metric, versions, settings) and the networks that
    inference needs as ``<name>_last.pt``. Files appear under their names only when they are complete.

    A run that does not resume moves the files of an earlier run in the same directory into a folder beside them.

    Attach it after the ``ValidationHandler``, so that a checkpoint knows the result of its epoch's validation.

    Args:
        directory: where the files go.
        models: the networks that inference needs, by name.
        settings: what is needed to rebuild them and to tell where it came from; primitives only.
        evaluator: the validation engine, whose best metric is kept over a resume.
        save_interval: epochs between two checkpoints.
        n_saved: how many checkpoints are kept.
        resume: None, "auto" (the newest whole checkpoint in ``directory``, a new run if there is none) or a path.
        also: whatever else has a state, by name: schedulers of the learning rate, pools of past images.
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
    ) -> None:
        self.directory = Path(directory)
        self.models = models
        self.settings = settings
        self.evaluator = evaluator
        self.save_interval = save_interval
        self.n_saved = n_saved
        self.resume = resume
        self.also = dict(also or {})

    def attach(self, engine: AlternatingTrainer) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)

    def start(self, engine: AlternatingTrainer) -> None:
        """Resume, or make room for a new run."""
        if engine.state.iteration > 0:  # goes on after an earlier run of the same trainer, as in federated rounds
            return
        if self.resume is None:
            if rank_and_world_size()[0] == 0:
                set_aside(self.directory)
        elif self.resume == "auto":
            found = newest_whole_checkpoint(self.directory)
            if found is None:
                logger.info(f"--resume auto: no whole checkpoint in {self.directory}, starting a new run.")
            else:
                self._load(engine, *found)
        else:
            path = Path(self.resume)
            if not path.is_file():
                raise FileNotFoundError(f"--resume {self.resume}: no such file. Give a checkpoint, or 'auto'.")
            self._load(engine, path, _load_primitives(path))

    def epoch_completed(self, engine: AlternatingTrainer) -> None:
        epoch = engine.state.epoch
        if rank_and_world_size()[0] > 0 or (epoch % self.save_interval and epoch < engine.state.max_epochs):
            return
        for name, network in self.models.items():
            save_model(self.directory / f"{name}_last.pt", network, self.settings | {"epoch": epoch}, name)
        with whole_file(self._path(epoch)) as partial:
            torch.save(state_of(engine, self.evaluator, self.also) | {"settings": self.settings}, partial)
        for _, path in checkpoints(self.directory)[self.n_saved :]:
            path.unlink()
        logger.info(f"Saved {self._path(epoch)}.")

    def _path(self, epoch: int) -> Path:
        return self.directory / f"checkpoint_epoch={epoch}.pt"

    def _load(self, engine: AlternatingTrainer, path: Path, state: dict) -> None:
        try:
            restore(engine, self.evaluator, state, self.also)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            differing = {
                key: f"{state.get('settings', {}).get(key)} then, {value} now"
                for key, value in self.settings.items()
                if state.get("settings", {}).get(key) != value
            }
            raise ValueError(
                f"{path} does not fit the networks and optimizers of this run. Settings that differ: {differing}. "
                f"Resume with the settings of the checkpoint. First mismatch: {str(error)[:500]}"
            ) from error
        logger.info(f"Resumed from {path}: epoch {engine.state.epoch}, iteration {engine.state.iteration}.")
        if engine.state.epoch >= engine.state.max_epochs:
            logger.warning(
                f"The checkpoint already has {engine.state.epoch} epochs, nothing is left to train. "
                "Ask for more with --max_epochs."
            )


def state_of(
    trainer: AlternatingTrainer, evaluator: Engine | None = None, also: Mapping[str, Stateful] | None = None
) -> dict:
    """Everything that a run needs to go on, as tensors and primitives."""
    return {
        "epoch": trainer.state.epoch,
        "iteration": trainer.state.iteration,
        "epoch_length": trainer.state.epoch_length,
        "networks": {name: network.state_dict() for name, network in trainer.networks.items()},
        "ema": None if trainer.ema is None else trainer.ema.state_dict(),
        "optimizers": {update.name: update.optimizer.state_dict() for update in trainer.updates},
        "scalers": {name: scaler.state_dict() for name, scaler in trainer.scalers.items()},
        "best": None if evaluator is None else [evaluator.state.best_metric, evaluator.state.best_metric_epoch],
        "also": {name: thing.state_dict() for name, thing in (also or {}).items()},
        "random": random_states(),
        "versions": versions(),
    }


def restore(
    trainer: AlternatingTrainer, evaluator: Engine | None, state: dict, also: Mapping[str, Stateful] | None = None
) -> None:
    """Put the state of ``state_of`` back."""
    for name, network in trainer.networks.items():
        network.load_state_dict(state["networks"][name])
    if trainer.ema is not None:
        trainer.ema.load_state_dict(state["ema"])
    for update in trainer.updates:
        update.optimizer.load_state_dict(state["optimizers"][update.name])
    for name, scaler in trainer.scalers.items():
        scaler.load_state_dict(state["scalers"][name])
    for name, thing in (also or {}).items():
        thing.load_state_dict(state["also"][name])
    if evaluator is not None and state["best"] is not None:
        evaluator.state.best_metric, evaluator.state.best_metric_epoch = state["best"]
    trainer.state.epoch, trainer.state.iteration = state["epoch"], state["iteration"]
    if trainer.state.epoch_length not in (None, state["epoch_length"]):
        # ignite takes a remainder for a position within the epoch
        trainer.state.iteration = trainer.state.epoch * trainer.state.epoch_length
        logger.warning(
            f"An epoch had {state['epoch_length']} iterations and now has {trainer.state.epoch_length} (other data "
            f"or batch size): training goes on at iteration {trainer.state.iteration}, not {state['iteration']}."
        )
    restore_random_states(state["random"])


def random_states() -> dict:
    """States of the global random generators of Python, NumPy and torch, as tensors and primitives."""
    version, internal, gauss = random.getstate()
    # MONAI's transforms are seeded from NumPy's global state
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict) -> None:
    """Put the states of ``random_states`` back."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def versions() -> dict[str, str]:
    """The packages that a result depends on."""
    return {"monai": monai.__version__, "torch": str(torch.__version__), "numpy": np.__version__}


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """(epoch, path) of all checkpoints in a directory, newest first."""
    found = [(re.fullmatch(r"checkpoint_epoch=(\d+)\.pt", p.name), p) for p in Path(directory).glob("*.pt")]
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def newest_whole_checkpoint(directory: Path) -> tuple[Path, dict] | None:
    """The newest checkpoint that can be read to its end, and its content."""
    for _, path in checkpoints(directory):
        try:
            return path, _load_primitives(path)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
            logger.warning(f"{path} cannot be read ({str(error)[:200]}), trying the one before.")
    return None


def set_aside(directory: Path) -> None:
    """Move an earlier run's files into a folder beside them, so that a new run neither mixes with nor erases them."""
    earlier = [*directory.glob("*.pt"), *directory.glob("*.json")]
    if not earlier:
        return
    aside = directory / f"earlier_{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    aside.mkdir()
    for path in earlier:
        path.rename(aside / path.name)
    logger.info(f"Moved the {len(earlier)} files of an earlier run from {directory} to {aside}.")


def _load_primitives(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)
