"""Passes over the training data that can be taken up in their middle."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np
import torch
from monai.data.utils import set_rnd
from torch.utils.data import DataLoader


class Passes:
    """An iterable over a data loader that knows how far its present pass is, and with which random states it began.

    All that a pass draws follows from these states: the order of a random sampler, the seeds of the workers, the random
    numbers of transforms. So a pass is taken up in its middle by beginning it again from the same states, and dropping
    the batches that were used already: they are loaded a second time, which gives exactly what would have come after.

    Args:
        loader: batches, for instance a ``torch.utils.data.DataLoader``.

    Attributes:
        began: the random states with which the present pass began, see ``random_states``; None before the first.
        used: number of its batches that were used.
    """

    def __init__(self, loader: Iterable) -> None:
        self.loader = loader
        self.began: dict | None = None
        self.used = 0
        self._taken_up: dict | None = None

    def replace(self, loader: Iterable) -> None:
        """Take another loader: a pass over the former one, also one to be taken up, is over."""
        self.loader = loader
        self._taken_up = None

    def __len__(self) -> int:
        return len(self.loader)

    def state_dict(self) -> dict:
        """Return how far the present pass is; nothing between two passes."""
        over = isinstance(self.loader, Sized) and self.used >= len(self.loader)
        return {} if self.began is None or over else {"began": self.began, "used": self.used}

    def load_state_dict(self, state: dict) -> None:
        """Let the next pass go on where another one was; the random states are those after its last batch."""
        self._taken_up = {**state, "now": random_states()} if state else None

    def __iter__(self) -> Iterator[Any]:
        taken_up, self._taken_up = self._taken_up, None
        if taken_up is not None:
            restore_random_states(taken_up["began"])
        self.began, self.used = random_states(), 0
        self._seed_transforms()
        batches = _Pass(self)
        if taken_up is not None:
            for _ in range(taken_up["used"]):
                next(batches)
            restore_random_states(taken_up["now"])
        return batches

    def _seed_transforms(self) -> None:
        """Let MONAI's random transforms, whose states no checkpoint knows, begin with the pass, as in workers."""
        if isinstance(self.loader, DataLoader) and self.loader.num_workers == 0:
            generator = torch.Generator()  # drawn from a copy: the global generator is left as it is
            generator.set_state(torch.get_rng_state())
            set_rnd(self.loader.dataset, int(torch.randint(2**31, (), generator=generator)))


class _Pass:
    """An iterator over the batches of one pass."""

    def __init__(self, passes: Passes) -> None:
        self.passes = passes
        self.loader = passes.loader
        self.batches = iter(self.loader)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.passes.loader is not self.loader:
            raise StopIteration
        batch = next(self.batches)
        self.passes.used += 1
        return batch


def random_states() -> dict:
    """States of the global random generators of Python, NumPy and torch, as tensors and primitives."""
    version, internal, gauss = random.getstate()
    # MONAI's transforms are seeded from NumPy's global state
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict) -> None:
    """Put the states of ``random_states`` back."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
