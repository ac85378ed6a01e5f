"""Latents that follow from a seed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform

# torch's CPU generator uses 32 bits of its seed: a larger one would repeat the latent of another.
SEED_LIMIT = 2**32


class LatentFromSeedd(MapTransform):
    """Adds the latent of a seed, so that a synthetic image can be made again from its seed alone.

    The latent depends on the seed and its shape only: not on the other items, their order, the device, the worker
    or the global random state.

    Args:
        seed_key: key of the seed, an integer in [0, 2^32).
        latent_key: key under which the latent is added: float32 [latent_dim], on the CPU.
        latent_dim: length of the latent; or its shape, as [channels, D, H, W] of the noise that diffusion begins with.
        distribution: distribution of its numbers: "normal", standard normal, or "uniform" in [0, 1).

    Raises:
        KeyError: an item has no seed.
        ValueError: a seed is not an integer in [0, 2^32), or the distribution is neither.

    Example::

        LatentFromSeedd(latent_dim=1024)({"seed": 7})  # {"seed": 7, "latent": tensor of 1024 values}
    """

    def __init__(
        self,
        seed_key: str = "seed",
        latent_key: str = "latent",
        latent_dim: int | Sequence[int] = 1024,
        distribution: str = "normal",
    ) -> None:
        super().__init__(seed_key)
        if distribution not in ("normal", "uniform"):
            raise ValueError(f"distribution is {distribution!r}, expected 'normal' or 'uniform'")
        lengths = latent_dim if isinstance(latent_dim, list | tuple) and latent_dim else (latent_dim,)
        if any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in lengths):
            raise ValueError(f"latent_dim must be a positive integer, or several for a shape, got {latent_dim!r}")
        self.seed_key = seed_key
        self.latent_key = latent_key
        self.latent_dim = latent_dim
        self._draw = torch.randn if distribution == "normal" else torch.rand
        self._shape = tuple(lengths)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        if self.seed_key not in data:
            raise KeyError(f"no {self.seed_key!r} in an item with keys {list(data)}; every item needs its integer seed")
        generator = torch.Generator().manual_seed(_as_seed(data[self.seed_key]))
        return {**data, self.latent_key: self._draw(self._shape, generator=generator)}


def _as_seed(value: Any) -> int:
    """The seed as an int, from a Python or NumPy integer or an integer tensor of one value."""
    seed = np.asarray(value)
    # The kinds i and u leave out booleans, floats, strings, None and integers beyond 64 bits.
    if seed.size != 1 or seed.dtype.kind not in "iu" or not 0 <= seed.item() < SEED_LIMIT:
        raise ValueError(f"a seed must be an integer in [0, 2^32), got {value!r}")
    return seed.item()
