"""Training for so many seconds or so many images, wherever epochs end, with the weights of moments on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from tools.engines.processes import rank_and_world_size
from tools.engines.trainer import AlternatingTrainer
from tools.engines.weights import save_model
from tools.errors import check_choice

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""Clocks by name: "cpu" is processor time of all threads of the process, which other work beside it hardly moves."""


class Budget:
    """Handler of an ``AlternatingTrainer`` that ends the training when a budget is spent.

    Seconds are those between the wish for a batch and the end of its iteration: validations, checkpoints, the making of
    these weights and the start of the process do not count. What was spent is part of the training's state (give this
    to the ``TrainingCheckpoint`` in ``also``), so that a training that was killed is charged for what its weights have
    seen, and not for iterations that were lost with the process.

    What follows from the length of a run, as the speed of adaptive augmentation does, takes it from `length`.

    A training ends after the first iteration at which the budget is spent; of images that is exact where the budget is
    a multiple of the batch. One that goes on at its end trains no more. Attach it after the ``TrainingCheckpoint``.

    Args:
        directory: folder for the weights of moments, `<name>.pt` each.
        models: networks that inference needs, of which "model" is kept.
        settings: values needed to rebuild them; "moment" is added, with iteration, images and seconds by then.
        seconds: budget in seconds; None for one of images.
        images: budget in images of all processes together; None for one of seconds.
        moments: name -> share of the budget in [0, 1] after which weights are kept; 0 is before the first iteration.
        clock: "wall" or "cpu".
        earlier: budget of the stage that was trained before this one, as the autoencoder of latent diffusion is: what
            that has spent is taken off this one, and counts in its moments.

    Attributes:
        elapsed: seconds that were trained, of both stages.
        seen: images that were trained on, of both stages.
        iterations: iterations of both stages.
    """

    def __init__(
        self,
        directory: str,
        models: Mapping[str, nn.Module],
        settings: Mapping[str, Any],
        seconds: float | None = None,
        images: int | None = None,
        moments: Mapping[str, float] | None = None,
        clock: str = "wall",
        earlier: Budget | None = None,
    ) -> None:
        given = [budget for budget in (seconds, images) if budget is not None]
        if len(given) != 1 or not given[0] > 0:
            raise ValueError(f"seconds is {seconds} and images is {images}, expected one of them, above 0")
        check_choice("clock", clock, CLOCKS)
        odd = {name: share for name, share in (moments or {}).items() if not 0 <= share <= 1}
        if odd:
            raise ValueError(f"moments has {odd}, expected shares of the budget from 0 to 1")
        self.directory = Path(directory)
        self.models, self.settings = models, settings
        self.seconds, self.images = seconds, images
        self.moments = dict(moments or {})
        self.clock = CLOCKS[clock]
        self.earlier = earlier
        self._own = {"elapsed": 0.0, "seen": 0, "iterations": 0}
        self._began: float | None = None
        self._kept: set[str] = set()

    def attach(self, engine: AlternatingTrainer) -> None:
        engine.length = lambda: self.length(engine)
        engine.add_event_handler(Events.STARTED, self._look)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)

    @property
    def elapsed(self) -> float:
        return self._own["elapsed"] + (0.0 if self.earlier is None else self.earlier.elapsed)

    @property
    def seen(self) -> int:
        return self._own["seen"] + (0 if self.earlier is None else self.earlier.seen)

    @property
    def iterations(self) -> int:
        return self._own["iterations"] + (0 if self.earlier is None else self.earlier.iterations)

    @property
    def share(self) -> float:
        """The share of the budget that is spent, 1 or a little more at the end."""
        return self.seen / self.images if self.seconds is None else self.elapsed / self.seconds

    def length(self, engine: AlternatingTrainer) -> int:
        """Iterations that this stage will have had at its end, if it goes on as it went; before that all its epochs."""
        name, budget = ("seen", self.images) if self.seconds is None else ("elapsed", self.seconds)
        budget -= 0 if self.earlier is None else getattr(self.earlier, name)
        if not self._own[name]:
            return engine.state.max_epochs * engine.state.epoch_length
        return max(self._own["iterations"], math.ceil(self._own["iterations"] * budget / self._own[name]))

    def state_dict(self) -> dict[str, Any]:
        """Return what this stage has spent, and the moments whose weights are kept."""
        return {**self._own, "kept": sorted(self._kept)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._own, self._kept = {key: state[key] for key in self._own}, set(state["kept"])

    def _begin(self, _: Engine) -> None:
        self._began = self.clock()

    def _count(self, engine: AlternatingTrainer) -> None:
        if self._began is not None:
            self._own["elapsed"] += self.clock() - self._began
            self._began = None
        self._own["seen"], self._own["iterations"] = engine.images, engine.state.iteration
        at_end_of_epoch = engine.state.epoch_length and engine.state.iteration % engine.state.epoch_length == 0
        self._look(engine, terminate=not at_end_of_epoch)  # the epoch ends first, with its schedules

    def _end(self, engine: AlternatingTrainer) -> None:
        self._look(engine)

    def _look(self, engine: AlternatingTrainer, terminate: bool = True) -> None:
        for name, place in self.moments.items():
            if self.share >= place and name not in self._kept:
                self._keep(engine, name)
        if self.share >= 1 and terminate:
            engine.terminate()

    def _keep(self, engine: AlternatingTrainer, name: str) -> None:
        if rank_and_world_size()[0] == 0:
            facts = {"iteration": self.iterations, "images": self.seen, "seconds": round(self.elapsed, 3)}
            save_model(self.directory / f"{name}.pt", self.models["model"], {**self.settings, "moment": facts}, "model")
        self._kept.add(name)
