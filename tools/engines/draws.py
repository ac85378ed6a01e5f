"""Random numbers of a training iteration that do not depend on how the work is divided."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

VERSION = 2
"""Version of the numbers that a seed gives. In 1, before checkpoints said so, all rows of a batch shared one stream."""


class Draws:
    """The random numbers of one iteration: a function of seed and iteration alone.

    A resumed run needs no memory of its past to draw the same numbers. Each row of the batch that the processes share
    has a stream of its own, and there is one for what all rows share: so a process draws the numbers of its own rows
    only, and a row has the same however many processes there are. The rows of a process are every n-th of the whole
    batch, as ``DistributedSampler`` deals out the data.

    Args:
        seed: the run's seed.
        iteration: number of the iteration, counted from 0.
        device: device on which ``normal`` and ``uniform`` return tensors, drawn on the CPU so that devices agree.
        rank: number of this process.
        world_size: number of processes that share the batch.
        iterations: number of iterations of the whole run; None where it is not needed.
        images: number of images that all processes saw before; None where it is not needed.
    """

    def __init__(
        self,
        seed: int,
        iteration: int,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        iterations: int | None = None,
        images: int | None = None,
    ) -> None:
        self.seed = seed
        self.iteration = iteration
        self.iterations = iterations
        self.images = images
        self.device = torch.device(device)
        self.rank = rank
        self.world_size = world_size
        self._streams: dict[int, np.random.Generator] = {}

    def normal(self, batch: int, *size: int) -> Tensor:
        """Standard normal [batch, *size], each of this process's rows from its own stream."""
        return self._rows(np.random.Generator.standard_normal, batch, size).to(self.device, non_blocking=True)

    def uniform(self, batch: int, *size: int) -> Tensor:
        """Uniform in [0, 1), [batch, *size], each of this process's rows from its own stream."""
        return self.choices(batch, *size).to(self.device, non_blocking=True)

    def choices(self, batch: int, *size: int) -> Tensor:
        """Numbers as of ``uniform``, on the CPU: for what is decided there, without waiting for a device."""
        return self._rows(np.random.Generator.random, batch, size)

    def integer(self, low: int, high: int) -> int:
        """Uniform in [low, high], the same in every process."""
        return int(self._stream(0).integers(low, high, endpoint=True))

    def _rows(self, draw: Callable, batch: int, size: tuple[int, ...]) -> Tensor:
        drawn = np.empty((batch, *size), dtype=np.float32)
        for place in range(batch):
            row = drawn[place : place + 1]  # an array also where a row is one number
            draw(self._stream(1 + self.rank + self.world_size * place), dtype=np.float32, out=row)
        return torch.from_numpy(drawn)

    def _stream(self, number: int) -> np.random.Generator:
        """Stream 0 is that of all rows, stream 1 + n that of row n of the whole batch."""
        if number not in self._streams:
            # not a torch.Generator: on the CPU it keeps 32 bits of its seed. The seed, which may be long, comes last:
            # NumPy takes zeros at the end of such a list for nothing.
            self._streams[number] = np.random.default_rng([number, self.iteration, self.seed])
        return self._streams[number]
