"""What a flow's network that is preconditioned knows of the training set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.data import Dataset

from tools.engines.draws import Draws
from tools.engines.samples import as_samples, item_as_batch
from tools.networks.preconditioning import FlowPreconditioning, PrincipalPreconditioning
from tools.transforms.channels import Channels

logger = logging.getLogger(__name__)


class MeasureSamples:
    """Handler of a trainer: when that starts, its samples are measured, unless the network knows them already, as one
    that goes on does. Place it after `TrainingCheckpoint`.

    Args:
        preconditioning: the network's preconditioning.
        data: dataset of items with "image" [images, D, H, W] and, with labels, "label" [1, D, H, W], and perhaps
            "known".
        channels: channels of a sample; None takes the image as it is.
        prepare: function of a batch and draws by which samples are changed in training, for instance a
            `tools.engines.views.RandomChanges`; each is measured as it changes one. None takes them as they are.
    """

    def __init__(
        self,
        preconditioning: FlowPreconditioning | PrincipalPreconditioning,
        data: Dataset,
        channels: Channels | None = None,
        prepare: Callable[[dict, Draws], dict] | None = None,
    ) -> None:
        self.preconditioning = preconditioning
        self.data = data
        self.channels = channels
        self.prepare = prepare

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.measure)

    def measure(self) -> None:
        """Measure, unless that was done."""
        if self.preconditioning.is_measured:
            return
        self.preconditioning.measure(self.samples())
        logger.info("The %d samples of the training have %s.", len(self.data), self.preconditioning)

    def samples(self) -> Iterator[Tensor]:
        """The samples of the dataset [channels, D, H, W], one after the other."""
        for index in range(len(self.data)):
            batch = item_as_batch(self.data[index])
            if self.prepare is not None:
                batch = self.prepare(batch, Draws(seed=0, iteration=index))
            yield as_samples(batch, self.channels)[0]
