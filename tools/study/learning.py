"""Whether readers change while they read: trends over the order of questions, tested by permutation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Trend(NamedTuple):
    """A change over the order of questions.

    Attributes:
        slope: change of the outcome from one question to the next, by least squares within readers.
        p: share of permutations with as steep a slope, two-sided.
    """

    slope: float
    p: float


def trend(
    readers: Sequence, order: Sequence[float], outcome: Sequence[float], permutations: int = 4999, seed: int = 0
) -> Trend:
    """Least-squares slope of the outcome over the order of questions, both centred within readers.

    Every reader has an order of their own, drawn at random. If nothing is learned, any order of a reader's answers is
    as likely as another, and permuting them within readers gives the exact distribution of the slope.

    Args:
        readers: reader of every answer.
        order: number of the question in the reader's order.
        outcome: outcome of every answer: 1 for right and 0 for wrong, or a time, or any number.
        permutations: number of permutations to draw.
        seed: seed of the permutations.

    Raises:
        ValueError: different lengths, or no reader with two answers.
    """
    readers, order, outcome = np.asarray(readers), np.asarray(order, float), np.asarray(outcome, float)
    if not len(readers) == len(order) == len(outcome):
        raise ValueError(f"{len(readers)} readers, {len(order)} places and {len(outcome)} outcomes; expected as many")
    groups = [np.flatnonzero(readers == reader) for reader in dict.fromkeys(readers.tolist())]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        raise ValueError("no reader has two answers, so there is no order")
    rng = np.random.default_rng(seed)
    spread, products = 0.0, np.zeros(permutations + 1)
    for group in groups:
        places = order[group] - order[group].mean()
        values = outcome[group] - outcome[group].mean()
        spread += (places**2).sum()
        shuffled = rng.permuted(np.tile(values, (permutations, 1)), axis=1)
        products += np.concatenate([[places @ values], shuffled @ places])
    # rounding must not make a permutation that equals the truth less steep
    steep = np.abs(products[1:]) >= np.abs(products[0]) * (1 - 1e-9) - 1e-12
    return Trend(float(products[0] / spread), float((steep.sum() + 1) / (permutations + 1)))
