"""How well a classifier tells classes apart: area under the ROC curve and F1, also of cases that are drawn anew.

MONAI's `compute_roc_auc` and confusion matrices give one number in a loop over cases; an interval needs thousands. Here
each case has a weight, the number of times that it was drawn, and one call gives the numbers of all draws.
"""

from __future__ import annotations

import numpy as np


def weighted_auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of pairs of a positive and a negative case in which the positive one has the higher score, ties counting
    half: the area under the ROC curve (Hanley and McNeil 1982, Radiology 143:29).

    Args:
        scores: [n] scores that should be higher for positive cases.
        positive: [n] flags of positive cases.
        weights: [m, n] numbers of times that each case counts, 0 or more.

    Returns:
        [m] areas in [0, 1]; NaN where no positive or no negative case was drawn.
    """
    group = np.unique(scores, return_inverse=True)[1]  # cases with the same score, from the lowest
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    above, below = (
        np.add.reduceat((weights * of)[:, order], starts, axis=1)
        for of in (np.asarray(positive), ~np.asarray(positive))
    )
    pairs = above.sum(1) * below.sum(1)
    won = (above * (np.cumsum(below, axis=1) - below / 2)).sum(1)
    return np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def weighted_f1(predicted: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """F1 = 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    Args:
        predicted: [n] flags of cases that are taken for positive ones.
        positive: [n] flags of positive cases.
        weights: [m, n] numbers of times that each case counts, 0 or more.

    Returns:
        [m] scores in [0, 1]; NaN where no case drawn is positive or taken for it.
    """
    predicted, positive = np.asarray(predicted), np.asarray(positive)
    either = weights @ predicted.astype(float) + weights @ positive.astype(float)
    found = 2 * (weights @ (predicted & positive).astype(float))
    return np.divide(found, either, out=np.full(len(weights), np.nan), where=either > 0)
