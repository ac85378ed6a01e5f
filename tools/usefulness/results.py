"""Dice of every arm, seed, patient and class, and what follows from it with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tools.usefulness.design import Arm

RESAMPLES = 2000


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


class Results:
    """Dice by arm and seed.

    Args:
        classes: names of the classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.dice: dict[Arm, dict[int, np.ndarray]] = {}

    def add(self, arm: Arm, seed: int, dice: np.ndarray) -> None:
        """Dice [cases, classes] of a training, NaN for classes that a case does not have."""
        self.dice.setdefault(arm, {})[seed] = np.asarray(dice, float)

    def of(self, arm: Arm, label: str | None = None) -> Estimate:
        """Mean Dice of an arm over classes, cases and seeds, with an interval over cases and seeds together."""
        return self._estimate({"a": arm}, lambda a: a, label)

    def ratio(self, above: Arm, below: Arm, label: str | None = None) -> Estimate:
        """Quotient of the mean Dice of two arms that are tested on the same cases."""
        return self._estimate({"a": above, "b": below}, lambda a, b: a / b if b else np.nan, label)

    def difference(self, arm: Arm, other: Arm, label: str | None = None) -> Estimate:
        """Mean Dice of one arm less that of another that is tested on the same cases."""
        return self._estimate({"a": arm, "b": other}, lambda a, b: a - b, label)

    def _estimate(self, arms: Mapping[str, Arm], function, label: str | None) -> Estimate:
        """By drawing cases and seeds with replacement, the same ones for all arms."""
        tables = {key: self._table(arm, label) for key, arm in arms.items()}
        seeds = sorted(set.intersection(*(set(self.dice[arm]) for arm in arms.values())))
        tables = {key: np.stack([table[seed] for seed in seeds]) for key, table in tables.items()}  # [seeds, cases]
        rng = np.random.default_rng(0)
        cases = next(iter(tables.values())).shape[1]
        drawn = []
        for _ in range(RESAMPLES):
            some_seeds, some_cases = rng.integers(len(seeds), size=len(seeds)), rng.integers(cases, size=cases)
            drawn.append(function(**{key: _mean(t[some_seeds][:, some_cases]) for key, t in tables.items()}))
        low, high = np.nanquantile(drawn, (0.025, 0.975))
        return Estimate(function(**{key: _mean(t) for key, t in tables.items()}), float(low), float(high), len(seeds))

    def _table(self, arm: Arm, label: str | None) -> dict[int, np.ndarray]:
        """Seed -> Dice [cases], the mean over classes or one of them."""
        if label is None:
            return {seed: _mean(dice, axis=1) for seed, dice in self.dice[arm].items()}
        return {seed: dice[:, self.classes.index(label)] for seed, dice in self.dice[arm].items()}


def _mean(values: np.ndarray, axis: int | None = None) -> np.ndarray | float:
    """Mean of what is no NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).sum(axis), known.sum(axis)
    found = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return float(found) if axis is None else found
