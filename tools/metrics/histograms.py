"""Comparing sets of images by their average histograms (Crespi et al., section 3, Eq. 2 to 5).

Each image of a set gives a histogram of its values that sums to 1; a set gives the mean of its images' histograms. 256
bins compare the distribution of grey values; 3 bins the proportions of gas, soft tissue and bone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch

Images = np.ndarray | torch.Tensor | Sequence[np.ndarray]
Range = tuple[float, float]


def kl_divergence(
    real: Images,
    synthetic: Images,
    bins: int = 256,
    value_range: Range | None = None,
    pseudocount: float = 0.0,
) -> float:
    """Kullback-Leibler divergence of two sets' average histograms in nats (Eq. 2), real against synthetic.

    Args:
        real: images [n, H, W].
        synthetic: images [n, H, W]; the sizes of the two sets may differ.
        bins: number of bins of the histograms.
        value_range: lowest and highest value of the bins; None takes those of both sets together.
        pseudocount: share of a histogram that is added to every bin of both before they are compared. With 0 the
            result is infinite where the real set has values in a bin that is empty in the synthetic one.

    Returns:
        0 for equal histograms, more for others.

    Raises:
        ValueError: an empty set, NaN, or values outside the range.

    Warns:
        UserWarning: a set of one image, which shows the distribution of that image and not of a set.
    """
    return kl_of_histograms(*_both(real, synthetic, bins, value_range), pseudocount)


def histogram_correlation(real: Images, synthetic: Images, bins: int = 256, value_range: Range | None = None) -> float:
    """Correlation of two average histograms over their bins (Eq. 3 and 4), 1 for equal ones. See `kl_divergence`."""
    return correlation_of_histograms(*_both(real, synthetic, bins, value_range))


def histogram_intersection(real: Images, synthetic: Images, bins: int = 256, value_range: Range | None = None) -> float:
    """Overlap of two sets' average histograms, the sum of the bins' minima (Eq. 5), 1 for equal ones.

    The paper's range, from 0 to infinity, is that of histograms of counts; these sum to 1. See `kl_divergence`.
    """
    return intersection_of_histograms(*_both(real, synthetic, bins, value_range))


def average_histogram(images: Images, bins: int = 256, value_range: Range = (-1.0, 1.0)) -> np.ndarray:
    """Mean over images [n, H, W] of their histograms, float64 [bins] that sum to 1.

    Raises:
        ValueError: no image, NaN or infinite values, or values outside the range: clip them if they belong to its ends.
    """
    low, high = value_range
    if not low < high:
        raise ValueError(
            f"value_range is {value_range}, expected (low, high) with low < high; are all values the same?"
        )
    stack = _arrays(images)
    total = np.zeros(bins)
    for image in stack:
        if image.min() < low or image.max() > high:
            raise ValueError(
                f"values from {image.min():g} to {image.max():g} lie outside the range [{low:g}, {high:g}] of the "
                "histogram; are they in another unit? If not, clip them"
            )
        total += np.histogram(image, bins, value_range)[0] / image.size
    return total / len(stack)


def kl_of_histograms(p: np.ndarray, q: np.ndarray, pseudocount: float = 0.0) -> float:
    """sum p log(p / q) over bins, of histograms that are brought to a sum of 1; see `kl_divergence`."""
    if pseudocount < 0:
        raise ValueError(f"pseudocount is {pseudocount}, expected 0 or more")
    p, q = (_normalised(h, pseudocount) for h in _of_equal_bins(p, q))
    if np.any((p > 0) & (q == 0)):
        return float("inf")
    some = p > 0
    # the divergence is never negative, its rounding may be
    return max(0.0, float(np.sum(p[some] * np.log(p[some] / q[some]))))


def correlation_of_histograms(p: np.ndarray, q: np.ndarray) -> float:
    """Eq. 3 for two histograms.

    Raises:
        ValueError: a histogram that is the same in all bins correlates with nothing.
    """
    a, b = (h - h.mean() for h in _of_equal_bins(p, q))
    norm = np.sqrt((a @ a) * (b @ b))
    if norm == 0:
        raise ValueError("a histogram with the same value in all bins has no correlation")
    return float(a @ b / norm)


def intersection_of_histograms(p: np.ndarray, q: np.ndarray) -> float:
    """Eq. 5 for two histograms that are brought to a sum of 1."""
    return float(np.minimum(*map(_normalised, _of_equal_bins(p, q))).sum())


def _of_equal_bins(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if p.shape != q.shape:
        raise ValueError(f"histograms of {p.size} and {q.size} bins cannot be compared; take the same bins for both")
    return p, q


def _normalised(histogram: np.ndarray, pseudocount: float = 0.0) -> np.ndarray:
    if histogram.sum() <= 0:
        raise ValueError("an empty histogram cannot be compared")
    histogram = histogram / histogram.sum() + pseudocount
    return histogram / histogram.sum()


def _both(real: Images, synthetic: Images, bins: int, value_range: Range | None) -> tuple[np.ndarray, np.ndarray]:
    real, synthetic = _arrays(real), _arrays(synthetic)
    for name, images in (("real", real), ("synthetic", synthetic)):
        if len(images) == 1:
            warnings.warn(f"the {name} set is one image; its histogram says nothing of a set", stacklevel=3)
    if value_range is None:
        ends = [(image.min(), image.max()) for image in (*real, *synthetic)]
        value_range = (float(min(low for low, _ in ends)), float(max(high for _, high in ends)))
    return average_histogram(real, bins, value_range), average_histogram(synthetic, bins, value_range)


def _arrays(images: Images) -> Sequence[np.ndarray]:
    stack = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images
    if len(stack) == 0:
        raise ValueError("a histogram needs at least one image, got none")
    stack = [np.asarray(image) for image in stack]
    for number, image in enumerate(stack):
        if image.ndim < 2:
            raise ValueError(f"expected images [n, H, W], got images of shape {image.shape}; is this one image?")
        if image.size == 0 or not np.isfinite(image).all():
            raise ValueError(f"image {number} of {len(stack)} is empty or holds NaN or infinite values")
    return stack
