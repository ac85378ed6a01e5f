"""What a run shows of itself: a progress bar, and the writer of its TensorBoard."""

from __future__ import annotations

import time
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from torch.utils.tensorboard import SummaryWriter

from tools.engines.processes import rank_and_world_size


def tensorboard_writer(log_dir: str) -> SummaryWriter | None:
    """The one writer that all handlers of a run share; None but in process 0.

    TensorBoard follows only the newest file in a folder, so that handlers with a writer each would hide each other.
    """
    return SummaryWriter(log_dir) if rank_and_world_size()[0] == 0 else None


class Progress(ProgressBar):
    """ignite's progress bar, attached the way MONAI attaches handlers.

    The bar is that of an epoch. Beside the losses it says how long the whole run will still take, from the time that
    its iterations have taken so far, validations and checkpoints included.

    Args:
        losses: True shows the losses of each update in the bar, and how long the run will take.
        tqdm_options: options of tqdm, for instance ``desc``.
    """

    def __init__(self, losses: bool = False, **tqdm_options: Any) -> None:
        super().__init__(**tqdm_options)
        self.losses = losses
        self.start = (0, 0.0)  # iteration, seconds

    def attach(self, engine: Engine) -> None:
        if not self.losses:
            super().attach(engine)
            return
        engine.add_event_handler(Events.STARTED, self._begin)
        super().attach(
            engine, output_transform=lambda output: _update_losses(output) | {"left": remaining(engine, *self.start)}
        )

    def _begin(self, engine: Engine) -> None:
        self.start = (engine.state.iteration, time.monotonic())


def remaining(engine: Engine, iteration: int, seconds: float, now: float | None = None) -> str:
    """Return how long an engine's run will still take, as text.

    Args:
        engine: engine that runs.
        iteration: its iteration when the run began, 0 unless it was resumed.
        seconds: time at that point, on the clock of ``time.monotonic``.
        now: the time on that clock, which is looked at if None.
    """
    now = time.monotonic() if now is None else now
    done = engine.state.iteration - iteration
    if done <= 0:
        return "?"
    left = engine.state.max_epochs * engine.state.epoch_length - engine.state.iteration
    minutes = round((now - seconds) / done * left / 60)
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _update_losses(output: list[dict]) -> dict[str, float]:
    """One number for each update, not for each of its terms."""
    return {name: round(value, 3) for name, value in output[0]["loss"].items() if "/" not in name}
