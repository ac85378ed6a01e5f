"""What a training is, as parameters of MLflow (``--tracking mlflow``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ignite.engine import Events

if TYPE_CHECKING:
    from tools.engines.trainer import AlternatingTrainer


class TrackedSettings:
    """Logs sizes, seed, data and rates as parameters of the MLflow run, if there is one.

    MONAI's ``MLFlowHandler`` by itself logs the number of epochs and their length. A parameter of a run never changes:
    where an interrupted run goes on, what it was begun with stays.

    Args:
        settings: settings of the training, as weights and checkpoints have them; dictionaries within go by "a.b".
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def attach(self, engine: AlternatingTrainer) -> None:
        # by then MLflow's run has begun, and a resumed training has its rates
        engine.add_event_handler(Events.EPOCH_STARTED, self.log)

    def log(self, engine: AlternatingTrainer) -> None:
        """Log what the run does not have yet."""
        for tracker in engine.trackers:
            run = tracker.client.get_run(tracker.cur_run.info.run_id)
            parameters = {**flat(self.settings), **_rates(engine)}
            for name in parameters.keys() - run.data.params.keys():
                tracker.client.log_param(run.info.run_id, name, str(parameters[name]))


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _rates(engine: AlternatingTrainer) -> dict[str, Any]:
    """Learning rate of each update's optimizer, before any schedule."""
    found = {}
    for update in engine.updates:
        group = update.optimizer.param_groups[0]
        found[f"learning_rate.{update.name}"] = group.get("initial_lr", group["lr"])
        found |= {f"betas.{update.name}": group["betas"]} if "betas" in group else {}
    return found
