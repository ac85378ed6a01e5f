"""Whether synthetic images are copies of training images: distances to nearest neighbours, and what they say.

Averages over a set miss a few copies, so every sample has a probability of its own. It rests on a law of nearest
neighbours: where points lie with an even density in D dimensions, the volume of the ball up to the nearest one follows
an exponential law, so that P(r1 < r) falls as r^D, and the ratio of the first to the second distance has
P(r1 / r2 < q) = q^D (Facco et al. 2017, Scientific Reports 7:12140). Minus the logarithm of either thus has an
exponential tail, whose mean excess is 1 / D, and that is measured on real images which are no copies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import optimize, stats

from tools.metrics.distances import BLOCK, Features

TAIL = 0.1
"""Share of the references that the exponential tail is fitted to."""

FEWEST = 20
"""References that a tail can be fitted to."""


class Neighbours(NamedTuple):
    """The nearest training case of every point.

    Attributes:
        first: [n] distance to it.
        second: [n] distance to the nearest of all other cases.
        index: [n] number of it.
    """

    first: np.ndarray
    second: np.ndarray
    index: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """[n] first over second distance, in [0, 1]; 1 where both are zero, since then no single case stands out."""
        return np.divide(self.first, self.second, out=np.ones_like(self.first), where=self.second > 0)


class Share(NamedTuple):
    """A share of a number of cases, and its 95 percent interval (Clopper and Pearson 1934).

    Attributes:
        value: share in [0, 1].
        low: lower end.
        high: upper end.
        count: number of cases.
    """

    value: float
    low: float
    high: float
    count: int


class Auc(NamedTuple):
    """Area under a ROC curve, and its 95 percent interval.

    Attributes:
        value: area in [0, 1]; 0.5 if the scores tell nothing.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


def share_of(hits: np.ndarray) -> Share:
    """The share of True in [n], n >= 1."""
    hits = np.asarray(hits, bool)
    found = stats.binomtest(int(hits.sum()), hits.size).proportion_ci(0.95, method="exact")
    return Share(float(hits.mean()), float(found.low), float(found.high), hits.size)


def nearest(points: Features, cases: Features, own: bool = False, groups: np.ndarray | None = None) -> Neighbours:
    """The nearest of some cases to every point, by Euclidean distance.

    Args:
        points: [n, d], finite.
        cases: [m, d], finite.
        own: True if the points are the cases themselves, of which none counts as its own neighbour.
        groups: [m] number of the patient of every case: cases of the nearest one's patient do not count as the second,
            and with ``own`` not at all. None takes every case for a patient.

    Raises:
        ValueError: fewer than two other patients, different dimensions, or features that are not finite.
    """
    points, cases = _checked(points), _checked(cases)
    groups = np.arange(len(cases)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(np.unique(groups)) < 2 + own:
        raise ValueError(
            f"there are cases of {len(np.unique(groups))} patients; first and second neighbour need {2 + own}"
        )
    centre = cases.mean(0)
    of = torch.as_tensor(groups)
    parts = []
    for start in range(0, len(points), BLOCK):
        distances = torch.cdist(points[start : start + BLOCK] - centre, cases - centre)
        if own:
            distances[of[start : start + BLOCK, None] == of[None]] = torch.inf
        first, index = distances.min(1)
        second = distances.masked_fill(of[index][:, None] == of[None], torch.inf).amin(1)
        parts.append((first, second, index))
    return Neighbours(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))


def tail_probability(values: np.ndarray, references: np.ndarray) -> np.ndarray:
    """How often a point that is no copy comes as near as each of these: P(X <= x) for distances or ratios of them.

    Above their lowest tenth the references are counted: (number at or below x + 1) / (number + 1). Within it follows
    the exponential law of minus the logarithm, whose mean excess is taken at the upper end of its one-sided 95 percent
    interval (2 k mean / chi2), so that few references make for caution rather than for accusations.

    Args:
        values: [n] distances or ratios, >= 0.
        references: [m] the same of real images that are no copies, m >= 20; zeros are left out, since two equal real
            images say nothing of how near different ones come.

    Returns:
        [n] probabilities in [0, 1]; 0 for a value of zero.

    Raises:
        ValueError: too few references.
    """
    values, references = np.asarray(values, float), np.asarray(references, float)
    references = np.sort(references[references > 0])
    count = len(references)
    if count < FEWEST:
        raise ValueError(f"{count} real images give a distance; what is unusually near needs {FEWEST}")
    tail = max(5, int(TAIL * count))
    threshold = references[tail]
    excess = np.log(threshold / references[:tail]).mean() * 2 * tail / stats.chi2.ppf(0.05, 2 * tail)
    counted = (np.searchsorted(references, values, side="right") + 1) / (count + 1)
    with np.errstate(divide="ignore"):
        depth = np.log(threshold) - np.log(values)
    beyond = tail / count * np.exp(-np.maximum(depth, 0) / max(excess, 1e-12))
    return np.where(depth > 0, beyond, np.maximum(counted, tail / count)).clip(0, 1)


def copy_probability(found: Neighbours, references: Neighbours) -> np.ndarray:
    """[n] how often a real image that is no copy is as near to a training case as each sample is, by the distance or by
    its ratio to the second, whichever is rarer, times two for having looked at both.

    A copy of a case that lies alone is far nearer to it than to any other; one of a case that has look-alikes is nearer
    than others ever come. The errors are those of `tail_probability`.
    """
    by_distance = tail_probability(found.first, references.first)
    by_ratio = tail_probability(found.ratio, references.ratio)
    return np.minimum(1, 2 * np.minimum(by_distance, by_ratio))


def close_share(found: Neighbours, held_out: Neighbours, quantile: float = 0.05) -> Share:
    """Share of samples nearer to the training set than the given quantile of held-out images is; independent samples
    have that quantile.
    """
    return share_of(found.first < np.quantile(held_out.first, quantile))


def nearer_share(to_training: np.ndarray, to_held_out: np.ndarray) -> Share:
    """Share of samples nearer to the training than to an equally large held-out set, from both distances [n]; 0.5 for
    independent ones.
    """
    return share_of(np.asarray(to_training) < np.asarray(to_held_out))


def identifiability(training: Neighbours, to_synthetic: np.ndarray) -> Share:
    """Share of training cases whose nearest sample is nearer than their nearest other case: epsilon-identifiability
    (Yoon et al. 2020, ADS-GAN) without its weights of features.

    Equally many independent samples have about 0.5, copies of all 1.

    Args:
        training: neighbours of the training cases among themselves.
        to_synthetic: [n] distance of each training case to the nearest sample.
    """
    return share_of(np.asarray(to_synthetic) < training.first)


def area_under_curve(members: np.ndarray, others: np.ndarray) -> Auc:
    """AUC of a score that should be higher for members, with the interval of DeLong et al. (Biometrics 1988).

    The area is the share of pairs of a member and another in which the member has the higher score, ties counting half.
    Where all pairs agree, DeLong's interval has no width: then it is the score interval of `score_interval`.

    Args:
        members: [n] scores of training cases, n >= 2.
        others: [m] scores of cases that were not trained on, m >= 2.
    """
    members, others = np.asarray(members, float), np.asarray(others, float)
    ranks = stats.rankdata(np.concatenate([members, others]))
    n, m = len(members), len(others)
    above_others = (ranks[:n] - stats.rankdata(members)) / m  # for each member, the share of others below it
    above_members = 1 - (ranks[n:] - stats.rankdata(others)) / n  # for each other, the share of members above it
    area = float(above_others.mean())
    if area in (0.0, 1.0):
        return Auc(area, *score_interval(area, n, m))
    spread = 1.96 * np.sqrt(above_others.var(ddof=1) / n + above_members.var(ddof=1) / m)
    return Auc(area, max(0.0, area - spread), min(1.0, area + spread))


def score_interval(area: float, members: int, others: int) -> tuple[float, float]:
    """Areas that differ from the given one by at most 1.96 of their own standard deviations, so that there is a width
    at 0 and 1 as well (Newcombe 2006, Statistics in Medicine 25:559, method 5).

    The variance of an area A is A(1 - A) / nm [1 + (N - 1)((1 - A) / (2 - A) + A / (1 + A))], N = (n + m) / 2 (Hanley
    and McNeil 1982).
    """
    size = (members + others) / 2 - 1

    def excess(a: float) -> float:
        variance = a * (1 - a) / (members * others) * (1 + size * ((1 - a) / (2 - a) + a / (1 + a)))
        return (a - area) ** 2 - 1.96**2 * variance

    low = 0.0 if area <= 0 else float(optimize.brentq(excess, 0.0, area - 1e-9))
    high = 1.0 if area >= 1 else float(optimize.brentq(excess, area + 1e-9, 1.0))
    return low, high


def density_ratio(points: Features, synthetic: Features, reference: Features, dims: int = 8) -> np.ndarray:
    """[n] log of the density of samples over that of real images at each point: DOMIAS (van Breugel et al. 2023).

    Where samples are denser than real images ought to be, the generator has learnt the point by heart. Densities are by
    Gaussian kernels in the first principal components of the real reference.

    Args:
        points: [n, d] features of the cases that are asked about.
        synthetic: [m, d] features of samples.
        reference: [k, d] features of real images that were neither trained on nor are asked about.
        dims: number of components at the most; a tenth of the smaller set if that is fewer.

    Raises:
        ValueError: fewer than 20 samples or references, or features that are not finite.
    """
    points, synthetic, reference = map(_checked, (points, synthetic, reference))
    fewest = min(len(synthetic), len(reference))
    if fewest < FEWEST:
        raise ValueError(f"{fewest} images give no density; {FEWEST} or more do")
    mean = reference.mean(0)
    axes = torch.linalg.svd(reference - mean, full_matrices=False)
    kept = min(dims, fewest // 10, int((axes.S[0] * 1e-6 < axes.S).sum()))
    project = axes.Vh[:kept].T / axes.S[:kept] * len(reference) ** 0.5
    here, made, real = (((x - mean) @ project).T.numpy() for x in (points, synthetic, reference))
    return stats.gaussian_kde(made).logpdf(here) - stats.gaussian_kde(real).logpdf(here)


def _checked(features: Features) -> torch.Tensor:
    """float64 [n, d]. Raises ValueError unless it is a finite matrix."""
    found = torch.as_tensor(features).detach().cpu().double()
    if found.ndim != 2 or not torch.isfinite(found).all():
        raise ValueError(
            f"features of shape {tuple(found.shape)}; expected a matrix [samples, dimensions] of finite numbers"
        )
    return found
