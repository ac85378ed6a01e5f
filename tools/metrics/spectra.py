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
        real: images [n, H, W].
        synthetic: images [n, H, W] of the same size.

    Raises:
        ValueError: an empty set, images of different sizes, NaN, or images of one value, which have no spectrum.
    """
    return correlation_of_spectra(average_spectrum(real), average_spectrum(synthetic))


def average_spectrum(images: np.ndarray | torch.Tensor | Iterable[np.ndarray]) -> np.ndarray:
    """Mean log magnitude of the 2D Fourier transforms of images [n, H, W]: float64 [H, W], frequency 0 in the middle.

    Each image's mean is taken off first: it says how bright an image is, not how it looks.
    """
    images = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images
    total, count = None, 0
    for image in images:
        spectrum = log_spectrum(image)
        if total is not None and total.shape != spectrum.shape:
            raise ValueError(
                f"image {count} has size {spectrum.shape}, those before {total.shape}; resample to one size"
            )
        total, count = spectrum if total is None else total + spectrum, count + 1
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

    Frequency 0 is left out: the images' means are taken off, so it is equally empty in all sets, and as an outlier that
    they share it would raise the correlation (from 0.01 to 0.27 for white noise of 64 pixels a side).

    Raises:
        ValueError: the spectra have different sizes, or one has the same value at all frequencies.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"spectra of images of {a.shape} and {b.shape} cannot be compared; resample both sets to one size"
        )
    zero = np.ravel_multi_index([n // 2 for n in a.shape], a.shape)
    a, b = (np.delete(spectrum.ravel(), zero) for spectrum in (a, b))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise ValueError("a spectrum with the same value at all frequencies has no correlation")
    return float(np.corrcoef(a, b)[0, 1])
