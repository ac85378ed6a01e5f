"""Errors of a synthetic CT where the true CT is known: paired phantoms, registered pairs.

Volumes are [axial, H, W] on one grid, in HU; spacing is (axial, H, W) in mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from monai.metrics import PSNRMetric, SSIMMetric
from scipy import ndimage

from tools.transforms.body import body_mask
from tools.transforms.ct import BODY

TISSUES = {"air": (-np.inf, -930.0), "lung": (-930.0, BODY), "soft": (BODY, 200.0), "bone": (200.0, np.inf)}
"""HU of the tissue classes inside the body, a convention: the limits lie between the ranges that textbooks give (lungs
-950 to -550, fat -100, organs and blood 0 to 70, compact bone from 250). "soft" includes fat. Vessels and kidneys full
of contrast agent count as bone: where a label map exists, it decides better.
"""

RELATIVE_ELECTRON_DENSITY = ((-1000.0, 0.0), (100.0, 1.1), (3000.0, 2.492))
"""HU and electron density relative to water, linear in between: 1 + HU / 1000 up to 100 HU, 1.052 + 0.00048 HU above,
the bilinear calibration of Battista and Bronskill (1981), and constant beyond the ends. Every scanner has its own: give
that where it is known.
"""


def mean_absolute_error(truth: np.ndarray, synthetic: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean of |synthetic - truth| in HU, over the mask if there is one."""
    return float(np.abs(_difference(truth, synthetic, mask)).mean())


def mean_error(truth: np.ndarray, synthetic: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean of synthetic - truth in HU, over the mask if there is one: above 0 where the synthetic CT is too dense."""
    return float(_difference(truth, synthetic, mask).mean())


def psnr(truth: np.ndarray, synthetic: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(data_range^2 / mean squared error); infinite for equal volumes."""
    _difference(truth, synthetic, None)
    _check_data_range(data_range)
    return float(PSNRMetric(max_val=data_range)(*_batches(synthetic, truth)))


def ssim(truth: np.ndarray, synthetic: np.ndarray, data_range: float) -> float:
    """Structural similarity (Wang et al. 2004) with MONAI's Gaussian window of 11 voxels, or the largest that fits.

    Takes images [H, W] and volumes [axial, H, W].
    """
    _difference(truth, synthetic, None)
    _check_data_range(data_range)
    if truth.ndim not in (2, 3):
        raise ValueError(f"expected images [H, W] or volumes [axial, H, W], got shape {truth.shape}")
    window = [min(11, n if n % 2 else n - 1) for n in truth.shape]
    metric = SSIMMetric(spatial_dims=truth.ndim, data_range=data_range, win_size=window)
    return float(metric(*_batches(synthetic, truth)))


def tissue_classes(hu: np.ndarray, mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Masks of air, lung, soft tissue and bone inside the body, by the HU in `TISSUES`."""
    mask = body_mask(hu) if mask is None else np.asarray(mask, bool)
    return {name: mask & (hu > low) & (hu <= high) for name, (low, high) in TISSUES.items()}


def tissue_errors(
    truth: np.ndarray, synthetic: np.ndarray, classes: Mapping[str, np.ndarray] | None = None
) -> dict[str, dict[str, float]]:
    """MAE, ME and number of voxels, everywhere, in the body and in every tissue.

    Args:
        truth: reference CT in HU.
        synthetic: synthetic CT in HU.
        classes: name -> mask; None divides the truth by its HU (`tissue_classes`).

    Returns:
        name -> {"mae", "me", "voxels"}, "everywhere" and "body" first. Tissues that are nowhere are left out.
    """
    _difference(truth, synthetic, None)
    body = body_mask(truth)
    classes = tissue_classes(truth, body) if classes is None else classes
    masks = {"everywhere": np.ones(truth.shape, bool), "body": body, **classes}
    return {
        name: {
            "mae": mean_absolute_error(truth, synthetic, mask),
            "me": mean_error(truth, synthetic, mask),
            "voxels": int(np.count_nonzero(mask)),
        }
        for name, mask in masks.items()
        if np.any(mask)
    }


def all_errors(
    truth: np.ndarray,
    synthetic: np.ndarray,
    spacing: Sequence[float],
    classes: Mapping[str, np.ndarray] | None = None,
) -> dict[str, float]:
    """All of this module for one pair of CT volumes.

    Args:
        truth: reference CT [axial, H, W] in HU.
        synthetic: synthetic CT [axial, H, W] in HU.
        spacing: (axial, H, W) in mm.
        classes: tissue classes, see `tissue_errors`.

    Returns:
        mae_<tissue> and me_<tissue> in HU, psnr in dB and ssim over the range of the truth, path_length_mm.
    """
    errors, span = tissue_errors(truth, synthetic, classes), float(np.ptp(truth))
    return {
        **{f"mae_{tissue}": e["mae"] for tissue, e in errors.items()},
        **{f"me_{tissue}": e["me"] for tissue, e in errors.items()},
        "psnr": psnr(truth, synthetic, span),
        "ssim": ssim(truth, synthetic, span),
        "path_length_mm": path_length_difference(truth, synthetic, spacing)["mean_absolute"],
    }


def water_equivalent_path_length(
    hu: np.ndarray,
    spacing: Sequence[float],
    angle: float = 0.0,
    calibration: Sequence[tuple[float, float]] = RELATIVE_ELECTRON_DENSITY,
) -> np.ndarray:
    """Thickness in mm of the water that slows a particle beam down as much as the volume does, for parallel beams.

    A plan's dose is only right where the HU are (report D2.2, section 6.2). What this is off, a proton's range is off:
    stopping power relative to water is taken to be the relative electron density.

    Args:
        hu: [axial, H, W].
        spacing: spacing in mm.
        angle: angle of the beams in the axial plane, in degrees: 0 runs from front to back along H, 90 along W.
        calibration: pairs of HU and relative electron density, in rising order.

    Returns:
        [axial, W] at 0 degrees, [axial, H] at 90; otherwise [axial, number of beams].

    Raises:
        ValueError: no volume, NaN, spacing that is not three positive numbers, a calibration whose HU do not rise, or
            oblique beams through pixels that are not square.
    """
    hu = np.asarray(hu, np.float64)
    if hu.ndim != 3 or not np.isfinite(hu).all():
        raise ValueError(f"expected a volume [axial, H, W] of finite HU, got shape {hu.shape}, or NaN in it")
    if len(spacing) != 3 or not all(s > 0 for s in spacing):
        raise ValueError(f"spacing is {tuple(spacing)}, expected the voxels' size (axial, H, W) in mm")
    points, densities = zip(*calibration, strict=True)
    if not (np.diff(points) > 0).all():
        raise ValueError(f"the HU of a calibration must rise from pair to pair, got {points}")
    density = np.interp(hu, points, densities)
    _, rows, columns = spacing
    if angle % 180 == 0:
        return density.sum(1) * rows
    if angle % 180 == 90:
        return density.sum(2) * columns
    if not np.isclose(rows, columns, rtol=1e-3):
        raise ValueError(f"oblique beams need square pixels, got {rows:g} x {columns:g} mm; resample first")
    turned = ndimage.rotate(density, angle, axes=(1, 2), order=1, cval=0.0)
    return turned.sum(1) * rows


def path_length_difference(
    truth: np.ndarray,
    synthetic: np.ndarray,
    spacing: Sequence[float],
    angles: Sequence[float] = (0.0, 90.0),
    calibration: Sequence[tuple[float, float]] = RELATIVE_ELECTRON_DENSITY,
) -> dict[str, float]:
    """Return how far the water-equivalent path lengths of two volumes differ, over beams through 10 mm of water of the
    truth.

    See `water_equivalent_path_length` for the arguments.

    Returns:
        Differences in mm: "mean_absolute", "mean" (above 0 where the synthetic CT stops beams earlier) and
        "95th_percentile" of the absolute differences; and "beams", their number.

    Raises:
        ValueError: different shapes, NaN, or no beam that crosses anything.
    """
    _difference(truth, synthetic, None)
    differences = []
    for angle in angles:
        true_length = water_equivalent_path_length(truth, spacing, angle, calibration)
        made = water_equivalent_path_length(synthetic, spacing, angle, calibration)
        differences.append((made - true_length)[true_length > 10])
    difference = np.concatenate(differences)
    if difference.size == 0:
        raise ValueError("no beam crosses 10 mm of water; is the volume in HU?")
    return {
        "mean_absolute": float(np.abs(difference).mean()),
        "mean": float(difference.mean()),
        "95th_percentile": float(np.percentile(np.abs(difference), 95)),
        "beams": int(difference.size),
    }


def _difference(truth: np.ndarray, synthetic: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """synthetic - truth in float64, of voxels in the mask."""
    if truth.shape != synthetic.shape:
        raise ValueError(f"the truth has shape {truth.shape} and the synthetic volume {synthetic.shape}; resample one")
    difference = np.asarray(synthetic, np.float64) - np.asarray(truth, np.float64)
    if not np.isfinite(difference).all():
        raise ValueError("a volume holds NaN or infinite values")
    if mask is not None:
        mask = np.asarray(mask, bool)  # 0 and 1 as numbers would be taken for indices of slices
        if mask.shape != truth.shape or not mask.any():
            raise ValueError(f"the mask of shape {mask.shape} is empty or does not fit a volume of shape {truth.shape}")
        difference = difference[mask]
    return difference


def _check_data_range(data_range: float) -> None:
    if not (np.isfinite(data_range) and data_range > 0):
        raise ValueError(f"data_range is {data_range}, expected the width of the range of values, above 0")


def _batches(*volumes: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.asarray(v, np.float64)).float()[None, None] for v in volumes]
