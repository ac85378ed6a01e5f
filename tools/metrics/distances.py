"""Distances between a set of real and a set of synthetic images, given as features.

Plain functions from two matrices [samples, dimensions] to a number. Which space the features are taken in is the
caller's choice (`tools.features.space`); a number means nothing without the name of that space.
"""

from __future__ import annotations

import numpy as np
import torch

# 2048 x 2048 float64 distances are 32 MiB; more pooled samples than this do not change a median noticeably.
BLOCK = 2048
MAX_MEDIAN_SAMPLES = 4096
# Share of a Fréchet distance that rounding in the faster of two routes may amount to.
FRECHET_TOLERANCE = 1e-7

Features = torch.Tensor | np.ndarray


def frechet_distance(real: Features, synthetic: Features) -> float:
    """Fréchet distance between Gaussians fitted to the features (FID; Shiri et al., CRF-GAN, section 2.3.1, Eq. 2).

    |mu_r - mu_g|^2 + Tr(S_r + S_g - 2 sqrt(S_r S_g)), with the unbiased covariances (divided by samples - 1).

    With centred features A (n x d) over sqrt(n - 1), so that S_r = A^T A, and B likewise, Tr sqrt(S_r S_g) is the sum
    of the singular values of A B^T. No matrix square root is taken, so rank-deficient covariances (fewer samples
    than dimensions, the usual case for volumes) cost no accuracy and nothing becomes complex. It is also several times
    faster: `python -m tools benchmark_distances`.

    Args:
        real: [n, d], n >= 2, finite.
        synthetic: [m, d], m >= 2, finite.

    Returns:
        The distance, >= 0, in squared units of the features. It is biased upwards for few samples: compare only
        values from equal numbers of samples.

    Raises:
        ValueError: fewer than 2 samples, different dimensions, or features that are not finite.
    """
    real, synthetic = checked_features(real, synthetic)
    # A centred set of n samples has rank n - 1 at most.
    rank = min(len(real) - 1, len(synthetic) - 1, real.shape[1])
    a, b = covariance_factor(real), covariance_factor(synthetic)
    mean_term = (real.mean(0) - synthetic.mean(0)).square().sum()
    rest = (mean_term + a.square().sum() + b.square().sum()).item()
    trace_sqrt = _sum_of_singular_values(a @ b.T, rank, rest)
    # A tiny negative value can only be rounding: the exact distance is never negative.
    return max(0.0, rest - 2 * trace_sqrt)


KERNELS = {"paper": 1.0, "gaussian": 2.0}
"""Kernels of the maximum mean discrepancy: exp(-d^2 / (factor * bandwidth^2)), d the distance of two samples."""


def maximum_mean_discrepancy(
    real: Features,
    synthetic: Features,
    bandwidth: float | None = None,
    unbiased: bool = True,
    kernel: str = "paper",
) -> float:
    """Maximum mean discrepancy with a Gaussian kernel (Shiri et al., CRF-GAN, Eq. 3; Gretton et al. 2012).

    E k(x, x') + E k(y, y') - 2 E k(x, y). This is the squared discrepancy; the paper calls it MMD, and so do the
    outputs here. Memory is bounded whatever the number of samples.

    Eq. 3 leaves the kernel open. The code released with HA-GAN's and CRF-GAN's papers takes
    k(x, y) = exp(-|x - y|^2 / median^2) with the median distance of the pooled samples (``MMDStatistic`` of
    torch-two-sample with ``alphas="median"``), and this is the default. Its median counts the zero distances of samples
    to themselves too, a share of 1 / (n + m) of all; here they are left out.

    The kernel grows with the distance of the sets. Once they lie so far apart that every pair of a real and a
    synthetic sample is farther than any pair of one set, the value tends to about 2 - 2 / e, however far they are:
    rank such sets by `frechet_distance` or `kernel_distance`, or give all of them one bandwidth.

    Args:
        real: [n, d], n >= 2, finite.
        synthetic: [m, d], m >= 2, finite.
        bandwidth: bandwidth in units of the features. None: the median distance between two different samples of the
            pooled set (of 4096 evenly spaced ones if there are more), the usual heuristic.
        unbiased: True leaves the pairs (x, x) out of the means (Gretton's MMD_u^2), as the papers' code does: zero on
            average for equal distributions, so it can be slightly negative. False keeps them (MMD_b^2): never negative,
            and zero for identical sets, but larger for few samples.
        kernel: "paper", exp(-d^2 / bandwidth^2), or "gaussian", exp(-d^2 / (2 bandwidth^2)), whose bandwidth is the
            standard deviation of a Gaussian; with the median for it values are smaller than the paper's.

    Raises:
        ValueError: fewer than 2 samples, different dimensions, features that are not finite, a bandwidth that is not
            positive, another kernel, or (bandwidth None) features so alike that the median distance is zero.
    """
    real, synthetic = checked_features(real, synthetic)
    if kernel not in KERNELS:
        raise ValueError(f"kernel is {kernel!r}, expected {' or '.join(map(repr, KERNELS))}")
    if bandwidth is None:
        bandwidth = median_distance(torch.cat([real, synthetic]))
    elif not (np.isfinite(bandwidth) and bandwidth > 0):
        raise ValueError(f"the bandwidth must be positive and finite, got {bandwidth}; None takes the median distance")
    scale = KERNELS[kernel] * bandwidth**2

    centre = torch.cat([real, synthetic]).mean(0)
    real, synthetic = real - centre, synthetic - centre

    def within(x: torch.Tensor) -> float:
        n, total = len(x), _kernel_sum(x, x, scale)
        # k(x, x) = 1, so the diagonal adds exactly n.
        return (total - n) / (n * (n - 1)) if unbiased else total / n**2

    between = _kernel_sum(real, synthetic, scale) / (len(real) * len(synthetic))
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
        ValueError: unusable samples, see `frechet_distance`.
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


def _sum_of_singular_values(matrix: torch.Tensor, rank: int, minuend: float) -> float:
    """Sum of the singular values s of a matrix of at most that rank, to 1e-7 of minuend - 2 * sum.

    The roots of the eigenvalues s^2 of M M^T are several times faster to find than s, but rounding moves each s^2 by
    about eps max(s)^2, and thereby a small s by more than its share. Where that could matter, the singular values
    themselves are taken: for sets that are nearly equal, or whose covariances are close to singular.
    """
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    squares = torch.linalg.eigvalsh(square)[len(square) - rank :].clamp(min=0)
    roots = squares.sqrt()
    rounding = 4 * torch.finfo(squares.dtype).eps * squares.max()
    # sqrt(s^2 + r) - s is at most min(sqrt(r), r / s); errors of either sign add up like a random walk
    error = torch.minimum(rounding.sqrt(), rounding / roots).square().sum().sqrt().item()
    total = roots.sum().item()
    if error <= FRECHET_TOLERANCE * (minuend - 2 * total):
        return total
    return torch.linalg.svdvals(matrix).sum().item()


def covariance_factor(features: torch.Tensor) -> torch.Tensor:
    """A with A^T A = covariance: [n, d], or [d, d] from a QR decomposition when there are more samples than that."""
    a = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(a, mode="r").R if a.shape[0] > a.shape[1] else a


def _kernel_sum(x: torch.Tensor, y: torch.Tensor, scale: float) -> float:
    """Sum of exp(-d^2 / scale) over all pairs, block by block."""
    return sum(
        # By a matrix product, which is far faster. It cancels for close samples, but in double precision, and with the
        # mean taken off, by less than 1e-12 of the bandwidth.
        torch.cdist(p, q, compute_mode="use_mm_for_euclid_dist").square_().div_(-scale).exp_().sum().item()
        for p in x.split(BLOCK)
        for q in y.split(BLOCK)
    )


def median_distance(samples: Features) -> float:
    """Median Euclidean distance between two different samples [n, d]: the usual bandwidth of a Gaussian kernel.

    Of 4096 evenly spaced samples if there are more.

    Raises:
        ValueError: fewer than 2 samples, or most of them identical.
    """
    samples = torch.as_tensor(samples).detach().to("cpu", torch.float64)
    if samples.ndim != 2 or len(samples) < 2:
        raise ValueError(f"expected features [samples, dimensions] of 2 samples or more, got {tuple(samples.shape)}")
    if len(samples) > MAX_MEDIAN_SAMPLES:
        samples = samples[torch.linspace(0, len(samples) - 1, MAX_MEDIAN_SAMPLES).long()]
    median = float(np.median(torch.pdist(samples).numpy()))
    if median == 0:
        raise ValueError(
            f"the median distance between the {len(samples)} pooled samples is zero (most features are identical), "
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
