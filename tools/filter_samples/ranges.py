"""Ranges of what is measured, learnt from real samples so that another real one is rejected at a stated rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranges:
    """Lowest and highest value of each measure.

    Attributes:
        ends: lowest and highest value by name of the measure.
        rate: upper bound of the probability that a real sample lies outside of any of them.
        samples: number of real samples that they are of.
        outside: share of these that lie outside of the ranges of the others.
    """

    ends: dict[str, tuple[float, float]]
    rate: float
    samples: int
    outside: float

    def reasons(self, measures: Mapping[str, float]) -> list[str]:
        """What of a sample lies outside, in words; nothing is said of what it does not have."""
        found = []
        for name, (low, high) in self.ends.items():
            value = measures[name]
            if math.isfinite(value) and not low <= value <= high:
                found.append(f"{name} {value:.4g}, not {low:.4g} to {high:.4g}")
        return found


def learnt(samples: Sequence[Mapping[str, float]], rate: float) -> Ranges:
    """Ranges of real samples.

    Of n values the r lowest and the r highest are left outside: whether another sample of the same kind is among them
    has a probability of 2 r / (n + 1) at the most, whatever the distribution (order statistics; ties only lower it). r
    is chosen so that the probabilities of all measures together are at most ``rate``. Where n is too small for that the
    least and the greatest value are taken, and the rate that these keep is stated.

    Args:
        samples: measures of each real sample; NaN for what it does not have.
        rate: probability of rejecting a real sample, over all measures together.

    Raises:
        ValueError: fewer than two samples, or a rate outside (0, 1).
    """
    if len(samples) < 2:
        raise ValueError(f"got {len(samples)} real samples, expected some tens: ranges are learnt from them")
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate}, expected a probability between 0 and 1, such as 0.05")
    names = [*samples[0]]
    values = {name: np.array([one[name] for one in samples], float) for name in names}
    values = {name: of[np.isfinite(of)] for name, of in values.items() if np.isfinite(of).sum() > 1}
    ends, kept = _ends(values, rate)
    return Ranges(ends, min(kept, 1.0), len(samples), _left_out(samples, rate) if len(samples) > 2 else math.nan)


def _ends(values: Mapping[str, np.ndarray], rate: float) -> tuple[dict[str, tuple[float, float]], float]:
    ends, kept = {}, 0.0
    for name, of in values.items():
        ordered = np.sort(of)
        ranks = max(1, math.floor(rate / len(values) * (len(ordered) + 1) / 2))
        ranks = min(ranks, len(ordered) // 2)
        ends[name] = (float(ordered[ranks - 1]), float(ordered[-ranks]))
        kept += 2 * ranks / (len(ordered) + 1)
    return ends, kept


def _left_out(samples: Sequence[Mapping[str, float]], rate: float) -> float:
    """Share of samples outside of the ranges of the others."""
    outside = 0
    for number, one in enumerate(samples):
        others = [other for k, other in enumerate(samples) if k != number]
        values = {name: np.array([other[name] for other in others], float) for name in one}
        values = {name: of[np.isfinite(of)] for name, of in values.items() if np.isfinite(of).sum() > 1}
        ends, _ = _ends(values, rate)
        outside += any(math.isfinite(one[n]) and not low <= one[n] <= high for n, (low, high) in ends.items())
    return outside / len(samples)
