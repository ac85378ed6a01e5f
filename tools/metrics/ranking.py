"""Who is best, by several metrics, and how sure that is: ranks by metric and over metrics.

A metric of a model is a number and draws: what the number might have been with other trainings (`seed_draws`) or other
images (`interval_draws`). Both take a key, so that the metrics of one model move together as they would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy import stats

DRAWS = 2000
"""Number of draws where nothing else is asked for."""

LEVEL = 0.95
"""Level of intervals."""

Better = str | float
"""Direction of a metric: "lower", "higher", or a number to which the nearest value is the best."""


class Estimate(NamedTuple):
    """A number of one training, or a mean over several.

    Attributes:
        value: mean of what is finite; NaN without anything.
        low: lower end of its interval, over trainings, or over images where it is of one; NaN without an interval.
        high: upper end.
        count: number of trainings it is of.
    """

    value: float
    low: float
    high: float
    count: int


def over_seeds(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean over trainings with Student's interval, n - 1 degrees of freedom; trainings without a number are left out.

    Args:
        values: number of each training; NaN where there is none.
        level: share of such intervals that hold the mean of all trainings there could be, in (0, 1).
    """
    known = _finite(values)
    if len(known) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    width = float(stats.t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known)))
    return Estimate(mean, mean - width, mean + width, len(known))


def seed_draws(values: Sequence[float], key: int = 0, draws: int = DRAWS) -> np.ndarray | None:
    """Means that other trainings might have given, as wide as Student's t has it for so few: float64 [draws].

    A bootstrap that draws three trainings with replacement knows ten means, a ninth of them of one training alone, and
    is too narrow. Here the deviations from the mean are weighted by normal numbers instead, divided by what the
    deviation of so many normal numbers might be: mean + sum_i z_i (x_i - mean) / sqrt(n (n - 1)) / sqrt(c / (n - 1)), c
    of chi squared with n - 1 degrees of freedom, which for any metric is Student's t about the mean. One key gives the
    same z and c, so that two metrics of the same trainings are drawn together as they are correlated.

    Args:
        values: number of each training.
        key: number of the model, the same for all its metrics.
        draws: number of draws.

    Returns:
        The draws; None of fewer than two trainings, or if one has no number.
    """
    values = np.asarray(values, float)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    rng, n = np.random.default_rng((key, len(values))), len(values)
    weights, c = rng.standard_normal((draws, n)), rng.chisquare(n - 1, draws)
    mean = values.mean()
    return mean + weights @ (values - mean) / np.sqrt(n * c)


def interval_draws(
    value: float, low: float, high: float, better: Better = "lower", key: int = 0, draws: int = DRAWS
) -> np.ndarray:
    """Values that other images might have given, normal about the value, as wide as its interval: float64 [draws].

    One key gives the same deviations, towards better or worse, for all metrics: how these are correlated is not known
    of a report, and that all err together gives the widest interval of a mean rank.

    Args:
        value: number that was measured.
        low: lower end of its 95 percent interval.
        high: upper end.
        better: direction of the metric.
        key: number of the model, the same for all its metrics.
        draws: number of draws.

    Raises:
        ValueError: an interval whose ends are not finite or in the wrong order.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"the interval is {low} to {high}, expected two finite numbers, the lower one first")
    deviation = (high - low) / 2 / stats.norm.ppf((1 + LEVEL) / 2)
    worse = -1 if better == "higher" else 1
    return value + worse * deviation * np.random.default_rng(key).standard_normal(draws)


def estimated(
    runs: Sequence[Estimate], better: Better = "lower", key: int = 0, draws: int = DRAWS
) -> tuple[Estimate, np.ndarray | None]:
    """Mean over trainings, and draws of it; of a single training its own number and interval, and draws of that.

    Args:
        runs: number of each training, with its interval over images.
        better: direction of the metric.
        key: number of the model, the same for all its metrics.
        draws: number of draws.

    Returns:
        The mean of `over_seeds` with the draws of `seed_draws`, or the one number with those of `interval_draws`; None
        for draws where there are none.
    """
    if len(runs) != 1:
        values = [one.value for one in runs]
        return over_seeds(values), seed_draws(values, key, draws)
    value, low, high, _ = runs[0]
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return over_seeds([value]), None
    return Estimate(value, low, high, 1), interval_draws(value, low, high, better, key, draws)


@dataclass(frozen=True)
class Measure:
    """One metric of several models.

    Attributes:
        name: name of the metric.
        better: direction of the metric.
        values: number by model; NaN where a model has none, infinity (of the worse sign) where its training failed.
        draws: array of equally many draws of each model; those that have none keep their number.
    """

    name: str
    better: Better
    values: Mapping[str, float]
    draws: Mapping[str, np.ndarray | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.better, str) and self.better not in ("lower", "higher"):
            raise ValueError(f'better is {self.better!r} of {self.name}, expected "lower", "higher" or a number')

    @property
    def models(self) -> list[str]:
        """Names of the models that have a number."""
        return [model for model, value in self.values.items() if not math.isnan(value)]

    @property
    def has_draws(self) -> bool:
        """Whether any of them has draws."""
        return any(self.draws.get(model) is not None for model in self.models)

    def costs(self, models: Sequence[str]) -> np.ndarray:
        """How bad the models are, lower is better: [models]."""
        return _cost(np.array([self.values[model] for model in models], float), self.better)

    def drawn_costs(self, models: Sequence[str], draws: int = DRAWS) -> np.ndarray:
        """The same of every draw: [draws, models]."""
        columns = [self.draws.get(model) for model in models]
        full = [
            np.full(draws, self.values[model]) if one is None else np.asarray(one, float)
            for model, one in zip(models, columns, strict=True)
        ]
        if odd := {len(one) for one in full} - {draws}:
            raise ValueError(f"{self.name} has {min(odd)} draws of a model, expected {draws} of each")
        return _cost(np.stack(full, 1), self.better)


class Place(NamedTuple):
    """Where a model stands among others.

    Attributes:
        rank: rank from 1, the best; of ties their mean; over metrics the mean of ranks.
        low: lower end of its 95 percent interval over draws; NaN without draws.
        high: upper end.
        leads: share of the draws in which it is the best, divided among ties; NaN without draws.
    """

    rank: float
    low: float = math.nan
    high: float = math.nan
    leads: float = math.nan


def places(measure: Measure, draws: int = DRAWS) -> dict[str, Place]:
    """Place of every model that has a number, by one metric."""
    return _places([measure], measure.models, draws)


def counted(measures: Sequence[Measure]) -> list[Measure]:
    """The metrics that all models have: ranks among different models are no ranks of one table."""
    models = {model for measure in measures for model in measure.values}
    return [measure for measure in measures if set(measure.models) == models]


def mean_places(measures: Sequence[Measure], draws: int = DRAWS) -> dict[str, Place]:
    """Place of every model by its mean rank over those metrics that all models have, each metric with the same weight.

    Raises:
        ValueError: no metric is one that all models have.
    """
    shared = counted(measures)
    if not shared:
        raise ValueError(
            f"none of the metrics {', '.join(one.name for one in measures) or '(none)'} is known of all models; ranks "
            "over metrics need one that is"
        )
    return _places(shared, shared[0].models, draws)


class Agreement(NamedTuple):
    """How far two metrics put models in one order.

    Attributes:
        tau: Kendall's tau-b, from -1 for the opposite order to 1 for the same; NaN where there are fewer than two
            models, or one of the metrics has all of them alike.
        p: probability of a tau as far from 0 where the orders have nothing to do with each other.
        models: number of models that both know.
    """

    tau: float
    p: float
    models: int


def agreement(first: Measure, second: Measure) -> Agreement:
    """Compare the orders in which two metrics put the models that both know, the best first (Kendall 1938)."""
    shared = [model for model in first.models if model in second.models]
    if len(shared) < 2:
        return Agreement(math.nan, math.nan, len(shared))
    found = stats.kendalltau(first.costs(shared), second.costs(shared))
    return Agreement(float(found.statistic), float(found.pvalue), len(shared))


def _places(measures: Sequence[Measure], models: Sequence[str], draws: int) -> dict[str, Place]:
    if not models:
        return {}
    means = np.mean([stats.rankdata(one.costs(models)) for one in measures], axis=0)
    if not any(one.has_draws for one in measures):
        return {model: Place(float(rank)) for model, rank in zip(models, means, strict=True)}
    drawn = np.mean([stats.rankdata(one.drawn_costs(models, draws), axis=1) for one in measures], axis=0)
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    best = np.isclose(drawn, drawn.min(axis=1, keepdims=True))
    leads = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return {model: Place(*map(float, numbers)) for model, *numbers in zip(models, means, low, high, leads, strict=True)}


def _cost(values: np.ndarray, better: Better) -> np.ndarray:
    if better == "lower":
        return values
    return -values if better == "higher" else np.abs(values - float(better))


def _finite(values: Sequence[float]) -> np.ndarray:
    given = np.asarray(values, float)
    return given[np.isfinite(given)]
