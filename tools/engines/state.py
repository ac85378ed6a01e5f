"""The state of a training: everything that it needs to go on as if it had never stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import monai
import numpy as np
import torch
from ignite.engine import Engine
from ignite.handlers import Checkpoint
from torch.optim.lr_scheduler import LRScheduler

from tools.engines import draws
from tools.engines.hyperparameters import load_optimizer, load_schedule, optimizer_differences
from tools.engines.passes import random_states, restore_random_states
from tools.engines.trainer import AlternatingTrainer

if TYPE_CHECKING:
    from torch.distributed.checkpoint.stateful import Stateful

logger = logging.getLogger(__name__)

VERSION = 2
"""Of what a checkpoint holds. In 1, before checkpoints said so, parts had other names (see ``upgraded``)."""

Parts = dict[str, "Stateful | Sequence[Stateful] | Mapping[str, Stateful]"]


def parts_of(
    trainer: AlternatingTrainer, evaluator: Engine | None = None, also: Mapping[str, Stateful] | None = None
) -> Parts:
    """Return everything of a training that has a state, in the order in which it is restored.

    A part is whatever has ``state_dict`` and ``load_state_dict``, or a list or dictionary of such.
    """
    return {
        "networks": trainer.networks,
        "averages": trainer.averages,
        "optimizers": {name: _Loaded(one, load_optimizer) for name, one in optimizers(trainer).items()},
        "schedules": {u.name: _Loaded(u.schedule, load_schedule) for u in trainer.updates if u.schedule is not None},
        "scalers": {name: _Loaded(one, _load_scaler) for name, one in trainer.scalers.items()},
        "also": {
            name: _Loaded(one, load_schedule) if isinstance(one, LRScheduler) else one
            for name, one in (also or {}).items()
        },
        "validation": _BestSoFar(evaluator),
        "random": _RandomStates(),
        "pass": trainer.passes,  # last: it remembers the random states
    }


def state_of(
    trainer: AlternatingTrainer, evaluator: Engine | None = None, also: Mapping[str, Stateful] | None = None
) -> dict:
    """The state between two iterations, as tensors and primitives; "epoch" counts those that are complete."""
    states = _map(lambda part: part.state_dict(), parts_of(trainer, evaluator, also))
    return {
        "version": VERSION,
        "draws": draws.VERSION,
        "versions": {"monai": monai.__version__, "torch": str(torch.__version__), "numpy": np.__version__},
        "epoch": progress(trainer)[0],
        "iteration": trainer.state.iteration,
        "epoch_length": trainer.state.epoch_length,
        "images": trainer.images,
        "prepared": trainer.prepared,
        **states,
    }


def restore(
    trainer: AlternatingTrainer, evaluator: Engine | None, state: dict, also: Mapping[str, Stateful] | None = None
) -> list[str]:
    """Put the state of ``state_of`` back, as ``upgraded`` gives it; rates and schedules stay those of this run.

    Returns:
        The hyperparameters that differ from the checkpoint's, a line for each, and the version of the draws if it does.

    Raises:
        ValueError: the state is of other networks or optimizers, or lacks a part.
    """
    trainer.prepare_for(state.get("prepared", 0))  # as it was for the last batch; what saved none did not grow
    parts = parts_of(trainer, evaluator, also)
    if trainer.state.epoch_length not in (None, state["epoch_length"]):
        del parts["pass"]  # of other data, or in other batches
    _check_parts(parts, state)
    Checkpoint.load_objects(parts, state)
    _restore_progress(trainer, state)
    other_draws = f"random numbers of version {draws.VERSION}, {state['draws']} in the checkpoint: it goes on, though "
    other_draws += "not with those that would have come then"
    return [other_draws] * (state["draws"] != draws.VERSION) + [
        line
        for name, optimizer in optimizers(trainer).items()
        for line in optimizer_differences(name, state["optimizers"][name], optimizer)
    ]


def upgraded(state: dict) -> dict:
    """Return what a checkpoint of an earlier version holds, in the form of this one.

    Raises:
        ValueError: the checkpoint is of a later version.
    """
    for what, version, known in (
        ("content", state.get("version", 1), VERSION),
        ("random numbers", state.get("draws", 1), draws.VERSION),
    ):
        if version > known:
            raise ValueError(f"its {what} are of version {version}, and those here of {known}: update tools")
    if state.get("version", 1) == VERSION:
        return state
    schedules = {name.removesuffix("_schedule"): one for name, one in state["also"].items()}
    within = state["iteration"] - state["epoch"] * (state["epoch_length"] or 0)
    kept = {key: value for key, value in state.items() if key not in ("ema", "best", "validated")}
    return kept | {
        "version": VERSION,
        "draws": state.get("draws", 1),
        "images": None,
        "averages": [] if state["ema"] is None else [state["ema"]],
        "schedules": schedules | state.get("schedules", {}),
        "validation": {"best": state["best"], "validated": state.get("validated", state["epoch"])},
        "pass": {} if state.get("pass") is None else {"began": state["pass"], "used": within},
    }


def optimizers(trainer: AlternatingTrainer) -> dict[str, torch.optim.Optimizer]:
    """Return each optimizer once, by the name of the first update that has it."""
    names: dict[int, str] = {}
    for update in trainer.updates:
        names.setdefault(id(update.optimizer), update.name)
    return {update.name: update.optimizer for update in trainer.updates if update.name in names.values()}


def progress(trainer: AlternatingTrainer) -> tuple[int, int]:
    """Complete epochs, and iterations since the last of them."""
    length = trainer.state.epoch_length
    return divmod(trainer.state.iteration, length) if length else (trainer.state.epoch, 0)


def _restore_progress(trainer: AlternatingTrainer, state: dict) -> None:
    trainer.state.epoch, trainer.state.iteration = state["epoch"], state["iteration"]
    trainer.images = state["images"]
    if trainer.state.epoch_length not in (None, state["epoch_length"]):
        # ignite takes a remainder for a position within the epoch
        trainer.state.iteration = trainer.state.epoch * trainer.state.epoch_length
        logger.warning(
            f"An epoch had {state['epoch_length']} iterations and now has {trainer.state.epoch_length} (other data "
            f"or batch size): training goes on at iteration {trainer.state.iteration}, not {state['iteration']}."
        )


def _map(act: Callable[[Any], Any], parts: Any) -> Any:
    if isinstance(parts, dict):
        return {name: _map(act, part) for name, part in parts.items()}
    return [_map(act, part) for part in parts] if isinstance(parts, list) else act(parts)


def _check_parts(parts: Parts, state: Mapping) -> None:
    missing = [name for name in parts if name not in state]
    for name, part in parts.items():
        if isinstance(part, dict) and name in state:
            missing += [f"{name}#{inner}" for inner in part if inner not in state[name]]
    if missing:
        raise ValueError(f"it has no state of {', '.join(missing)}, which this run has")
    then, now = len(state["averages"]), len(parts["averages"])
    if then != now:
        raise ValueError(f"it has {then} averages of weights, and this run has {now}")


def is_within(state: dict) -> bool:
    """Return whether a checkpoint is of the middle of an epoch."""
    return state["iteration"] > state["epoch"] * (state["epoch_length"] or 0)


class _Loaded:
    """A part whose state is loaded by a function of ours."""

    def __init__(self, part: Stateful, load: Callable[[Any, dict], None]) -> None:
        self.part = part
        self.load = load

    def state_dict(self) -> dict:
        return self.part.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.load(self.part, state)


def _load_scaler(scaler: torch.amp.GradScaler, state: dict) -> None:
    if state:  # none, if the precision was another
        scaler.load_state_dict(state)


class _BestSoFar:
    """The best key metric of a validation, its epoch, and the last epoch that was validated; None without one."""

    def __init__(self, evaluator: Engine | None) -> None:
        self.state = None if evaluator is None else evaluator.state

    def state_dict(self) -> dict:
        if self.state is None:
            return {"best": None, "validated": None}
        return {
            "best": [self.state.best_metric, self.state.best_metric_epoch],
            "validated": getattr(self.state, "validated", None),
        }

    def load_state_dict(self, state: dict) -> None:
        if None not in (self.state, state["best"]):
            self.state.best_metric, self.state.best_metric_epoch = state["best"]
            self.state.validated = state["validated"]


class _RandomStates:
    """The global random generators."""

    def state_dict(self) -> dict:
        return random_states()

    def load_state_dict(self, state: dict) -> None:
        restore_random_states(state)
