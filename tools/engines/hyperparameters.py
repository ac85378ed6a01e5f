"""Rates, betas and schedules of a resumed run: those that it is given, not those of the checkpoint."""

from __future__ import annotations

import inspect
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

UNSAID = ("params", "initial_lr")
"""Entries of a group of parameters that are no hyperparameters, or are said by "lr"."""


def load_optimizer(optimizer: Optimizer, saved: dict) -> None:
    """Load an optimizer's state (moments, steps); its hyperparameters stay as they are.

    A rate that a schedule has moved is moved as far from the rate that is given now.

    Args:
        optimizer: optimizer as the run's config makes it.
        saved: the ``state_dict`` of an optimizer of the same parameters.

    Raises:
        ValueError: the state is of other parameters.
    """
    groups = []
    for now, then in zip(optimizer.param_groups, saved["param_groups"], strict=False):
        group = {key: value for key, value in now.items() if key != "params"} | {"params": then["params"]}
        if "initial_lr" in now and "initial_lr" in then:
            same = now["initial_lr"] == then["initial_lr"]
            group["lr"] = then["lr"] if same else then["lr"] / (then["initial_lr"] or 1) * now["initial_lr"]
        groups.append(group)
    groups += saved["param_groups"][len(groups) :]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})


def load_schedule(schedule: LRScheduler, saved: dict) -> None:
    """Load how far a schedule is; what it was made with stays as it is.

    Its optimizer must be loaded before, see ``load_optimizer``.

    Args:
        schedule: schedule as the run's config makes it.
        saved: the ``state_dict`` of a schedule of the same kind.
    """
    made_with = {*inspect.signature(type(schedule).__init__).parameters} - {"optimizer", "last_epoch"}
    given = {key: value for key, value in vars(schedule).items() if key in made_with or key == "base_lrs"}
    if "lr_lambdas" in saved:  # of those that are objects their attributes would be loaded
        saved = saved | {"lr_lambdas": [None] * len(saved["lr_lambdas"])}
    schedule.load_state_dict(saved)
    vars(schedule).update(given)
    groups = schedule.optimizer.param_groups
    if isinstance(schedule, LambdaLR):  # its rate follows from the epoch alone
        for group, base, factor in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = base * factor(schedule.last_epoch)
    schedule._last_lr = [group["lr"] for group in groups]


def differences(then: dict, now: dict) -> list[str]:
    """Each value that differs, as one line "name: now, then in the checkpoint"; dictionaries within go by "a.b"."""
    return [f"{key}: {new}, {old} in the checkpoint" for key, old, new in _differing(then, now)]


def optimizer_differences(name: str, saved: dict, optimizer: Optimizer) -> list[str]:
    """The hyperparameters in which an optimizer differs from a saved one, as lines."""
    lines = []
    for then, now in zip(saved["param_groups"], optimizer.param_groups, strict=True):
        lines += differences(
            *({f"{name}.{key}": group[key] for key in group if key not in UNSAID} for group in (then, now))
        )
    return list(dict.fromkeys(lines))


def _differing(then: dict, now: dict, prefix: str = "") -> list[tuple[str, Any, Any]]:
    found = []
    for key in dict.fromkeys([*now, *then]):
        old, new = _plain(then.get(key)), _plain(now.get(key))
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differing(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append((f"{prefix}{key}", old, new))
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
