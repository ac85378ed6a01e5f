"""Random numbers of a training iteration that do not depend on how the work is divided."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Draws:
    """The random numbers of one iteration: a function of seed and iteration alone.

    A resumed run needs no memory of its past to draw the same numbers, and processes that share a batch draw it
    as one: every process makes the whole batch's numbers and takes those of its rows, which are every n-th, as
    ``DistributedSampler`` deals out the data.

    Args:
        seed: the run's seed.
        iteration: counted from 0.
        device: where tensors are returned. They are drawn on the CPU, so that devices agree.
        rank, world_size: this process and how many share the batch.
        iterations: of the whole run; None where nobody needs to know.
    """

    def __init__(
        self,
        seed: int,
        iteration: int,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        iterations: int | None = None,
    ) -> None:
        self.iteration = iteration
        self.iterations = iterations
        self.device = torch.device(device)
        self.rank = rank
        self.world_size = world_size
        # not a torch.Generator: on the CPU it keeps 32 bits of its seed, too few for a seed and an iteration
        self._generator = np.random.default_rng([seed, iteration])

    def normal(self, batch: int, *size: int) -> Tensor:
        """Standard normal [batch, *size]: this process's rows of a draw for all processes."""
        drawn = self._generator.standard_normal((self.world_size * batch, *size), dtype=np.float32)
        return torch.from_numpy(drawn[self.rank :: self.world_size].copy()).to(self.device)

    def uniform(self, batch: int, *size: int) -> Tensor:
        """Uniform in [0, 1), [batch, *size]: this process's rows of a draw for all processes."""
        drawn = self._generator.random((self.world_size * batch, *size), dtype=np.float32)
        return torch.from_numpy(drawn[self.rank :: self.world_size].copy()).to(self.device)

    def integer(self, low: int, high: int) -> int:
        """Uniform in [low, high], the same in every process."""
        return int(self._generator.integers(low, high, endpoint=True))
