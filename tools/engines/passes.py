"""Passes over the training data that can be taken up in their middle."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from monai.data.utils import set_rnd
from torch.utils.data import DataLoader


class Passes:
    """An iterable over a data loader that knows with which random states its present pass began.

    All that a pass draws follows from them: the order of a random sampler, the seeds of the workers, the random numbers
    of transforms. So a pass is taken up in its middle by beginning it again from the same states, and dropping the
    batches that were used already: they are loaded a second time, which gives exactly what would have come after them.

    Args:
        loader: batches, for instance a ``torch.utils.data.DataLoader``.

    Attributes:
        began: the random states with which the present pass began, see ``random_states``; None before the first.
    """

    def __init__(self, loader: Iterable) -> None:
        self.loader = loader
        self.began: dict | None = None
        self._taken_up: tuple[dict, int, dict] | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def take_up(self, began: dict, batches: int, now: dict) -> None:
        """Let the next pass go on after its first ``batches``.

        Args:
            began: the attribute of this name, in the pass that is taken up.
            batches: number of batches that were used.
            now: random states after the last of them was used.
        """
        self._taken_up = began, batches, now

    def __iter__(self) -> Iterator[Any]:
        taken_up, self._taken_up = self._taken_up, None
        if taken_up is not None:
            restore_random_states(taken_up[0])
        self.began = random_states()
        self._seed_transforms()
        batches = iter(self.loader)
        if taken_up is not None:
            for _ in range(taken_up[1]):
                next(batches)
            restore_random_states(taken_up[2])
        return batches

    def _seed_transforms(self) -> None:
        """Let MONAI's random transforms, whose states no checkpoint knows, begin with the pass, as in workers."""
        if isinstance(self.loader, DataLoader) and self.loader.num_workers == 0:
            generator = torch.Generator()  # drawn from a copy: the global generator is left as it is
            generator.set_state(torch.get_rng_state())
            set_rnd(self.loader.dataset, int(torch.randint(2**31, (), generator=generator)))


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
