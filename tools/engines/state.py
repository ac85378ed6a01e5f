"""The state of a training: everything that it needs to go on as if it had never stopped."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import monai
import numpy as np
import torch
from ignite.engine import Engine
from torch.distributed.checkpoint.stateful import Stateful
from torch.optim.lr_scheduler import LRScheduler

from tools.engines import draws
from tools.engines.hyperparameters import load_optimizer, load_schedule, optimizer_differences
from tools.engines.passes import random_states, restore_random_states
from tools.engines.trainer import AlternatingTrainer

logger = logging.getLogger(__name__)


def state_of(
    trainer: AlternatingTrainer, evaluator: Engine | None = None, also: Mapping[str, Stateful] | None = None
) -> dict:
    """The state between two iterations, as tensors and primitives; "epoch" counts those that are complete."""
    epoch, within = progress(trainer)
    return {
        "epoch": epoch,
        "iteration": trainer.state.iteration,
        "epoch_length": trainer.state.epoch_length,
        "networks": {name: network.state_dict() for name, network in trainer.networks.items()},
        "ema": None if trainer.ema is None else trainer.ema.state_dict(),
        "optimizers": {update.name: update.optimizer.state_dict() for update in trainer.updates},
        "schedules": {u.name: u.schedule.state_dict() for u in trainer.updates if u.schedule is not None},
        "scalers": {name: scaler.state_dict() for name, scaler in trainer.scalers.items()},
        "best": None if evaluator is None else [evaluator.state.best_metric, evaluator.state.best_metric_epoch],
        "validated": None if evaluator is None else getattr(evaluator.state, "validated", None),
        "also": {name: thing.state_dict() for name, thing in (also or {}).items()},
        "draws": draws.VERSION,
        "random": random_states(),
        "pass": trainer.passes.began if within else None,
        "versions": versions(),
    }


def progress(trainer: AlternatingTrainer) -> tuple[int, int]:
    """Complete epochs, and iterations since the last of them."""
    length = trainer.state.epoch_length
    return divmod(trainer.state.iteration, length) if length else (trainer.state.epoch, 0)


def restore(
    trainer: AlternatingTrainer, evaluator: Engine | None, state: dict, also: Mapping[str, Stateful] | None = None
) -> list[str]:
    """Put the state of ``state_of`` back; rates and schedules stay those of this run.

    Returns:
        The hyperparameters that differ from the checkpoint's, a line for each, and the version of the draws if it does.

    Raises:
        ValueError: the state is of other networks or optimizers, or from a later version of this project.
    """
    drawn = state.get("draws", 1)
    if drawn > draws.VERSION:
        raise ValueError(f"its random numbers are of version {drawn}, and those here of {draws.VERSION}: update tools")
    for name, network in trainer.networks.items():
        network.load_state_dict(state["networks"][name])
    if trainer.ema is not None:
        trainer.ema.load_state_dict(state["ema"])
    for update in trainer.updates:
        load_optimizer(update.optimizer, state["optimizers"][update.name])
        if update.schedule is not None:
            load_schedule(update.schedule, _saved_schedule(update.name, state))
    for name, scaler in trainer.scalers.items():
        if state["scalers"][name]:  # none, if the precision was another
            scaler.load_state_dict(state["scalers"][name])
    for name, thing in (also or {}).items():
        if isinstance(thing, LRScheduler):
            load_schedule(thing, state["also"][name])
        else:
            thing.load_state_dict(state["also"][name])
    if evaluator is not None and state["best"] is not None:
        evaluator.state.best_metric, evaluator.state.best_metric_epoch = state["best"]
        evaluator.state.validated = state.get("validated", state["epoch"])
    restore_random_states(state["random"])
    _restore_progress(trainer, state)
    other_draws = f"random numbers of version {draws.VERSION}, {drawn} in the checkpoint: it goes on, though not with "
    other_draws += "those that would have come then"
    return [other_draws] * (drawn != draws.VERSION) + [
        line
        for update in trainer.updates
        for line in optimizer_differences(update.name, state["optimizers"][update.name], update.optimizer)
    ]


def _saved_schedule(update: str, state: dict) -> dict:
    """An update's schedule in a checkpoint; earlier ones have it among what else has a state."""
    saved = state.get("schedules", {}).get(update) or state["also"].get(f"{update}_schedule")
    if saved is None:
        raise ValueError(f"update '{update}' has a schedule of its learning rate now, and had none then")
    return saved


def _restore_progress(trainer: AlternatingTrainer, state: dict) -> None:
    trainer.state.epoch, trainer.state.iteration = state["epoch"], state["iteration"]
    if trainer.state.epoch_length not in (None, state["epoch_length"]):
        # ignite takes a remainder for a position within the epoch
        trainer.state.iteration = trainer.state.epoch * trainer.state.epoch_length
        logger.warning(
            f"An epoch had {state['epoch_length']} iterations and now has {trainer.state.epoch_length} (other data "
            f"or batch size): training goes on at iteration {trainer.state.iteration}, not {state['iteration']}."
        )
    elif state.get("pass") is not None:
        trainer.passes.take_up(state["pass"], progress(trainer)[1], state["random"])


def versions() -> dict[str, str]:
    """The packages that a result depends on."""
    return {"monai": monai.__version__, "torch": str(torch.__version__), "numpy": np.__version__}
