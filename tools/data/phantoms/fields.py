"""Randomness: independent streams of it, and random fields on a grid, grainy or slow over the whole of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter


def streams(seed: int | Sequence[int], *names: str) -> dict[str, np.random.Generator]:
    """Independent random streams, so that one more draw for one thing leaves the others as they are."""
    return dict(zip(names, np.random.default_rng(seed).spawn(len(names)), strict=True))


def grain(rng: np.random.Generator, shape: Sequence[int], sigma: float | Sequence[float]) -> np.ndarray:
    """Gaussian noise of unit standard deviation, smoothed by ``sigma`` voxels; float32."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    gaussian_filter(noise, sigma, output=noise, mode="wrap", truncate=3)
    noise /= noise.std()
    return noise


def drift(rng: np.random.Generator, shape: Sequence[int], order: int = 3) -> np.ndarray:
    """A smooth field of zero mean and unit standard deviation: random cosines up to ``order`` half waves along each
    axis, the same whatever the number of voxels; float32.
    """
    coefficients = rng.standard_normal((order + 1,) * 3).astype(np.float32)
    waves = np.indices(coefficients.shape).sum(0)
    coefficients[waves > order] = 0
    coefficients[0, 0, 0] = 0
    for axis, n in enumerate(shape):
        half_waves = np.outer(np.arange(order + 1), np.pi * (np.arange(n) + 0.5) / n)
        coefficients = np.moveaxis(
            np.tensordot(np.cos(half_waves).astype(np.float32), coefficients, (0, axis)), 0, axis
        )
    return coefficients / coefficients.std()
