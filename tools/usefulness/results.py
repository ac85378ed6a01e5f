"""What was measured of every arm, seed and case, and what follows from it with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tools.metrics.classification import weighted_auc, weighted_f1
from tools.usefulness.design import Arm

RESAMPLES = 2000

Metric = Callable[[np.ndarray, np.ndarray, int | None], np.ndarray]
"""Function of a table [cases, columns], of how often each case was drawn [draws, cases] and of the number of a class,
None for all of them, that gives a number for each draw [draws]."""


class Estimate(NamedTuple):
    """A number and its 95 percent interval.

    Attributes:
        value: number.
        low: lower end.
        high: upper end.
        seeds: number of trainings that it is of.
    """

    value: float
    low: float
    high: float
    seeds: int


def mean_dice(table: np.ndarray, weights: np.ndarray, label: int | None) -> np.ndarray:
    """Mean over cases of Dice [cases, classes], NaN for classes that a case does not have."""
    values = _mean(table, axis=1) if label is None else table[:, label]
    known = np.isfinite(values)
    count = weights @ known.astype(float)
    total = weights @ np.where(known, values, 0.0)
    return np.divide(total, count, out=np.full(len(weights), np.nan), where=count > 0)


def class_auc(table: np.ndarray, weights: np.ndarray, label: int | None) -> np.ndarray:
    """Area under the ROC curve of a class against the rest, of a table of the true class and of probabilities [cases,
    1 + classes]; the mean over classes, which of two classes is the area of either.
    """
    true, probabilities = table[:, 0].astype(int), table[:, 1:]
    wanted = range(probabilities.shape[1]) if label is None else [label]
    return np.mean([weighted_auc(probabilities[:, c], true == c, weights) for c in wanted], axis=0)


def class_f1(table: np.ndarray, weights: np.ndarray, label: int | None) -> np.ndarray:
    """F1 of a class, of a table as for `class_auc`, where the class with the greatest probability is predicted; that of
    the second of two classes, and else the mean over classes.
    """
    true, probabilities = table[:, 0].astype(int), table[:, 1:]
    wanted = range(probabilities.shape[1]) if label is None else [label]
    wanted = [1] if label is None and len(wanted) == 2 else wanted
    predicted = probabilities.argmax(1)
    return np.mean([weighted_f1(predicted == c, true == c, weights) for c in wanted], axis=0)


class Results:
    """Tables by arm and seed.

    Args:
        classes: names of the classes.
        metrics: functions of a table by name; the first is meant where none is named.
    """

    def __init__(self, classes: Sequence[str], metrics: Mapping[str, Metric] | None = None) -> None:
        self.classes = tuple(classes)
        self.metrics = dict(metrics or {"dice": mean_dice})
        self.tables: dict[Arm, dict[int, np.ndarray]] = {}
        self._patients: dict[Arm, np.ndarray] = {}

    def add(self, arm: Arm, seed: int, table: np.ndarray, subjects: Sequence[str] | None = None) -> None:
        """A table [cases, columns] of a training.

        Args:
            arm: arm.
            seed: its seed.
            table: [cases, columns], as the metrics take it.
            subjects: patient of each case, whose cases are drawn together; each case is one without them.
        """
        table = np.asarray(table, float)
        self.tables.setdefault(arm, {})[seed] = table
        names = list(range(len(table)) if subjects is None else subjects)
        number = {name: n for n, name in enumerate(dict.fromkeys(names))}
        self._patients[arm] = np.array([number[name] for name in names])

    def of(self, arm: Arm, label: str | None = None, metric: str | None = None) -> Estimate:
        """Mean of a metric over seeds, with an interval over patients and seeds together.

        Args:
            arm: arm.
            label: name of a class; all of them without it.
            metric: name of the metric.
        """
        return self._estimate([arm], lambda a: a, label, metric)

    def ratio(self, above: Arm, below: Arm, label: str | None = None, metric: str | None = None) -> Estimate:
        """Quotient of the numbers of two arms that are tested on the same cases."""
        return self._estimate([above, below], _quotient, label, metric)

    def difference(self, arm: Arm, other: Arm, label: str | None = None, metric: str | None = None) -> Estimate:
        """Number of one arm less that of another that is tested on the same cases."""
        return self._estimate([arm, other], lambda a, b: a - b, label, metric)

    def _estimate(self, arms: Sequence[Arm], function, label: str | None, metric: str | None) -> Estimate:
        """By drawing patients and seeds with replacement, the same ones for all arms."""
        measure = self.metrics[metric or next(iter(self.metrics))]
        number = None if label is None else self.classes.index(label)
        seeds = sorted(set.intersection(*(set(self.tables[arm]) for arm in arms)))
        patients = self._patients[arms[0]]
        count = int(patients.max()) + 1
        rng = np.random.default_rng(0)
        of_seeds, of_patients = _drawn(rng, len(seeds)), _drawn(rng, count)
        weights = np.vstack([np.ones(len(patients)), of_patients[:, patients]])  # first all of them, then the draws
        of_seeds = np.vstack([np.ones(len(seeds)), of_seeds]) / len(seeds)
        numbers = []
        for arm in arms:
            of_arm = np.stack([measure(self.tables[arm][seed], weights, number) for seed in seeds], 1)  # [draws, seeds]
            numbers.append((np.where(of_seeds > 0, of_arm, 0.0) * of_seeds).sum(1))
        value, *draws = function(*numbers)
        low, high = np.nanquantile(draws, (0.025, 0.975)) if np.isfinite(draws).any() else (np.nan, np.nan)
        return Estimate(float(value), float(low), float(high), len(seeds))


def _drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """How often each of so many is among as many that are drawn, [RESAMPLES, count]."""
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is no NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).sum(axis), known.sum(axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
