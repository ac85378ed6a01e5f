"""Membership: can somebody tell by a score who was in a training set, and what can so many patients show of that?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tools.metrics.copies import Auc, Share, area_under_curve, share_of

RATE = 0.01
"""Share of others that an attacker may take for members."""


class Membership(NamedTuple):
    """What an attack by a score finds out, each patient counted once.

    Attributes:
        auc: area under its ROC curve, 0.5 if it tells nothing.
        caught: share of members whose score is above the threshold: the true positives at a low false-positive rate
            (Carlini et al. 2022, "Membership inference attacks from first principles").
        accused: share of others above it. Its interval says how low that rate can be taken to be.
        by_chance: share of members above the threshold that a score which tells nothing is expected to have.
        members: number of members.
        others: number of others.
        notable: area above which so many members and others differ from chance at all (95 percent).
    """

    auc: Auc
    caught: Share
    accused: Share
    by_chance: float
    members: int
    others: int
    notable: float


def membership(members: np.ndarray, others: np.ndarray, rate: float = RATE) -> Membership:
    """Test a score that should be higher for members.

    The threshold is the lowest above which no more than ``rate`` of the others lie: the highest of all their scores
    where they are fewer than 1 / ``rate``. A member whose score tells nothing lies above the (k + 1)-th highest of m
    others with the probability (k + 1) / (m + 1). The area's standard deviation by chance is sqrt((n + m + 1) / 12nm)
    (Mann and Whitney 1947).

    Args:
        members: [n] scores of members, n >= 2.
        others: [m] scores of others, m >= 2.
        rate: share of others that may lie above the threshold, in [0, 1).

    Raises:
        ValueError: fewer than two of either, scores that are not finite, or a rate outside [0, 1).
    """
    members, others = np.asarray(members, float), np.asarray(others, float)
    n, m = len(members), len(others)
    if min(n, m) < 2:
        raise ValueError(f"there are {n} members and {m} others; a test of membership needs two of each")
    if not (np.isfinite(members).all() and np.isfinite(others).all()):
        raise ValueError("scores of membership are not finite")
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}, expected a share in [0, 1)")
    allowed = int(rate * m)
    threshold = np.sort(others)[m - 1 - allowed]
    notable = 0.5 + 1.96 * math.sqrt((n + m + 1) / (12 * n * m))
    return Membership(
        area_under_curve(members, others),
        share_of(members > threshold),
        share_of(others > threshold),
        (allowed + 1) / (m + 1),
        n,
        m,
        min(1.0, notable),
    )


def by_patient(scores: np.ndarray, patients: Sequence) -> np.ndarray:
    """Mean score of each patient [patients], of scores [n] and the patient of each [n], in the patients' order.

    Images of one patient are no independent cases: intervals over images would be too narrow.
    """
    number = np.unique(np.asarray(patients), return_inverse=True)[1]
    return np.bincount(number, np.asarray(scores, float)) / np.bincount(number)
