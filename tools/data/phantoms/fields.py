"""Randomness: independent streams of it, and random fields on a grid, grainy or slow over the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from tools.data.phantoms.shapes import Grid


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


@dataclass(frozen=True)
class Ripples:
    """A slow sum of plane waves that makes the surface of an organ uneven: ``waves`` [n, 3] in rad per mm, ``phases``
    [n].
    """

    waves: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, length: tuple[float, float] = (45.0, 90.0), waves: int = 6) -> Ripples:
        """Waves ``length`` mm long, in any direction."""
        directions = rng.standard_normal((waves, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        vectors = 2 * np.pi / rng.uniform(*length, (waves, 1)) * directions
        return cls(vectors.astype(np.float32), rng.uniform(0, 2 * np.pi, waves).astype(np.float32))

    def on(self, grid: Grid) -> np.ndarray:
        """The waves on a grid, of unit variance: [Z, Y, X].

        A plane wave is a product of three waves along the axes, which makes it cheap.
        """
        total = np.float32(0)
        for (kx, ky, kz), phase in zip(self.waves, self.phases, strict=True):
            along_x = np.exp(1j * (kx * grid.x + phase)).astype(np.complex64)
            section = np.exp(1j * ky * grid.y).astype(np.complex64) * along_x
            along_z = np.exp(1j * kz * grid.z).astype(np.complex64)
            total = total + (along_z.real * section.real - along_z.imag * section.imag)
        return total * np.float32((2 / len(self.phases)) ** 0.5)
