"""Diversity within one set of images: how alike its members are, by multi-scale structural similarity."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from monai.utils import convert_to_tensor
from torch.nn import functional as F

from tools.transforms.flat import squeezed
from tools.transforms.window import Window

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales, finest first (Wang, Simoncelli and Bovik 2003, section 3.2)."""

PAIRS = 30
"""Number of pairs of successive images in random order, at most, that reports take."""

WINDOW, SIGMA = 11, 1.5  # pixels of every scale (Wang et al. 2004)


class Diversity(NamedTuple):
    """MS-SSIM between the members of a set.

    Attributes:
        ms_ssim: mean over pairs, from 0 to 1: the lower, the more diverse. A real set's own value is the aim, not 0:
            well above it a generator repeats itself, well below it adds noise.
        std: standard deviation over pairs.
        pairs: number of pairs.
        scales: number of scales: 5 from 176 pixels or voxels a side, 4 from 88, 3 from 44, 2 from 22, 1 from 11. Values
            from different numbers are not comparable.
    """

    ms_ssim: float
    std: float
    pairs: int
    scales: int


def ms_ssim_diversity(
    images: np.ndarray | torch.Tensor | Sequence,
    value_range: tuple[float, float] = (-1.0, 1.0),
    pairs: int = 1000,
    generator: np.random.Generator | None = None,
) -> Diversity:
    """Mean MS-SSIM over random pairs of different images of one set.

    Two images are held at a time, so `images` may be a sequence that reads them from disk. A pair of 64^3 voxels takes
    about 0.1 s on one core, one of 128^3 about 1 s.

    Args:
        images: [n, H, W] or [n, D, H, W], or a sequence of n images or volumes of one shape; those of one slice,
            [1, H, W], are 2D images.
        value_range: lowest and highest value. Similarity is that of values counted from the lowest, so the same images
            in HU and in [-1, 1] give the same number.
        pairs: number of pairs to draw, without repetition; all there are if they are not more.
        generator: generator that draws the pairs; None is a fresh one of seed 0.

    Raises:
        ValueError: fewer than two images, different shapes, a side shorter than the window of 11, NaN, or values
            outside the range.

    Warns:
        UserWarning: an image has one value throughout, which is alike to every other such image.
    """
    if len(images) < 2:
        raise ValueError(f"diversity is that between images of a set, which needs 2 or more; got {len(images)}")
    if pairs < 1:
        raise ValueError(f"pairs is {pairs}, expected 1 or more")
    window = Window.of(value_range)
    shape = tuple(shown(images[0]).shape)
    scales = scales_that_fit(shape)
    blank, values = set(), []
    for indices in _pairs(len(images), pairs, generator or np.random.default_rng(0)):
        a, b = (_checked(images[i], f"image {i}", shape, window) for i in indices)
        blank.update(i for i, image in zip(indices, (a, b), strict=True) if image.min() == image.max())
        values.append(ms_ssim(window.share(a), window.share(b), scales))
    if blank:
        warnings.warn(
            f"{len(blank)} of {len(images)} images (the first is image {min(blank)}) have one value throughout; "
            "they count as alike",
            stacklevel=2,
        )
    return diversity_of(values, scales)


class SuccessiveSimilarity:
    """MS-SSIM of every image and the one before it, for sets that come image by image.

    Args:
        value_range: lowest and highest value, see `ms_ssim_diversity`.
        pairs: largest number of pairs; None for no limit.

    Attributes:
        values: values of the pairs so far.
        scales: number of scales, 0 as long as there is no image.
    """

    def __init__(self, value_range: tuple[float, float] = (-1.0, 1.0), pairs: int | None = None) -> None:
        self.window = Window.of(value_range)
        if pairs is not None and pairs < 1:
            raise ValueError(f"pairs is {pairs}, expected 1 or more, or None for no limit")
        self.pairs = pairs
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self.values: list[float] = []
        self.scales = 0
        self._last: torch.Tensor | None = None

    def add(self, image: np.ndarray | torch.Tensor) -> None:
        """Add an image [H, W] or [D, H, W]; one of one slice, [1, H, W], is a 2D image.

        Raises:
            ValueError: another shape than before, a side shorter than the window of 11, NaN, or values outside the
                range.
        """
        if self.pairs is not None and len(self.values) >= self.pairs:
            return
        shape = tuple(shown(image).shape if self._last is None else self._last.shape)
        image = _checked(image, f"image {len(self.values) + (self._last is not None)}", shape, self.window)
        self.scales = self.scales or scales_that_fit(shape)
        image = self.window.share(image)
        if self._last is not None:
            self.values.append(ms_ssim(self._last, image, self.scales))
        self._last = image


def diversity_of(values: Sequence[float], scales: int) -> Diversity:
    """The diversity of a set of which the MS-SSIM of some pairs is known."""
    return Diversity(float(np.mean(values)), float(np.std(values)), len(values), scales)


def ms_ssim(a: torch.Tensor, b: torch.Tensor, scales: int = len(WEIGHTS)) -> float:
    """Multi-scale structural similarity of two images (Wang, Simoncelli and Bovik 2003, Eq. 7), 1 for equal ones.

    Contrast and structure at every scale, luminance at the coarsest; scales are halved by averaging. With fewer than
    five scales the weights of those that remain are brought to a sum of 1. Equal to MONAI's `MultiScaleSSIMMetric`,
    whose dense window takes 11^3 products per voxel of a volume, where one axis after the other takes 3 x 11.

    Args:
        a: image [H, W] or volume [D, H, W], values in [0, 1].
        b: image or volume of the same shape, values in [0, 1].
        scales: 1 to 5, no more than `scales_that_fit`.
    """
    a, b = a[None, None], b[None, None]
    halve = F.avg_pool2d if a.ndim == 4 else F.avg_pool3d
    weights, total = WEIGHTS[:scales], sum(WEIGHTS[:scales])
    similarity = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            a, b = halve(a, 2), halve(b, 2)
        luminance, contrast_structure = _terms(a, b)
        term = luminance * contrast_structure if scale == scales - 1 else contrast_structure
        # anticorrelated images would give a root of a negative number: no similarity
        similarity *= max(0.0, term.mean().item()) ** (weight / total)
    return similarity


def scales_that_fit(shape: Sequence[int]) -> int:
    """Return how many of the five scales images of a shape [H, W] or [D, H, W] have: the coarsest must hold one window.

    Raises:
        ValueError: another number of dimensions, or a side shorter than the window.
    """
    if len(shape) not in (2, 3) or min(shape) < WINDOW:
        raise ValueError(
            f"expected images [H, W] or volumes [D, H, W] of {WINDOW} or more a side, got shape {tuple(shape)}; "
            "resample them, or take slices of volumes with few slices"
        )
    return min(len(WEIGHTS), 1 + int(math.log2(min(shape) // WINDOW)))


def _terms(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Luminance, and contrast times structure, at every place of the window (Wang et al. 2004, Eq. 6 and 13)."""
    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b, aa, bb, ab = _blurred(torch.cat([a, b, a * a, b * b, a * b]))
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    variances = aa - mean_a**2 + bb - mean_b**2
    return luminance, (2 * (ab - mean_a * mean_b) + c2) / (variances + c2)


def _blurred(x: torch.Tensor) -> torch.Tensor:
    """Gaussian-weighted local means of [n, 1, ...], where the window lies inside."""
    offset = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    window = torch.softmax(-(offset**2) / (2 * SIGMA**2), 0)
    convolve = F.conv2d if x.ndim == 4 else F.conv3d
    for axis in range(2, x.ndim):
        x = convolve(x, window.view([-1 if i == axis else 1 for i in range(x.ndim)]))
    return x


def _pairs(n: int, count: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs i < j of n, without repetition; pair k is the k-th of (0, 1), (0, 2), (1, 2), (0, 3), ..."""
    total = n * (n - 1) // 2
    chosen = range(total) if total <= count else sorted(generator.choice(total, count, replace=False).tolist())
    later = [(1 + math.isqrt(1 + 8 * k)) // 2 for k in chosen]
    return [(k - j * (j - 1) // 2, j) for k, j in zip(chosen, later, strict=True)]


def shown(image: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    """An image as it is compared: one of one slice, [1, H, W], as a 2D image."""
    return squeezed(image) if image.ndim == 3 else image


def _checked(image: np.ndarray | torch.Tensor, name: str, shape: tuple, window: Window) -> torch.Tensor:
    image = convert_to_tensor(shown(image), dtype=torch.float32, track_meta=False)
    if tuple(image.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(image.shape)} and image 0 {shape}; resample them to one size")
    if not torch.isfinite(image).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    low, high = window
    # float32 may round a value at an end of the range outwards
    tolerance = 1e-6 * window.width
    if image.min() < low - tolerance or image.max() > high + tolerance:
        raise ValueError(
            f"values of {name} from {image.min():g} to {image.max():g} lie outside the range [{low:g}, {high:g}]; "
            "are they in another unit? If not, clip them"
        )
    return image
