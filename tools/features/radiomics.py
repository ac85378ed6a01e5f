"""Radiomic features as a feature space: that of the Fréchet radiomic distance, and no weights.

Names and formulas are those of the Image Biomarker Standardisation Initiative (IBSI; Zwanenburg et al.,
arXiv:1612.07003, sections 3.3, 3.4 and 3.6). Co-occurrences are merged over directions, one of the two ways that it
defines in 3D; PyRadiomics takes the other one, the mean of each direction's features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch

from tools.features.network import checked_volumes
from tools.features.space import FeatureSpace

VERSION = 1
"""Part of the name of the space. Raise it whenever the same volume gives other numbers than before."""

BINS = 32
"""Grey levels of [-1, 1] in a volume."""

DETAIL_BINS = 31
"""Those of a sub-band of details: an odd number, so that the 0 of flat regions lies amid a level, not between two."""

BANDS = tuple("".join(band) for band in itertools.product("LH", repeat=3))
"""Sub-bands of the wavelet transform: low or high along (D, H, W)."""

FIRST_ORDER = (
    "mean",
    "variance",
    "skewness",
    "excess kurtosis",
    "median",
    "minimum",
    "10th percentile",
    "90th percentile",
    "maximum",
    "interquartile range",
    "range",
    "mean absolute deviation",
    "robust mean absolute deviation",
    "energy",
    "entropy",
    "uniformity",
)

COOCCURRENCE = (
    "joint maximum",
    "joint average",
    "joint variance",
    "joint entropy",
    "difference average",
    "difference variance",
    "difference entropy",
    "sum entropy",
    "angular second moment",
    "contrast",
    "inverse difference",
    "inverse difference moment",
    "correlation",
    "cluster shade",
    "cluster prominence",
    "information correlation 1",
)

DIRECTIONS = tuple(offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0))
"""The 13 steps (D, H, W) to a neighbouring voxel; their opposites are the other 13."""

SLAB = 32  # slices whose pairs are counted at once; bounds memory


class RadiomicFeatures(FeatureSpace):
    """Radiomic features of whole volumes, after the Fréchet radiomic distance (Konz et al., Med. Image Anal. 2026).

    Of the volume and of the 8 sub-bands of its Haar wavelet transform: `first_order` and `cooccurrence` features, 9 x
    (16 + 16) = 288. The volume is one region of interest; its voxels are taken as they are.

    The features have units of their own, so distances are taken after `normaliser`.

    Attributes:
        name: "radiomics-<version>-firstorder-glcm-haar".
        dims: 288.
        names: names of the features, "<volume or sub-band> <feature>".
    """

    name = f"radiomics-{VERSION}-firstorder-glcm-haar"
    min_side = 4
    names = tuple(f"{part} {feature}" for part in ("volume", *BANDS) for feature in (*FIRST_ORDER, *COOCCURRENCE))
    dims = len(names)
    note = (
        "radiomic features as in the Fréchet radiomic distance, but fewer (no run length, size zone, grey tone "
        "difference or Laplacian of Gaussian), of the whole volume, with fixed grey levels, the Haar wavelet, no "
        "resampling, and without the logarithm of the distance: not comparable with frd-score"
    )

    def __call__(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features of volumes.

        Args:
            volumes: [B, 1, D, H, W], B >= 1, at least 4 voxels a side, values in [-1, 1].

        Returns:
            float32 [B, 288] on the device of the volumes; computed on the CPU in double precision.

        Raises:
            ValueError: another shape, smaller volumes, or values that are not finite or outside [-1, 1].
        """
        volumes = checked_volumes(volumes, self.name, self.min_side)
        rows = [_row(np.asarray(volume[0].detach().float().cpu())) for volume in volumes]
        return torch.tensor(np.array(rows), dtype=torch.float32, device=volumes.device)

    @staticmethod
    def normaliser(real: np.ndarray | torch.Tensor) -> Callable[[np.ndarray | torch.Tensor], np.ndarray]:
        """The map to apply to both sets before a distance: z-scores by the real set (Konz et al., Eq. 3).

        Features that are constant in the real set are dropped, as they have no z-score.

        Args:
            real: features [n, dims] of the real set, n >= 2.

        Returns:
            map from features [m, dims] to float64 [m, dims that are left].

        Raises:
            ValueError: fewer than two samples, or all features constant.
        """
        real = np.asarray(real, np.float64)
        if real.ndim != 2 or len(real) < 2:
            raise ValueError(f"expected radiomic features [n, dims] of 2 real volumes or more, got shape {real.shape}")
        mean, deviation = real.mean(0), real.std(0)
        varying = deviation > 1e-6 * np.abs(real).max(0)  # less is rounding to float32
        if not varying.any():
            raise ValueError(f"all radiomic features of the {len(real)} real volumes are constant; do they differ?")

        def normalise(features: np.ndarray | torch.Tensor) -> np.ndarray:
            features = np.asarray(features, np.float64)
            if features.ndim != 2 or features.shape[1] != len(mean):
                raise ValueError(f"expected radiomic features [m, {len(mean)}], got shape {features.shape}")
            return (features[:, varying] - mean[varying]) / deviation[varying]

        return normalise


def _row(volume: np.ndarray) -> np.ndarray:
    """All features of one volume [D, H, W]."""
    low, high = volume.min(), volume.max()
    if not (low >= -1.001 and high <= 1.001):  # NaN too
        raise ValueError(f"radiomic features take values in [-1, 1], got {low:g} to {high:g}")
    parts = [(volume, BINS), *((band, BINS if i == 0 else DETAIL_BINS) for i, band in enumerate(haar_bands(volume)))]
    return np.concatenate([_features_of(part, bins) for part, bins in parts])


def _features_of(values: np.ndarray, bins: int) -> np.ndarray:
    levels = grey_levels(values, bins)
    counts = np.bincount(levels.ravel(), minlength=bins)
    return np.concatenate([first_order(values, counts), cooccurrence(cooccurrence_counts(levels, bins))])


def grey_levels(values: np.ndarray, bins: int) -> np.ndarray:
    """The level, 0 to ``bins`` - 1, of values in [-1, 1]: equal parts of that range, whatever the volume."""
    return np.clip((values + 1) * (bins / 2), 0, bins - 1).astype(np.uint16)


def haar_bands(volume: np.ndarray) -> list[np.ndarray]:
    """One level of the 3D Haar wavelet transform, in the order of `BANDS`.

    With half the sum and half the difference of two neighbours, so that volumes in [-1, 1] give sub-bands in [-1, 1].
    The last slice, row or column of an odd number is left out.

    Args:
        volume: [D, H, W].

    Returns:
        8 arrays [D // 2, H // 2, W // 2].
    """
    bands = [volume]
    for axis, side in enumerate(volume.shape):
        halves = [[_every_second(band, axis, start, side // 2) for start in (0, 1)] for band in bands]
        bands = [half for even, odd in halves for half in ((even + odd) / 2, (even - odd) / 2)]
    return bands


def _every_second(band: np.ndarray, axis: int, start: int, count: int) -> np.ndarray:
    return band[(slice(None),) * axis + (slice(start, 2 * count, 2),)]


def first_order(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """IBSI's intensity statistics, and the entropy and uniformity of the histogram.

    "energy" is the mean of the squares, not their sum, which would measure the volume's size. A constant region has
    skewness and kurtosis 0.

    Args:
        values: values of the voxels, any shape.
        counts: voxels of every grey level.

    Returns:
        [16], in the order of `FIRST_ORDER`.
    """
    values = values.ravel().astype(np.float64)
    low, high, mean = values.min(), values.max(), values.mean()
    p10, p25, median, p75, p90 = np.percentile(values, [10, 25, 50, 75, 90])
    centred = values - mean
    squares = centred * centred
    variance = squares.mean()
    skewness = kurtosis = 0.0
    if high > low:
        skewness = (squares * centred).mean() / variance**1.5
        kurtosis = (squares * squares).mean() / variance**2 - 3
    inner = values[(values >= p10) & (values <= p90)]
    shares = counts / counts.sum()
    return np.array(
        [
            mean,
            variance,
            skewness,
            kurtosis,
            median,
            low,
            p10,
            p90,
            high,
            p75 - p25,
            high - low,
            np.abs(centred).mean(),
            np.abs(inner - inner.mean()).mean(),
            (values * values).mean(),
            _entropy(shares),
            (shares * shares).sum(),
        ]
    )


def cooccurrence_counts(levels: np.ndarray, bins: int) -> np.ndarray:
    """Return how often two levels are neighbours: IBSI's grey level co-occurrence matrix, 3D, merged over directions.

    Args:
        levels: [D, H, W], whole numbers from 0 to ``bins`` - 1.
        bins: number of levels.

    Returns:
        int64 [bins, bins], symmetric: every pair counts in both orders.
    """
    counts = np.zeros(bins * bins, np.int64)
    for offset in DIRECTIONS:
        ours, theirs = _shifted(levels, offset), _shifted(levels, [-step for step in offset])
        for start in range(0, len(ours), SLAB):
            part = slice(start, start + SLAB)
            counts += np.bincount((ours[part] * np.uint16(bins) + theirs[part]).ravel(), minlength=bins * bins)
    matrix = counts.reshape(bins, bins)
    return matrix + matrix.T


def _shifted(levels: np.ndarray, offset: Sequence[int]) -> np.ndarray:
    """The voxels that have a neighbour at an offset."""
    return levels[tuple(slice(max(0, -step), n - max(0, step)) for step, n in zip(offset, levels.shape, strict=True))]


def cooccurrence(counts: np.ndarray) -> np.ndarray:
    """IBSI's features of a grey level co-occurrence matrix.

    Left out are dissimilarity and sum average, which are the difference average and twice the joint average. Both
    correlations of a matrix of one level are 0: next to nothing is known of them in regions that are almost flat.

    Args:
        counts: [levels, levels], symmetric, not all 0. Levels count from 1 in the formulas.

    Returns:
        [16], in the order of `COOCCURRENCE`; entropies in bits.
    """
    joint = counts / counts.sum()
    level = np.arange(1, len(joint) + 1, dtype=np.float64)
    row, column = np.meshgrid(level, level, indexing="ij")
    marginal = joint.sum(1)
    mean = (level * marginal).sum()
    variance = ((level - mean) ** 2 * marginal).sum()
    distance = np.abs(row - column)
    differences = np.bincount(distance.astype(int).ravel(), joint.ravel())
    sums = np.bincount((row + column).astype(int).ravel(), joint.ravel())
    steps = np.arange(len(differences))
    difference_average = (steps * differences).sum()
    around = row + column - 2 * mean
    joint_entropy, entropy = _entropy(joint), _entropy(marginal)
    product = np.outer(marginal, marginal)
    seen = product > 0
    cross_entropy = -(joint[seen] * np.log2(product[seen])).sum()
    flat = np.count_nonzero(marginal) == 1
    return np.array(
        [
            joint.max(),
            mean,
            variance,
            joint_entropy,
            difference_average,
            ((steps - difference_average) ** 2 * differences).sum(),
            _entropy(differences),
            _entropy(sums),
            (joint * joint).sum(),
            (distance**2 * joint).sum(),
            (joint / (1 + distance)).sum(),
            (joint / (1 + distance**2)).sum(),
            0.0 if flat else ((row - mean) * (column - mean) * joint).sum() / variance,
            (around**3 * joint).sum(),
            (around**4 * joint).sum(),
            0.0 if flat else (joint_entropy - cross_entropy) / entropy,
        ]
    )


def _entropy(shares: np.ndarray) -> float:
    """Entropy in bits."""
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
