"""Copies of training images, changed as generators change what they learn by heart, to see whether they are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

SHIFT = 1 / 32
"""Share of each side by which a copy is shifted; a voxel at the least."""


def mirrored(image: np.ndarray) -> np.ndarray:
    """Left and right exchanged."""
    return np.ascontiguousarray(image[..., ::-1])


def shifted(image: np.ndarray) -> np.ndarray:
    """Moved along all axes; what comes in repeats the border."""
    steps = [max(1, round(n * SHIFT)) if n > 1 else 0 for n in image.shape]
    return ndimage.shift(image, steps, order=0, mode="nearest")


def enlarged(image: np.ndarray) -> np.ndarray:
    """Larger by a twentieth about the middle."""
    matrix = np.array([1 / 1.05 if n > 1 else 1.0 for n in image.shape])
    middle = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, matrix, middle - matrix * middle, order=1, mode="nearest")


def brighter(image: np.ndarray) -> np.ndarray:
    """Of less contrast, and brighter: 0.7 x + 0.2."""
    return (0.7 * image + 0.2).astype(np.float32)


def noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With Gaussian noise of a twentieth of the values' range."""
    return (image + rng.normal(0, 0.1, image.shape)).astype(np.float32)


def planted(image: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Changed copies of an image by kind.

    Args:
        image: [D, H, W] in [-1, 1].
        seed: random seed of the noise.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "plain": lambda x: x,
        "mirrored": mirrored,
        "shifted": shifted,
        "enlarged": enlarged,
        "brighter": brighter,
        "noisy": lambda x: noisy(x, rng),
        "mirrored, shifted, enlarged, brighter and noisy": lambda x: noisy(
            brighter(enlarged(shifted(mirrored(x)))), rng
        ),
    }
    return {kind: change(image) for kind, change in kinds.items()}
