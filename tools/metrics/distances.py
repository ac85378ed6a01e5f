"""Distances between a set of real and a set of synthetic images, given as features.

Plain functions from two matrices [samples, dimensions] to a number. Which space the features are taken in is the
caller's choice (`tools.metrics.features`); a number means nothing without the name of that space.
"""

from __future__ import annotations

import numpy as np
import torch

# 2048 x 2048 float64 distances are 32 MiB; more pooled samples than this do not change a median noticeably.
BLOCK = 2048
MAX_MEDIAN_SAMPLES = 4096

Features = torch.Tensor | np.ndarray


def frechet_distance(real: Features, synthetic: Features) -> float:
    """Fréchet distance between Gaussians fitted to the features (FID; Shiri et al., CRF-GAN, section 2.3.1, Eq. 2).

    |mu_r - mu_g|^2 + Tr(S_r + S_g - 2 sqrt(S_r S_g)), with the unbiased covariances (divided by samples - 1).

    With centred features A (n x d) over sqrt(n - 1), so that S_r = A^T A, and B likewise, Tr sqrt(S_r S_g) is the sum
    of the singular values of A B^T. No matrix square root is taken, so rank-deficient covariances (fewer samples
    than dimensions, the usual case for volumes) cost no accuracy and nothing becomes complex.

    Args:
        real: [n, d], n >= 2, finite.
        synthetic: [m, d], m >= 2, finite.

    Returns:
        The distance, >= 0, in squared units of the features. It is biased upwards for few samples: compare only
        values from equal numbers of samples.

    Raises:
        ValueError: for fewer than 2 samples, different dimensions, or features that are not finite.
    """
    real, synthetic = checked_features(real, synthetic)
    a, b = _factor(real), _factor(synthetic)
    trace_sqrt = torch.linalg.svdvals(a @ b.T).sum()
    mean_term = (real.mean(0) - synthetic.mean(0)).square().sum()
    # A tiny negative value can only be rounding: the exact distance is never negative.
    return max(0.0, (mean_term + a.square().sum() + b.square().sum() - 2 * trace_sqrt).item())


def maximum_mean_discrepancy(
    real: Features, synthetic: Features, bandwidth: float | None = None, unbiased: bool = True
) -> float:
    """Maximum mean discrepancy with a Gaussian kernel (Shiri et al., CRF-GAN, Eq. 3; Gretton et al. 2012).

    E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = exp(-|x - y|^2 / (2 sigma^2)). This is the squared discrepancy;
    the paper calls it MMD, and so do the outputs here. Memory is bounded whatever the number of samples.

    Args:
        real: [n, d], n >= 2, finite.
        synthetic: [m, d], m >= 2, finite.
        bandwidth: sigma in units of the features. None: the median distance between two different samples of the
            pooled set (of 4096 evenly spaced ones if there are more), the usual heuristic.
        unbiased: True leaves the pairs (x, x) out of the means (Gretton's MMD_u^2): zero on average for equal
            distributions, so it can be slightly negative. False keeps them (MMD_b^2): never negative, and zero for
            identical sets, but larger for few samples.

    Raises:
        ValueError: for fewer than 2 samples, different dimensions, features that are not finite, a bandwidth that is
            not positive, or (bandwidth None) features so alike that the median distance is zero.
    """
    real, synthetic = checked_features(real, synthetic)
    if bandwidth is None:
        bandwidth = _median_distance(torch.cat([real, synthetic]))
    elif not (np.isfinite(bandwidth) and bandwidth > 0):
        raise ValueError(f"the bandwidth must be positive and finite, got {bandwidth}; None takes the median distance")

    def within(x: torch.Tensor) -> float:
        n, total = len(x), _kernel_sum(x, x, bandwidth)
        # k(x, x) = 1, so the diagonal adds exactly n.
        return (total - n) / (n * (n - 1)) if unbiased else total / n**2

    between = _kernel_sum(real, synthetic, bandwidth) / (len(real) * len(synthetic))
    value = within(real) + within(synthetic) - 2 * between
    return value if unbiased else max(0.0, value)


def kernel_distance(real: Features, synthetic: Features) -> float:
    """Kernel distance (KID; Bińkowski et al. 2018): the unbiased squared discrepancy with k(x, y) = (x.y / d + 1)^3.

    All samples are used at once, where other code averages over random subsets; the expectation is the same, the spread
    smaller. Memory is bounded whatever the number of samples.

    Args:
        real: [n, d], n >= 2, finite.
        synthetic: [m, d], m >= 2, finite.

    Returns:
        0 on average for equal distributions, so it can be slightly negative.

    Raises:
        ValueError: see `frechet_distance`.
    """
    real, synthetic = checked_features(real, synthetic)
    dimensions = real.shape[1]

    def mean(x: torch.Tensor, y: torch.Tensor, same: bool) -> float:
        total = sum((p @ q.T / dimensions + 1).pow_(3).sum().item() for p in x.split(BLOCK) for q in y.split(BLOCK))
        if not same:
            return total / (len(x) * len(y))
        own = (x.square().sum(1) / dimensions + 1).pow(3).sum().item()  # pairs of a sample with itself
        return (total - own) / (len(x) * (len(x) - 1))

    return mean(real, real, True) + mean(synthetic, synthetic, True) - 2 * mean(real, synthetic, False)


def _factor(features: torch.Tensor) -> torch.Tensor:
    """A with A^T A = covariance: [n, d], or [d, d] from a QR decomposition when there are more samples than that."""
    a = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(a, mode="r").R if a.shape[0] > a.shape[1] else a


def _kernel_sum(x: torch.Tensor, y: torch.Tensor, bandwidth: float) -> float:
    """Sum of k over all pairs, block by block."""
    return sum(
        # Differences, not the expansion of the square by a matrix product, which cancels for close samples.
        torch.cdist(p, q, compute_mode="donot_use_mm_for_euclid_dist")
        .square_()
        .div_(-2 * bandwidth**2)
        .exp_()
        .sum()
        .item()
        for p in x.split(BLOCK)
        for q in y.split(BLOCK)
    )


def _median_distance(pooled: torch.Tensor) -> float:
    if len(pooled) > MAX_MEDIAN_SAMPLES:
        pooled = pooled[torch.linspace(0, len(pooled) - 1, MAX_MEDIAN_SAMPLES).long()]
    median = float(np.median(torch.pdist(pooled).numpy()))
    if median == 0:
        raise ValueError(
            f"the median distance between the {len(pooled)} pooled samples is zero (most features are identical), "
            "which gives no bandwidth; check that the volumes differ, or pass bandwidth="
        )
    return median


def checked_features(real: Features, synthetic: Features) -> tuple[torch.Tensor, torch.Tensor]:
    """Both sets as float64 on the CPU, or a ValueError that says what is wrong with which."""
    checked = []
    for name, features in (("real", real), ("synthetic", synthetic)):
        features = torch.as_tensor(features).detach().to("cpu", torch.float64)
        if features.ndim != 2 or features.shape[1] == 0:
            raise ValueError(f"{name} features must be [samples, dimensions], got shape {tuple(features.shape)}")
        if len(features) < 2:
            raise ValueError(f"{name} features have {len(features)} sample(s); a distribution needs at least 2")
        bad = int((~torch.isfinite(features)).any(1).sum())
        if bad:
            raise ValueError(f"{name} features of {bad} of {len(features)} samples are not finite (NaN or infinite)")
        checked.append(features)
    if checked[0].shape[1] != checked[1].shape[1]:
        raise ValueError(
            f"real features have {checked[0].shape[1]} dimensions and synthetic features {checked[1].shape[1]}; "
            "take both in the same feature space"
        )
    return checked[0], checked[1]
