"""Which bundle is better, and how sure that is, from the distances that its runs with several seeds came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

DRAWS = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Value:
    """The distance of one run.

    Attributes:
        value: distance.
        spread: its standard deviation over other choices of images; None where it was not measured.
    """

    value: float
    spread: float | None = None

    @classmethod
    def of(cls, value: float, low: float | None, high: float | None, resamples: int) -> Value:
        """That of an interval of `tools.metrics.uncertainty.bootstrap_interval` at 95 percent."""
        if low is None or high is None:
            return cls(value)
        return cls(value, (high - low) / 2 / float(stats.t.ppf((1 + LEVEL) / 2, resamples - 1)))


@dataclass(frozen=True)
class Place:
    """A bundle's place in a ranking.

    Attributes:
        mean: mean distance over seeds.
        low: lower end of its 95 percent interval; None where no spread is known.
        high: upper end.
        rank: place by the mean, from 1.
        leads: share of the draws in which its mean is the least.
        best: lower end of the 95 percent interval of its rank.
        worst: upper end.
        seeds: number of runs.
    """

    mean: float
    low: float | None
    high: float | None
    rank: int
    leads: float
    best: int
    worst: int
    seeds: int


def ranking(found: Mapping[str, Sequence[Value]], draws: int = DRAWS, seed: int = 0) -> dict[str, Place]:
    """Places of bundles by their mean distance, the smallest first, with what other seeds might have given.

    Means are drawn anew by the residual bootstrap (Davison and Hinkley 1997, section 6.2.4): seeds of a bundle are few,
    so how far a run may lie from its bundle's mean, as a share of it, is learnt from the runs of all bundles together;
    a residual of n runs is widened by sqrt(n / (n - 1)), since the mean was taken of them. That also serves bundles of
    one seed. What another choice of images would change is in these residuals. Where no bundle has two seeds, draws are
    normal, but not below 0, with the spread over choices of images alone, and intervals too narrow by that over seeds.

    Args:
        found: distances of the runs by bundle, at least one each, above 0.
        draws: number of draws.
        seed: random seed.

    Raises:
        ValueError: a bundle without a run, or a distance that is not above 0.
    """
    for bundle, values in found.items():
        if not values or not all(one.value > 0 for one in values):
            raise ValueError(f"{bundle} has the distances {[one.value for one in values]}, expected some above 0")
    rng = np.random.default_rng(seed)
    means = {bundle: float(np.mean([one.value for one in values])) for bundle, values in found.items()}
    residuals = np.concatenate([_residuals(values) for values in found.values()])
    drawn = np.stack([_draws(values, residuals, draws, rng) for values in found.values()])  # [bundles, draws]
    order = sorted(means, key=means.get)
    ranks = 1 + np.argsort(np.argsort(drawn, axis=0), axis=0)
    ends = (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)
    places = {}
    for number, (bundle, values) in enumerate(found.items()):
        is_known = len(residuals) > 0 or values[0].spread is not None
        low, high = np.quantile(drawn[number], ends) if is_known else (None, None)
        best, worst = np.quantile(ranks[number], ends, method="nearest")
        places[bundle] = Place(
            means[bundle],
            low if low is None else float(low),
            high if high is None else float(high),
            order.index(bundle) + 1,
            float((ranks[number] == 1).mean()),
            int(best),
            int(worst),
            len(values),
        )
    return {bundle: places[bundle] for bundle in order}


def _residuals(values: Sequence[Value]) -> np.ndarray:
    """Deviations of runs from their mean, as shares of it; none of a single run."""
    numbers = np.array([one.value for one in values])
    if len(numbers) < 2:
        return np.zeros(0)
    return (numbers / numbers.mean() - 1) * (len(numbers) / (len(numbers) - 1)) ** 0.5


def _draws(values: Sequence[Value], residuals: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means that as many other runs might have had."""
    mean = np.mean([one.value for one in values])
    if len(residuals):
        return mean * (1 + rng.choice(residuals, (draws, len(values))).mean(1))
    spread = values[0].spread or 0.0  # one run each
    return np.maximum(mean + spread * rng.standard_normal(draws), 0)
