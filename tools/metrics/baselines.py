"""Two baselines for CT from MR that need no network; a network has to beat them before anything is claimed."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk


def matched_histogram(mr: np.ndarray, ct: np.ndarray) -> np.ndarray:
    """CT by histogram matching: the MR's darkest voxel becomes the CT's darkest, and so on through all ranks.

    The only monotone map from MR intensity to HU that gives the result the reference's distribution of HU.

    Args:
        mr: intensities, any shape, any unit.
        ct: HU of a reference, any shape: CT of other patients. Equal MR intensities share the mean of their ranks.

    Returns:
        float32 HU in the MR's shape.
    """
    _check(mr=mr, ct=ct)
    _, inverse, counts = np.unique(mr, return_inverse=True, return_counts=True)
    # the rank in the middle of each intensity's voxels, in (0, 1)
    ranks = (np.cumsum(counts) - counts / 2) / mr.size
    return np.quantile(ct, ranks)[inverse].reshape(mr.shape).astype(np.float32)


def best_constants(mr: np.ndarray, truth: np.ndarray, classes: int = 5) -> np.ndarray:
    """CT by tissue classes from MR intensity, each with the constant that is best for it in hindsight.

    Intensities are cut into classes by Otsu's thresholds; every class gets the median of the true HU of its voxels,
    which minimises the mean absolute error. As it looks at the truth that it is then compared with, no method that
    assigns a constant to each of these classes does better.

    Args:
        mr: intensities of one modality, any shape.
        truth: true HU, the same shape.
        classes: number of classes; 5 for air, fat, soft tissue, blood and the brightest.

    Returns:
        float32 HU in the MR's shape.
    """
    _check(mr=mr, truth=truth)
    if mr.shape != truth.shape:
        raise ValueError(f"the MR has shape {mr.shape} and its true CT {truth.shape}; they must share a grid")
    if classes < 1:
        raise ValueError(f"classes is {classes}, expected 1 or more")
    if np.min(mr) == np.max(mr):
        raise ValueError(f"the MR has one value, {np.min(mr):g}, everywhere")
    bounded = np.clip(mr, *np.percentile(mr, (0.5, 99.5))).astype(np.float32)
    # Otsu (1979) with several thresholds: classes that differ least within themselves
    label = np.zeros(mr.shape, int) if classes == 1 else _otsu(bounded, classes)
    ct = np.empty(mr.shape, np.float32)
    for c in np.unique(label):
        ct[label == c] = np.median(truth[label == c])
    return ct


def _otsu(values: np.ndarray, classes: int) -> np.ndarray:
    """The class, from 0 for the darkest, of every value."""
    # SimpleITK takes 2 or 3 dimensions
    image = sitk.GetImageFromArray(values.reshape(len(values), -1))
    classified = sitk.OtsuMultipleThresholds(image, numberOfThresholds=classes - 1)
    return sitk.GetArrayFromImage(classified).reshape(values.shape)


def _check(**volumes: np.ndarray) -> None:
    for name, volume in volumes.items():
        if volume.size == 0 or not np.isfinite(volume).all():
            raise ValueError(f"{name} of shape {volume.shape} is empty or holds NaN or infinite values")
