"""Comparing sets of images by their average spectra (Crespi et al., section 3; Frank et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy import fft

SMALLEST = 1e-6
"""Added to magnitudes before the logarithm, as a share of the largest, so that empty frequencies stay finite."""


def spectral_correlation(real: np.ndarray | torch.Tensor, synthetic: np.ndarray | torch.Tensor) -> float:
    """Correlation of two sets' average log spectra over all frequencies, 1 for equal ones.

    The paper correlates spectra of slices without a formula; here the mean of the slices' log magnitudes is taken
    first, so that the sets may differ in number.

    Args:
        real, synthetic: images [n, H, W] of one size.

    Raises:
        ValueError: an empty set, images of different sizes, NaN, or images of one value, which have no spectrum.
    """
    return correlation_of_spectra(average_spectrum(real), average_spectrum(synthetic))


def average_spectrum(images: np.ndarray | torch.Tensor | Iterable[np.ndarray]) -> np.ndarray:
    """Mean log magnitude of the 2D Fourier transforms of images [n, H, W]: float64 [H, W], frequency 0 in the middle.

    Each image's mean is taken off first: it says how bright an image is, not how it looks.
    """
    images = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images
    total, count = 0.0, 0
    for image in images:
        total, count = total + log_spectrum(image), count + 1
    if count == 0:
        raise ValueError("a spectrum needs at least one image, got none")
    return total / count


def log_spectrum(image: np.ndarray) -> np.ndarray:
    """Log magnitude of the 2D Fourier transform of an image [H, W], frequency 0 in the middle."""
    image = np.asarray(image, np.float64)
    if image.ndim != 2 or not np.isfinite(image).all():
        raise ValueError(f"expected an image [H, W] of finite values, got shape {image.shape}")
    magnitude = np.abs(fft.fftshift(fft.fft2(image - image.mean())))
    largest = magnitude.max()
    if largest <= 1e-9 * max(1.0, np.abs(image).max()):
        raise ValueError("an image of one value has no spectrum; leave blank slices out")
    return np.log(magnitude + SMALLEST * largest)


def correlation_of_spectra(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two average spectra over their frequencies.

    Raises:
        ValueError: they have different sizes.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"spectra of images of {a.shape} and {b.shape} cannot be compared; resample both sets to one size"
        )
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
