"""Fidelity and diversity by nearest neighbours in a feature space."""

from __future__ import annotations

from typing import NamedTuple

import torch

from tools.metrics.distances import BLOCK, Features, checked_features

TIE = 1e-7
"""Distances that differ by less than this share are equal: a sample on the rim of a ball is not inside it."""


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]: of synthetic samples that look real, and of real samples that the synthetic set covers."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """How densely synthetic samples lie among real ones (1 for equal sets, can exceed 1), and the share of real samples
    that have a synthetic one near.
    """

    density: float
    coverage: float


def precision_recall(real: Features, synthetic: Features, neighbours: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019).

    A set's manifold is the union of balls around its samples, each as large as the distance to its k-th neighbour in
    the set. Precision is the share of synthetic samples inside the real manifold, recall the share of real samples
    inside the synthetic one.

    Args:
        real: [n, d], finite, n > neighbours.
        synthetic: [m, d], finite, m > neighbours.
        neighbours: k.

    Raises:
        ValueError: too few samples for k, different dimensions, or features that are not finite.
    """
    real, synthetic = _checked(real, synthetic, neighbours)
    return PrecisionRecall(
        precision=_inside(synthetic, real, _radii(real, neighbours)).gt(0).double().mean().item(),
        recall=_inside(real, synthetic, _radii(synthetic, neighbours)).gt(0).double().mean().item(),
    )


def density_coverage(real: Features, synthetic: Features, neighbours: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020), which single outliers among the real samples upset less.

    Density is the mean number of real balls that a synthetic sample lies in, over k; coverage is the share of real
    balls that hold a synthetic sample. Arguments and errors as for `precision_recall`.
    """
    real, synthetic = _checked(real, synthetic, neighbours)
    radii = _radii(real, neighbours)
    density = _inside(synthetic, real, radii).double().mean().item() / neighbours
    covered = torch.cat([(_distances(part, synthetic).amin(1)) for part in real.split(BLOCK)]) < radii * (1 - TIE)
    return DensityCoverage(density, covered.double().mean().item())


def _radii(samples: torch.Tensor, neighbours: int) -> torch.Tensor:
    """Distance of every sample to its k-th neighbour, itself not counted."""
    # the smallest distance is that of the sample to itself
    return torch.cat([_distances(part, samples).kthvalue(neighbours + 1).values for part in samples.split(BLOCK)])


def _inside(points: torch.Tensor, centres: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """Number of balls around the centres in which every point lies."""
    radii = radii * (1 - TIE)
    return torch.cat([(_distances(part, centres) < radii).sum(1) for part in points.split(BLOCK)])


def _distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    # by a matrix product in double precision, on features around their mean: fast, and exact to `TIE`
    return torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist")


def _checked(real: Features, synthetic: Features, neighbours: int) -> tuple[torch.Tensor, torch.Tensor]:
    real, synthetic = checked_features(real, synthetic)
    fewest = min(len(real), len(synthetic))
    if not 1 <= neighbours < fewest:
        raise ValueError(
            f"{neighbours} neighbours need sets of {neighbours + 1} samples or more, and at least one neighbour; got "
            f"{len(real)} real and {len(synthetic)} synthetic samples"
        )
    centre = torch.cat([real, synthetic]).mean(0)
    return real - centre, synthetic - centre
