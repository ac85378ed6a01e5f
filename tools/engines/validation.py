"""Validation at the end of epochs."""

from __future__ import annotations

import logging
import math
from collections.abc import Sized

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.handlers import ValidationHandler

from tools.engines.passes import random_states, restore_random_states
from tools.engines.processes import rank_and_world_size
from tools.engines.stopping import shield_workers
from tools.engines.trainer import AlternatingTrainer

logger = logging.getLogger(__name__)


class Validation(ValidationHandler):
    """MONAI's ``ValidationHandler``, with which no training ends without a validation.

    The last epoch is validated whatever the interval. A validation that was cut short is made up for when the training
    is resumed; one that fails ends the training (whose checkpoint was saved before, see ``TrainingCheckpoint``), and if
    it fails again when resumed, training goes on without it. Training draws the same random numbers whether an epoch is
    validated or not.

    Attach it after the ``TrainingCheckpoint``.

    Args:
        interval: epochs between two validations.
        validator: the validation engine.
    """

    def __init__(self, interval: int, validator: Evaluator) -> None:
        if not isinstance(interval, int) or interval < 1:
            raise ValueError(f"val_interval is {interval!r}, expected a whole number of epochs, 1 or more.")
        super().__init__(interval, validator)

    def attach(self, engine: AlternatingTrainer) -> None:
        engine.add_event_handler(Events.STARTED, self.started)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        self.validator.add_event_handler(Events.ITERATION_COMPLETED, self._stop_if_asked, engine)
        self.validator.add_event_handler(Events.EPOCH_COMPLETED, self._note)
        self.validator.interrupt_resume_enabled = (
            False  # or ignite does nothing, and says nothing, after one that failed
        )
        shield_workers(self.validator.data_loader)

    def started(self, engine: AlternatingTrainer) -> None:
        """Make up for the validation of the epoch with which a resumed training begins.

        Raises:
            ValueError: there are fewer volumes than processes.
        """
        self._check_volumes()
        state = engine.state
        at_end_of_epoch = state.epoch > 0 and state.iteration == state.epoch * (state.epoch_length or 0)
        if (
            not at_end_of_epoch
            or not self.is_due(engine)
            or getattr(self.validator.state, "validated", None) == state.epoch
        ):
            return
        logger.info(f"The validation of epoch {state.epoch} did not come to its end, it is done now.")
        try:
            self(engine)
        except Exception:
            if state.epoch >= state.max_epochs:
                raise
            logger.exception(f"The validation of epoch {state.epoch} failed. Training goes on without it.")

    def _check_volumes(self) -> None:
        dataset = getattr(self.validator.data_loader, "dataset", None)
        if not isinstance(dataset, Sized):
            return
        processes = rank_and_world_size()[1]
        if len(dataset) < processes:
            raise ValueError(
                f"{processes} processes have {len(dataset)} volume(s) to validate on, and each needs one. Use fewer "
                "processes, or more validation volumes."
            )
        if len(dataset) == 1:
            logger.warning(
                "There is 1 volume to validate on. Distances between sets (fid, mmd) need 2 and will be nan; without "
                "another key metric, model.pt is the model of the last validation."
            )

    def epoch_completed(self, engine: AlternatingTrainer) -> None:
        if self.is_due(engine) and not engine.stopping:
            self(engine)

    def is_due(self, engine: Engine) -> bool:
        """Return whether the engine's present epoch is one that is validated."""
        return engine.state.epoch % self.interval == 0 or engine.state.epoch == engine.state.max_epochs

    def __call__(self, engine: Engine) -> None:
        states = random_states()
        try:
            super().__call__(engine)
        finally:
            restore_random_states(states)

    def _note(self, validator: Engine) -> None:
        validator.state.validated = validator.state.epoch

    def _stop_if_asked(self, validator: Engine, engine: AlternatingTrainer) -> None:
        """Stop when asked to. Several processes have volumes of different number, and stop after the validation."""
        if engine.signals.received and rank_and_world_size()[1] == 1:
            validator.terminate(skip_completed=True)


def is_smaller(current: float, best: float) -> bool:
    """A ``metric_cmp_fn`` for metrics that are better the smaller they are.

    A best value of nan, from too few images, is always replaced: then the last model is kept.
    """
    return current < best or math.isnan(best)
